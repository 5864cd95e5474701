"""MoisesDB: one folder per song with `data.json` and one folder per stem with its sources. There is no mixture: it is the stems' sum."""

from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

from mixdata.corpora._layout import folders, labelled, refuse_outside, told_by
from mixdata.corpora._roots import find_root
from mixdata.corpora.base import corpus, corpus_facts, read_json, refused_song
from mixdata.errors import SongError
from mixdata.song import Song, Track, slug
from mixdata.taxonomy import grouped
from mixdata.text import cleaned


@corpus("moisesdb")
def songs(root: Path) -> Iterator[Song]:
    """The songs of every provider; sources end where they end, and their stem is as long as the longest."""
    place = find_root(root, lambda folder: bool(_providers(folder)), corpus_facts("moisesdb").layout)
    for folder in (song for provider in _providers(place) for song in folders(provider)):
        try:
            refuse_outside(root, folder / "data.json")
            data = read_json(folder / "data.json")
            with told_by(folder / "data.json"):
                song = _song(root, folder, data)
        except SongError as error:
            song = refused_song(folder, error)
        yield song


def _providers(place: Path) -> list[Path]:
    """The folders that hold songs: `place`, else those in it."""
    held = [folder for folder in (place, *folders(place)) if any((song / "data.json").exists() for song in folders(folder))]
    return [place] if place in held else held


def _song(root: Path, folder: Path, data: dict[str, Any]) -> Song:
    sources: dict[str, Track] = {}
    for stem in data["stems"]:
        for entry in stem["tracks"]:
            about = {"stem": stem["stemName"], "id": entry["id"], "has_bleed": bool(entry.get("has_bleed"))}
            path = folder / stem["stemName"] / f"{entry['id']}.{entry.get('extension', 'wav')}"
            name = slug(f"{stem['stemName']}-{entry['trackType']}", 60)
            name = next(free for free in chain([name], (f"{name}_{i}" for i in count(2))) if free not in sources)
            sources[name] = labelled(root, path, entry["trackType"], **about)
    stems, unknown = grouped(sources, lambda _, track: str(track.facts["stem"]))
    bleeding = [name for name, track in sources.items() if track.facts["has_bleed"]]
    warnings = [f"unknown stem {label!r}: counted as other" for label in unknown]
    artist, title = cleaned(data.get("artist") or ""), cleaned(data.get("song") or folder.name)
    return Song(
        f"{artist} - {title}" if artist else title,
        stems=stems,
        raw=sources,
        groups={"artist": artist} if artist else {},
        facts={"id": folder.name} | ({"genre": data["genre"]} if data.get("genre") else {}),
        errata=tuple(warnings + [f"bleed in {', '.join(bleeding)}"] * bool(bleeding)),
    )
