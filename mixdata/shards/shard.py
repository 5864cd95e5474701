"""Reading one shard: samples out of a tar, by the byte ranges of its member table.

Planar members of a file on this machine are mapped into memory and converted from there into the caller's arrays. FLAC members, files that
lie elsewhere, and those that shall not be mapped are read by ranges, near ones as one. A dataset may come from anywhere, so whatever is
wrong in it is an error that names it. The builder and `verify` read files of their own (`mixdata.shards.index`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixdata.errors import DamageError, MixdataError
from mixdata.shards.cache import Cache, CachedShard
from mixdata.shards.convert import BROKEN, ELSEWHERE, FINE, OUTSIDE, STORED, convert, fill_planar, spread
from mixdata.shards.counts import Counts
from mixdata.shards.format import BITS, FULL, MEMBER_SCHEMA, PLANAR
from mixdata.shards.mapped import Mapped, Maps
from mixdata.shards.members import FAR, RECORD, Members, stored_layout
from mixdata.shards.spans import fetch, merged
from mixdata.shards.storage import Folder, Span, Storage, parquet

NOTHING = np.zeros(0, np.int16)
NOTHING.flags.writeable = False


@dataclass(frozen=True)
class Piece:
    """Part of a read: frames `[start, start + frames)` of these members (rows of the member table), put at `to`."""

    members: tuple[int, ...]
    start: int
    frames: int
    to: int


@dataclass(frozen=True)
class Reading:
    """How the shards of a dataset are read. `maps` is None where files are not to be mapped."""

    storage: Storage
    codec: str
    channels: int
    counts: Counts
    maps: Maps | None = None
    cache: Cache | None = None


class Shard(Members):
    """One tar and its member table: what reads samples and knows nothing of what they are for.

    A member is addressed by its row in the table. Used by several threads at once. Raises `MixdataError` for a table that no builder
    writes.
    """

    def __init__(self, name: str, how: Reading):
        storage = how.storage
        self._how, self._shard, self._tar = how, name, f"shards/{name}.tar"
        table = f"shards/{name}.parquet"
        super().__init__(read_stored(storage, table, MEMBER_SCHEMA), storage.where(self._tar), storage.where(table))
        self._sample = PLANAR.get(how.codec, "")  # as what samples are stored, where they are stored as they are
        local = storage.local(self._tar)
        self._path = None if local is None else str(local.absolute())
        self._layout = stored_layout(self, FULL[how.codec], self._sample or "<i2", how.channels)
        self._unmapped = self._layout.kind.copy()
        if not self._sample:
            self._unmapped[self._unmapped == BROKEN] = ELSEWHERE  # how long encoded bytes are says nothing
        self._unmapped[self._unmapped == STORED] = ELSEWHERE
        self._whole = not (self._layout.kind == ELSEWHERE).any()

    def record(self, key: str) -> str:
        """Return the example's record as JSON text."""
        member = self.rows(key, [RECORD])[0]
        try:
            return str(self._bytes([member])[0].data, "utf-8") or "{}"  # samples of imported tars need not have one
        except UnicodeDecodeError as error:
            raise DamageError(f"{self.where(member)}: is no text ({error}); run `mixdata verify`") from error

    def member_bytes(self, key: str, name: str) -> bytes:
        """Return the bytes of an example's member `role.stem` as they are stored."""
        return self._bytes(self.rows(key, [name]))[0].tobytes()

    def check(self, members: Sequence[int]) -> None:
        """Compare members with their checksums (CRC-32C)."""
        for member, data in zip(members, self._bytes(members), strict=True):
            self._compare(member, data)

    def read(self, pieces: Sequence[Piece], frames: int) -> np.ndarray:
        """Return `(members, channels, frames)` float32 at true level; what no piece fills is zero."""
        for piece in pieces:  # before memory is taken for it
            for member in piece.members:
                self.held(member, piece.start, piece.frames)
        shape = len(pieces[0].members), self._how.channels, frames
        try:
            audio = np.empty(shape, np.float32)
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than there are addresses
            what = f"{' x '.join(map(str, shape))} samples do not fit into memory"
            raise MixdataError(f"{self.tar}: {what}; read shorter crops, or run `mixdata verify`") from error
        places = np.array([(piece.start, piece.frames, piece.to) for piece in pieces], np.int64)
        self.read_into(np.array([piece.members for piece in pieces], np.int64), places, [audio])
        return audio

    def read_into(
        self, members: np.ndarray, pieces: np.ndarray, audio: Sequence[np.ndarray], *, check: bool = False, threads: int = 1
    ) -> None:
        """Write members at true level into float32 arrays, one after the other; zero where no piece lies.

        An array holds several stems, `(stems, channels, frames)`, or one, `(channels, frames)`.

        `members` is `(pieces, stems of all arrays)`, rows of the member table; `pieces` is `(pieces, 3)`: first frame in the members,
        frames, place in the arrays. Both are int64. Pieces do not overlap. Members that are not active hold silence and are not read.
        With `check` what is read is compared with its checksum, inactive members too. Up to `threads` threads decode.
        """
        cached = None if self._how.cache is None else self._cached(members, check)
        if cached is not None:
            layout, (kind, stored, size) = cached.layout, cached.snapshot()
            whole = not (kind[members] == ELSEWHERE).any()
        else:
            layout, (kind, stored, size) = self._layout, self._mapped()
            whole = kind is layout.kind and self._whole
            if check and self._sample:
                self.check(np.unique(members).tolist())
        first, rows, samples = 0, 0, 0
        for array in audio:
            out = array if array.ndim == 3 else array[None]
            if out.shape[1] != self._how.channels or out.dtype != np.float32:
                raise ValueError(f"{self.tar}: audio of {self._how.channels} channels goes into float32 arrays of as many")
            place, more_rows, more = fill_planar(
                stored, size, layout.data, layout.end, layout.frames, layout.factor, kind, members, pieces, first, out
            )
            if place != FINE:
                if cached is not None and place != OUTSIDE and kind[members.flat[place]] == STORED and not cached.fresh:
                    cached.forget()  # it was cut a moment ago
                    return self.read_into(members, pieces, audio, check=check, threads=threads)
                raise self._wrong(place, members, pieces, kind)
            first, rows, samples = first + len(out), rows + more_rows, samples + more
        if first != members.shape[1]:
            raise ValueError(f"{members.shape[1]} members do not fill {first} stems")
        tally = self._how.counts.mine
        if cached is None:
            tally.reads += rows
            tally.bytes_read += samples * stored.itemsize
        else:
            tally.cache_hits += rows // self._how.channels
            tally.cache_bytes += samples * stored.itemsize
        if whole:
            return
        stems = [stem for array in audio for stem in (array if array.ndim == 3 else array[None])]
        wanted = [
            (member, start, stem[:, to : to + count])
            for (start, count, to), row in zip(pieces.tolist(), members.tolist(), strict=True)
            for member, stem in zip(row, stems, strict=True)
            if kind[member] == ELSEWHERE
        ]
        if not self._sample:
            self._decode(wanted, np.unique(members).tolist() if check and cached is None else [], check, threads)
        elif wanted:
            if check and cached is not None:
                self.check([member for member, _, _ in wanted])
            self._convert(wanted, self._sample)

    def _mapped(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Return what is to be done with each member, the tar as samples, and its bytes."""
        if not self._sample or (found := self._map()) is None:
            return self._unmapped, NOTHING, FAR
        mapped, size = found
        return self._layout.kind, mapped.samples[self._sample], size

    def _map(self) -> tuple[Mapped, int] | None:
        return None if self._path is None or self._how.maps is None else self._how.maps.get(self._path)

    def _cached(self, members: np.ndarray, check: bool) -> CachedShard | None:
        """Return the shard's cache with these members in it, as far as there is room; None where there is no cache."""
        assert self._how.cache is not None
        if self._sample and self._path is not None and self._how.maps is not None:
            return None  # a planar file on this machine is as fast as its copy
        cached = self._how.cache.shard(self._shard, self, "<i2" if BITS[self._how.codec] == 16 else "<f4", self._how.channels)
        if cached is None or not (check or (cached.layout.kind[members] == ELSEWHERE).any()):
            return cached
        active = np.unique(members[self.active[members]])
        missing = cached.missing(active.tolist(), check)
        room = [member for member in missing if self._unmapped[member] != BROKEN and cached.room(member)]
        try:
            for member, data in zip(room, self._bytes(room), strict=True):
                self._compare(member, data)
                cached.put(member, self._member(member, data))
        finally:
            cached.wrote(room)
        return cached

    def _member(self, member: int, data: np.ndarray) -> np.ndarray:
        """Return all samples of a member as the cache keeps them."""
        channels, frames = self._how.channels, int(self.frames[member])
        if self._sample:
            return data[len(data) - np.dtype(self._sample).itemsize * channels * frames :]
        stored = self._integers(member, data, 0, frames)
        if stored.dtype == np.int16:
            return np.ascontiguousarray(stored.T)
        audio = np.empty((channels, frames), np.float32)
        spread(stored, 2.0**-31, audio)
        return audio

    def _integers(self, member: int, data: np.ndarray, start: int, frames: int) -> np.ndarray:
        from mixdata.shards.flac import decoded

        self._how.counts.mine.decoded += 1
        try:
            return decoded(data, BITS[self._how.codec], self._how.channels, start, frames)
        except (RuntimeError, ValueError, MemoryError) as error:  # MemoryError: a table may claim any length
            raise DamageError(f"{self.where(member)}: cannot be decoded ({error}); run `mixdata verify`") from error

    def _decode(self, wanted: "Sequence[Wanted]", others: Sequence[int], check: bool, threads: int) -> None:
        from mixdata.shards.flac import each

        if not check:  # a checksum needs all of the bytes, a decoder not even those of all of a member
            data = self._views([member for member, _, _ in wanted])
        else:
            data = self._bytes([*(member for member, _, _ in wanted), *others])
            for member, found in zip([*(member for member, _, _ in wanted), *others], data, strict=True):
                self._compare(member, found)
        shift = 2.0**-8 if BITS[self._how.codec] == 24 else 1.0  # 24 bits come in the upper ones of 32

        def work(item: tuple[Wanted, np.ndarray]) -> None:
            (member, start, out), encoded = item
            spread(self._integers(member, encoded, start, out.shape[1]), self._layout.factor[member] * shift, out)

        each(work, zip(wanted, data[: len(wanted)], strict=True), threads)

    def _convert(self, wanted: "Sequence[Wanted]", sample: str) -> None:
        """Read just the needed stretch of each channel's row."""
        rows = []
        for member, start, out in wanted:
            frames, width = int(self.frames[member]), np.dtype(sample).itemsize
            begin = self.span(member)[1] - width * (len(out) * frames - start)
            for channel, row in enumerate(out):
                place = begin + width * channel * frames
                rows.append(((place, place + width * len(row)), self._layout.factor[member], row))
        found = self._fetch([span for span, _, _ in rows], [member for member, _, out in wanted for _ in out])
        for data, (_, factor, row) in zip(found, rows, strict=True):
            stored = data.view(sample)
            stored = stored if stored.flags.aligned else stored.copy()
            stored.flags.writeable = False  # the kernel is compiled for such
            convert(stored, factor, row)

    def _wrong(self, place: int, members: np.ndarray, pieces: np.ndarray, kind: np.ndarray) -> Exception:
        """Return the error about a member that does not hold what is asked of it."""
        if place == OUTSIDE:
            return ValueError(f"{self.tar}: the pieces {pieces.tolist()} do not fit the arrays or the table")
        member, (start, frames, _) = int(members.flat[place]), pieces[place // members.shape[1]].tolist()
        self.held(member, start, frames)
        if kind[member] == BROKEN:
            return DamageError(f"{self.where(member)}: too small for {self.frames[member]} frames; run `mixdata verify`")
        return self._short([member])

    def _bytes(self, members: Sequence[int]) -> list[np.ndarray]:
        """Return each member's bytes. Neighbours come with one read."""
        return self._fetch([self.span(member) for member in members], members)

    def _fetch(self, spans: Sequence[Span], members: Sequence[int]) -> list[np.ndarray]:
        try:
            return fetch(self._how.storage, self._tar, spans, self._how.counts)
        except DamageError as error:
            member, last = (self.where(each).removeprefix(f"{self.tar}: ") for each in (members[0], members[-1]))
            raise DamageError(f"{error} (it was read for {member if member == last else f'{member} to {last}'})") from error

    def _views(self, members: Sequence[int]) -> list[np.ndarray]:
        """Return each member's bytes without a copy, where the tar is mapped."""
        if (found := self._map()) is None:
            return self._bytes(members)
        mapped, size = found
        spans = [self.span(member) for member in members]
        runs = merged(spans, self._how.storage.gap)
        if runs and runs[-1][1] > size:
            raise self._short([member for member in members if self.span(member)[1] > size])
        tally = self._how.counts.mine
        tally.reads += len(runs)
        tally.bytes_read += sum(end - start for start, end in runs)
        return [mapped.samples["u1"][start:end] for start, end in spans]

    def _short(self, members: Sequence[int]) -> DamageError:
        where = self.where(members[0]).removeprefix(f"{self.tar}: ")
        return DamageError(f"{self.tar}: ends before byte {self.span(members[0])[1]}, in {where}; copy or build this shard again")

    def _compare(self, member: int, data: np.ndarray) -> None:
        if google_crc32c.value(data) != self.crc32c[member]:
            raise DamageError(f"{self.where(member)}: damaged, its checksum differs; copy or build this shard again")


Wanted = tuple[int, int, np.ndarray]  # a member, its first frame to read, and where the samples go


def read_table(path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Read a Parquet table of a folder. Raises `MixdataError` where a column of `schema` is missing, of another type, or has gaps."""
    return read_stored(Folder(path.parent), path.name, schema)


def read_stored(storage: Storage, name: str, schema: pa.Schema | None = None) -> pa.Table:
    """Read a Parquet table of a dataset, as `read_table`."""
    where = storage.where(name)
    try:
        table = pq.read_table(parquet(storage, name), use_threads=False, partitioning=None)
        table.validate(full=True)
    except (OSError, pa.ArrowException) as error:
        raise DamageError(f"{where}: cannot be read ({error}); run `mixdata verify`") from error
    for field in schema or ():
        if table.column_names.count(field.name) != 1 or table[field.name].type != field.type or table[field.name].null_count:
            raise DamageError(f"{where}: has no whole column {field.name} of type {field.type}; run `mixdata verify`")
    return table
