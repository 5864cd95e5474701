"""How quickly containers are written: stem-seconds per wall second, with FLAC encoding and without (the container alone)."""

import contextlib
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loading.contenders import FAMILIES, of_family
from benchmarks.loading.contenders.base import Absent, PreCut, encoded, to_float
from benchmarks.loading.corpus import Corpus, Crops
from mixdata.example import Example
from mixdata.shards import writer

Ready = dict[Any, list[tuple[int, Any]]]  # what is written, by its form


class OurWriter:
    """mixdata's shard writer, given the same crops as examples: hashes, checksums, record and member table included."""

    access = "pre-cut"

    def __init__(self, corpus: Corpus, crops: Crops, codec: str):
        self.corpus, self.crops, self.codec = corpus, crops, codec
        self.name, self.form = f"mixdata {codec}", "int16" if codec == "npy16" else "flac"

    def payload(self, number: int) -> Any:
        audio = to_float(np.ascontiguousarray(self.corpus.integers(self.crops.crops[number])))
        return audio, [encoded(stem, self.corpus.size.rate, "flac") for stem in self.corpus.integers(self.crops.crops[number])]

    def store(self, place: Path, payloads: Iterator[tuple[int, Any]], ready: bool) -> None:
        """Write one shard; `ready`: its FLAC bytes were made before."""
        (place / "shards").mkdir()
        waiting: list[bytes] = []

        def examples() -> Iterator[Example]:
            for number, (audio, members) in payloads:
                waiting[:] = members[::-1]
                yield self.example(number, audio)

        with _replaced(writer, "encode", lambda *_: waiting.pop()) if ready else contextlib.nullcontext():
            writer.write_shard(place, "train-000000", "0" * 16, examples(), self.codec)

    def example(self, number: int, audio: np.ndarray) -> Example:
        stems = dict(zip(self.corpus.stems, audio, strict=True))
        sounds = dict.fromkeys(stems, True)
        record = {"key": f"crop-00000000_{number:05d}", "frames": audio.shape[-1]}
        return Example(
            key=record["key"], song="crop-00000000", split="train", block=number, start=0, sample_rate=self.corpus.size.rate,
            roles={"dry": stems}, active={"dry": sounds}, activity=dict.fromkeys(stems, 1.0), scale=1.0, record=record,
        )  # fmt: skip


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


def writers(corpus: Corpus, crops: Crops, rounds: int) -> str:
    """Return a table of all writers, timed in rounds that alternate, each into an empty folder."""
    crops = Crops(crops.seconds, crops.crops[:24])
    contenders: list[Any] = [OurWriter(corpus, crops, codec) for codec in ("npy16", "flac16")]
    for family in FAMILIES:
        for kind in of_family(family):
            if issubclass(kind, PreCut):
                with contextlib.suppress(Absent):
                    contenders.append(kind(corpus, crops))
    seconds = sum(4 * crop.frames for crop in crops.crops) / corpus.size.rate
    found: dict[str, dict[bool, list[float]]] = {}
    ready_made: Ready = {}
    for _ in range(rounds + 1):
        for contender in contenders:
            for ready in (True, False):
                if contender.form == "int16" and not ready:
                    continue
                took = _timed(corpus.folder / "containers" / "written", contender, ready, ready_made)
                found.setdefault(contender.name, {}).setdefault(ready and not getattr(contender, "encodes", False), []).append(
                    seconds / took
                )
    lines = ["| stem-seconds per second, one process | container alone | encoding included |", "|---|---|---|"]
    lines += [f"| {name} | {_spread(rates.get(True))} | {_spread(rates.get(False))} |" for name, rates in found.items()]
    return "\n".join(lines) + "\n\nmixdata: from float32, rounding, SHA-256 and CRC-32C included. lhotse encodes by itself."


def _timed(place: Path, contender: Any, ready: bool, ready_made: Ready) -> float:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    numbers = range(len(contender.crops))
    payloads = ((number, contender.payload(number)) for number in numbers)
    if ready or isinstance(contender, OurWriter):
        kind = OurWriter if isinstance(contender, OurWriter) else contender.form
        if kind not in ready_made:
            ready_made[kind] = list(payloads)
        payloads = iter(ready_made[kind])
    own: dict[str, Any] = {"ready": ready and contender.form == "flac"} if isinstance(contender, OurWriter) else {}
    store: Callable[..., None] = contender.store
    began = time.perf_counter()
    store(place, payloads, **own)
    took = time.perf_counter() - began
    shutil.rmtree(place, ignore_errors=True)
    return took


def _spread(rates: list[float] | None) -> str:
    if not rates:
        return ""
    kept = rates[1:]  # the first round imports and compiles
    return f"{statistics.median(kept):,.0f} ({min(kept):,.0f} … {max(kept):,.0f})"
