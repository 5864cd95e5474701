"""Files that are whole or absent: temp file in the same folder, flush, fsync, rename, fsync of the folder."""

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mixdata.errors import MixdataError


@contextmanager
def publish(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under `path` only when the block ends well.

    A killed process leaves at most a hidden `.<name>.<random>.tmp` beside it, never a half file under the final name.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        finally:
            with suppress(OSError):
                temporary.unlink()


def publish_bytes(path: Path, data: bytes) -> None:
    """Write a whole file, or nothing."""
    with publish(path) as file:
        file.write(data)


def write_synced(path: Path, data: bytes) -> None:
    """Write a file inside a folder that is itself renamed into place later."""
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Delete temp files that killed builders left here. Call only while holding the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's error about writing into one that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise MixdataError(f"{path}: the disk is full ({free_space(path) / 1e9:.2f} GB free); free some space and run again") from error
        if error.errno == errno.EFBIG:
            raise MixdataError(f"{path}: the file would exceed the largest size allowed here (ulimit -f)") from error
        raise MixdataError(f"{path}: cannot write: {error.strerror or error}") from error


def free_space(path: Path) -> int:
    """Return the bytes free on the disk that holds `path` or will hold it."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def free_memory() -> int:
    """Return the bytes of memory that are free to use on this machine (not what a container may be limited to)."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
