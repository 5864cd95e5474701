"""The bounds: what the memory and the decoder allow, with no container, no checks and no batches around them.

The fused convert is one pass from memory-mapped int16 rows into a kept float32 buffer. Threads run it without the interpreter's lock,
each into one kept item (which stays in its cache), or over buffers that take turns and are as large as a loader's batches, so that as
much memory is written as a loader must write.
"""

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from benchmarks.loading.contenders.base import BATCH, Contender, once, until
from benchmarks.loading.contenders.ours import ROLE, build_set
from mixdata.kernels import kernel
from mixdata.shards.reader import open_dataset

ROTATING_BATCHES = 4


@kernel
def convert(rows, start, out):  # type: ignore[no-untyped-def]
    """Convert frames `[start, start + frames)` of int16 rows (stems, channels, all frames) into float32 of full scale 1."""
    scale = np.float32(2.0**-15)
    for stem in range(out.shape[0]):
        for channel in range(out.shape[1]):
            source = rows[stem, channel, start : start + out.shape[2]]
            target = out[stem, channel]
            for n in range(target.shape[0]):
                target[n] = source[n] * scale


class Planar(Contender):
    name = "bound: mapped int16, kept buffer"
    about = "memory-mapped planar int16 songs, one fused convert into a kept buffer; `threads`: without batches"
    kind = "bound"
    ways = ("one", "free threads")
    mapped = True
    rotating = 1

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        self.rows: dict[str, np.ndarray] = {}

    def build(self) -> None:
        self.rows = {song: np.asarray(rows[:4]) for song, rows in self.corpus.planar.items()}
        self.kept = np.zeros((4, 2, self.frames), np.float32)
        self.item(0)

    def stored_bytes(self) -> tuple[int, int]:
        return self.corpus.pcm_bytes, self.corpus.pcm_bytes

    def read_into(self, number: int, out: np.ndarray) -> None:
        crop = self.crops.crops[number]
        convert(self.rows[crop.song], crop.start, out)

    def item(self, number: int) -> np.ndarray:
        self.read_into(number, self.kept)
        return self.kept

    def run(self, way: str, workers: int, seconds: float) -> tuple[int, float]:
        """Let threads read without handing anything over: crops, wall seconds."""
        import time

        counter, done = itertools.count(), [0] * workers
        buffers = np.zeros((workers, self.rotating, 4, 2, self.frames), np.float32)
        over = until(seconds)

        def work(thread: int) -> None:
            while not over():
                number = next(counter)
                self.read_into(number % len(self.crops), buffers[thread, done[thread] % self.rotating])
                done[thread] += 1

        threads = [threading.Thread(target=work, args=(thread,)) for thread in range(workers)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done), time.perf_counter() - began


class Rotating(Planar):
    name = "bound: mapped int16, batch-sized buffers"
    about = f"the same into buffers that take turns, {ROTATING_BATCHES} batches of {BATCH} in all: a loader writes as much memory"
    ways = ("one", "free threads")
    rotating = ROTATING_BATCHES * BATCH

    def build(self) -> None:
        self.turns = itertools.count()
        self.buffers = np.zeros((self.rotating, 4, 2, self.frames), np.float32)
        super().build()

    def item(self, number: int) -> np.ndarray:
        out = self.buffers[next(self.turns) % self.rotating]
        self.read_into(number, out)
        return out

    def run(self, way: str, workers: int, seconds: float) -> tuple[int, float]:
        del self.buffers  # the threads have their own
        try:
            return super().run(way, workers, seconds)
        finally:
            self.buffers = np.zeros((self.rotating, 4, 2, self.frames), np.float32)


class Decode(Planar):
    name = "bound: libsndfile on the blocks"
    about = "the blocks of the flac16 set as files of their own: open, seek, decode just the frames needed, interleaved as they come"
    flac = True
    mapped = False

    @property
    def place(self) -> Path:
        return self.corpus.folder / "containers" / self.crops.name / "bound-flac"

    def build(self) -> None:
        self.parts: list[list[tuple[str, int, int, int]]] = []
        dataset = open_dataset(build_set(self.corpus, "flac16"))
        examples = dataset.examples
        examples["name"] = [self.corpus.song_of(key) for key in examples["key"]]
        for crop in self.crops.crops:
            of = examples[(examples["name"] == crop.song) & (examples["start"] < crop.start + crop.frames)]
            of = of[of["start"] + of["frames"] > crop.start].sort_values("start")
            self.parts.append(
                [
                    (row.key, max(crop.start - row.start, 0), max(row.start - crop.start, 0), int(row.start + row.frames))
                    for row in of.itertuples()
                ]
            )
        once(self.place, lambda place: self.extract(place, dataset))
        self.kept = np.zeros((4, self.frames, 2), np.float32)

    def extract(self, place: Path, dataset: Any) -> None:
        wanted = {key for parts in self.parts for key, *_ in parts}
        for shard in sorted(set(dataset.examples["shard"])):
            with open(dataset.path / "shards" / f"{shard}.tar", "rb") as tar:
                for row in dataset.members(shard).to_pylist():
                    if row["key"] in wanted and row["role"] == ROLE and row["stem"] in self.corpus.stems:
                        tar.seek(row["byte_offset"])
                        (place / f"{row['key']}.{row['stem']}.flac").write_bytes(tar.read(row["byte_size"]))

    def decode_into(self, number: int, out: np.ndarray) -> None:
        end = self.crops.crops[number].start + self.frames
        for place, stem in enumerate(self.corpus.stems):
            for key, inside, to, block_end in self.parts[number]:
                count = self.frames - to - max(end - block_end, 0)
                with soundfile.SoundFile(f"{self.place}/{key}.{stem}.flac") as file:
                    if inside:
                        file.seek(inside)
                    file.read(out=out[place, to : to + count])

    def item(self, number: int) -> np.ndarray:
        self.decode_into(number, self.kept)
        return self.kept.transpose(0, 2, 1)

    def read_into(self, number: int, out: np.ndarray) -> None:
        self.decode_into(number, out.reshape(4, self.frames, 2))

    def stored_bytes(self) -> tuple[int, int]:
        return Contender.stored_bytes(self)[0], sum(16 * crop.frames for crop in self.crops.crops)


CONTENDERS = (Planar, Rotating, Decode)
