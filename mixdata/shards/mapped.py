"""Files mapped into memory, kept open by a bounded number.

A mapped file that becomes shorter kills a process that looks behind its end, so whoever reads asks for its size first, which costs a
fraction of a microsecond.
"""

import errno
import mmap
import os
import resource
from functools import lru_cache

import numpy as np

from mixdata.errors import DamageError, MixdataError

MOST = 4096  # files that are kept mapped, where the system's limit of open files allows


class Mapped:
    """A file in memory, to look at only."""

    def __init__(self, file: int):
        self._memory = mmap.mmap(file, 0, access=mmap.ACCESS_READ)  # it has a descriptor of its own
        self.length = len(self._memory)
        self.samples = {kind: np.frombuffer(self._memory, kind, self.length // np.dtype(kind).itemsize) for kind in ("<i2", "<f4", "u1")}

    @property
    def size(self) -> int:
        """The bytes that the file has now: no more may be looked at."""
        return self._memory.size()


class Maps:
    """The mapped files of a folder."""

    def __init__(self) -> None:
        self._open = lru_cache(limit())(_map)

    def get(self, path: str) -> tuple[Mapped, int] | None:
        """Return a file in memory and the bytes of it that may be looked at now, None where it cannot be mapped: it is then read.

        Raises `MixdataError` where it is not there.
        """
        found = self._opened(path)
        if found is None or (size := found.size) == found.length:
            return None if found is None else (found, size)
        self._open.cache_clear()  # it was written anew in place, or cut
        found = self._opened(path)
        return None if found is None else (found, min(found.size, found.length))

    def _opened(self, path: str) -> Mapped | None:
        try:
            return self._open(path)
        except TooManyOpen:  # other datasets of this process have theirs: give back our own
            self._open.cache_clear()
            return self._open(path)


class TooManyOpen(MixdataError):
    """As many files are open as the system allows this process."""


def limit() -> int:
    """Return how many files may be kept mapped: a quarter of those that a process may have open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST if most == resource.RLIM_INFINITY else max(1, min(MOST, most // 4))


def _map(path: str) -> Mapped | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise TooManyOpen(f"{path}: too many open files; raise the limit (ulimit -n)") from error
        raise DamageError(f"{path}: cannot be read ({error.strerror}); run `mixdata verify`") from error
    try:
        return Mapped(file)
    except (OSError, ValueError) as error:  # an empty file, or a file system that maps none
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            raise TooManyOpen(f"{path}: too many open files; raise the limit (ulimit -n)") from error
        return None
    finally:
        os.close(file)
