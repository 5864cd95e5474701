"""A dataset made by mixdata, as a corpus: separate once, then build differently normalized or processed sets of the result."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from mixdata.audio import AudioInfo
from mixdata.corpora.base import corpus
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.interchange.source import Block, Source
from mixdata.shards.reader import Dataset, open_dataset
from mixdata.shards.shard import Piece
from mixdata.song import Song, Track

MIXTURE = "mixture"


@corpus("dataset")
def songs(root: Path, *, role: str = "") -> Iterator[Song]:
    """The songs of one role (`target`, else `dry`, else the first), in their splits; where blocks do not join, each block is a song."""
    dataset = _open(root)
    chosen = role or next((name for name in ("target", "dry") if name in dataset.roles), next(iter(dataset.roles)))
    source = Source(dataset, chosen, None)
    about = {row["song"]: row for row in dataset.songs.to_dict("records")}
    for piece in source.pieces(source.blocks):
        first = piece.blocks[0]
        row, (title, groups) = about.get(first.song, {}), source.titles.get(first.song, (first.song, {}))
        held = [stem for name, stem in source.members_of(first) if any(source.active(block, name, stem) for block in piece.blocks)]
        tracks: dict[str, Track] = {stem: StoredTrack(root, role=chosen, stem=stem, blocks=piece.blocks) for stem in held}
        variable = chosen in dataset.variable
        yield Song(
            title if piece.name == first.song else f"{title} ({first.block})",
            first.corpus,
            mixture=tracks.pop(MIXTURE, None),
            stems={} if variable else tracks,
            raw=tracks if variable else {},
            split=first.split,
            groups=groups or {"song": first.song},
            licence=first.licence,
            wet=str(row.get("wet", "unknown")),
        )


@dataclass(frozen=True)
class StoredTrack(Track):
    """A stem of a dataset's song: its blocks one after the other, at their true level. Its hash is of what is stored."""

    role: str = field(kw_only=True)
    stem: str = field(kw_only=True)
    blocks: tuple[Block, ...] = field(kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(self.path / "shards" / f"{block.shard}.tar" for block in self.blocks))

    def info(self) -> AudioInfo:
        """Return the dataset's rate and channels, and the frames of all blocks."""
        dataset = _open(self.path)
        return AudioInfo(dataset.sample_rate, dataset.channels, sum(block.frames for block in self.blocks), f"mixdata/{dataset.codec}")

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Return float32 `(channels, frames)` and the rate. Raises `SongError` (`unreadable`) for what is damaged."""
        dataset, parts, place = _open(self.path), [], 0
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
        dataset = _open(self.path)
        stored = []
        for block in self.blocks:
            shard = dataset.shard(block.shard)
            (member,) = shard.rows(block.key, [f"{self.role}.{self.stem}"])
            stored.append([int(shard.crc32c[member]), int(shard.size[member]), block.frames, block.scale])
        return hashlib.sha256(json.dumps(["mixdata", dataset.codec, self.role, self.stem, stored]).encode()).hexdigest()


@lru_cache(maxsize=4)
def _open(root: Path) -> Dataset:
    dataset = open_dataset(root)
    if not dataset.roles:
        raise UsageError(f"{root}: holds no audio")
    return dataset
