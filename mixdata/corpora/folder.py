"""A folder of one's own music: mixes anywhere below it, or one folder per song with its stems."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

from mixdata import audio
from mixdata.corpora.base import Folder, RefusedTrack, artist_and_title, corpus, track, walk
from mixdata.errors import AudioError
from mixdata.song import Song, Track, slug
from mixdata.text import cleaned

MIXTURES = ("mixture", "mix", "mixture_sum")
SAME = {"vocal": "vocals", "voice": "vocals", "vox": "vocals", "drum": "drums", "others": "other"}
KNOWN = {"vocals", "drums", "bass", "other", "guitar", "piano", "keys", "strings", "percussion", "synth", "brass", "accompaniment"}
NOBODY = {"various artists", "various", "va", "unknown artist", "unknown"}


@corpus("folder")
def songs(root: Path) -> Iterator[Song]:
    """Every audio file below becomes a song, or a part of one, whatever is inside it."""
    yield from _songs(root, walk(root))


def _songs(root: Path, folder: Folder) -> Iterator[Song]:
    parts = {sub.path.name.lower(): sub for sub in folder.folders if sub.files and sub.path.name.lower() in ("grouped", "stems")}
    if _is_multitrack(root, folder, parts):
        yield _multitrack(root, folder, parts)
    else:
        parts = {}
        for file in folder.files:
            yield _song(root, file, {"mixture": track(root, file)})
    for refused in folder.refused:
        yield Song(cleaned(refused.path.name), mixture=refused)
    for sub in folder.folders:  # of the folders with stems, only what lies deeper
        yield from _songs(root, replace(sub, files=()) if sub in parts.values() else sub)


def _is_multitrack(root: Path, folder: Folder, parts: dict[str, Folder]) -> bool:
    """Whether a folder is one song with its stems. In doubt its files are songs: taken for stems, they would be lost without a word."""
    names = [stem_name(file) for file in folder.files]
    mixed = any(name in MIXTURES for name in names)
    if parts:
        return mixed or not names
    if folder.path == root and any(name not in MIXTURES and name not in KNOWN for name in names):
        return False  # the corpus's own folder, with other music in it
    return (mixed and len(names) > 1) or len(KNOWN.intersection(names)) >= 2


def _multitrack(root: Path, folder: Folder, parts: dict[str, Folder]) -> Song:
    """Stems are the files in `grouped`, else in `stems`, else beside the mixture; whatever else is there becomes a raw track."""
    main = parts.get("grouped") or parts.get("stems") or folder
    rest = [file for part in (*parts.values(), folder) if part is not main for file in part.files]
    mixtures = sorted((file for file in folder.files if stem_name(file) in MIXTURES), key=lambda file: MIXTURES.index(stem_name(file)))
    tracks: dict[str, Track] = {"mixture": track(root, mixtures[0])} if mixtures else {}
    raw: dict[str, Track] = {}
    for file in (*main.files, *rest):
        if file not in mixtures[:1]:
            mine = tracks if file in main.files and stem_name(file) not in (*MIXTURES, *tracks) else raw
            mine[_free(stem_name(file), mine)] = track(root, file)
    return _song(root, folder.path, tracks, raw)


def _song(root: Path, path: Path, tracks: dict[str, Track], raw: dict[str, Track] | None = None) -> Song:
    mixture = tracks.pop("mixture", None)
    main = mixture or next(iter(tracks.values() or (raw or {}).values()))
    found = {} if isinstance(main, RefusedTrack) else _tags(main.path)
    name = path.name if mixture is None or path != mixture.path else path.name.removesuffix(path.suffix)
    artist, title = artist_and_title(name)
    named = artist or (artist_and_title(path.parent.name)[0] if path.parent != root else None)
    groups = {"artist": found.get("artist") or named or "", "album": found.get("album", "")}
    groups = {kind: value for kind, value in groups.items() if value and value.casefold() not in NOBODY}
    if not groups and path != root and path.parent != root:
        groups = {"folder": cleaned(path.parent.name)}
    # A stem's title is the stem's; only a mix that stands alone has the song's.
    title = found.get("title", title) if mixture is not None and path == mixture.path else title
    return Song(title, mixture=mixture, stems=tracks, raw=raw or {}, groups=groups)


def _tags(path: Path) -> dict[str, str]:
    try:
        return audio.tags(path)
    except AudioError:
        return {}  # a broken file stays in the list: what is wrong with it is said when it is probed


def stem_name(file: Path) -> str:
    """Return what a file's name says its stem is: `Vox.wav` is `vocals`."""
    name = slug(file.stem)
    return SAME.get(name, name)


def _free(name: str, taken: dict[str, Track]) -> str:
    return next(free for free in chain([name], (f"{name}_{i}" for i in count(2))) if free not in taken)
