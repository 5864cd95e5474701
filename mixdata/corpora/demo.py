"""A small corpus that needs no download: the real excerpt inside the stempeg package, and six synthetic songs."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora import synth
from mixdata.corpora._synthesis import Piece
from mixdata.corpora.base import CorpusFacts, corpus
from mixdata.errors import UsageError
from mixdata.song import Song, Track

FACTS = CorpusFacts(
    name="demo",
    title="One real 6 s excerpt (The Easton Ellises, Falcon 69) and six synthetic songs of 20 s",
    licence="CC-BY-NC-SA-3.0 (the excerpt), CC0-1.0 (the synthetic songs)",
    stems=("vocals", "drums", "bass", "other"),
    wet="wet",
    home="https://github.com/faroit/stempeg",
    needs_root=False,
)
STREAMS = {"mixture": 0, "drums": 1, "bass": 2, "other": 3, "vocals": 4}
SPLITS = ("train", "train", "train", "train", "valid", "test")
SEED, SECONDS, SAMPLE_RATE = 69, 20.0, 44100


@corpus(FACTS)
def songs() -> Iterator[Song]:
    """The excerpt in train, the synthetic songs in all three splits."""
    path = _excerpt()
    tracks = {stem: Track(path, number) for stem, number in STREAMS.items()}
    yield Song(
        "The Easton Ellises - Falcon 69",
        FACTS.name,
        mixture=tracks["mixture"],
        stems={stem: tracks[stem] for stem in FACTS.stems},
        split="train",
        groups={"artist": "The Easton Ellises"},
        licence="CC-BY-NC-SA-3.0",
        wet=FACTS.wet,
    )
    for index, split in enumerate(SPLITS):
        yield synth.song(Piece(SEED, index, SECONDS, SAMPLE_RATE, effects=True), split, FACTS.name)


def _excerpt() -> Path:
    """Find the file without importing stempeg, which wants ffmpeg to be installed."""
    found = importlib.util.find_spec("stempeg")
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder, "data").glob("*.stem.mp4")):
            return path
    raise UsageError("the corpus demo takes its excerpt from the stempeg package, which is not installed: pip install stempeg")
