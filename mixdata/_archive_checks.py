"""What an archive may hold: names, kinds, sizes. See archives.py."""

import lzma
import os
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

from mixdata.errors import MixdataError
from mixdata.files import free_space
from mixdata.text import cleaned, size

RESERVED = ".mixdata-"  # what mixdata's own files in a corpus's folder begin with: the workplace, the journal of downloads
WORKPLACE = f"{RESERVED}unpacking"
BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, ValueError)
TOO_MUCH = (RecursionError, MemoryError, OverflowError, NotImplementedError)
PART = r"\.(z\d\d|\d\d\d|a[a-z]|part\d+)$"  # how split archives end


@dataclass(frozen=True)
class Limits:
    """What an archive may hold. The ratio is of unpacked to packed bytes; below `ratio_from_bytes` it is not looked at."""

    total_bytes: int = 1_000_000_000_000
    members: int = 1_000_000
    ratio: float = 200.0
    ratio_from_bytes: int = 100_000_000
    reserve_bytes: int = 100_000_000  # that must stay free on the disk


class Member(NamedTuple):
    """A file or folder of an archive whose name has been checked; `stream` is None for a folder."""

    parts: tuple[str, ...]
    size: int
    stream: Callable[[], IO[bytes]] | None


def safe_parts(name: str) -> tuple[str, ...]:
    """Return a member's name as the parts of a path below a folder. Raises `ValueError` with what is wrong with it.

    >>> safe_parts("./drums//kick.wav")
    ('drums', 'kick.wav')
    """
    if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in name):
        raise ValueError("has a control character")
    if "\\" in name:
        raise ValueError("has a backslash")
    if name.startswith("/") or re.match("[A-Za-z]:", name):
        raise ValueError("is an absolute path")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ValueError("leads out of its folder")
    if parts and parts[0].casefold().startswith(RESERVED):
        raise ValueError("is reserved")
    if any(len(os.fsencode(part)) > 255 for part in parts) or len(os.fsencode(name)) > 2000:
        raise ValueError("is too long")
    return parts


@dataclass
class Check:
    """What has been seen of an archive, held against its limits and against what lies in the target."""

    archive: Path
    folder: Path
    limits: Limits
    packed: int
    total: int = 0
    members: int = 0
    seen: dict[str, tuple[str, bool]] = field(default_factory=dict)  # folded path: as spelt, is a folder
    free_checked: int = 0

    def refuse(self, why: str, name: str | None = None) -> NoReturn:
        member = f" member {cleaned(name)!r}" if name is not None else ""
        raise MixdataError(f"{cleaned(str(self.archive))}:{member} {why}; nothing was unpacked")

    def admit(self, name: str, is_folder: bool) -> tuple[str, ...] | None:
        """Return a member's path below the folder, or None for what is left out."""
        self.members += 1
        if self.members > self.limits.members:
            self.refuse(f"it has more than {self.limits.members} members")
        try:
            parts = safe_parts(name)
        except ValueError as error:
            self.refuse(f"is refused: its name {'is not text' if isinstance(error, UnicodeError) else error}", name)
        if not parts and not is_folder:
            self.refuse("is refused: it has no name", name)
        if "__MACOSX" in parts or any(part.startswith("._") or part == ".DS_Store" for part in parts):
            return None
        path = key = ""
        for depth, part in enumerate(parts, 1):
            path, key = f"{path}/{part}", f"{key}/{_folded(part)}"
            folder = is_folder or depth < len(parts)
            spelt, was_folder = self.seen.get(key, (path, folder))
            if spelt != path:
                self.refuse(f"differs from {cleaned(spelt[1:])!r} only in case or in the form of its letters", name)
            if was_folder != folder:
                self.refuse("is both a file and a folder", name)
            if key not in self.seen:
                self.seen[key] = (path, folder)
                self._look_in_target(parts[:depth], folder, name)
            elif not folder:
                self.refuse("is there twice", name)
        return parts

    def _look_in_target(self, parts: tuple[str, ...], folder: bool, name: str) -> None:
        place = self.folder.joinpath(*parts)
        if not os.path.lexists(place):
            return
        mode = os.lstat(place).st_mode
        if stat.S_ISLNK(mode):
            self.refuse(f"would go through a link: {place}; remove the link, or choose another folder", name)
        if not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
            self.refuse(f"does not fit what lies at {place}", name)

    def differs(self, member: Member, place: Path) -> NoReturn:
        self.refuse(f"is not the same as the file at {place}; move that away, or choose another folder", "/".join(member.parts))

    def count(self, more: int) -> None:
        """Count unpacked bytes before they are written."""
        self.total += more
        self.bound(self.total)
        if self.total - self.free_checked > 64_000_000:
            self.free_checked = self.total
            self.room(0)

    def bound(self, total: int) -> None:
        if total > self.limits.total_bytes:
            self.refuse(f"it unpacks to more than {size(self.limits.total_bytes)}")
        if total > max(self.limits.ratio_from_bytes, self.limits.ratio * self.packed):
            self.refuse(f"it unpacks to more than {self.limits.ratio:g} times its size: taken for a bomb")

    def room(self, needed: int) -> None:
        free = free_space(self.folder)
        if needed + self.limits.reserve_bytes > free:
            more = f"{size(needed)} and " if needed else ""
            self.refuse(f"the disk of {self.folder} has {size(free)} free: it takes {more}{size(self.limits.reserve_bytes)} in reserve")


def _folded(part: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold())


@contextmanager
def reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except TOO_MUCH as error:
        raise MixdataError(f"{cleaned(str(archive))}: cannot be unpacked ({error or type(error).__name__})") from error
    except BROKEN as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise MixdataError(f"{cleaned(str(archive))}: cannot be read: {error.strerror}") from error
        why = f"is damaged or cut off ({cleaned(str(error))}); delete it and fetch it again"
        raise MixdataError(f"{cleaned(str(archive))}: the archive {why}{part_hint(archive)}") from error


def part_hint(archive: Path) -> str:
    """Return what to do with a part of a split archive, where the name looks like one."""
    if re.search(PART, archive.name.lower()):
        return ". Its name is that of one part of a split archive, which mixdata does not read: join the parts and unpack the whole"
    return ""
