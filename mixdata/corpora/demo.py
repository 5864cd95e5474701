"""A small corpus that needs no download: the real excerpt inside the stempeg package, and six synthetic songs."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora import synth
from mixdata.corpora._synthesis import STEMS, Piece
from mixdata.corpora.base import corpus
from mixdata.errors import UsageError
from mixdata.song import Song, Track

STREAMS = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}
SPLITS = ("train", "train", "train", "train", "valid", "test")
SEED, SECONDS, SAMPLE_RATE = 69, 20.0, 44100


@corpus("demo")
def songs() -> Iterator[Song]:
    """The excerpt in train, the synthetic songs in all three splits."""
    path = _excerpt()
    tracks = {stem: Track(path, number) for stem, number in STREAMS.items()}
    yield Song(
        "The Easton Ellises - Falcon 69",
        mixture=tracks["mixture"],
        stems={stem: tracks[stem] for stem in STEMS},
        split="train",
        groups={"artist": "The Easton Ellises"},
        licence="CC-BY-NC-SA-3.0",
    )
    for index, split in enumerate(SPLITS):
        yield synth.song(Piece(SEED, index, SECONDS, SAMPLE_RATE, effects=True), split, "demo")


def _excerpt() -> Path:
    """Find the file without importing stempeg, which wants ffmpeg to be installed."""
    found = importlib.util.find_spec("stempeg")
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder, "data").glob("*.stem.mp4")):
            return path
    raise UsageError("the corpus demo takes its excerpt from the stempeg package, which is not installed: pip install stempeg")
