"""MUSDB18-HQ: one folder per song with the mixture and four stems as WAV."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._layout import folders
from mixdata.corpora._musdb import SUBSETS, catalogue, musdb_root, songs_of
from mixdata.corpora.base import corpus, track
from mixdata.song import Song


@corpus("musdb18hq")
def songs(root: Path) -> Iterator[Song]:
    """The songs of train and test."""
    place = musdb_root(root, hq=True)
    names = {"mixture": catalogue()["mixture"], **catalogue()["sources"]}
    for subset in SUBSETS:
        places = {path.name: path for path in folders(place / subset)} if (place / subset).is_dir() else {}
        yield from songs_of(subset, places, lambda path: {stem: track(root, path / name) for stem, name in names.items()})
