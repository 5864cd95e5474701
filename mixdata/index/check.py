"""Is a corpus whole? Its songs counted against what it should hold, every file's header read, checksums compared."""

import csv
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unicodedata import normalize

from mixdata import audio
from mixdata.corpora import Corpus, corpus_options
from mixdata.errors import SongError
from mixdata.index.manifest import Manifest, folder_of
from mixdata.progress import Progress
from mixdata.resources import resource
from mixdata.song import Song, Track
from mixdata.text import readable

THREADS = 4  # headers and hashes: the disk waits, not Python


@dataclass(frozen=True)
class Fault:
    """A file or song that is not as it should be: `kind` is missing_song, changed, unlisted, or the reason of a `SongError`."""

    kind: str
    what: str
    message: str


@dataclass
class Check:
    """What was found. `expected` is None where nothing is known of it; `compared` counts the checksums that were looked at."""

    songs: int = 0
    expected: int | None = None
    splits: dict[str, int] = field(default_factory=dict)
    expected_splits: dict[str, int] | None = None
    tracks: int = 0
    compared: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether everything is there and as it should be."""
        counted = self.expected in (None, self.songs) and (self.expected_splits is None or self.expected_splits == self.splits)
        return counted and not self.faults

    def by_kind(self) -> dict[str, int]:
        """Return how many faults there are of each kind."""
        return dict(sorted(Counter(fault.kind for fault in self.faults).items()))


def check_corpus(corpus: Corpus, checksums: Mapping[str, str] | None = None, quiet: bool = False) -> Check:
    """Check a corpus. `checksums` maps files, from the corpus's root on, to their MD5 or SHA-256 (told apart by their length)."""
    songs = list(corpus)
    expected, splits, titles = _expected(corpus)
    check = Check(len(songs), expected, dict(Counter(song.split or "none" for song in songs)), splits)
    check.faults += _missing_songs(titles, songs)
    tracks = {track: (song, track) for song in songs for _, whole in song.tracks() for track in getattr(whole, "parts", (whole,))}
    check.tracks = len(tracks)
    root = folder_of(corpus)
    files = dict.fromkeys(os.path.relpath(path, root) for _, track in tracks.values() for path in track.files)
    listed = {os.path.normpath(file): wanted for file, wanted in (checksums or {}).items()}
    sums = {file: wanted for file, wanted in listed.items() if file not in files or (root / file).exists()}  # else it is missed below
    check.compared = len(sums)
    with (
        ThreadPoolExecutor(THREADS) as threads,
        Progress("checking files", total=len(tracks) + len(sums), unit="file", quiet=quiet) as progress,
    ):
        for fault in threads.map(_probed, tracks.values()):
            progress.update(1)
            check.faults += [fault] if fault else []
        for fault in threads.map(lambda item: _compared(root, *item), sums.items()):
            progress.update(1)
            check.faults += [fault] if fault else []
    if listed:
        strangers = [file for file in files if file not in listed and (root / file).is_file()]  # what is not there is missed already
        check.faults += [Fault("unlisted", file, f"{file}: has no checksum in the list") for file in strangers]
    return check


def checksums_of(manifest: Manifest) -> dict[str, str]:
    """Return the SHA-256 of every file that a manifest lists, by its place from the root on."""
    rows: list[dict[str, Any]] = manifest.table.select(["file", "stream", "sha256"]).to_pylist()
    return {row["file"]: row["sha256"] for row in rows if row["sha256"] and row["stream"] == 0}


def from_root(checksums: Mapping[str, str], root: Path) -> dict[str, str]:
    """Return checksums by places from the root on, where a list starts at the folder above, as mirdata's indexes of Slakh do."""
    above = root.resolve().name + "/"
    there = {file: file if (root / file).exists() else file.removeprefix(above) for file in checksums}
    return {there[file]: wanted for file, wanted in checksums.items()}


def _expected(corpus: Corpus) -> tuple[int | None, dict[str, int] | None, list[str]]:
    """Return how many songs there should be, by split too, and which.

    An option of the name of a column (`version` of MedleyDB) chooses among the songs of the published list; `split` deals them otherwise
    than the facts count them.
    """
    facts, usual = corpus.facts, corpus_options(corpus.facts.name)
    chosen = {key: str(value) for key, value in corpus.options.items() if value != usual[key]}
    name, _, column = facts.song_list.partition(":")
    rows: list[dict[str, str]] = []
    if name:
        with open(resource("manifests", name), encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    part = {key: value for key, value in chosen.items() if rows and key in rows[0]}
    titles = [row[column] for row in rows if part.items() <= row.items()]
    if part:
        return len(titles), None, titles
    return (None, None, titles) if "split" in chosen else (facts.songs, facts.splits, titles)


def _missing_songs(titles: list[str], songs: list[Song]) -> list[Fault]:
    """Return the songs of a published list that are not there."""
    there = {_folded(name) for song in songs for name in (song.title, str(song.facts.get("id", "")))}
    return [Fault("missing_song", title, f"{title}: the song is not there") for title in titles if _folded(title) not in there]


def _folded(title: str) -> str:
    return normalize("NFC", title).casefold()


def _probed(item: tuple[Song, Track]) -> Fault | None:
    song, track = item
    try:
        track.info()
    except SongError as error:
        return Fault(error.reason, song.title, error.message)
    gone = [path for path in track.files if not path.is_file()]  # of a dataset's shards, whose headers are in its index
    return Fault("missing", song.title, f"{readable(gone[0])}: there is no such file") if gone else None


def _compared(root: Path, file: str, wanted: str) -> Fault | None:
    try:
        found = audio.file_hash(root / file, "sha256" if len(wanted) == 64 else "md5")
    except SongError as error:
        return Fault(error.reason, file, error.message)
    if found != wanted.lower():
        return Fault("changed", file, f"{file}: its checksum is {found}, not {wanted}: the file was changed or came damaged")
    return None
