"""What the corpora share: walking folders, tracks that must not be opened, metadata that may be broken."""

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import yaml

from mixdata import audio
from mixdata.errors import SongError
from mixdata.song import Song, Track
from mixdata.text import cleaned, readable

LONGEST_METADATA = 20_000_000  # bytes; a larger file is no metadata
MOST_ALIASES = 100
DEEPEST_METADATA = 100  # levels; libyaml's composer calls itself for each and, some ten thousand down, overruns the stack
_DEEP_LINE = re.compile(rf"^[ \t?:-]{{{DEEPEST_METADATA}}}", re.MULTILINE)  # block collections begin behind nothing else


@dataclass(frozen=True)
class RefusedTrack(Track):
    """A track that must not be opened: every use says why."""

    reason: str = "unreadable"
    message: str = ""

    def _refuse(self) -> NoReturn:
        raise SongError(self.reason, self.message)

    def info(self) -> audio.AudioInfo:
        """Raise the reason."""
        self._refuse()

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Raise the reason."""
        self._refuse()

    @property
    def sha256(self) -> str:
        """Raise the reason."""
        self._refuse()


def track(root: Path, path: Path, stream: int = 0) -> Track:
    """Return the track at `path`, refused where a link leads out of the corpus's root."""
    if not audio.inside(root, path):
        return RefusedTrack(
            path,
            stream,
            reason="outside_root",
            message=f"{readable(path)}: leads out of the corpus ({root}): copy it, or name its own folder",
        )
    return Track(path, stream)


@dataclass(frozen=True)
class Folder:
    """A folder of a corpus: its audio files by name, its folders, and what could not be entered (reason and message)."""

    path: Path
    files: tuple[Path, ...]
    folders: tuple["Folder", ...]
    refused: tuple[RefusedTrack, ...] = ()


DEEPEST = 50  # folders
UNREAD = {".wma", ".wv", ".ape", ".mka", ".mp2", ".tta", ".tak", ".dsf", ".m4b", ".webm", ".caf", ".w64", ".au"}  # audio, but not for us


def walk(root: Path) -> Folder:
    """Return the tree under `root`, sorted by name. Hidden entries are left out; links to folders are never followed.

    A link to a folder inside the root changes nothing, as that is listed under its own name; one to a folder outside is refused.
    """
    return _walk(root, root, set(), 0)


def _walk(root: Path, path: Path, seen: set[tuple[int, int]], depth: int) -> Folder:
    files: list[Path] = []
    folders: list[Folder] = []
    refused: list[RefusedTrack] = []
    try:
        status = path.stat()
        if depth > DEEPEST or (status.st_dev, status.st_ino) in seen:
            why = f"more than {DEEPEST} folders deep" if depth > DEEPEST else "the folder contains itself"
            return Folder(path, (), (), (RefusedTrack(path, reason="unreadable", message=f"{readable(path)}: {why}"),))
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError as error:
        return Folder(path, (), (), (RefusedTrack(path, reason="unreadable", message=f"{readable(path)}: {error.strerror}"),))
    for entry in entries:
        place = path / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            folders.append(_walk(root, place, seen, depth + 1))
        elif entry.is_symlink() and place.is_dir():
            if not audio.inside(root, place):
                refused.append(RefusedTrack(place, reason="outside_root", message=f"{readable(place)}: leads out of the corpus ({root})"))
        elif place.suffix.lower() in audio.EXTENSIONS:
            files.append(place)
        elif place.suffix.lower() in UNREAD:
            why = f"{readable(place)}: {place.suffix} files are not read; convert it to WAV or FLAC"
            refused.append(RefusedTrack(place, reason="unsupported", message=why))
    return Folder(path, tuple(files), tuple(folders), tuple(refused))


def artist_and_title(name: str) -> tuple[str | None, str]:
    """Split `Artist - Title` (also with underscores for spaces); the artist is None where there is none.

    >>> artist_and_title("Kevin_MacLeod_-_Vibe_Ace")
    ('Kevin MacLeod', 'Vibe Ace')
    """
    text = cleaned(name.replace("_-_", " - ").replace("_", " ") if "_-_" in name else name)
    parts = [part.strip() for part in text.split(" - ") if part.strip()]
    if len(parts) > 1 and parts[0].rstrip(".").isdigit():  # a track number
        parts = parts[1:]
        text = " - ".join(parts)
    return (parts[0], " - ".join(parts[1:])) if len(parts) > 1 else (None, text)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a corpus's YAML file holds. Raises `SongError` (`metadata`) where it is missing, broken or no mapping."""
    text = _text(path)
    if text.count("*") > MOST_ALIASES or text.count("[") + text.count("{") > DEEPEST_METADATA or _DEEP_LINE.search(text):
        _bounded(path, text)
    try:
        return _mapping(path, yaml.load(text, yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SongError("metadata", f"{readable(path)}: cannot be read as YAML: {_first_line(error)}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the mapping that a corpus's JSON file holds. Raises `SongError` (`metadata`) as `read_yaml`."""
    try:
        return _mapping(path, json.loads(_text(path)))
    except (ValueError, RecursionError) as error:
        raise SongError("metadata", f"{readable(path)}: cannot be read as JSON: {_first_line(error)}") from None


def plain(value: Any) -> Any:
    """Return a value of a corpus's metadata as plain JSON data that any file can hold: YAML has dates, JSON half characters and NaN."""
    if isinstance(value, Mapping):
        return {readable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return readable(str(value))


def refused_song(path: Path, error: SongError) -> Song:
    """Return a song that stands for what cannot be listed: it stays in the list, and its probing says why."""
    return Song(cleaned(path.name), mixture=RefusedTrack(path, reason=error.reason, message=error.message))


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise SongError("metadata", f"{readable(path)}: {'no regular file' if path.exists() else 'missing'}")
        if path.stat().st_size > LONGEST_METADATA:
            raise SongError("metadata", f"{readable(path)}: larger than {LONGEST_METADATA // 10**6} MB, so no metadata")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SongError("metadata", f"{readable(path)}: cannot be read: {_first_line(error)}") from None


def _bounded(path: Path, text: str) -> None:
    """Raise `SongError` (`metadata`) where a YAML file has too many aliases or too many levels, before anything is made of it."""
    aliases = depth = 0
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            aliases += isinstance(event, yaml.AliasEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if aliases > MOST_ALIASES or depth > DEEPEST_METADATA:
                what = f"more than {MOST_ALIASES} aliases" if aliases > MOST_ALIASES else f"nested deeper than {DEEPEST_METADATA} levels"
                raise SongError("metadata", f"{readable(path)}: {what}")
    except yaml.YAMLError as error:
        raise SongError("metadata", f"{readable(path)}: cannot be read as YAML: {_first_line(error)}") from None


def _mapping(path: Path, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise SongError("metadata", f"{readable(path)}: holds {type(data).__name__} where a mapping was expected")
    return data


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
