"""Where a dataset lies: a folder of this machine, or any URL that fsspec knows (`s3://`, `gs://`, `hf://`, `https://`, …).

Both give whole small files and byte ranges of large ones. What is read from elsewhere may be damaged or gone: every error is a
`MixdataError` with the file's place in it, without the secrets that a URL may carry.
"""

import errno
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pyarrow as pa

from mixdata.errors import DamageError, MixdataError, UsageError

TRIES = 4  # of a remote read, each after a longer pause
PAUSE = 0.2  # seconds before the second try, doubled each time
FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # that no second try mends
EXTRAS = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp", "abfs": "adlfs", "az": "adlfs"}

Span = tuple[int, int]  # bytes [start, end) of a file


class Storage(Protocol):
    """A dataset's files by their names in it, such as `shards/train-000000.tar`."""

    gap: int  # bytes between two spans that are cheaper to read than to skip

    def local(self, name: str) -> Path | None:
        """Return the file on this machine's disk, None where there is none."""

    def where(self, name: str) -> str:
        """Return the file's place, for messages."""

    def read(self, name: str) -> bytes:
        """Return a whole file. Raises `FileNotFoundError` where it is not there, `MixdataError` where it cannot be read."""

    def ranges(self, name: str, spans: Sequence[Span]) -> list[np.ndarray]:
        """Return the bytes of each span as uint8. Raises `MixdataError`, also where the file ends before a span does."""


class Folder:
    """A folder on this machine."""

    gap = 256 * 1024

    def __init__(self, path: Path):
        self.path = path

    def local(self, name: str) -> Path:
        return self.path / name

    def where(self, name: str) -> str:
        return str(self.path / name)

    def read(self, name: str) -> bytes:
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(self.where(name)) from error
        except OSError as error:
            raise MixdataError(f"{self.where(name)}: cannot be read ({error.strerror})") from error

    def ranges(self, name: str, spans: Sequence[Span]) -> list[np.ndarray]:
        try:
            with open(self.path / name, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                if size < max((end for _, end in spans), default=0):
                    raise DamageError(_short(self.where(name), size, spans))
                buffers = []
                for start, end in spans:
                    buffers.append(np.empty(end - start, np.uint8))
                    file.seek(start)
                    done = 0
                    while done < end - start:
                        if not (count := file.readinto(buffers[-1].data[done:])):
                            raise DamageError(_short(self.where(name), start + done, spans))
                        done += count
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                raise MixdataError(f"{self.where(name)}: too many open files; raise the limit (ulimit -n)") from error
            raise DamageError(f"{self.where(name)}: cannot be read ({error.strerror}); run `mixdata verify`") from error
        return buffers


class Remote:
    """A dataset behind a URL, read by range requests. Safe to pickle, to use after a fork, and in several threads."""

    gap = 1024 * 1024  # a request costs what some megabytes cost

    def __init__(self, url: str, options: Mapping[str, Any] | None = None):
        self.url = url.rstrip("/")
        self.options = dict(options or {})
        self._process = -1
        self._last: tuple[str, bytes] = ("", b"")  # a table is opened for its columns' names, then for some of them
        self._filesystem()  # an unknown protocol is told of at once

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "options": self.options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def local(self, name: str) -> None:
        return None

    def where(self, name: str) -> str:
        return f"{redacted(self.url)}/{name}" if name else redacted(self.url)

    def read(self, name: str) -> bytes:
        kept, data = self._last
        if kept != name:
            data = bytes(self._again(name, lambda: self._filesystem().cat_file(self._path(name))))
            if "/" not in name:
                self._last = name, data
        return data

    def ranges(self, name: str, spans: Sequence[Span]) -> list[np.ndarray]:
        starts, ends = [start for start, _ in spans], [end for _, end in spans]
        try:
            # Asked for all at once: the requests of one crop wait for each other's answers no longer than for the slowest.
            found = self._again(
                name, lambda: self._filesystem().cat_ranges([self._path(name)] * len(spans), starts, ends, on_error="raise")
            )
        except FileNotFoundError as error:
            raise DamageError(f"{self.where(name)}: is missing") from error
        for data, (start, end) in zip(found, spans, strict=True):
            if len(data) != end - start:
                if len(data) > end - start:
                    raise MixdataError(f"{self.where(name)}: its server knows no range requests; copy the dataset here")
                raise DamageError(f"{self.where(name)}: ends before byte {end}; copy or build this shard again")
        return [np.frombuffer(data, np.uint8) for data in found]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _filesystem(self) -> Any:
        """Return the file system, made anew in each process: its connections do not survive a fork."""
        if self._process != os.getpid():
            import fsspec

            try:
                files, root = fsspec.core.url_to_fs(self.url, **self.options)
            except ImportError as error:
                package = EXTRAS.get(protocol := self.url.partition("://")[0], "what fsspec names for it")
                raise UsageError(f"{redacted(self.url)}: reading {protocol}:// needs {package}: pip install {package}") from error
            except ValueError as error:
                raise UsageError(f"{redacted(self.url)}: {error}") from error
            self._files, self._root = files, root.rstrip("/")
            self._process = os.getpid()  # last: other threads take it for the word that all is there
        return self._files

    def _again(self, name: str, read: Any) -> Any:
        """Read, and try again where that may help."""
        for attempt in range(TRIES):
            try:
                return read()
            except FileNotFoundError:
                raise
            except Exception as error:  # every file system has exceptions of its own
                if isinstance(error, FINAL) or attempt == TRIES - 1:
                    what = type(error).__name__ if redacted(self.url) != self.url else f"{type(error).__name__}: {error}"
                    raise MixdataError(f"{self.where(name)}: cannot be read ({what})") from error
                time.sleep(PAUSE * 2**attempt)
        raise AssertionError


def parquet(storage: Storage, name: str) -> str | pa.BufferReader:
    """Return a table's file as what pyarrow reads. Raises `MixdataError` where it is not there."""
    if local := storage.local(name):
        return str(local)
    try:
        return pa.BufferReader(storage.read(name))
    except FileNotFoundError as error:
        raise DamageError(f"{storage.where(name)}: is missing; run `mixdata verify`") from error


def open_storage(path: str | Path, options: Mapping[str, Any] | None = None) -> Storage:
    """Return the storage at a path or URL."""
    if isinstance(path, str) and "://" in path and not path.startswith("file://"):
        return Remote(path, options)
    return Folder(Path(str(path).removeprefix("file://")))


def redacted(url: str) -> str:
    """Return a URL without user, password and query, which may be secrets."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _short(where: str, size: int, spans: Sequence[Span]) -> str:
    return f"{where}: ends before byte {next(end for _, end in spans if end > size)}; copy or build this shard again"
