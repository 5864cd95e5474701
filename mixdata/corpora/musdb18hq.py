"""MUSDB18-HQ: one folder per song with the mixture and four stems as WAV."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora._musdb import catalogue, songs_of
from mixdata.corpora.base import corpus, track
from mixdata.song import Song


@corpus("musdb18hq")
def songs(root: Path) -> Iterator[Song]:
    """The songs of train and test."""
    files = {"mixture": catalogue()["mixture"], **catalogue()["sources"]}
    for subset in ("train", "test"):
        places = {path.name: path for path in (root / subset).glob("[!.]*") if path.is_dir()}
        yield from songs_of(subset, places, lambda path: {stem: track(root, path / file) for stem, file in files.items()})
