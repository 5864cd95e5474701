"""One process at a time at a file, by a lock that the kernel drops when its holder ends, however that happens."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mixdata.errors import MixdataError
from mixdata.files import disk_errors


@contextmanager
def locked(path: Path, busy: str) -> Iterator[int]:
    """Create `path` or open it for reading and writing, and hold its lock. Gives the descriptor; a link is not followed.

    Where another process holds it: `MixdataError` with the text `busy`. The holder may rename or delete the file.
    """
    while True:
        with disk_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            with _refused(path, busy):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _lies_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)
        # else its last holder has renamed or deleted it since it was opened: once more


def _lies_at(descriptor: int, path: Path) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    return False


@contextmanager
def _refused(path: Path, busy: str) -> Iterator[None]:
    try:
        yield
    except BlockingIOError:
        raise MixdataError(busy) from None
    except OSError as error:
        raise MixdataError(f"{path}: this disk cannot lock files ({error.strerror}); choose a folder on another one") from error
