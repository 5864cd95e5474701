"""Decoded samples on a local disk, so that from the second epoch on a set is read as fast as planar shards are.

`FOLDER/<dataset>/<shard>.pcm` is a sparse file in which each member of the shard has its place: planar int16 where 16 bits are stored,
else float32. A member is decoded whole, written, and only then marked with the CRC-32C of its samples; a process compares it when it
first takes a member from the cache. So a crash, two processes at once, or damage cost a second decoding at most.

Which members are kept: those that come first, until the limit is reached. Crops come at random and each as often as any other, so no
choice is better, and to replace what is kept only costs.
"""

import fcntl
import os
import re
import threading
import time
import warnings
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import google_crc32c
import numpy as np

from mixdata.shards.convert import ELSEWHERE, SILENT, STORED
from mixdata.shards.counts import Counts
from mixdata.shards.mapped import Mapped, limit
from mixdata.shards.members import FAR, Layout, Members

MAGIC = b"mixpcm01"
MARK = 0x6D69786D
HEAD = 64  # bytes before the marks: MAGIC and the digest of the member table
MARKED = np.dtype([("mark", "<u4"), ("crc32c", "<u4")])
PAGE = 4096
OURS = re.compile(r"[0-9a-f]{40}")  # names of the folders
LOCK = "in-use"  # in each folder: held by every process that uses it
SHARE = 64  # of the limit, one part at a time is what a process fills before it looks how full the folder is


class _NoRoom(Exception):
    """The limit is reached."""


class Cache:
    """The cache of one dataset in this process: at most `most_bytes` in `folder`, half of what is free without it.

    A folder that cannot be written, or a full disk, is told of in one warning; what is cached is then used, and nothing added.
    """

    def __init__(self, folder: Path, dataset: str, most_bytes: int | None, counts: Counts):
        self.folder, self.own = folder, folder / dataset
        self.counts = counts
        self._most = most_bytes
        self._full = False
        self._left = self._unwritten = 0
        self._lock, self._process = threading.Lock(), os.getpid()
        self._held: int | None = None
        self.shard = lru_cache(max(1, limit() // 2))(self._open)  # each is open twice

    def _open(self, name: str, members: Members, sample: str, channels: int) -> "CachedShard | None":
        try:
            if self._held is None:
                self._held = _hold(self.own)
                weakref.finalize(self, os.close, self._held)
                if self._most is None:
                    self._most = (_free(self.folder) + _used(self.folder)) // 2
            return CachedShard(self, self.own / f"{name}.pcm", members, sample, channels)
        except _NoRoom:
            return None
        except (OSError, ValueError, OverflowError) as error:
            self.stop(error)
            return None

    def stop(self, error: Exception) -> None:
        """Add nothing any more."""
        if not self._full:
            self._full = True
            what = getattr(error, "strerror", None) or error
            warnings.warn(f"{self.own}: the cache cannot be written ({what}); going on without more of it", stacklevel=2)

    def take(self, count: int) -> bool:
        """Reserve bytes. The limit is kept to exactly by one process, within 1/64 of it by each more."""
        if self._full:
            return False
        if self._process != os.getpid():  # another thread of the parent may have held the lock at the fork
            self._lock, self._process, self._left = threading.Lock(), os.getpid(), 0
            self._unwritten = 0
        with self._lock:
            if self._left < count:
                try:
                    self._left = self._share(count)
                except OSError as error:
                    self.stop(error)
                self._full |= self._left < count
            if self._full:
                return False
            self._left -= count
            self._unwritten += count
            return True

    def wrote(self, count: int) -> None:
        """Say of bytes that were reserved that they are on the disk, or will never be."""
        with self._lock:
            self._unwritten -= count

    def _share(self, count: int) -> int:
        """Return how many bytes this process may write before it must ask again, room made for `count` where that can be."""
        assert self._most is not None
        left = self._most - self._unwritten - _used(self.folder)
        for other in _others(self.folder, self.own) if left < count else ():
            _remove(other)
            if (left := self._most - self._unwritten - _used(self.folder)) >= count:
                break
        return min(left, max(count, self._most // SHARE))


class CachedShard:
    """The cached members of one shard. `layout` says which of them this process has found to be whole."""

    def __init__(self, cache: Cache, path: Path, members: Members, sample: str, channels: int):
        self._cache = cache
        self._sample = np.dtype(sample)
        length = np.minimum(members.frames, FAR // 64) * self._sample.itemsize * channels
        room = np.where(members.active, -(-length // PAGE) * PAGE, 0)
        head = -(-(HEAD + MARKED.itemsize * len(members)) // PAGE) * PAGE
        if float(head) + room.astype(np.float64).sum() > FAR:
            raise ValueError("its members are too long")
        end = head + np.cumsum(room)
        self._room, self._begin, self._length = room, end - room, length
        full = 2.0**15 if self._sample.kind == "i" else 1.0
        self.layout = Layout(members, full, sample, end - room + length, (end - room) // self._sample.itemsize)
        self._file = _opened(path, int(end[-1]) if len(end) else head, head, members.digest, cache)
        self._mapped = Mapped(self._file)
        self._marks = self._mapped.samples["u1"][HEAD : HEAD + MARKED.itemsize * len(members)].view(MARKED)
        self.forget()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    @property
    def fresh(self) -> bool:
        """Whether the file is as long as it was made."""
        return self._mapped.size == self._mapped.length

    def forget(self) -> None:
        """Take no member for whole that was not looked at again."""
        kind = self.layout.kind
        kind[kind != SILENT] = ELSEWHERE

    def snapshot(self) -> tuple[np.ndarray, np.ndarray, int]:
        """Return which members are there now, the file as samples, and its bytes."""
        return self.layout.kind.copy(), self._mapped.samples[self.layout.sample], min(self._mapped.size, self._mapped.length)

    def missing(self, members: Sequence[int], check: bool) -> list[int]:
        """Return those that must be decoded. With `check` all are compared with their checksums, else those not seen before."""
        if not self.fresh:  # somebody has cut the file
            self.forget()
            return list(members)
        kind, missing = self.layout.kind, []
        for member in members:
            if kind[member] == STORED and not check:
                continue
            found = self._marks[member]
            if found["mark"] == MARK and google_crc32c.value(self._bytes(member)) == found["crc32c"]:
                kind[member] = STORED
            else:
                kind[member] = ELSEWHERE
                missing.append(member)
        return missing

    def room(self, member: int) -> bool:
        """Reserve the place of a member. Returns whether there is any."""
        return self.fresh and self._cache.take(self._cost(member))

    def wrote(self, members: Sequence[int]) -> None:
        """Say that the reserved places of these members are taken, or will not be."""
        self._cache.wrote(sum(map(self._cost, members)))

    def put(self, member: int, samples: np.ndarray) -> None:
        """Keep a member, `(channels, frames)` in C order. Never through the map: there, a full disk kills the process."""
        mark = np.array([(MARK, google_crc32c.value(samples))], MARKED).tobytes()
        try:
            os.posix_fallocate(self._file, int(self._begin[member]), int(self._room[member]))  # what is used is counted by its blocks
            _write(self._file, samples.data.cast("B"), int(self._begin[member]))
            _write(self._file, mark, HEAD + MARKED.itemsize * member)
        except OSError as error:
            self._cache.stop(error)
            return
        self.layout.kind[member] = STORED
        self._cache.counts.mine.cache_fills += 1

    def _cost(self, member: int) -> int:
        return int(self._room[member]) + PAGE  # what a file system needs to note the place

    def _bytes(self, member: int) -> np.ndarray:
        begin = int(self._begin[member])
        return self._mapped.samples["u1"][begin : begin + int(self._length[member])]


def _opened(path: Path, size: int, head: int, digest: bytes, cache: Cache) -> int:
    """Return the shard's file, made where it is not there or belongs to another table."""
    start = MAGIC + digest
    for _ in range(3):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            found = os.pread(file, len(start), 0)
            if found == start and os.fstat(file).st_size == size:
                return file
            if not found.strip(b"\0"):  # new, or a crash came before anything was written
                if not cache.take(head):
                    raise _NoRoom
                os.posix_fallocate(file, 0, head)
                os.ftruncate(file, size)
                _write(file, start, 0)
                cache.wrote(head)
                return file
            path.unlink(missing_ok=True)
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise OSError(None, "another process writes it for another dataset")


def _write(file: int, data: bytes | memoryview, offset: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(file, view, offset)
        view, offset = view[count:], offset + count


def _hold(folder: Path) -> int:
    """Make the folder and mark it as used by this process as long as that lives. Returns the lock's descriptor."""
    for _ in range(10):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            fcntl.flock(lock, fcntl.LOCK_SH)
            with suppress(FileNotFoundError):
                if os.stat(folder / LOCK).st_ino == os.fstat(lock).st_ino:
                    os.utime(lock)
                    return lock
            os.close(lock)
        time.sleep(0.01)  # it was being removed
    raise OSError(None, "it is removed again and again")


def _others(folder: Path, own: Path) -> list[Path]:
    """Return the folders of other datasets, the one that was opened longest ago first."""
    found = [(os.stat(path / LOCK).st_mtime, path) for path in folder.iterdir() if OURS.fullmatch(path.name) and (path / LOCK).is_file()]
    return [path for _, path in sorted(found) if path != own]


def _remove(folder: Path) -> None:
    """Remove a dataset's cache, unless a process uses it."""
    with suppress(OSError):
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.glob("*.pcm"):
                path.unlink()
            (folder / LOCK).unlink()
            folder.rmdir()
        finally:
            os.close(lock)


def _used(folder: Path) -> int:
    """Return the bytes on disk of all caches in the folder."""
    total = 0
    for own in folder.iterdir():
        if OURS.fullmatch(own.name):
            with suppress(OSError):
                total += sum(entry.stat().st_blocks * 512 for entry in os.scandir(own) if entry.name.endswith(".pcm"))
    return total


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
