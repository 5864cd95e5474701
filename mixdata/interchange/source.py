"""What is exported: some or all of a dataset's splits and roles, block by block, at the level that is stored."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import google_crc32c
import numpy as np

from mixdata.errors import MixdataError, UsageError
from mixdata.shards.format import decode
from mixdata.shards.members import RECORD
from mixdata.shards.reader import Dataset
from mixdata.shards.spans import fetch
from mixdata.text import cleaned, nearest

TOLD = ("name", "instrument", "stem", "group")  # of a track, in a record


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
        self._held: tuple[str, dict[str, np.ndarray]] = ("", {})
        for what, name, known in (("role", role, dataset.roles), ("split", split, dataset.splits)):
            if name is not None and name not in known:
                close = nearest(name, known)
                hint = f" (did you mean {close!r}?)" if close else ""
                raise UsageError(f"{dataset.where}: has no {what} {name!r}{hint}: use one of {', '.join(known)}")
        self.roles = dataset.roles if role is None else {role: dataset.roles[role]}
        self.splits = list(dataset.splits) if split is None else [split]
        self.members = [(role, stem) for role, stems in self.roles.items() for stem in stems]
        self.variable = tuple(role for role in self.roles if role in dataset.variable)

    def members_of(self, block: Block) -> list[tuple[str, str]]:
        """Return those of `members` that this example has: all, but for the tracks of roles that vary."""
        if not self.variable:
            return self.members
        shard = self.dataset.shard(block.shard)
        held = {shard.name(row) for row in shard.rows(block.key)}
        return [(role, stem) for role, stem in self.members if role not in self.variable or f"{role}.{stem}" in held]

    @cached_property
    def blocks(self) -> list[Block]:
        """The chosen examples, in stored order."""
        table = self.dataset.examples
        table = table[table["split"].isin(self.splits)].sort_values(["shard", "byte_offset"], kind="stable")
        columns = [table[name].tolist() for name in Block.__dataclass_fields__]
        blocks = [Block(*row) for row in zip(*columns, strict=True)]
        if not blocks:
            raise UsageError(f"{self.dataset.where}: holds no example of {', '.join(self.splits)}")
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
                if block.start != place or block.scale != joined[0].scale or self.members_of(block) != self.members_of(joined[0]):
                    raise MixdataError(f"{self.dataset.where}: {block.key} does not join the block before it; run `mixdata verify`")
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
        return self._stored(block)[f"{role}.{stem}"].tobytes()

    def active(self, block: Block, role: str, stem: str) -> bool:
        """Whether the stem exists in this block's song."""
        shard = self.dataset.shard(block.shard)
        return bool(shard.active[shard.rows(block.key, [f"{role}.{stem}"])[0]])

    def present(self, block: Block, role: str, stem: str) -> bool:
        """Whether the tar holds this member: other people's tars need not hold what does not exist."""
        return len(self._stored(block)[f"{role}.{stem}"]) > 0

    def absent(self, piece: Piece) -> list[str]:
        """Return the members, `role.stem`, that exist in no block of the piece and are silent."""
        held = self.members_of(piece.blocks[0])
        return [f"{role}.{stem}" for role, stem in held if not any(self.active(block, role, stem) for block in piece.blocks)]

    def record(self, block: Block) -> dict[str, Any]:
        """Return the example's record, with the licence in it where it tells none: records of others need not."""
        try:
            record = json.loads(self._stored(block)[RECORD].tobytes() or b"{}")
        except (ValueError, RecursionError) as error:
            raise MixdataError(f"{self._where(block)}: the record cannot be read ({error}); run `mixdata verify`") from error
        if not isinstance(record, dict):
            raise MixdataError(f"{self._where(block)}: the record is no JSON object; run `mixdata verify`")
        return record if licence_of(record) is not None else record | {"licence": block.licence}

    def tracks(self, block: Block) -> dict[tuple[str, str], dict[str, str]]:
        """Return what the record tells of the tracks in roles that vary: name, instrument and the like, empty where it says nothing."""
        found = self.record(block).get("tracks") if self.variable else None
        told = {stem: about for stem, about in found.items() if isinstance(about, dict)} if isinstance(found, dict) else {}
        return {
            (role, stem): {name: cleaned(str(told.get(stem, {}).get(name) or "")) for name in TOLD}
            for role, stem in self.members_of(block)
            if role in self.variable
        }

    def _stored(self, block: Block) -> dict[str, np.ndarray]:
        """Return the chosen members' bytes and the record's by name, read at once and compared with their checksums.

        Those of one block are kept: from a server, each member by itself would be a request.
        """
        if self._held[0] != block.key:
            shard = self.dataset.shard(block.shard)
            names = [*(f"{role}.{stem}" for role, stem in self.members_of(block)), RECORD]
            rows = shard.rows(block.key, names)
            spans = [shard.span(row) for row in rows]
            found = fetch(self.dataset.storage, f"shards/{block.shard}.tar", spans, self.dataset.counts)
            for row, data in zip(rows, found, strict=True):
                if google_crc32c.value(data) != shard.crc32c[row]:
                    raise MixdataError(f"{shard.where(row)}: damaged, its checksum differs; copy or build this shard again")
            self._held = block.key, dict(zip(names, found, strict=True))
        return self._held[1]

    def _where(self, block: Block) -> str:
        return f"{self.dataset.storage.where(f'shards/{block.shard}.tar')}: {block.key}"


def licence_of(record: dict[str, Any]) -> str | None:
    """Return the licence that a record tells, of its song or of itself; None where it tells none."""
    song = record.get("song")
    for place in (record, song if isinstance(song, dict) else {}):
        for name in ("licence", "license"):
            if isinstance(place.get(name), str) and (licence := cleaned(place[name])):
                return licence
    return None


def _groups(text: Any) -> dict[str, str]:
    try:
        groups = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return {str(kind): str(name) for kind, name in groups.items()} if isinstance(groups, dict) else {}
