"""Folders of ready-made pairs: the same file names below `input` and `target`."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from mixdata.corpora.base import Folder, RefusedTrack, artist_and_title, corpus, track, walk
from mixdata.errors import UsageError
from mixdata.song import Song, Track
from mixdata.text import readable

USUAL = (("input", "target"), ("wet", "dry"), ("degraded", "clean"), ("limited", "original"), ("processed", "unprocessed"))
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "dev": "valid", "test": "test"}


@corpus("pairs")
def songs(root: Path, *, input: str = "", target: str = "", stem: str = "mixture") -> Iterator[Song]:
    """A song per file name that both folders have; what only one of them has stays in the list with its other half missing."""
    if bool(input) != bool(target):
        raise UsageError("corpus 'pairs': name both folders, input=NAME,target=NAME, or none of them")
    for place, wet, dry in _places(walk(root), ((input, target),) if input else USUAL):
        halves = [_half(root, side) for side in (wet, dry)]
        inner = place.relative_to(root).parts
        for name in sorted(halves[0].keys() | halves[1].keys()):
            there = next(half[name] for half in halves if name in half)
            path = PurePosixPath(name)
            places = [side.path / f"{name}{there.path.suffix}" for side in (wet, dry)]
            tracks = [half.get(name, Track(absent)) for half, absent in zip(halves, places, strict=True)]
            artist, title = artist_and_title(path.name)
            yield Song(
                title,
                pair={"input": {stem: tracks[0]}, "target": {stem: tracks[1]}},
                split=next((SPLITS[part.lower()] for part in inner if part.lower() in SPLITS), None),
                groups={"artist": artist} if artist else {"folder": str(path.parent)} if path.parent.parts else {},
                facts={"id": str(PurePosixPath(*inner, path))},
            )


def _places(folder: Folder, names: tuple[tuple[str, str], ...]) -> Iterator[tuple[Path, Folder, Folder]]:
    """Yield every folder that holds both sides, and these."""
    sides = {sub.path.name.lower(): sub for sub in folder.folders}
    for wet, dry in names:
        if wet.lower() in sides and dry.lower() in sides:
            yield folder.path, sides[wet.lower()], sides[dry.lower()]
            return
    for sub in folder.folders:
        yield from _places(sub, names)


def _half(root: Path, side: Folder) -> dict[str, Track]:
    """Return the tracks of one side by their path in it without extension; accents may be written in either of Unicode's ways."""
    found: dict[str, Track] = {}
    for one in [track(root, path) for path in side.files] + list(side.refused):
        name = normalize("NFC", one.path.stem)
        if name in found:
            why = f"{readable(one.path)}: {readable(found[name].path.name)} has the same name: which of the two is meant?"
            found[name] = RefusedTrack(one.path, reason="unreadable", message=why)
        found.setdefault(name, one)
    return found | {f"{normalize('NFC', sub.path.name)}/{name}": one for sub in side.folders for name, one in _half(root, sub).items()}
