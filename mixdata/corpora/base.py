"""What a corpus is: a table of facts and one generator of songs, found by name.

A new corpus is one file in this package: `FACTS = CorpusFacts(…)` and a generator under `@corpus(FACTS)`. A corpus on
disk takes its root, `def songs(root: Path)`; one that is made up takes keyword options instead, which the user sets by
`NAME:key=value,key=value`. Listing opens no audio beyond a header; what is wrong with a file is found when it is
probed, so a broken or missing file stays part of its song and is counted by its reason.
"""

import importlib
import inspect
import os
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mixdata import audio
from mixdata.errors import SongError, UsageError
from mixdata.song import Song, Track
from mixdata.text import cleaned, nearest, readable


@dataclass(frozen=True)
class CorpusFacts:
    """What is known of a corpus. `licence` is of the set as a whole (a song can have its own), `wet` as in `Song`."""

    name: str
    title: str
    licence: str
    stems: tuple[str, ...]
    wet: str
    citation: str = ""
    home: str = ""
    layout: str = ""
    needs_root: bool = True


Generator = Callable[..., Iterator[Song]]
_REGISTRY: dict[str, tuple[CorpusFacts, Generator]] = {}


def corpus(facts: CorpusFacts) -> Callable[[Generator], Generator]:
    """Register a generator of songs under its facts."""

    def register(songs: Generator) -> Generator:
        _REGISTRY[facts.name] = (facts, songs)
        return songs

    return register


@cache
def _import_all() -> None:
    import mixdata.corpora as package

    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "base" and not module.name.startswith("_"):
            importlib.import_module(f"{package.__name__}.{module.name}")


def corpus_names() -> list[str]:
    """Return the names of all corpora, sorted."""
    _import_all()
    return sorted(_REGISTRY)


def corpus_facts(name: str) -> CorpusFacts:
    """Return the facts of a corpus by its name."""
    return _find(name)[0]


def corpus_options(name: str) -> dict[str, Any]:
    """Return the options that `NAME:key=value` can set, with their defaults."""
    return {key: parameter.default for key, parameter in _parameters(_find(name)[1]).items()}


@dataclass(frozen=True)
class Corpus:
    """Songs of one corpus, listed at the first iteration and in the same order every time."""

    facts: CorpusFacts
    spec: str
    root: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    _listed: list[Song] = field(default_factory=list, repr=False, compare=False)

    def __iter__(self) -> Iterator[Song]:
        if not self._listed:
            generator = _find(self.facts.name)[1]
            self._listed.extend(list(generator(self.root) if self.root is not None else generator(**self.options)))
        if not self._listed:
            raise UsageError(f"{self.root or self.spec}: no songs found. {_expected(self.facts)}{_found(self.root)}")
        return iter(self._listed)

    def __len__(self) -> int:
        return len(list(iter(self)))


def load_corpus(spec: str, root: str | Path | None = None) -> Corpus:
    """Return the corpus that `NAME`, `NAME:ROOT` or `NAME:key=value,…` stands for. Raises `UsageError` for what cannot be.

    >>> corpus = load_corpus("synth:songs=2,seconds=5")
    >>> [song.title for song in corpus]
    ['synth-0000', 'synth-0001']
    """
    name, colon, rest = spec.partition(":")
    facts, generator = _find(name)
    if not facts.needs_root:
        if root is not None:
            raise UsageError(f"corpus {name!r} is not read from a folder, so it takes no root")
        return Corpus(facts, spec, options=_parse_options(name, generator, rest))
    if colon and root is not None:
        raise UsageError(f"corpus {spec!r} names a root already; a second one was given: {root}")
    if not (rest or root):
        raise UsageError(f"corpus {name!r} needs the folder it lies in: {name}:PATH. {_expected(facts)}")
    place = Path(root or rest).expanduser()
    if not place.is_dir():
        what = "is not a folder" if place.exists() else "does not exist"
        raise UsageError(f"{place}: {what}. {_expected(facts)}")
    return Corpus(facts, spec, root=place)


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


def _known(word: str, choices: list[str]) -> str:
    """Return ` (did you mean …?)` where one of the choices is like the word, and the list of them."""
    close = nearest(word, choices)
    return (f" (did you mean {close!r}?)" if close else "") + f": use one of {', '.join(choices)}"


def _find(name: str) -> tuple[CorpusFacts, Generator]:
    names = corpus_names()
    if name not in _REGISTRY:
        raise UsageError(f"unknown corpus {name!r}{_known(name, names)}")
    return _REGISTRY[name]


def _parameters(generator: Generator) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(generator, eval_str=True).parameters
    return {key: parameter for key, parameter in parameters.items() if key != "root"}


def _parse_options(name: str, generator: Generator, text: str) -> dict[str, Any]:
    parameters = _parameters(generator)
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if key not in parameters:
            known = _known(key, sorted(parameters)) if parameters else ": it has none"
            raise UsageError(f"corpus {name!r} has no option {key!r}{known}")
        if not equals or key in options:
            raise UsageError(f"corpus {name!r}: option {key!r} {'is given twice' if key in options else 'needs a value: ' + key + '=…'}")
        options[key] = _convert(name, key, value, parameters[key].annotation)
    return options


def _convert(name: str, key: str, value: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[value]
        return kind(value)
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))
        raise UsageError(f"corpus {name!r}: option {key} must be {wanted}, got {value!r}") from None


def _expected(facts: CorpusFacts) -> str:
    return f"{facts.title} is expected as: {facts.layout}. " if facts.layout else ""


def _found(root: Path | None) -> str:
    if root is None:
        return ""
    entries = [entry for entry in sorted(root.iterdir()) if not entry.name.startswith(".")]
    folders = [cleaned(entry.name) for entry in entries if entry.is_dir()]
    kinds = Counter(cleaned(entry.suffix.lower()) or "no extension" for entry in entries if not entry.is_dir())
    files = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())[:8]) or "none"
    return f"Found: folders {', '.join(folders[:5]) or 'none'}{' …' if len(folders) > 5 else ''}; files {files}."
