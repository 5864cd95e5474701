"""What a corpus is: a table of facts and one generator of songs, found by name.

A new corpus is a file `manifests/corpora/NAME.yaml` (see `CorpusFacts`) and a file in this package with a generator under
`@corpus("NAME")`. A corpus on disk takes its root, `def songs(root: Path)`, and keyword options, `*, edition: str = "all"`, if it needs
any; one that is made up takes options only. The user writes `NAME:ROOT,key=value`. Listing opens no audio beyond a header; what is
wrong with a file is found when it is probed, so a broken or missing file stays part of its song and is counted by its reason.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from mixdata.corpora._facts import CorpusFacts, Download, errata, read_facts
from mixdata.corpora._files import Folder, RefusedTrack, artist_and_title, plain, read_json, read_yaml, refused_song, track, walk
from mixdata.corpora._spec import instead, parameters, parse_options, split_root, users_path
from mixdata.errors import UsageError
from mixdata.song import Song
from mixdata.text import cleaned, readable

__all__ = [
    "Corpus",
    "CorpusFacts",
    "Download",
    "Folder",
    "RefusedTrack",
    "artist_and_title",
    "corpus",
    "corpus_facts",
    "corpus_names",
    "corpus_options",
    "load_corpus",
    "read_json",
    "read_yaml",
    "refused_song",
    "track",
    "walk",
]

Generator = Callable[..., Iterator[Song]]
_REGISTRY: dict[str, Generator] = {}
EMPTY = "the song has neither mixture nor stems"


def corpus(name: str) -> Callable[[Generator], Generator]:
    """Register a generator of songs under the name of its facts."""

    def register(songs: Generator) -> Generator:
        _REGISTRY[name] = songs
        return songs

    return register


@cache
def _modules() -> frozenset[str]:
    import mixdata.corpora as package

    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__) if module.name != "base" and module.name[0] != "_")


def corpus_names() -> list[str]:
    """Return the names of all corpora, sorted. Imports none of them: a corpus lies in the file of its name."""
    return sorted(_modules() | _REGISTRY.keys())


def corpus_facts(name: str) -> CorpusFacts:
    """Return the facts of a corpus by its name."""
    _check(name)
    return read_facts(name)


def corpus_options(name: str) -> dict[str, Any]:
    """Return the options that `NAME:key=value` can set, with their defaults."""
    return {key: parameter.default for key, parameter in parameters(_find(name)).items()}


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
            place = () if self.root is None else (self.root,)
            try:
                found = [_completed(song, self.facts, self.root) for song in _find(self.facts.name)(*place, **self.options)]
            except OSError as error:  # a folder that may not be entered
                where = readable(str(error.filename or self.root or self.spec))
                raise UsageError(f"{where}: cannot be read: {error.strerror or error}") from None
            self._listed.extend(found)
        if not self._listed:
            raise UsageError(f"{self.root or self.spec}: no songs found. {_expected(self.facts)}{_found(self.root)}")
        return iter(self._listed)

    def __len__(self) -> int:
        return len(list(iter(self)))


def _completed(song: Song, facts: CorpusFacts, root: Path | None) -> Song:
    """Return the song with what is known of its corpus, where it has nothing of its own."""
    known = errata(facts.name)
    faults = [*known.get(song.title, ()), *known.get(str(song.facts.get("id", "")), ())]
    return replace(
        song,
        corpus=song.corpus or facts.name,
        mixture=song.mixture if song.tracks() else RefusedTrack(root or Path(), reason="empty", message=f"{song.title}: {EMPTY}"),
        facts=plain(song.facts),
        licence=facts.licence if song.licence == "unknown" and facts.licence != "per song" else song.licence,
        wet=facts.wet if song.wet == "unknown" else song.wet,
        free_lengths=song.free_lengths or facts.free_lengths,
        errata=(*song.errata, *(str(fault) for fault in faults if not fault.unfit)),
        unfit=song.unfit or "; ".join(str(fault) for fault in faults if fault.unfit),
    )


def load_corpus(spec: str, root: str | Path | None = None, **options: Any) -> Corpus:
    """Return the corpus that `NAME`, `NAME:ROOT`, `NAME:key=value,…` or `NAME:ROOT,key=value,…` stands for.

    Root and options can be given by themselves. Raises `UsageError` for what cannot be.

    >>> corpus = load_corpus("synth:songs=2,seconds=5")
    >>> [song.title for song in corpus]
    ['synth-0000', 'synth-0001']
    """
    name, colon, rest = spec.partition(":")
    known = parameters(_find(name))
    facts = read_facts(name)
    if not facts.needs_root:
        if root is not None:
            raise UsageError(f"corpus {name!r} is not read from a folder, so it takes no root")
        place, text = None, rest
    elif colon and root is not None:
        raise UsageError(f"corpus {spec!r} names a root already; a second one was given: {root}")
    else:
        there, text = split_root(rest, known) if root is None else (str(root), "")
        place = _root(facts, there)
    written = parse_options(name, known, text)
    for key in options:
        if key not in known or key in written:
            what = "is given twice" if key in known else f"does not exist{instead(key, sorted(known)) if known else ': it has none'}"
            raise UsageError(f"corpus {name!r}: option {key!r} {what}")
    return Corpus(facts, spec, place, written | options)


def _root(facts: CorpusFacts, text: str) -> Path:
    if not text:
        raise UsageError(f"corpus {facts.name!r} needs the folder it lies in: {facts.name}:PATH. {_expected(facts)}")
    place = users_path(text)
    if not place.exists():
        raise UsageError(f"{place}: does not exist. {_expected(facts)}")
    if not place.is_dir() and facts.kind != "any":
        raise UsageError(f"{place}: is not a folder. {_expected(facts)}")
    return place


def _check(name: str) -> None:
    if name not in _REGISTRY and name not in _modules():
        raise UsageError(f"unknown corpus {name!r}{instead(name, corpus_names())}")


def _find(name: str) -> Generator:
    _check(name)
    if name not in _REGISTRY:
        importlib.import_module(f"mixdata.corpora.{name}")
    return _REGISTRY[name]


def _expected(facts: CorpusFacts) -> str:
    return f"{facts.title} is expected as: {facts.layout}. " if facts.layout else ""


def _found(root: Path | None) -> str:
    if root is None or not root.is_dir():
        return ""
    entries = [entry for entry in sorted(root.iterdir()) if not entry.name.startswith(".")]
    folders = [cleaned(entry.name) for entry in entries if entry.is_dir()]
    kinds = Counter(cleaned(entry.suffix.lower()) or "no extension" for entry in entries if not entry.is_dir())
    files = ", ".join(f"{count} × {kind}" for kind, count in sorted(kinds.items())[:8]) or "none"
    return f"Found: folders {', '.join(folders[:5]) or 'none'}{' …' if len(folders) > 5 else ''}; files {files}."
