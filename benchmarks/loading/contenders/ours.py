"""mixdata: `ShardDataset` in one process and in a stock DataLoader, `CropLoader` with threads and processes."""

import contextlib
import io
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import mixdata
from benchmarks.loading.contenders.base import BATCH, REPEATS, Absent, Contender
from benchmarks.loading.corpus import Corpus, Crop, Crops, once
from mixdata.errors import MixdataError

ROLE = "dry"


def build_set(corpus: Corpus, codec: str) -> Path:
    """Build the corpus's songs as a dataset through the package."""

    def write(place: Path) -> None:
        settings = [
            f"output.codec={codec}",
            f"sample_rate={corpus.size.rate}",
            f"stems.take=[{', '.join(corpus.size.stems)}]",
            "splits={train: 1.0, valid: 0.0, test: 0.0}",
        ]
        if corpus.size.rate < 44_100:  # the tiny corpus of the tests
            settings += ["segment.seconds=1", "segment.min_seconds=0.2"]
        with contextlib.redirect_stderr(io.StringIO()):
            built = mixdata.build(
                mixdata.load_recipe("dry_stems", settings), place / "set", [f"folder:{corpus.folder / 'wav'}"], workers=0, quiet=True
            )
        used = {corpus.song_of(key) for key in built.examples["key"]}
        if used != set(corpus.songs):
            raise MixdataError(f"{codec}: the build left songs out: {sorted(set(corpus.songs) - used)}")

    return once(corpus.folder / "containers" / "whole" / f"mixdata-{codec}", write) / "set"


def open_set(corpus: Corpus, codec: str, seconds: float, items: int, **more: Any):
    from mixdata.torch import ShardDataset

    return ShardDataset(
        build_set(corpus, codec), split="train", crop=seconds, roles=[ROLE], stems=list(corpus.stems), epoch_items=items, **more
    )


def draw_crops(corpus: Corpus, seconds: float, count: int) -> Crops:
    """Return the first crops that `ShardDataset` draws: those that all contenders read."""
    dataset = open_set(corpus, "npy16", seconds, count)
    items = [dataset[number] for number in range(count)]
    frames = items[0][ROLE].shape[-1]
    return Crops(seconds, tuple(Crop(corpus.song_of(item["key"]), int(item["start"]), frames) for item in items))


class Ours(Contender):
    kind = "mixdata"
    ways = ("one", "stock", "threads", "processes")
    codec = "npy16"

    def build(self) -> None:
        build_set(self.corpus, self.codec)

    @property
    def place(self) -> Path:
        return self.corpus.folder / "containers" / "whole" / f"mixdata-{self.codec}"

    @cached_property
    def dataset(self):
        # The first items of this long epoch are the crops; CropLoader and DataLoader go on with more crops of the same songs.
        return open_set(self.corpus, self.codec, self.crops.seconds, REPEATS * len(self.crops))

    def item(self, number: int) -> np.ndarray:
        return self.dataset[number][ROLE].numpy()

    def batches(self, way: str, workers: int) -> Iterator[dict[str, Any]]:
        from torch.utils.data import DataLoader

        from mixdata.torch import CropSampler

        if way == "stock":
            return iter(DataLoader(self.dataset, batch_size=BATCH, sampler=CropSampler(self.dataset), num_workers=workers))
        try:
            from mixdata.torch import CropLoader
        except ImportError:
            raise Absent("mixdata.torch.CropLoader is not there yet") from None
        return iter(CropLoader(self.dataset, batch_size=BATCH, num_workers=workers, mode=way, seed=0))

    def audio_of(self, batch: dict[str, Any]) -> Any:
        return batch[ROLE]

    def places_of(self, batch: dict[str, Any]) -> list[tuple[str, int]]:
        return [(self.corpus.song_of(key), int(start)) for key, start in zip(batch["key"], batch["start"], strict=True)]

    def counted_bytes(self) -> int | None:
        counts = getattr(self.dataset.dataset, "counts", None)
        if counts is None:
            return None
        total = counts.total()
        return total["bytes_read"] + total["cache_bytes"]


class Npy16(Ours):
    name = "mixdata npy16"
    about = "`ShardDataset[i]`, int16 planar blocks"
    mapped = True


class Npyf32(Ours):
    name = "mixdata npyf32"
    about = "`ShardDataset[i]`, float32 planar blocks"
    codec = "npyf32"
    mapped = True

    def __init__(self, corpus, crops):
        super().__init__(corpus, crops)
        from mixdata.shards.format import CODECS

        if self.codec not in CODECS:
            raise Absent(f"this mixdata has no codec {self.codec}")


class Flac16(Ours):
    name = "mixdata flac16"
    about = "`ShardDataset[i]`, FLAC blocks"
    codec, flac = "flac16", True


class Flac24(Ours):
    name = "mixdata flac24"
    about = "`ShardDataset[i]`, 24-bit FLAC blocks (of 16-bit material, whose empty low bits FLAC leaves out)"
    codec, flac = "flac24", True
    ways = ("one",)


class Cached(Ours):
    name = "mixdata flac16, second epoch of cache_dir"
    about = "the FLAC set with a decoded cache that the first epoch filled"
    codec = "flac16"
    mapped = True

    @cached_property
    def dataset(self):
        place = self.corpus.folder / "containers" / f"cache-{self.crops.name}"
        shutil.rmtree(place, ignore_errors=True)
        items = REPEATS * len(self.crops)
        try:
            dataset = open_set(self.corpus, self.codec, self.crops.seconds, items, cache_dir=place, cache_bytes=8 << 30)
        except TypeError:
            raise Absent("this mixdata has no cache_dir") from None
        blocks = len(dataset.dataset.examples)
        for number in range(3 * blocks):  # three passes over all blocks, so that every block was met
            dataset[number]
        return dataset

    def stored_bytes(self) -> tuple[int, int]:
        from benchmarks.loading.corpus import size_of

        return size_of(self.place) + size_of(self.corpus.folder / "containers" / f"cache-{self.crops.name}"), self.corpus.pcm_bytes


CONTENDERS = (Npy16, Npyf32, Flac16, Flac24, Cached)
