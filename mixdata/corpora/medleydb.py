"""MedleyDB, versions 1 and 2: per song an engineer's mix, its processed stems and the raw tracks below them.

`stems=groups` sums the stems of one group of instruments, `files` gives each by itself, as `s01`, `s02`, …; `raw=false` leaves the raw
tracks out. `metadata` is the clone of github.com/marl/medleydb (or a folder in it), where the corpus's own folder does not hold its files.
"""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._layout import labelled, told_by
from mixdata.corpora._medleydb import SAME_ARTIST, Metadata, find_metadata, song_folders, versions
from mixdata.corpora.base import corpus, refused_song
from mixdata.errors import SongError, UsageError
from mixdata.song import Song, Track
from mixdata.taxonomy import grouped
from mixdata.text import cleaned

FACTS = ("origin", "genre", "composer", "album", "excerpt", "instrumental", "has_bleed")
TRUTH = {"yes": True, "no": False}
BLEED = "marked has_bleed: in some stem or raw track other instruments can be heard"


@corpus("medleydb")
def songs(root: Path, *, version: str = "all", stems: str = "groups", raw: bool = True, metadata: str = "") -> Iterator[Song]:
    """Every song whose folder lies at most four folders down, by name."""
    if version not in ("all", "1", "2") or stems not in ("groups", "files"):
        raise UsageError(f"corpus 'medleydb': version must be 1, 2 or all, stems groups or files; got version={version}, stems={stems}")
    found = song_folders(root)
    known = find_metadata(root, metadata, found.values())
    for name, folder in found.items():
        if version in ("all", versions().get(name)):
            try:
                song = _song(root, folder, name, known, stems, raw)
            except SongError as error:
                song = refused_song(folder.with_name(name), error)
            yield song


def _song(root: Path, folder: Path, name: str, known: Metadata, kind: str, with_raw: bool) -> Song:
    (path, data), numbered = known.of(name, folder), known.of_stems(name)
    parts, sources = dict[str, Track](), dict[str, Track]()
    with told_by(path):
        with_raw = with_raw and (folder / str(data.get("raw_dir", ""))).is_dir()  # a download of its own, which may be left out
        for key, stem in data["stems"].items():
            about = {"stem": key, "component": stem["component"] or None} | numbered.get(int(key[1:]), {})
            parts[key.lower()] = labelled(root, folder / data["stem_dir"] / stem["filename"], stem["instrument"], **about)
            for raw_key, raw in (stem["raw"] or {}).items() if with_raw else ():
                sources[f"{key}_{raw_key}".lower()] = labelled(root, folder / data["raw_dir"] / raw["filename"], raw["instrument"], **about)
        groups, unknown = grouped(parts)
        artist = SAME_ARTIST.get(data["artist"], cleaned(data["artist"]))
        facts = {fact: TRUTH.get(str(data[fact]), data[fact]) for fact in FACTS if data.get(fact) not in (None, "", [])}
        return Song(
            cleaned(f"{artist} - {data['title']}"),
            mixture=labelled(root, folder / data["mix_filename"]),
            stems=groups if kind == "groups" else parts,
            raw=sources,
            groups={"artist": artist} if artist else {},
            facts={"id": name, "version": versions().get(name)} | facts,
            errata=(*(f"unknown instrument {label!r}: counted as other" for label in unknown), *[BLEED] * (facts.get("has_bleed") is True)),
        )
