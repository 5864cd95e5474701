"""What is exported: some or all of a dataset's splits and roles, block by block, at the level that is stored."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from mixdata.errors import MixdataError, UsageError
from mixdata.shards.format import decode
from mixdata.shards.reader import Dataset
from mixdata.text import nearest


@dataclass(frozen=True)
class Block:
    """A row of examples.parquet, as far as exports need it."""

    key: str
    song: str
    corpus: str
    split: str
    shard: str
    block: int
    start: int
    frames: int
    scale: float
    licence: str


@dataclass(frozen=True)
class Piece:
    """What becomes one folder of WAV files: the blocks of a song that join, or one block alone."""

    name: str
    blocks: tuple[Block, ...]

    @property
    def frames(self) -> int:
        return sum(block.frames for block in self.blocks)


class Source:
    """The chosen part of a dataset. Raises `UsageError` for a split or role that it has not."""

    def __init__(self, dataset: Dataset, role: str | None, split: str | None):
        self.dataset = dataset
        self._shard = ""
        self._table: dict[tuple[str, ...], tuple[bool, int]] = {}
        for what, name, known in (("role", role, dataset.roles), ("split", split, dataset.splits)):
            if name is not None and name not in known:
                close = nearest(name, known)
                hint = f" (did you mean {close!r}?)" if close else ""
                raise UsageError(f"{dataset.path}: has no {what} {name!r}{hint}: use one of {', '.join(known)}")
        self.roles = dataset.roles if role is None else {role: dataset.roles[role]}
        self.splits = list(dataset.splits) if split is None else [split]
        self.members = [(role, stem) for role, stems in self.roles.items() for stem in stems]

    @cached_property
    def blocks(self) -> list[Block]:
        """The chosen examples, in stored order."""
        table = self.dataset.examples
        table = table[table["split"].isin(self.splits)].sort_values(["shard", "byte_offset"], kind="stable")
        columns = [table[name].tolist() for name in Block.__dataclass_fields__]
        blocks = [Block(*row) for row in zip(*columns, strict=True)]
        if not blocks:
            raise UsageError(f"{self.dataset.path}: holds no example of {', '.join(self.splits)}")
        return blocks

    @property
    def seconds(self) -> float:
        return sum(block.frames for block in self.blocks) / self.dataset.sample_rate

    @property
    def bits(self) -> int | None:
        """Return the width of the stored integers, None where floats are stored."""
        return 16 if self.dataset.codec.endswith("16") else 24 if self.dataset.codec.endswith("24") else None

    @cached_property
    def titles(self) -> dict[str, tuple[str, dict[str, str]]]:
        """Title and groups (artist, album, …) of each song, as far as songs.parquet tells."""
        songs = self.dataset.songs
        if not {"song", "title", "groups"} <= set(songs):
            return {}
        return {row.song: (str(row.title), _groups(row.groups)) for row in songs.itertuples() if isinstance(row.song, str)}

    def pieces(self, blocks: Iterable[Block]) -> Iterator[Piece]:
        """Yield whole songs where their blocks join, single blocks elsewhere."""
        if not self.dataset.continuous:
            yield from (Piece(block.key, (block,)) for block in blocks)
            return
        for (_, song), group in groupby(blocks, key=lambda block: (block.shard, block.song)):
            joined = tuple(group)
            place = 0
            for block in joined:
                if block.start != place or block.scale != joined[0].scale:
                    raise MixdataError(f"{self.dataset.path}: {block.key} does not join the block before it; run `mixdata verify`")
                place += block.frames
            yield Piece(song, joined)

    def audio(self, block: Block, role: str, stem: str) -> np.ndarray:
        """Return `(channels, frames)` float32 as stored: the true level times `block.scale`. Checksums are compared."""
        shape = self.dataset.channels, block.frames
        if not self.present(block, role, stem):
            return np.zeros(shape, np.float32)
        data = self.data(block, role, stem)
        try:
            audio = decode(data, self.dataset.codec)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise MixdataError(f"{self._where(block)}.{role}.{stem}: cannot be decoded ({error}); run `mixdata verify`") from error
        if audio.shape != shape:
            raise MixdataError(f"{self._where(block)}.{role}.{stem}: decodes to {audio.shape}, not {shape}; run `mixdata verify`")
        return audio

    def data(self, block: Block, role: str, stem: str) -> bytes:
        """Return a member's bytes as they are stored, compared with their checksum."""
        shard, name = self.dataset.shard(block.shard), f"{role}.{stem}"
        shard.check(shard.rows(block.key, [name]))
        return shard.member_bytes(block.key, name)

    def active(self, block: Block, role: str, stem: str) -> bool:
        """Whether the stem exists in this block's song."""
        return self._member(block, role, stem)[0]

    def present(self, block: Block, role: str, stem: str) -> bool:
        """Whether the tar holds this member: other people's tars need not hold what does not exist."""
        return self._member(block, role, stem)[1] > 0

    def absent(self, piece: Piece) -> list[str]:
        """Return the members, `role.stem`, that exist in no block of the piece and are silent."""
        return [f"{role}.{stem}" for role, stem in self.members if not any(self.active(block, role, stem) for block in piece.blocks)]

    def record(self, block: Block) -> dict[str, Any]:
        """Return the example's record."""
        try:
            record = json.loads(self.dataset.shard(block.shard).record(block.key))
        except (ValueError, RecursionError) as error:
            raise MixdataError(f"{self._where(block)}: the record cannot be read ({error}); run `mixdata verify`") from error
        if not isinstance(record, dict):
            raise MixdataError(f"{self._where(block)}: the record is no JSON object; run `mixdata verify`")
        return record

    def _member(self, block: Block, role: str, stem: str) -> tuple[bool, int]:
        """Return whether a member is active, and its bytes. The table of one shard is kept, as shards come one after the other."""
        if self._shard != block.shard:
            table = self.dataset.members(block.shard)
            columns = [table[name].to_pylist() for name in ("key", "role", "stem", "active", "byte_size")]
            self._table = {tuple(place): (active, size) for *place, active, size in zip(*columns, strict=True)}
            self._shard = block.shard
        try:
            return self._table[block.key, role, stem]
        except KeyError as error:
            raise MixdataError(f"{self._where(block)}: the index has no {role}.{stem}; run `mixdata verify`") from error

    def _where(self, block: Block) -> str:
        return f"{self.dataset.path}/shards/{block.shard}.tar: {block.key}"


def _groups(text: Any) -> dict[str, str]:
    try:
        groups = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return {str(kind): str(name) for kind, name in groups.items()} if isinstance(groups, dict) else {}
