"""Slakh2100's editions and the metadata of its songs."""

import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from mixdata.corpora._layout import refuse_outside
from mixdata.corpora._roots import nameable, subfolders
from mixdata.corpora.base import read_yaml, track
from mixdata.errors import SongError
from mixdata.resources import resource
from mixdata.song import Track
from mixdata.taxonomy import DRUM_PROGRAM, group_of_program
from mixdata.text import cleaned, readable

EDITIONS = ("redux", "v2", "original")
FOLDERS = {"train": "train", "validation": "valid", "test": "test", "omitted": "omitted"}
ABOUT = ("midi_program_name", "program_num", "plugin_name", "is_drum", "integrated_loudness")


def song_folders(place: Path) -> list[Path]:
    """Return the folders `Track…` in a folder and in its folders of splits, sorted by split and name."""
    inner = {folder.name: folder for folder in subfolders(place)}
    places = [inner[name] for name in FOLDERS if name in inner]
    return [folder for where in (place, *places) for folder in subfolders(where) if folder.name.startswith("Track")]


def split_of(folder: Path, edition: str) -> str | None:
    """Return train, valid or test as the edition has it, `omitted` for songs that it leaves out, None where there are no splits.

    It goes by the song's number where the corpus has that number: its folder may have been moved to another edition's.
    """
    place = FOLDERS.get(folder.resolve().parent.name)
    named = re.fullmatch(r"Track(\d{5})", folder.name)
    lists = _editions()
    if place is None or not named or not 0 < int(named[1]) <= lists["last"]:
        return place
    number = int(named[1])
    if edition == "redux" and number in lists["redux"]["omitted"]:
        return "omitted"
    moved = next((split for split, numbers in lists["v2"].items() if number in numbers), None) if edition == "v2" else None
    return moved or ("train" if number <= lists["last_of_train"] else "valid" if number <= lists["last_of_valid"] else "test")


def read_song(root: Path, folder: Path) -> tuple[dict[str, Any], dict[str, Track], str]:
    """Return a song's metadata, its tracks by name, and the extension of its files.

    What was not rendered is no track, unless its file is there all the same: BabySlakh's metadata call all stems unrendered.
    """
    refuse_outside(root, folder / "metadata.yaml")
    meta, tracks = read_yaml(folder / "metadata.yaml"), {}
    if not isinstance(meta.get("stems"), dict) or not all(isinstance(stem, dict) for stem in meta["stems"].values()):
        raise SongError("metadata", f"{readable(folder / 'metadata.yaml')}: has no table of stems")
    extension = ".wav" if (folder / "mix.wav").exists() or any((folder / "stems").glob("*.wav")) else ".flac"
    for name, about in meta["stems"].items():
        if not nameable(f"{name}{extension}"):
            raise SongError("metadata", f"{readable(folder / 'metadata.yaml')}: {cleaned(str(name))[:80]!r} cannot be the name of a file")
        path = folder / "stems" / f"{name}{extension}"
        if about.get("audio_rendered", True) or path.exists():
            facts = {key: plain(about[key]) for key in ABOUT if key in about}
            tracks[str(name)] = replace(track(root, path), instrument=str(about.get("inst_class", "unknown")), facts=facts)
    return meta, tracks, extension


def group(name: str, of: Track) -> str | None:
    """Return a track's stem by its MIDI program, which tells more than its class ("Strings (continued)" holds choirs), else the class."""
    program = of.facts.get("program_num")
    if isinstance(program, int) and 0 <= program <= DRUM_PROGRAM:
        return group_of_program(program, bool(of.facts.get("is_drum")))
    return of.instrument


def plain(value: Any) -> Any:
    """Return a value of the metadata as a record can hold it: what is not finite (the loudness of silence) is None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


@cache
def _editions() -> dict[str, Any]:
    lists: dict[str, Any] = yaml.safe_load(resource("manifests", "slakh2100_splits.yaml").read_text("utf-8"))
    return {
        **lists,
        "redux": {"omitted": frozenset(lists["redux"]["omitted"])},
        "v2": {split: frozenset(numbers) for split, numbers in lists["v2"].items()},
    }
