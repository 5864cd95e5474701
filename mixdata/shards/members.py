"""The member table of one shard as compact arrays: what lies where, and whose it is."""

import hashlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixdata.errors import DamageError
from mixdata.shards.convert import BROKEN, ELSEWHERE, SILENT, STORED
from mixdata.shards.format import NAME
from mixdata.shards.storage import Span

RECORD = "record"
FAR = 2**61  # beyond any file, and the sum of two of it is still a number


class Members:
    """The members of a tar by their row in its table, named `role.stem` (the record: `record`).

    `tar` and `table` are names for messages. Raises `MixdataError` for a table that no builder writes.
    """

    def __init__(self, table: pa.Table, tar: str, file: str):
        self.tar, self.file = tar, file
        self.offset, self.size, self.frames, self.scale, self.active, self.crc32c = (
            np.array(table[name].to_numpy()) for name in ("byte_offset", "byte_size", "frames", "scale", "active", "crc32c")
        )
        self.complete = bool(self.active.all())  # no stem is missing anywhere
        names = pc.binary_join_element_wise(table["role"], table["stem"], ".").combine_chunks().dictionary_encode()
        self._code = np.array(names.indices.to_numpy())
        self._names = [name.removesuffix(".") for name in names.dictionary.to_pylist()]
        self._code_of = {name: code for code, name in enumerate(self._names)}
        for name in self._names:
            role, _, stem = name.partition(".")
            if name != RECORD and not (NAME.fullmatch(role) and NAME.fullmatch(stem)):
                raise DamageError(f"{file}: {name!r} is no name of a role and a stem; run `mixdata verify`")
        for column, fine in (
            ("byte_offset", self.offset >= 0),
            ("byte_size", self.size >= 0),
            ("frames", self.frames >= 0),
            ("scale", (self.scale > 0) & (self.scale <= 1)),
        ):
            if not fine.all():
                raise DamageError(f"{file}: row {int(np.argmin(fine))} has a {column} that cannot be; run `mixdata verify`")
        self._first: dict[str, int] = {}
        for row, key in enumerate(table["key"].to_pylist()):
            self._first.setdefault(key, row)
        self._last = dict(zip(self._first, [*self._first.values(), len(table)][1:], strict=True))
        starts = np.fromiter(self._first.values(), np.int64, len(self._first))
        each = len(table) // max(len(starts), 1)
        # Mostly all examples have the same members, so that what is found for one holds for all.
        alike = len(starts) * each == len(table) and (starts == np.arange(len(starts)) * each).all()
        self._alike = bool(alike and (self._code.reshape(len(starts), each) == self._code[:each]).all())
        self._places: dict[tuple[str, ...], np.ndarray] = {}
        self._kind: dict[str, int] = {} if self._alike else self._kinds()  # which examples have the same members, where not all have
        self._kind_places: dict[tuple[int, tuple[str, ...]], np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.offset)

    @cached_property
    def digest(self) -> bytes:
        """The SHA-256 of what tells this shard's samples from any others."""
        digest = hashlib.sha256()
        for array in (self.offset, self.size, self.frames, self.scale, self.active, self.crc32c):
            digest.update(array.tobytes())
        return digest.digest()

    def name(self, member: int) -> str:
        """Return `role.stem` of a member, or `record`."""
        return self._names[self._code[member]]

    def rows(self, key: str, names: Sequence[str] | None = None) -> list[int]:
        """Return the rows of an example's members: all of them in stored order, or those with these names."""
        if names is not None:
            return self.table_of([key], tuple(names))[0].tolist()
        self._known(key)
        return list(range(self._first[key], self._last[key]))

    def table_of(self, keys: Sequence[str], names: tuple[str, ...]) -> np.ndarray:
        """Return `(keys, names)` rows of these examples' members with these names."""
        try:
            first = np.array([[self._first[key]] for key in keys], np.int64)
        except KeyError:
            for key in keys:
                self._known(key)
            raise
        if not self._alike:
            return first + np.stack([self._found(key, names) for key in keys])
        if (places := self._places.get(names)) is None:
            places = self._places[names] = self._find(keys[0], names)
        return first + places

    def span(self, member: int) -> Span:
        """Return the bytes of a member in the tar."""
        offset = int(self.offset[member])
        return offset, offset + int(self.size[member])

    def where(self, member: int) -> str:
        """Return shard, key, name and bytes of a member, for messages."""
        start, end = self.span(member)
        key = next(key for key, last in self._last.items() if member < last)
        return f"{self.tar}: {key}.{self.name(member)} (bytes {start} to {end})"

    def held(self, member: int, start: int, frames: int) -> None:
        """See that a member holds the frames `[start, start + frames)`."""
        if start < 0 or start + frames > self.frames[member]:
            asked = f"[{start}, {start + frames})"
            raise DamageError(f"{self.where(member)}: holds {self.frames[member]} frames, {asked} were asked for")

    def _known(self, key: str) -> None:
        if key not in self._first:
            raise DamageError(f"{self.file}: has no example {key}; run `mixdata verify`")

    def _kinds(self) -> dict[str, int]:
        numbers: dict[bytes, int] = {}
        return {key: numbers.setdefault(self._code[first : self._last[key]].tobytes(), len(numbers)) for key, first in self._first.items()}

    def _found(self, key: str, names: tuple[str, ...]) -> np.ndarray:
        """Return `_find`, looked for once for all examples with the same members."""
        kind = self._kind[key], names
        if (places := self._kind_places.get(kind)) is None:
            places = self._kind_places[kind] = self._find(key, names)
        return places

    def _find(self, key: str, names: tuple[str, ...]) -> np.ndarray:
        stored = self._code[self._first[key] : self._last[key]].tolist()
        try:
            return np.array([stored.index(self._code_of[name]) for name in names], np.int64)
        except (ValueError, KeyError) as error:
            raise DamageError(f"{self.file}: {key} lacks one of {', '.join(names)}; run `mixdata verify`") from error


class Layout:
    """Where planar samples lie in a file and how they are converted, by member, as `mixdata.shards.convert.fill_planar` takes it.

    `end` is the byte behind a member, `data` the number of its first sample counted from the file's start in samples, `full` what the
    samples of full scale are stored as.
    """

    def __init__(self, members: Members, full: float, sample: str, end: np.ndarray, data: np.ndarray):
        self.sample = sample  # of NumPy's: "<i2", "<f4"
        self.end, self.data, self.frames = end, data, members.frames
        with np.errstate(all="ignore"):  # a scale below what float32 holds gives what its division gives
            self.factor = 1 / (members.scale * full).astype(np.float32).astype(np.float64)
        self.kind = np.where(members.active, STORED, SILENT).astype(np.uint8)


def stored_layout(members: Members, full: float, sample: str, channels: int) -> Layout:
    """Return where a tar's .npy members hold their samples: at their ends, behind a header that nobody needs to read."""
    width = np.dtype(sample).itemsize
    end = np.minimum(members.offset, FAR) + np.minimum(members.size, FAR)
    length = members.frames.astype(np.float64) * width * channels  # exact where it can be true
    fits = length < members.size
    data = end - np.where(fits, members.frames, 0) * width * channels
    layout = Layout(members, full, sample, end, data // width)
    layout.kind[members.active & ~fits] = BROKEN
    layout.kind[members.active & fits & (data % width != 0)] = ELSEWHERE
    return layout
