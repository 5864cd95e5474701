"""Reading one shard: samples out of a tar, by the byte ranges of its member table.

A tar is opened for each read and closed behind it: an open costs some microseconds where a crop costs milliseconds, and
so there is no handle to inherit by fork, to lose by spawn, or to run out of. Whoever reads examples goes through
`read_json`, `read_table`, `opened` and `read_into`; a dataset may come from anywhere, so what they return is checked.
The builder and `verify` read files of their own (`mixdata.shards.index`).
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixdata.errors import MixdataError
from mixdata.shards.format import BITS, MEMBER_SCHEMA, NAME, decode_integers

GAP = 256 * 1024  # bytes between two members that are cheaper to read than to skip
RECORD = "record"


@dataclass(frozen=True)
class Piece:
    """Part of a read: frames `[start, start + frames)` of these members (rows of the member table), put at `to`."""

    members: tuple[int, ...]
    start: int
    frames: int
    to: int


class Shard:
    """One tar and its member table, as compact arrays: what reads samples and knows nothing of what they are for.

    A member is addressed by its row in the table, and named `role.stem` (the record: `record`). Raises `MixdataError` for a table
    that no builder writes.
    """

    def __init__(self, tar: Path, codec: str, channels: int):
        self.tar = tar
        self.codec = codec
        self.channels = channels
        file = tar.with_suffix(".parquet")
        table = read_table(file, MEMBER_SCHEMA)
        self.offset = table["byte_offset"].to_numpy()
        self.size = table["byte_size"].to_numpy()
        self.frames = table["frames"].to_numpy()
        self.scale = table["scale"].to_numpy()
        self.active = table["active"].to_numpy()
        self.crc32c = table["crc32c"].to_numpy()
        names = pc.binary_join_element_wise(table["role"], table["stem"], ".").combine_chunks().dictionary_encode()
        self._code = names.indices.to_numpy()
        self._names = [name.removesuffix(".") for name in names.dictionary.to_pylist()]
        for name in self._names:
            role, _, stem = name.partition(".")
            if name != RECORD and not (NAME.fullmatch(role) and NAME.fullmatch(stem)):
                raise MixdataError(f"{file}: {name!r} is no name of a role and a stem; run `mixdata verify`")
        for column, fine in (
            ("byte_offset", self.offset >= 0),
            ("byte_size", self.size >= 0),
            ("frames", self.frames >= 0),
            ("scale", (self.scale > 0) & (self.scale <= 1)),
        ):
            if not fine.all():
                raise MixdataError(f"{file}: row {int(np.argmin(fine))} has a {column} that cannot be; run `mixdata verify`")
        self._first: dict[str, int] = {}
        for row, key in enumerate(table["key"].to_pylist()):
            self._first.setdefault(key, row)
        self._last = dict(zip(self._first, [*self._first.values(), len(table)][1:], strict=True))

    def name(self, member: int) -> str:
        """Return `role.stem` of a member, or `record`."""
        return self._names[self._code[member]]

    def rows(self, key: str, names: Sequence[str] | None = None) -> list[int]:
        """Return the rows of an example's members: all of them in stored order, or those with these names."""
        table = self.tar.with_suffix(".parquet")
        if key not in self._first:
            raise MixdataError(f"{table}: has no example {key}; run `mixdata verify`")
        first, last = self._first[key], self._last[key]
        if names is None:
            return list(range(first, last))
        stored = [self._names[code] for code in self._code[first:last]]
        try:
            return [first + stored.index(name) for name in names]
        except ValueError as error:
            raise MixdataError(f"{table}: {key} lacks one of {', '.join(names)}; run `mixdata verify`") from error

    def record(self, key: str) -> str:
        """Return the example's record as JSON text."""
        member = self.rows(key, [RECORD])[0]
        try:
            return str(self._bytes([member])[0], "utf-8")
        except UnicodeDecodeError as error:
            raise MixdataError(f"{self._where(member)}: is no text ({error}); run `mixdata verify`") from error

    def member_bytes(self, key: str, name: str) -> bytes:
        """Return the bytes of an example's member `role.stem` as they are stored."""
        return bytes(self._bytes(self.rows(key, [name]))[0])

    def check(self, members: Sequence[int]) -> None:
        """Compare members with their checksums (CRC-32C)."""
        for member, data in zip(members, self._bytes(members), strict=True):
            if google_crc32c.value(bytes(data)) != self.crc32c[member]:
                raise MixdataError(f"{self._where(member)}: damaged, its checksum differs; copy or build this shard again")

    def read(self, pieces: Sequence[Piece], frames: int) -> np.ndarray:
        """Return `(members, channels, frames)` float32 at true level; what no piece fills is zero."""
        self._held(pieces)
        shape = len(pieces[0].members), self.channels, frames
        try:
            audio = np.empty(shape, np.float32)
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than there are addresses
            what = f"{' x '.join(map(str, shape))} samples do not fit into memory"
            raise MixdataError(f"{self.tar}: {what}; read shorter crops, or run `mixdata verify`") from error
        self.read_into(pieces, list(audio))
        return audio

    def read_into(self, pieces: Sequence[Piece], audio: Sequence[np.ndarray]) -> None:
        """Write one float32 array `(channels, frames)` per member at true level; what no piece fills is set to zero.

        Every piece has the same number of members. Members that are not active hold silence and are not read.
        """
        self._held(pieces)
        for out in audio:
            out[:] = 0
        wanted = [
            (member, piece, audio[place][:, piece.to : piece.to + piece.frames])
            for piece in pieces
            for place, member in enumerate(piece.members)
            if self.active[member]
        ]
        stored = self._planar(wanted) if self.codec == "npy16" else self._decoded(wanted)
        for (member, _, out), integers in zip(wanted, stored, strict=True):
            # One division undoes both the integers' full scale and the headroom scale: a power of two costs no rounding.
            np.divide(integers, np.float32(self.scale[member] * 2 ** (BITS[self.codec] - 1)), out=out)

    def _held(self, pieces: Sequence[Piece]) -> None:
        """See that the members hold what is asked of them, before memory is taken for it."""
        for piece in pieces:
            for member in piece.members:
                if piece.start < 0 or piece.start + piece.frames > self.frames[member]:
                    asked = f"[{piece.start}, {piece.start + piece.frames})"
                    raise MixdataError(f"{self._where(member)}: holds {self.frames[member]} frames, {asked} were asked for")

    def _decoded(self, wanted: "Sequence[Wanted]") -> Iterator[np.ndarray]:
        data = self._bytes([member for member, _, _ in wanted])
        for (member, piece, _), encoded in zip(wanted, data, strict=True):
            try:
                integers = decode_integers(bytes(encoded), self.codec, piece.start, piece.frames)
            except (RuntimeError, ValueError, MemoryError) as error:  # MemoryError: a FLAC header may claim any length
                raise MixdataError(f"{self._where(member)}: cannot be decoded ({error}); run `mixdata verify`") from error
            if integers.shape != (self.channels, piece.frames):
                raise MixdataError(f"{self._where(member)}: decodes to {integers.shape}; run `mixdata verify`")
            yield integers

    def _planar(self, wanted: "Sequence[Wanted]") -> Iterator[np.ndarray]:
        """Read just the needed stretch of each channel's row: the table says where it lies, no header is parsed.

        The rows come one member after the other through one buffer, which stays in the processor's cache.
        """
        buffer = np.empty(self.channels * max((piece.frames for _, piece, _ in wanted), default=0), "<i2")
        with opened(self.tar) as file:
            for member, piece, _ in wanted:
                frames = int(self.frames[member])
                if 2 * self.channels * frames >= int(self.size[member]):
                    raise MixdataError(f"{self._where(member)}: too small for {frames} frames; run `mixdata verify`")
                end = self._span(member)[1]
                check_end(file, end, self.tar)
                data = end - 2 * self.channels * frames
                integers = buffer[: self.channels * piece.frames].reshape(self.channels, piece.frames)
                for channel, row in enumerate(integers):
                    read_into(file, row, data + 2 * (channel * frames + piece.start), self.tar)
                yield integers

    def _bytes(self, members: Sequence[int]) -> list[memoryview]:
        """Return each member's bytes. Neighbours come with one read."""
        spans: list[tuple[int, int]] = []
        for start, end in sorted(map(self._span, members)):
            if spans and start - spans[-1][1] <= GAP:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                spans.append((start, end))
        buffers = []
        with opened(self.tar) as file:
            for start, end in spans:
                check_end(file, end, self.tar)
                buffers.append((start, np.empty(end - start, np.uint8)))
                read_into(file, buffers[-1][1], start, self.tar)
        views = []
        for member in members:
            offset, end = self._span(member)
            start, buffer = next((start, buffer) for start, buffer in reversed(buffers) if start <= offset)
            views.append(buffer.data[offset - start : end - start])
        return views

    def _span(self, member: int) -> tuple[int, int]:
        offset = int(self.offset[member])
        return offset, offset + int(self.size[member])

    def _where(self, member: int) -> str:
        start, end = self._span(member)
        key = next(key for key, last in self._last.items() if member < last)
        return f"{self.tar}: {key}.{self.name(member)} (bytes {start} to {end})"


Wanted = tuple[int, Piece, np.ndarray]  # a member, the part of it to read, and where the samples go


def read_json(path: Path) -> Any:
    """Read a JSON file of the dataset."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise MixdataError(f"{path}: cannot be read ({error})") from error


def read_table(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a Parquet table of the dataset. Raises `MixdataError` where a column of `schema` is missing, of another type, or has gaps."""
    try:
        table = pq.read_table(path, use_threads=False, partitioning=None)
        table.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise MixdataError(f"{path}: cannot be read ({error}); run `mixdata verify`") from error
    for field in schema or ():
        if table.column_names.count(field.name) != 1 or table[field.name].type != field.type or table[field.name].null_count:
            raise MixdataError(f"{path}: has no whole column {field.name} of type {field.type}; run `mixdata verify`")
    return table


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open a shard for reading."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise MixdataError(f"{path}: cannot be read ({error.strerror}); run `mixdata verify`") from error
    try:
        yield file
    finally:
        os.close(file)


def check_end(file: int, end: int, path: Path) -> None:
    """See that the file reaches to this byte, before memory is taken for it."""
    if end > os.fstat(file).st_size:
        raise MixdataError(f"{path}: ends before byte {end}; copy or build this shard again")


def read_into(file: int, buffer: np.ndarray, offset: int, path: Path) -> None:
    """Fill the buffer from this place in the file."""
    view = buffer.view(np.uint8).data
    done = 0
    while done < len(view):
        try:
            count = os.preadv(file, [view[done:]], offset + done)
        except OSError as error:
            raise MixdataError(f"{path}: reading failed at byte {offset + done} ({error.strerror})") from error
        if count == 0:
            raise MixdataError(f"{path}: ends before byte {offset + len(view)}; copy or build this shard again")
        done += count
