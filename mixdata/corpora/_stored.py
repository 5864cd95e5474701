"""Tracks that lie in a dataset made by mixdata: read from its shards, block after block."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mixdata.audio import AudioInfo
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.song import Track

if TYPE_CHECKING:
    from mixdata.interchange.source import Block
    from mixdata.shards.reader import Dataset


@dataclass(frozen=True)
class StoredTrack(Track):
    """A stem of a dataset's song: its blocks one after the other, at their true level. Its hash is of what is stored."""

    role: str = field(kw_only=True)
    stem: str = field(kw_only=True)
    blocks: "tuple[Block, ...]" = field(kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(self.path / "shards" / f"{block.shard}.tar" for block in self.blocks))

    def info(self) -> AudioInfo:
        """Return the dataset's rate and channels, and the frames of all blocks."""
        dataset = opened(self.path)
        return AudioInfo(dataset.sample_rate, dataset.channels, sum(block.frames for block in self.blocks), f"mixdata/{dataset.codec}")

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Return float32 `(channels, frames)` and the rate. Raises `SongError` (`unreadable`) for what is damaged."""
        from mixdata.shards.shard import Piece

        dataset, parts, place = opened(self.path), [], 0
        stop = self.info().frames if frames is None else start + frames
        for block in self.blocks:
            low, high = max(start - place, 0), min(stop - place, block.frames)
            if high > low:
                shard = dataset.shard(block.shard)
                try:
                    members = tuple(shard.rows(block.key, [f"{self.role}.{self.stem}"]))
                    shard.check(members)
                    parts.append(shard.read([Piece(members, low, high - low, 0)], high - low)[0])
                except MixdataError as error:
                    raise SongError("unreadable", str(error)) from None
            place += block.frames
        return np.concatenate(parts, axis=1) if parts else np.zeros((dataset.channels, 0), np.float32), dataset.sample_rate

    @cached_property
    def sha256(self) -> str:
        """Hash of the checksums and levels of the stored members."""
        dataset = opened(self.path)
        stored = []
        for block in self.blocks:
            shard = dataset.shard(block.shard)
            (member,) = shard.rows(block.key, [f"{self.role}.{self.stem}"])
            stored.append([int(shard.crc32c[member]), int(shard.size[member]), block.frames, block.scale])
        return hashlib.sha256(json.dumps(["mixdata", dataset.codec, self.role, self.stem, stored]).encode()).hexdigest()


@lru_cache(maxsize=4)
def opened(root: Path) -> "Dataset":
    """Return the dataset in a folder, opened once per process."""
    from mixdata.shards.reader import open_dataset  # loads slowly, and every list of corpora imports this file

    dataset = open_dataset(root)
    if not dataset.roles:
        raise UsageError(f"{root}: holds no audio")
    return dataset
