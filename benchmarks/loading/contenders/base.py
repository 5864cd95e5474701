"""What a contender is: it writes its container once, then gives the crops."""

import io
import itertools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.loading.corpus import Corpus, Crops, once, size_of
from mixdata.shards.format import FLAC_LEVEL

BATCH = 8
REPEATS = 400  # of the crops in one epoch, so that no loader has to start anew while it is timed


class Absent(Exception):
    """The contender cannot run here; the text says why."""


class Contender:
    """One way to read crops as float32 `(4, 2, frames)`.

    `access`: `random` reads any crop of whole songs, `pre-cut` a container that holds exactly the crops, cut beforehand.
    `ways`: `one` (in the measuring process), `stock` (a stock DataLoader), or a way of its own.
    `mapped`: reads by page faults, which no counter of the process shows, so bytes are given by arithmetic.
    """

    name = ""
    about = ""
    access = "random"
    kind = "peer"  # mixdata, bound or peer
    flac = False
    ways: tuple[str, ...] = ("one", "stock")
    mapped = False

    def __init__(self, corpus: Corpus, crops: Crops):
        self.corpus, self.crops = corpus, crops
        self.frames = crops.crops[0].frames if len(crops) else 0
        self._of_process: dict[tuple[int, str], Any] = {}

    @property
    def place(self) -> Path:
        """The container's folder."""
        inside = self.crops.name if self.access == "pre-cut" else "whole"
        return self.corpus.folder / "containers" / inside / self.name.replace(" ", "-")

    def build(self) -> None:
        """Write the container where it is not yet written."""
        once(self.place, self.write)

    def write(self, place: Path) -> None:
        raise NotImplementedError

    def stored_bytes(self) -> tuple[int, int]:
        """Return the container's bytes and those of the PCM in it."""
        pcm = sum(16 * crop.frames for crop in self.crops.crops) if self.access == "pre-cut" else self.corpus.pcm_bytes
        return size_of(self.place), pcm

    def item(self, number: int) -> np.ndarray:
        """Return crop `number`."""
        raise NotImplementedError

    def items(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (crop number, audio) without end."""
        return ((number, self.item(number)) for number in itertools.cycle(range(len(self.crops))))

    def batches(self, way: str, workers: int) -> Iterator[dict[str, Any]]:
        """Yield batches of a loader: `audio` (batch, 4, 2, frames) and `crop`, the numbers of its crops (or `key` and `start`)."""
        from torch.utils.data import DataLoader

        return iter(DataLoader(_Items(self), batch_size=BATCH, num_workers=workers))

    def run(self, way: str, workers: int, seconds: float) -> tuple[int, float]:
        """Time a way that is neither `one` nor gives batches: return crops and wall seconds."""
        raise NotImplementedError

    def audio_of(self, batch: dict[str, Any]) -> Any:
        return batch["audio"]

    def places_of(self, batch: dict[str, Any]) -> list[tuple[str, int]]:
        """Return song and start of each crop in a batch."""
        return [(self.crops.crops[int(number)].song, self.crops.crops[int(number)].start) for number in batch["crop"]]

    def counted_bytes(self) -> int | None:
        """Return the bytes read so far by the contender's own counter, where it has one."""
        return None

    def mine(self, what: str, make: Callable[[], Any]) -> Any:
        """Return a thing (a file handle, a reader) that this process made for itself."""
        key = os.getpid(), what
        if key not in self._of_process:
            self._of_process[key] = make()
        return self._of_process[key]


def _Items(contender: Contender):
    """Wrap a contender as a torch dataset whose epoch repeats the crops."""
    import torch
    from torch.utils.data import Dataset, IterableDataset

    class Mapped(Dataset):
        def __len__(self) -> int:
            return REPEATS * len(contender.crops)

        def __getitem__(self, index: int) -> dict[str, Any]:
            number = index % len(contender.crops)
            return {"audio": torch.from_numpy(np.ascontiguousarray(contender.item(number))), "crop": number}

    class Streamed(IterableDataset):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            return ({"audio": torch.from_numpy(np.ascontiguousarray(audio)), "crop": number} for number, audio in contender.items())

    return Streamed() if type(contender).items is not Contender.items else Mapped()


def write_flac(target: Any, audio: np.ndarray, rate: int) -> None:
    """Write int16 `(channels, frames)` as FLAC, at mixdata's own level, for every contender alike."""
    soundfile.write(target, audio.T, rate, format="FLAC", subtype="PCM_16", compression_level=FLAC_LEVEL)


def encoded(audio: np.ndarray, rate: int, form: str) -> bytes:
    """Return int16 `(channels, frames)` as the bytes of a `flac`, `wav` or `npy` file."""
    buffer = io.BytesIO()
    if form == "flac":
        write_flac(buffer, audio, rate)
    elif form == "wav":
        soundfile.write(buffer, audio.T, rate, format="WAV", subtype="PCM_16")
    else:
        np.save(buffer, audio)
    return buffer.getvalue()


def decoded(stems: list[bytes], form: str) -> np.ndarray:
    """Return four members' bytes as float32 (4, 2, frames)."""
    out: np.ndarray | None = None
    for place, data in enumerate(stems):
        audio = np.load(io.BytesIO(data)).T if form == "npy" else soundfile.read(io.BytesIO(data), dtype="int16", always_2d=True)[0]
        out = np.empty((len(stems), 2, len(audio)), np.float32) if out is None else out
        np.multiply(audio.T, np.float32(2**-15), out=out[place])
    assert out is not None
    return out


def to_float(integers: np.ndarray) -> np.ndarray:
    """Return int16 as float32 of full scale 1, in one pass of NumPy."""
    return np.multiply(integers, np.float32(2**-15), dtype=np.float32)


class PreCut(Contender):
    """A container of samples: exactly the crops, cut beforehand, as its users do it. No random crop is left to it."""

    access = "pre-cut"
    form = "int16"  # int16 (one array), flac, wav or npy (four members)

    def payload(self, number: int) -> Any:
        """Return what is stored of a crop: an int16 array (4, 2, frames), or four members' bytes."""
        integers = np.ascontiguousarray(self.corpus.integers(self.crops.crops[number]))
        return integers if self.form == "int16" else [encoded(audio, self.corpus.size.rate, self.form) for audio in integers]

    def write(self, place: Path) -> None:
        self.store(place, ((number, self.payload(number)) for number in range(len(self.crops))))

    def store(self, place: Path, payloads: Iterator[tuple[int, Any]]) -> None:
        """Write the container into this folder: what the writers' benchmark times."""
        raise NotImplementedError


def until(seconds: float) -> Callable[[], bool]:
    """Return a question that is answered with yes once this much time has passed."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() >= end
