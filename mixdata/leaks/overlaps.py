"""What is known to be shared between corpora: `manifests/overlaps.csv`.

Relations: `edition` (corpus_b holds the songs of corpus_a), `same_song` (title_a of corpus_a, in its own split_a, is title_b of corpus_b),
`shared_artist` (in two official splits of one corpus) and `trained_on` (the separator named in corpus_b has seen split_a of corpus_a).
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from mixdata.leaks.names import song_key
from mixdata.resources import resource
from mixdata.song import Song

RELATIONS = ("edition", "same_song", "shared_artist", "trained_on")


@dataclass(frozen=True)
class Overlap:
    """A row of the table; what does not apply is empty."""

    relation: str
    corpus_a: str
    title_a: str
    split_a: str
    corpus_b: str
    title_b: str
    source: str


@cache
def overlaps() -> tuple[Overlap, ...]:
    """Return the rows of the table."""
    with open(resource("manifests", "overlaps.csv"), encoding="utf-8", newline="") as file:
        return tuple(Overlap(**row) for row in csv.DictReader(file))


def edition_of(corpus: str) -> str:
    """Return the name of the corpus whose songs this one holds: `musdb18` for `musdb18hq`, else itself."""
    return _editions().get(corpus, corpus)


def labels(corpus: str, keys: Iterable[str]) -> frozenset[str]:
    """Return the keys (`names.song_key`) under which a song is known: those given, and those of the corpus that it was taken into."""
    keys = [key for key in keys if key]
    known = (_same().get((edition_of(corpus), key)) for key in keys)
    return frozenset([*keys, *(key for key in known if key is not None)])


def known_as(song: Song) -> frozenset[str]:
    """Return the keys under which a song is known: by title and artist, by id, and in the corpus that it was taken into."""
    keys = [song_key(song.title, song.groups.get("artist") or None), song_key(str(song.facts.get("id", "")), None)]
    return labels(song.corpus, keys)


def place_of(corpus: str, split: str, known: Iterable[str]) -> tuple[str, str] | None:
    """Return the corpus and the official split in which separators may have seen the song of these labels; None where none is known.

    A validation split is a part of the official train split.
    """
    if any(row.corpus_a == edition_of(corpus) for row in overlaps() if row.relation == "trained_on"):
        return edition_of(corpus), "train" if split == "valid" else split
    return next((_splits()[label] for label in sorted(known) if label in _splits()), None)


def seen_by(separator: str) -> frozenset[tuple[str, str]]:
    """Return what a separator (`demucs:mdx_extra`) was trained on: corpora and splits, as far as it is known."""
    return frozenset((row.corpus_a, row.split_a) for row in overlaps() if row.relation == "trained_on" and row.corpus_b == separator)


@cache
def _editions() -> dict[str, str]:
    return {row.corpus_b: row.corpus_a for row in overlaps() if row.relation == "edition"}


@cache
def _same() -> dict[tuple[str, str], str]:
    return {(row.corpus_b, song_key(row.title_b, None)): song_key(row.title_a, None) for row in overlaps() if row.relation == "same_song"}


@cache
def _splits() -> dict[str, tuple[str, str]]:
    return {song_key(row.title_a, None): (row.corpus_a, row.split_a) for row in overlaps() if row.relation == "same_song"}
