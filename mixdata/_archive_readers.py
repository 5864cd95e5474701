"""The members of zip and tar archives, each checked before it is given. See archives.py."""

import bz2
import gzip
import io
import lzma
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from mixdata._archive_checks import Check, Member, part_hint
from mixdata.errors import MixdataError

CHUNK = 1 << 18  # bytes
HEADER_BYTES = 1 << 20  # of all headers that lead one member of a tar, and of the padding at its end
OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    "tar.gz": lambda file: gzip.GzipFile(fileobj=file),
    "tar.bz2": bz2.BZ2File,
    "tar.xz": lzma.LZMAFile,
    "tar": lambda file: file,
}
MAGIC = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # without members
    b"\x1f\x8b": "tar.gz",
    b"BZh": "tar.bz2",
    b"\xfd7zXZ\x00": "tar.xz",
}
UNREAD = {
    b"PK\x07\x08": "the first part of a split zip; join the parts (zip -s 0 ARCHIVE.zip --out whole.zip) and unpack that",
    b"Rar!": "a RAR archive, which mixdata does not read: unpack it by hand (7z x)",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive, which mixdata does not read: unpack it by hand (7z x)",
    b"\x28\xb5\x2f\xfd": "compressed with Zstandard, which mixdata does not read: unpack it by hand (tar --zstd -xf)",
}


def open_archive(archive: Path) -> IO[bytes]:
    """Open an archive for reading; a FIFO would wait for ever."""
    if not stat.S_ISREG(os.stat(archive).st_mode):
        raise MixdataError(f"{archive}: is not a regular file")
    return open(archive, "rb")


def kind_of(archive: Path, file: IO[bytes]) -> str:
    """Return what an archive is, by its first bytes."""
    head = file.read(512)
    file.seek(0)
    for magic, what in UNREAD.items():
        if head.startswith(magic):
            raise MixdataError(f"{archive}: is {what}")
    kind: str = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "tar")
    if kind == "zip":
        return kind
    block = OPENERS[kind](file).read(tarfile.BLOCKSIZE)
    file.seek(0)
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.TarError:
        if len(block) == tarfile.BLOCKSIZE and not any(block):
            raise MixdataError(f"{archive}: holds no files; nothing was unpacked") from None
        why = f"is compressed ({kind[4:]}), but holds no tar" if kind != "tar" else "is neither a zip nor a tar archive"
        raise MixdataError(f"{archive}: {'is a web page, no archive' if looks_like_page(head) else why}{part_hint(archive)}") from None
    return kind


def looks_like_page(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of a web page."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith((b"<!doctype html", b"<html", b"<head"))


def zip_members(file: IO[bytes], check: Check) -> tuple[Iterator[Member], int]:
    """Check all of a zip's list; return its members and their bytes."""
    if _disk_number(file) or check.archive.with_suffix(".z01").exists():
        check.refuse("is the last part of a split zip; join the parts (zip -s 0 ARCHIVE.zip --out whole.zip) and unpack that")
    bundle = zipfile.ZipFile(file)
    members, end = [], 0
    for info in sorted(bundle.infolist(), key=lambda info: info.header_offset):
        name, mode = _zip_name(info), info.external_attr >> 16
        is_folder = name.endswith("/") or stat.S_ISDIR(mode)
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            check.refuse(f"is refused: it is {'a link' if stat.S_ISLNK(mode) else 'no file and no folder'}", name)
        if info.flag_bits & 0x2041:
            check.refuse("is encrypted", name)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # of the others Python unpacks without a bound
            check.refuse(f"is packed by method {info.compress_type}, which mixdata does not read: unpack it by hand (7z x)", name)
        if info.header_offset < end:
            check.refuse("lies over another one in the file: taken for a bomb", name)
        end = info.header_offset + 30 + info.compress_size
        if is_folder and info.file_size:
            check.refuse("is a folder with content", name)
        parts = check.admit(name, is_folder)
        if parts is not None:
            there = check.folder.joinpath(*parts)
            if not is_folder and there.is_file() and there.stat().st_size != info.file_size:
                check.differs(Member(parts, info.file_size, None), there)
            members.append(Member(parts, info.file_size, None if is_folder else lambda info=info: bundle.open(info)))  # type: ignore[misc]
    total = sum(member.size for member in members)
    check.bound(total)
    check.room(sum(member.size for member in members if not check.folder.joinpath(*member.parts).exists()))
    return iter(members), total


def _zip_name(info: zipfile.ZipInfo) -> str:
    name = info.orig_filename  # `filename` ends at the first NUL
    if not info.flag_bits & 0x800:  # not marked as UTF-8, but macOS and others write it so
        with suppress(UnicodeError):
            return name.encode("cp437").decode("utf-8")
    return name


def _disk_number(file: IO[bytes]) -> int:
    """Return the number of a zip's last disk: 0 unless it is split."""
    length = file.seek(0, io.SEEK_END)
    file.seek(max(0, length - 22 - 65535))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    number: int = struct.unpack_from("<H", tail, at + 4)[0] if 0 <= at <= len(tail) - 22 else 0
    return 0 if number == 0xFFFF else number


class _Metered:
    """A file whose reader may take only so much: a tar's headers are read into memory whole, however long they say they are."""

    def __init__(self, file: IO[bytes]):
        self.file = file
        self.count = 0
        self.allow(HEADER_BYTES)

    def allow(self, amount: int) -> None:
        self.ceiling = self.count + amount + CHUNK + tarfile.RECORDSIZE

    def read(self, amount: int) -> bytes:
        data = self.file.read(amount)
        self.count += len(data)
        if self.count > self.ceiling:
            raise tarfile.ReadError("a header, or what follows the end, is too long")
        return data


def tar_members(file: IO[bytes], kind: str, check: Check) -> Iterator[Member]:
    """Read a tar once, from beginning to end."""
    check.room(0)
    metered = _Metered(OPENERS[kind](file))
    ends = []

    class Header(tarfile.TarInfo):
        """Notes the marker of the end: without it tarfile takes a cut or damaged archive for a shorter one."""

        @classmethod
        def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> Any:
            if len(buf) == tarfile.BLOCKSIZE and not any(buf):
                ends.append(True)
            return super().frombuf(buf, encoding, errors)

    with tarfile.open(
        fileobj=metered, mode="r|", bufsize=CHUNK, tarinfo=Header, encoding="utf-8", errors="surrogateescape"  # type: ignore[call-overload]
    ) as bundle:  # fmt: skip
        skipped = 0
        while True:
            metered.allow(HEADER_BYTES + skipped)
            info = bundle.next()
            if info is None:
                break
            bundle.members.clear()  # else every member stays in memory
            if not (info.isreg() or info.isdir()) or info.issparse() or info.size < 0:
                kinds = "a link" if info.issym() or info.islnk() else "sparse" if info.issparse() else "no file and no folder"
                check.refuse(f"is refused: it is {kinds}", info.name)
            parts = check.admit(info.name, info.isdir())
            skipped = info.size if parts is None else 0
            check.count(skipped)
            metered.allow(info.size)
            if parts:
                yield Member(parts, info.size, None if info.isdir() else lambda info=info: bundle.extractfile(info))  # type: ignore[misc]
        metered.allow(HEADER_BYTES)
        rest: Any = bundle.fileobj
        if not ends or any(data.strip(b"\0") for data in iter(lambda: rest.read(CHUNK), b"")):
            raise tarfile.ReadError("its end is missing" if not ends else "more data behind its end")
