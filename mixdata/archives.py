"""Archives that are unpacked inside their folder or not at all.

A zip's list is checked whole before anything is written; a tar is read once, each member checked before it is written.
Either goes into a hidden folder inside the target (so on the same disk), and takes its final names only when
all of it was read well. What an archive says of itself is not believed: bytes are counted as they come.

Who joins names by hand, `open(folder / member.filename, "wb")`, writes to `folder/../x`, and to `/x` for an absolute name;
`tarfile.extractall` without a filter does the same and follows links that the archive itself has planted.
"""

import ctypes
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from mixdata._archive_checks import WORKPLACE, Check, Limits, Member, reading, safe_parts
from mixdata._archive_readers import CHUNK, kind_of, looks_like_page, open_archive, tar_members, zip_members
from mixdata.errors import MixdataError
from mixdata.files import disk_errors, sync_folder
from mixdata.locks import locked
from mixdata.progress import Progress
from mixdata.text import cleaned

__all__ = ["Limits", "archive_kind", "extract", "looks_like_page", "safe_parts"]


def extract(archive: Path, folder: Path, limits: Limits | None = None, *, quiet: bool = True) -> list[Path]:
    """Unpack a zip, tar, tar.gz, tar.bz2 or tar.xz (told by content) into `folder`. Returns the paths of its files.

    A file that is there already with the same bytes is kept; one with others is an error, as is everything that a
    corpus's archive has no need for: links, devices, names that lead out, double names, encryption, more than the limits.
    Apple's `__MACOSX`, `._NAME` and `.DS_Store` are left out. A killed or failed run leaves nothing under a final name.
    """
    archive, folder, limits = Path(archive), Path(os.path.realpath(folder)), limits or Limits()
    with ExitStack() as stack, reading(archive):
        file = stack.enter_context(open_archive(archive))
        kind = kind_of(archive, file)
        check = Check(archive, folder, limits, os.fstat(file.fileno()).st_size)
        if kind == "zip":
            members, total = zip_members(file, check)
        else:
            members, total = tar_members(file, kind, check), check.packed
        work = stack.enter_context(_workplace(folder))
        bar = stack.enter_context(Progress(f"unpack {cleaned(archive.name)}", total / 1e6, "MB", quiet))
        paths, done = [], 0.0
        for member in members:
            if member.stream is None:
                with disk_errors(folder):
                    work.joinpath(*member.parts).mkdir(parents=True, exist_ok=True)
                continue
            paths.append(folder.joinpath(*member.parts))
            with member.stream() as stream:
                _copy(stream, member, check, work.joinpath(*member.parts), paths[-1])
            now = check.total if kind == "zip" else file.tell()
            bar.update((now - done) / 1e6)
            done = now
        if not paths:
            check.refuse("holds no files")
        with disk_errors(folder):
            _sync_disk(work)
            _install(work, folder)
    return paths


def archive_kind(archive: Path) -> str:
    """Return `zip`, `tar`, `tar.gz`, `tar.bz2` or `tar.xz`, by content. Raises `MixdataError` for all else."""
    with reading(archive), open_archive(archive) as file:
        return kind_of(archive, file)


def _copy(stream: IO[bytes], member: Member, check: Check, new: Path, there: Path) -> None:
    """Write a member to `new`, or compare it with the file that is there."""
    written = 0
    if os.path.lexists(there):
        old = _opened(there)
        with old:
            while data := stream.read(CHUNK):
                check.count(len(data))
                written += len(data)
                if old.read(len(data)) != data:
                    check.differs(member, there)
            if old.read(1):
                check.differs(member, there)
    else:
        with disk_errors(there):
            new.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            while data := stream.read(CHUNK):
                check.count(len(data))
                written += len(data)
                with disk_errors(there):
                    write_all(descriptor, data)
        finally:
            os.close(descriptor)
    if written != member.size:
        raise tarfile.ReadError(f"{'/'.join(member.parts)} has {written} bytes instead of {member.size}")


def _opened(path: Path) -> IO[bytes]:
    """Open a file for reading; a link is not followed."""
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of the bytes, or raise the disk's error."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """Give an empty hidden folder inside `folder`; what is left in it is deleted, also what a killed run left."""
    work = folder / WORKPLACE
    made = not folder.exists()
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if work.is_symlink():
            raise MixdataError(f"{work}: is a link; remove it")
        work.mkdir(exist_ok=True)
    try:
        with locked(work / "lock", f"{folder}: another process is unpacking into this folder; wait for it"):
            shutil.rmtree(work / "new", ignore_errors=True)
            with disk_errors(folder):
                (work / "new").mkdir()
            try:
                yield work / "new"
            finally:
                shutil.rmtree(work / "new", ignore_errors=True)
                (work / "lock").unlink(missing_ok=True)
    finally:
        with suppress(OSError):  # another process may have come in
            work.rmdir()
            if made:
                folder.rmdir()


def _sync_disk(folder: Path) -> None:
    """Have all that was written lie on the disk: one call, where fsync of every file takes milliseconds each."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if sync is None:
            os.sync()
        elif sync(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)


def _install(source: Path, target: Path) -> None:
    """Move all entries of a folder into another one, whole folders where they are new."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if not os.path.lexists(place):
            os.rename(entry, place)
        elif entry.is_dir() and place.is_dir() and not place.is_symlink():
            _install(entry, place)
        else:
            raise MixdataError(f"{place}: appeared while the archive was being unpacked; run again")
    sync_folder(target)
