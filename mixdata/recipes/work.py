"""What the steps of a recipe work on: one song, loaded, and what was done to it so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import audio, rng
from mixdata.errors import SongError
from mixdata.example import Audio, Example, Roles
from mixdata.song import Song, Track

SHORTEST = 1.0  # seconds; less is no song
LOUDEST = 1000.0  # +60 dBFS; float files may go beyond full scale, but not that far


@dataclass
class Work:
    """One song on its way through the steps.

    `mixture` is `(2, frames)` at the recipe's rate. Steps fill `roles`, mark what does not exist in `active`, note what they measured in
    `measures` (columns of songs.parquet, and in every record), what they counted in `counts` (columns of songs.parquet) and what they did
    in `history` (goes into every record). `activity[stem]` tells per hop of `activity_hop_seconds` whether the stem sounds. `record` is
    put into every record beside that. `shares` are the sizes of the splits. `scratch` is where a step keeps what it needs again for the
    song's next example.
    """

    song: Song
    split: str
    sample_rate: int
    seed: int
    mixture: Audio
    cache_dir: Path | None = None
    shares: dict[str, float] = field(default_factory=dict)
    roles: Roles = field(default_factory=dict)
    active: dict[str, dict[str, bool]] = field(default_factory=dict)
    activity: dict[str, np.ndarray] = field(default_factory=dict)
    activity_hop_seconds: float = 0.1
    measures: dict[str, Any] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    scratch: dict[Any, Any] = field(default_factory=dict)

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return the generator for this song and purpose. The song counts by its content, so renaming moves no draw."""
        return rng.stream(self.seed, self.song.sha256, *names)

    def note(self, label: str, **done: Any) -> None:
        """Add to the record what a step did."""
        self.history.append({"step": label, **done})


def not_summing(role: str) -> str:
    """Refuse to change single stems of the role whose stems are promised to sum to its mixture."""
    if role == "target":
        raise ValueError("the stems of the target must go on summing to its mixture; choose another role")
    return role


def load_work(song: Song, split: str, sample_rate: int, seed: int, cache_dir: Path | None = None) -> Work:
    """Read a song's mixture as stereo at `sample_rate`: where it has none, the sum of its stems, else its published mix, else the sum
    of its raw tracks. Raises `SongError` where it cannot be used.
    """
    warnings: list[str] = ["errata"] if song.errata else []
    if song.mixture is not None:
        mixture = read_stereo(song.mixture, sample_rate, warnings)
    elif song.pair:  # what a whole song is measured by is its target
        mixture = read_stereo(next(iter(song.pair.get("target", next(iter(song.pair.values()))).values())), sample_rate, warnings)
    elif song.stems or song.published is None:
        mixture = _sum((song.stems or song.raw).values(), sample_rate, warnings, song.free_lengths or not song.stems)
    else:
        mixture = read_stereo(song.published, sample_rate, warnings)
    if mixture.shape[1] < SHORTEST * sample_rate:
        raise SongError("too_short", f"{song.title}: {mixture.shape[1] / sample_rate:.2f} s; songs under {SHORTEST:g} s are left out")
    if float(np.abs(mixture).max()) > LOUDEST:
        raise SongError("level", f"{song.title}: samples beyond {LOUDEST:g} times full scale; is it integer data stored as floats?")
    if not mixture.any():
        raise SongError("silent", f"{song.title}: digital silence from end to end")
    return Work(song, split, sample_rate, seed, mixture, cache_dir, warnings=list(dict.fromkeys(warnings)))


def read_stereo(track: Track, sample_rate: int, warnings: list[str]) -> Audio:
    """Read a track as `(2, frames)` at `sample_rate`; note in `warnings` what was changed to get there."""
    refuse_channels(track, track.info().channels)
    samples, rate = track.read()
    if samples.shape[0] == 1:
        warnings.append("mono")
        samples = np.repeat(samples, 2, axis=0)
    if rate != sample_rate:
        warnings.append("resampled" if rate > sample_rate * 0.9 else "low_rate")
        samples = audio.resample(samples, rate, sample_rate)
    return samples


def refuse_channels(track: Track, channels: int) -> None:
    """Raise `SongError` for more than two channels."""
    if channels > 2:
        raise SongError("channels", f"{track.path}: {channels} channels; only mono and stereo are used")


def _sum(tracks: Iterable[Track], sample_rate: int, warnings: list[str], free_lengths: bool) -> Audio:
    """Return the sum, as long as the longest; holds one track at a time."""
    total, lengths = np.zeros((2, 0)), set[int]()
    for track in tracks:
        total = added(total, read_stereo(track, sample_rate, warnings), lengths)
    if not lengths:
        raise SongError("empty", "the song has neither mixture nor stems")
    if len(lengths) > 1 and not free_lengths:
        warnings.append("unequal_lengths")
    return total.astype(np.float32)


def added(total: np.ndarray, samples: Audio, lengths: set[int]) -> np.ndarray:
    """Return `total` (float64) with the samples added to it, longer where they are; note their length."""
    lengths.add(samples.shape[1])
    if samples.shape[1] > total.shape[1]:
        total = np.pad(total, ((0, 0), (0, samples.shape[1] - total.shape[1])))
    total[:, : samples.shape[1]] += samples
    return total
