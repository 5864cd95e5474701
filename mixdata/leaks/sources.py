"""What the command is given, as songs with splits: corpora, manifests and datasets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixdata.builder.survey import given_split, given_splits, split_of
from mixdata.corpora import load_corpus
from mixdata.errors import UsageError
from mixdata.index import load_manifest
from mixdata.leaks.find import UNKNOWN, Entry
from mixdata.leaks.overlaps import known_as
from mixdata.recipes.model import SPLITS
from mixdata.shards.reader import open_dataset
from mixdata.song import Song
from mixdata.text import cleaned


def load_sets(arguments: Sequence[str], listen: bool = True) -> list[list[Entry]]:
    """Return the songs of each argument: `NAME:ROOT`, a manifest of `mixdata index`, or the folder of a dataset (names only).

    A song without a split of its own gets the one that a build with the usual shares would give it.
    """
    loaded = [_songs(argument) for argument in arguments]
    given = given_splits(song for songs in loaded for song in songs)
    places = [argument if argument not in arguments[:number] else f"{argument} ({number + 1})" for number, argument in enumerate(arguments)]
    return [
        [Entry.of(song, _split(song, given, listen), place, listen) for song in songs] for place, songs in zip(places, loaded, strict=True)
    ]


def _songs(argument: str) -> list[Song]:
    path = Path(argument).expanduser()
    if (path / "dataset.json").is_file():
        return [_stored(row) for row in open_dataset(path).songs.to_dict("records") if row["status"] == "used"]
    if path.suffix == ".parquet" and path.is_file():
        return list(load_manifest(path))
    if path.is_dir():
        raise UsageError(f"{argument}: is no dataset (it has no dataset.json); name the corpus that it holds, as in folder:{argument}")
    return list(load_corpus(argument))


def _stored(row: dict[str, Any]) -> Song:
    """Return a song of a dataset, by its row of songs.parquet; it has no tracks."""
    return Song(cleaned(row["title"]), row["corpus"], split=row["split"], groups=json.loads(row["groups"]))


def _split(song: Song, given: dict[str, str], listen: bool) -> str:
    if song.split:
        return song.split
    if not song.groups and not listen:  # its split hangs on its content, and the files are not to be read
        return next((given[name] for name in sorted(known_as(song)) if name in given), UNKNOWN)
    return given_split(song, given) or split_of(song.group, SPLITS)
