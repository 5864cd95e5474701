"""Where is digital silence, or what is as good as that? Sound is any sample of any channel above a floor, dBFS."""

import numpy as np

from mixdata.errors import UsageError
from mixdata.measures.levels import sample_peak_db

FLOOR_DB = -60.0


def silence_boundaries(audio: np.ndarray, sample_rate: int, floor_db: float = FLOOR_DB, min_seconds: float = 0.0) -> tuple[int, int]:
    """Return the first frame that sounds and the frame after the last: `audio[:, first:stop]` is the audio without the silence around it.

    Silence before or after the sound that is shorter than `min_seconds` is left on. Audio without any sound gives (0, 0).
    Raises `AudioError` for NaN or infinity, `UsageError` for a negative duration.
    """
    sounds = np.flatnonzero(_sounds(audio, floor_db, min_seconds))
    if not sounds.size:
        return 0, 0
    first, stop, frames = int(sounds[0]), int(sounds[-1]) + 1, audio.shape[1]
    least = min_seconds * sample_rate
    return (first if first >= least else 0), (stop if frames - stop >= least else frames)


def silent_stretches(audio: np.ndarray, sample_rate: int, floor_db: float = FLOOR_DB, min_seconds: float = 0.1) -> list[tuple[int, int]]:
    """Return the stretches `(start, stop)`, in frames, of at least `min_seconds` in which nothing sounds, those at both ends included.

    Raises `AudioError` for NaN or infinity, `UsageError` for a negative duration.
    """
    edges = np.flatnonzero(np.diff(_sounds(audio, floor_db, min_seconds), prepend=True, append=True)).reshape(-1, 2)
    long_enough = edges[:, 1] - edges[:, 0] >= min_seconds * sample_rate
    return [(int(start), int(stop)) for start, stop in edges[long_enough]]


def _sounds(audio: np.ndarray, floor_db: float, min_seconds: float) -> np.ndarray:
    sample_peak_db(audio)  # refuses NaN, and what is not audio
    if not min_seconds >= 0:
        raise UsageError(f"min_seconds must be 0 or more, got {min_seconds}")
    return np.max(np.abs(audio), axis=0, initial=0.0) > 10 ** (floor_db / 20)
