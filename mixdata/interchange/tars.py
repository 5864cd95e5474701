"""Reading other people's tars: samples as WebDataset groups them, each member by its byte range. Nothing is unpacked.

A sample is a run of members whose names are equal up to the first dot behind the last slash. Folders, and files whose names give no
key, belong to no sample. Links, devices, absolute names, names with `..`, and archives that are cut off or damaged are refused with
the path and the bytes.
"""

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from mixdata.errors import MixdataError
from mixdata.text import shown

BLOCK = tarfile.BLOCKSIZE
COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))


@dataclass(frozen=True)
class Member:
    """One file in a tar: what stands behind the key's dot, and where its data lie."""

    suffix: str
    byte_offset: int
    byte_size: int

    @property
    def place(self) -> str:
        return f"bytes {self.byte_offset} to {self.byte_offset + self.byte_size}"


@dataclass
class Sample:
    """A run of members with one key. `[start, end)` are its bytes, headers included."""

    key: str
    start: int
    end: int
    members: dict[str, Member] = field(default_factory=dict)


class _Bounded:
    """A file of which no more is asked than there is: a header may claim any length, and memory is taken for it first."""

    def __init__(self, file: BinaryIO):
        self.file, self.seek, self.tell = file, file.seek, file.tell
        self.size = os.fstat(file.fileno()).st_size

    def read(self, count: int = -1) -> bytes:
        left = max(self.size - self.file.tell(), 0)
        return self.file.read(left if count < 0 else min(count, left))


def samples(path: Path, file: BinaryIO) -> Iterator[Sample]:
    """Yield the samples of an open tar, in stored order. Raises `MixdataError` for what is no plain, whole tar of plain files."""
    sample: Sample | None = None
    seen: set[str] = set()
    end = 0  # of the last member's data, padding included
    for info in _entries(path, file):
        begin, end = end, info.offset_data + info.size + -info.size % BLOCK
        where = f"{path}: {shown(info.name)!r} (bytes {info.offset_data} to {info.offset_data + info.size})"
        _refuse(info, where, os.fstat(file.fileno()).st_size)
        folder, _, name = info.name.removeprefix("./").rpartition("/")
        stem, dot, suffix = name.partition(".")
        if info.isdir() or not (stem and dot and suffix):
            continue
        key = f"{folder}/{stem}" if folder else stem
        if sample is None or key != sample.key:
            if sample is not None:
                yield sample
            if key in seen:
                raise MixdataError(f"{where}: the members of {shown(key)!r} do not lie together; sort the tar by name (tar --sort=name)")
            seen.add(key)
            sample = Sample(key, begin, end)
        suffix = suffix.lower()
        if suffix in sample.members:
            raise MixdataError(f"{where}: stands twice in its sample")
        sample.members[suffix] = Member(suffix, info.offset_data, info.size)
        sample.end = end
    if sample is not None:
        yield sample


def _refuse(info: tarfile.TarInfo, where: str, size: int) -> None:
    if info.issym() or info.islnk():
        raise MixdataError(f"{where}: is a link to {shown(info.linkname)!r}; only plain files can be indexed")
    if not (info.isdir() or info.isreg()) or info.issparse():
        raise MixdataError(f"{where}: is not a plain file (a device, a FIFO or a sparse file)")
    if info.name.startswith("/") or ".." in info.name.split("/"):
        raise MixdataError(f"{where}: leads out of the archive; pack it with relative names")
    if info.size < 0 or info.offset_data + info.size > size:
        raise MixdataError(f"{where}: reaches beyond the end of the file ({size} bytes): the archive was cut off")


def _entries(path: Path, file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield every header's entry, and see that the archive ends as one should: `tarfile` takes a damaged header for the end."""
    head = file.read(6)
    if kind := next((kind for magic, kind in COMPRESSED if head.startswith(magic)), None):
        raise MixdataError(f"{path}: is compressed ({kind}), so members have no byte ranges; unpack it to a plain .tar")
    file.seek(0)
    bounded = _Bounded(file)
    place = 0
    try:
        with tarfile.open(fileobj=bounded, mode="r:", errorlevel=2) as tar:  # type: ignore[call-overload]
            while (info := tar.next()) is not None:
                yield info
                tar.members.clear()  # it keeps every one of them
                place = tar.offset
            place = tar.offset
    except (tarfile.TarError, ValueError, OverflowError, MemoryError) as error:
        raise MixdataError(f"{path}: bytes {place}…: no tar archive, or a damaged one ({error})") from error
    file.seek(place)
    end = file.read(BLOCK)
    if len(end) < BLOCK:
        raise MixdataError(f"{path}: the archive has no end after byte {place}; it was cut off")
    if end.strip(b"\0"):
        raise MixdataError(f"{path}: bytes {place} to {place + BLOCK}: a damaged tar header")
