"""Folders of ready-made pairs: the same file names below `input` and `target`."""

from collections.abc import Iterator
from pathlib import Path, PurePath

from mixdata.corpora.base import Folder, artist_and_title, corpus, track, walk
from mixdata.errors import UsageError
from mixdata.song import Song, Track

USUAL = (("input", "target"), ("wet", "dry"), ("degraded", "clean"), ("limited", "original"), ("processed", "unprocessed"))
SPLITS = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}


@corpus("pairs")
def songs(root: Path, *, input: str = "", target: str = "", stem: str = "mixture") -> Iterator[Song]:
    """A song per file name that both folders have; what only one of them has stays in the list with its other half missing."""
    if bool(input) != bool(target):
        raise UsageError("corpus 'pairs': name both folders, input=NAME,target=NAME, or none of them")
    for place, wet, dry in _places(walk(root), ((input, target),) if input else USUAL):
        halves = [{path.relative_to(side.path).with_suffix(""): path for path in _files(side)} for side in (wet, dry)]
        for name in sorted(halves[0].keys() | halves[1].keys()):
            found = [half.get(name, _absent(side, name, halves)) for half, side in zip(halves, (wet, dry), strict=True)]
            tracks: list[Track] = [track(root, path) for path in found]
            artist, title = artist_and_title(name.name)
            inner = place.relative_to(root).parts
            yield Song(
                title,
                pair={"input": {stem: tracks[0]}, "target": {stem: tracks[1]}},
                split=next((SPLITS[part] for part in inner if part in SPLITS), None),
                groups={"artist": artist} if artist else {"folder": name.parent.as_posix()} if name.parent.parts else {},
                facts={"id": PurePath(*inner, name).as_posix()},
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


def _files(folder: Folder) -> Iterator[Path]:
    yield from folder.files
    for sub in folder.folders:
        yield from _files(sub)


def _absent(side: Folder, name: PurePath, halves: list[dict[Path, Path]]) -> Path:
    """Return where the missing half would lie, for the message that it is not there."""
    there = next(half[Path(name)] for half in halves if Path(name) in half)
    return side.path / name.with_suffix(there.suffix)
