"""Looking at songs: can they be used, which split are they in, is one there twice? Nothing is decoded that a header can tell."""

import contextlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixdata import rng
from mixdata.corpora import Corpus
from mixdata.errors import SongError, UsageError
from mixdata.leaks.overlaps import known_as
from mixdata.licences import Use, allows, licences_in, refusal
from mixdata.progress import Progress
from mixdata.recipes.model import Recipe
from mixdata.recipes.work import SHORTEST, refuse_channels
from mixdata.song import Song

SPLITS = ("train", "valid", "test")
_WIDER = {"commercial": "build for research (--set licence=research)", "research": "build for yourself (--set licence=any)"}


@dataclass(frozen=True)
class Place:
    """Where a song's files lie: the corpus's root, and size and time of every file."""

    root: str
    files: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, song: Song, root: Path | None) -> "Place":
        """Look at the song's files now."""
        paths = dict.fromkeys(str(path) for _, track in song.tracks() for path in track.files)
        stats = [(path, os.stat(path)) for path in paths if os.path.isfile(path)]
        return cls(str(root or ""), tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in stats))

    def main_file(self) -> str | None:
        """Return the song's first file, from the corpus's root on; None for songs that are made up."""
        return self.inside(self.files[0][0]) if self.files else None

    def inside(self, text: str) -> str:
        """Return a message without the folders of this machine: paths are told from the corpus's root on."""
        for root in {self.root, os.path.realpath(self.root)} - {"", "/"}:
            text = text.replace(f"{root.rstrip('/')}/", "")
        return text.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class PlannedSong:
    """A song that the build will use.

    `frames` is its length at the recipe's rate, `fingerprints` what its examples are made of besides itself, `place` where it lies on
    this machine (for messages and for noticing that a file changed; not part of what is built). `tracks` is how many stems its examples
    have in the recipe's variable roles.
    """

    song: Song
    split: str
    frames: int
    fingerprints: tuple[str, ...]
    place: Place
    tracks: int = 0

    def about(self) -> dict[str, Any]:
        """Return what every record says of the song."""
        song = self.song
        return {
            "id": song.id,
            "sha256": song.sha256,
            "title": song.title,
            "corpus": song.corpus,
            "licence": song.licence,
            "wet": song.wet,
            "groups": dict(song.groups),
            **{name: value for name, value in (("facts", dict(song.facts)), ("errata", list(song.errata))) if value},
        }


def survey(recipe: Recipe, corpora: Iterable[Corpus], quiet: bool = False) -> tuple[list[PlannedSong], list[dict[str, Any]]]:
    """Look at every song of the corpora. Returns those that can be used, and rows of songs.parquet for those that cannot."""
    corpora = list(corpora)
    for corpus in corpora:
        if corpus.facts.kind == "responses":
            raise UsageError(f"corpus {corpus.spec!r} holds impulse responses, not songs: give its folder to the effect convolution")
    _refuse_weights(recipe)
    songs = [(song, corpus.root) for corpus in corpora for song in corpus]
    if not songs:
        raise UsageError("the corpora hold no songs")
    shares, given = recipe.header.splits, given_splits(song for song, _ in songs)

    def examine(item: tuple[Song, Path | None]) -> PlannedSong | tuple[Place, SongError]:
        song, root = item
        place = Place.of(song, root)
        try:
            _refuse_licence(song, recipe.header.licence)
            frames, fingerprints = _examine(song, recipe)
            # Without a split of its own a song follows itself in another corpus, or its artist: else these would be in two splits.
            split = song.split or given_split(song, given) or split_of(song.group, shares)
            return PlannedSong(song, split, frames, fingerprints, place, recipe.song_tracks(song))
        except SongError as error:
            return place, error
        except OSError as error:
            return place, SongError("unreadable", f"{song.title}: {error.strerror or error}")

    usable: list[PlannedSong] = []
    rejected: list[dict[str, Any]] = []
    by_content: dict[str, PlannedSong] = {}
    by_id: dict[str, PlannedSong] = {}
    with ThreadPoolExecutor(2) as threads, Progress("looking at songs", total=len(songs), unit="song", quiet=quiet) as progress:
        for (song, _), found in zip(songs, threads.map(examine, songs), strict=True):
            progress.update(1)
            if isinstance(found, tuple):
                rejected.append(song_row(song, found[0], None, found[1]))
                continue
            twin = by_content.setdefault(song.sha256, found)
            namesake = by_id.setdefault(song.id, found)
            if twin is not found:
                error = SongError("duplicate", f"{song.title}: the same audio as {twin.place.main_file() or twin.song.title}")
                rejected.append(song_row(song, found.place, None, error))
            elif namesake is not found:
                error = SongError("id_taken", f"{song.title}: its id {song.id} is that of another song by chance; give it another title")
                rejected.append(song_row(song, found.place, None, error))
            else:
                usable.append(found)
    return usable, rejected


def given_splits(songs: Iterable[Song]) -> dict[str, str]:
    """Return the split that a corpus gave each group and each known song; one in several counts as test before valid before train."""
    given: dict[str, str] = {}
    for song in songs:
        if song.split in SPLITS:
            for name in (*([song.group] if song.groups else []), *known_as(song)):
                given[name] = max(given.get(name, song.split), song.split, key=SPLITS.index)
    return given


def given_split(song: Song, given: dict[str, str]) -> str | None:
    """Return the split that a song without one takes over: that of the same song, else that of its group."""
    return next((given[name] for name in (*sorted(known_as(song)), song.group) if name in given), None)


def split_of(group: str, shares: dict[str, float]) -> str:
    """Return the split of a group of songs: fixed by the group's name, so that adding songs moves none."""
    place, edge = rng.unit_hash("split", group), 0.0
    for split in SPLITS:
        edge += shares.get(split, 0.0)
        if place < edge:
            return split
    return next(split for split in reversed(SPLITS) if shares.get(split))


def _refuse_licence(song: Song, use: Use) -> None:
    """Raise `SongError` where the song's licence does not allow what the recipe's `licence` asks for."""
    for terms in licences_in(song.licence):
        if not allows(terms, use):
            raise SongError("licence", f"{song.title}: {refusal(terms, use)}; {_WIDER[use]} to use it")


def _refuse_weights(recipe: Recipe) -> None:
    """Raise `UsageError` where what a step adds to every song, such as separator's weights, does not allow the recipe's use."""
    use = recipe.header.licence
    for name, id in recipe.licences().items() if use != "any" else ():
        for terms in licences_in(id):
            if not allows(terms, use):
                raise UsageError(
                    f"{recipe.source}: {name}: {refusal(terms, use)}; it would be in every song. Use another, or {_WIDER[use]}"
                )


def song_row(song: Song, place: Place, split: str | None, error: SongError | None = None) -> dict[str, Any]:
    """Return the fixed columns of a song's row in songs.parquet. An unreadable file has neither id nor hash."""
    identity: dict[str, Any] = {"song": None, "sha256": None}
    with contextlib.suppress(SongError, OSError):
        identity = {"song": song.id, "sha256": song.sha256}
    return {
        **identity,
        "title": place.inside(song.title),
        "file": place.main_file(),
        "corpus": song.corpus,
        "split": split,
        "licence": song.licence,
        "wet": song.wet,
        "groups": json.dumps({kind: place.inside(name) for kind, name in song.groups.items()}, ensure_ascii=False),
        "status": "used" if error is None else "rejected",
        "reason": None if error is None else error.reason,
        "message": None if error is None else place.inside(error.message),
    }


def _examine(song: Song, recipe: Recipe) -> tuple[int, tuple[str, ...]]:
    """Return the song's frames at the recipe's rate and its fingerprints. Raises `SongError` where it cannot be used."""
    if song.unfit:
        raise SongError("known_bad", f"{song.title}: {song.unfit}")
    tracks = [song.mixture] if song.mixture is not None else list(song.stems.values()) or [track for _, track in song.tracks()]
    if not tracks:
        song.main_track()  # says that there is none
    infos = [track.info() for track in tracks]
    for track, info in zip(tracks, infos, strict=True):
        refuse_channels(track, info.channels)
    song.sha256  # noqa: B018  hashes the files here, in a thread, once
    seconds = max(info.frames / info.sample_rate for info in infos)
    if seconds < SHORTEST:
        raise SongError("too_short", f"{song.title}: {seconds:.2f} s; songs under {SHORTEST:g} s are left out")
    if seconds > recipe.header.max_song_seconds:
        most = f"max_song_seconds ({recipe.header.max_song_seconds:g})"
        raise SongError("too_long", f"{song.title}: {seconds / 60:.0f} minutes, more than {most}; cut it, or raise that")
    return round(seconds * recipe.header.sample_rate), tuple(recipe.song_fingerprints(song))
