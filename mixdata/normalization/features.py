"""What normalization evens out, of one stem: loudness, spectral shape, panning and the height of the onsets' peaks."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy import signal

from mixdata.measures.bands import CENTRES_HZ
from mixdata.measures.long_term import LongTerm, long_term
from mixdata.measures.loudness import integrated_loudness, k_weighting

LOWEST_HZ, HIGHEST_HZ = 50.0, 16_000.0  # where distances are taken
FLOOR_DB = 50.0  # what lies further under the loudest band counts as silent


@dataclass(frozen=True)
class Features:
    """The features of one stem; curves are over the bands of `mixdata.measures.bands`, NaN where the rate is too low for a band.

    `loudness_lufs`: integrated. `spectrum_db`: mean magnitude of all channels, at one K-weighted loudness of the curve (so levels and
    pauses are not in it). `similarity`: of the channels' magnitudes (see `LongTerm`), 1 in the middle, 0 in one channel alone.
    `onset_peak_lu`: mean of the higher quarter of the onsets' peaks over the integrated loudness, LU; NaN without onsets; compression
    lowers it.
    """

    loudness_lufs: float
    spectrum_db: np.ndarray
    similarity: np.ndarray
    onset_peak_lu: float

    def record(self) -> dict[str, Any]:
        """Return them as JSON-able data, rounded to what matters."""
        return {
            "loudness_lufs": _rounded(self.loudness_lufs, 2),
            "spectrum_db": [_rounded(value, 1) for value in self.spectrum_db],
            "similarity": [_rounded(value, 3) for value in self.similarity],
            "onset_peak_lu": _rounded(self.onset_peak_lu, 2),
        }


def measure(audio: np.ndarray, sample_rate: int, picture: LongTerm | None = None) -> Features:
    """Measure a stem, `(channels, frames)`; `picture` is its long-term picture, where that is at hand."""
    from mixdata.measures.onsets import onset_peaks  # loads slowly

    picture = picture or long_term(audio, sample_rate)
    loudness = integrated_loudness(audio, sample_rate)
    peaks = onset_peaks(audio, sample_rate)
    onset_peak = higher_quarter(peaks) - loudness if len(peaks) else math.nan
    return Features(loudness, shape_db(picture.bands("magnitude")), picture.bands("similarity"), onset_peak)


def higher_quarter(peaks_db: np.ndarray) -> float:
    """Return the mean of the values above their 75th percentile (of all, where none is above it)."""
    above = peaks_db[peaks_db > np.percentile(peaks_db, 75)]
    return float(np.mean(above if above.size else peaks_db))


def shape_db(magnitude: np.ndarray) -> np.ndarray:
    """Return a curve of magnitudes per band in dB, at one loudness: its K-weighted power over all finite bands is 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 20 * np.log10(magnitude) - 10 * np.log10(np.nansum(np.square(magnitude) * loudness_weights()))


@cache
def loudness_weights() -> np.ndarray:
    """Return how much a band's power counts for loudness: K weighting times the band's width, over all bands 1."""
    response = signal.freqz_sos(k_weighting(48_000), CENTRES_HZ, fs=48_000)[1]
    weights = np.abs(response) ** 2 * CENTRES_HZ
    return np.asarray(weights / weights.sum())


def spectral_distance_db(spectrum_db: np.ndarray, target_db: np.ndarray) -> float:
    """Return the RMS difference of two shapes over the bands between 50 Hz and 16 kHz, dB; the means of both are made equal first.

    What lies more than 50 dB under the target's loudest band counts as lying there. NaN where no band is finite in both.
    """
    inside = _compared(spectrum_db, target_db)
    if not inside.any():
        return math.nan
    floor = np.max(target_db[inside]) - FLOOR_DB
    difference = np.maximum(spectrum_db[inside], floor) - np.maximum(target_db[inside], floor)
    return float(np.sqrt(np.mean(np.square(difference - difference.mean()))))


def panning_distance(similarity: np.ndarray, target: np.ndarray, spectrum_db: np.ndarray) -> float:
    """Return the RMS difference of two similarities over the bands of 50 Hz to 16 kHz in which the stem sounds, 0 to 1."""
    inside = _compared(similarity, target) & np.isfinite(spectrum_db)
    inside &= np.nan_to_num(spectrum_db, nan=-np.inf) > np.max(spectrum_db[inside], initial=-np.inf) - FLOOR_DB
    return float(np.sqrt(np.mean(np.square(similarity[inside] - target[inside])))) if inside.any() else math.nan


def _compared(curve: np.ndarray, target: np.ndarray) -> np.ndarray:
    return np.isfinite(curve) & np.isfinite(target) & (CENTRES_HZ >= LOWEST_HZ) & (CENTRES_HZ <= HIGHEST_HZ)


def _rounded(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None
