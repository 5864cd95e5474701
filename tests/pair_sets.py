"""Small datasets of wet/dry pairs for several tests, and what their records say the audio must be."""

import numpy as np

from mixdata.corpora import load_corpus
from mixdata.effects.base import from_record
from mixdata.example import Example
from mixdata.recipes import load_recipe
from mixdata.recipes.model import Recipe

RATE = 16_000
SONGS = "synth:songs=4,seconds=5,sample_rate=16000"
SMALL = ["sample_rate=16000", "segment.seconds=2", "output.shard=300kB"]
EFFECTS = {
    "keep": {"from": ["high_pass", "compressor"], "count": {"integers": [0, 2]}},
    "remove": {"from": ["distortion", "compressor", "delay", "chorus"], "count": {"integers": [1, 3]}},
    "high_pass": {"frequency_hz": {"uniform": [200, 600]}},
    "level": {"lufs": -20},
    "match": "input_to_target",
}
LEVEL = {"remove": {"from": ["gain"], "count": 1}, "gain": {"gain_db": -6.0}}


def pair_recipe(effects: dict, *settings: str, **overrides: object) -> Recipe:
    """Return effect_removal with these words, small enough for tests."""
    return load_recipe("effect_removal", [*SMALL, *settings], {"effects": effects, **overrides})


def dry_stems(spec: str = SONGS) -> dict[str, dict[str, np.ndarray]]:
    """Return the songs' stems by song id."""
    return {song.id: {name: track.read()[0] for name, track in song.stems.items()} for song in load_corpus(spec)}


def rendered(example: Example, stem: str, dry: np.ndarray) -> dict[str, np.ndarray]:
    """Return what the record of a stem's pair says: the whole stem through its chain from the pre-roll on. No code of `pairs` in it."""
    record = example.record["effects"][stem]
    first = 0 if record["per"] == "song" else example.start - record["pre_roll"]
    last = dry.shape[1] if record["per"] == "song" else example.start + example.frames
    out = {}
    for role in ("input", "target"):
        audio = dry[:, first:last] * np.float32(10 ** (record["gain_db"] / 20))
        links = [link for link in record["chain"] if role == "input" or not link["removed"]]
        gains = record["gains"][role] or [0.0] * len(links)
        for link, gain_db in zip(links, gains, strict=True):
            effect = from_record({name: value for name, value in link.items() if name not in ("label", "removed")})
            audio = effect(np.ascontiguousarray(audio * np.float32(10 ** (gain_db / 20))), example.sample_rate)
        audio = audio * np.float32(10 ** (record["gains"]["match"][role] / 20))
        out[role] = audio[:, example.start - first : example.start - first + example.frames]
    return out
