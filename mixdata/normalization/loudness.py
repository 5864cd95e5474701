"""Loudness: one gain for the whole stem."""

import math
from typing import Any

import numpy as np

from mixdata.example import Audio
from mixdata.measures import integrated_loudness, sample_peak_db


def match_loudness(
    audio: Audio, sample_rate: int, target_lufs: float, *, ceiling_db: float | None = 0.0, loudness_lufs: float | None = None
) -> tuple[Audio, dict[str, Any]]:
    """Bring a stem to a loudness, LUFS, but not above a sample peak of `ceiling_db` dBFS: nothing is clipped, a gain too large is lowered.

    `loudness_lufs` is the stem's own where that is known. Silence stays as it is.
    """
    loudness = integrated_loudness(audio, sample_rate) if loudness_lufs is None else loudness_lufs
    if not math.isfinite(loudness):
        return audio, {"gain_db": 0.0, "limited_by_peak": False}
    gain_db = target_lufs - loudness
    most = math.inf if ceiling_db is None else ceiling_db - sample_peak_db(audio)
    limited = gain_db > most
    gain_db = round(min(gain_db, most), 4)
    return audio * np.float32(10 ** (gain_db / 20)), {"gain_db": gain_db, "limited_by_peak": limited}
