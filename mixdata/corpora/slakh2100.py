"""Slakh2100 (redux, original) and BabySlakh: MIDI songs rendered by sampled instruments, one mono file per instrument."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixdata.corpora._roots import find_root
from mixdata.corpora._slakh import EDITIONS, group, plain, read_song, song_folders, split_of
from mixdata.corpora.base import corpus, corpus_facts, refused_song, track
from mixdata.errors import SongError, UsageError
from mixdata.licences import licence
from mixdata.song import Song
from mixdata.taxonomy import grouped


@corpus("slakh2100")
def songs(root: Path, *, split: str = "redux") -> Iterator[Song]:
    """The songs. `split=redux` leaves out 390 whose MIDI another song has, `v2` moves songs until no MIDI is in two splits; `original`."""
    if split not in EDITIONS:
        raise UsageError(f"corpus 'slakh2100': split must be {' or '.join(EDITIONS)}, got {split!r}")
    root = find_root(root, lambda place: bool(song_folders(place)), corpus_facts("slakh2100").layout)
    for folder in song_folders(root):
        part = split_of(folder, split)
        if part != "omitted":
            yield replace(_song(root, folder), split=part)


def _song(root: Path, folder: Path) -> Song:
    try:
        meta, tracks, extension = read_song(root, folder)
    except SongError as error:
        return refused_song(folder, error)
    stems, unknown = grouped(tracks, group)
    return Song(
        folder.name,
        mixture=track(root, folder / f"mix{extension}"),
        stems=stems,
        raw=tracks,
        groups={"midi": str(meta["UUID"])} if meta.get("UUID") else {},
        licence=_licence(meta.get("licence")),
        facts={"overall_gain": plain(meta.get("overall_gain")), "unrendered": len(meta["stems"]) - len(tracks)},
        errata=tuple(f"unknown instrument {label!r}: counted as other" for label in unknown),
    )


def _licence(written: Any) -> str:
    """Return the licence that a tree of one's own in Slakh's layout gives; one that is said to be unknown is not Slakh's."""
    text = "unknown" if written is None else str(written)
    return "not stated" if written is not None and licence(text).id == "unknown" else text
