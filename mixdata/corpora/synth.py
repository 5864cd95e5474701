"""Procedural multitracks from a seed: songs with tempo, key, chords and sections, nothing on disk."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from mixdata.audio import HIGHEST_RATE, LOWEST_RATE, AudioInfo
from mixdata.corpora._synthesis import STEMS, VERSION, Piece, render
from mixdata.corpora.base import corpus
from mixdata.errors import UsageError
from mixdata.song import Song, Track


@dataclass(frozen=True)
class SynthTrack(Track):
    """A stem, or the mixture, of a piece: rendered when it is read. Its hash is of what decides the sound."""

    piece: Piece = field(kw_only=True)
    stem: str = field(kw_only=True)

    def info(self) -> AudioInfo:
        """Stereo at the piece's rate and length."""
        return AudioInfo(self.piece.sample_rate, 2, self.piece.frames, f"synth/{VERSION}")

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Return float32 `(2, frames)` and the rate; a range is a slice of the whole."""
        stop = None if frames is None else start + frames
        return _rendered(self.piece)[self.stem][:, start:stop].copy(), self.piece.sample_rate

    @property
    def sha256(self) -> str:
        """Hash of the piece, the stem and the version of the synthesis."""
        return hashlib.sha256(json.dumps(["synth", VERSION, dataclasses.astuple(self.piece), self.stem]).encode()).hexdigest()


@lru_cache(maxsize=2)
def _rendered(piece: Piece) -> dict[str, np.ndarray]:
    return render(piece)


@corpus("synth")
def songs(
    *, songs: int = 8, seconds: float = 60.0, seed: int = 0, sample_rate: int = 44100, effects: bool = False, first: int = 0
) -> Iterator[Song]:
    """Songs `first` to `first + songs` of a seed; each is the same however many are asked for."""
    for name, value, low, high in (
        ("songs", songs, 1, 1_000_000),
        ("seconds", seconds, 1, 3600),
        ("sample_rate", sample_rate, LOWEST_RATE, HIGHEST_RATE),
        ("first", first, 0, 10**9),
    ):
        if not low <= value <= high:
            raise UsageError(f"corpus 'synth': {name} must lie between {low} and {high}, got {value}")
    for index in range(first, first + songs):
        yield song(Piece(seed, index, float(seconds), sample_rate, effects))


def song(piece: Piece, split: str | None = None, corpus: str = "synth") -> Song:
    """Return the song of a piece."""
    title = f"synth-{piece.index:04d}"
    place = Path("synth", str(piece.seed), title)
    tracks = {stem: SynthTrack(place / stem, piece=piece, stem=stem) for stem in ("mixture", *STEMS)}
    mixture = tracks.pop("mixture")
    wet = "wet" if piece.effects else "dry"
    return Song(title, corpus, mixture=mixture, stems=tracks, split=split, licence="CC0-1.0", wet=wet)
