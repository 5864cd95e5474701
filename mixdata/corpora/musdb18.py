"""MUSDB18: one `.stem.mp4` per song, five AAC streams. The mixture was encoded by itself, so the stems sum to it within AAC's error."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._layout import files
from mixdata.corpora._musdb import SUBSETS, SUFFIX, catalogue, musdb_root, songs_of
from mixdata.corpora.base import corpus, track
from mixdata.song import Song


@corpus("musdb18")
def songs(root: Path) -> Iterator[Song]:
    """The songs of train and test."""
    place = musdb_root(root, hq=False)
    for subset in SUBSETS:
        places = {path.name.removesuffix(SUFFIX): path for path in files(place / subset, SUFFIX)}
        yield from songs_of(
            subset, places, lambda path: {stem: track(root, path, stream) for stem, stream in catalogue()["stem_ids"].items()}
        )
