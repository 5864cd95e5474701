"""Spectral matching: one smooth, zero-phase correction for all channels of a stem, which keeps its loudness and its stereo image."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from scipy import fft, signal

from mixdata.errors import UsageError
from mixdata.measures.bands import CENTRES_HZ, from_bands, to_bands
from mixdata.measures.levels import check, to_db
from mixdata.measures.long_term import LongTerm, long_term
from mixdata.measures.loudness import k_weighting
from mixdata.normalization.features import shape_db
from mixdata.normalization.filters import zero_phase

EMPTY_DB = 80.0  # a band this far under the loudest holds nothing that could be boosted
STEP_DB = 6.0  # per band: how fast boosts may rise beside bands that must not be boosted
EXACT_DB = 0.1  # a prediction further off than this is refined,
REFINED_DB = 2.0  # by this much at a time,
REFINEMENTS = 3  # so often: what is left would come with a second matching, but steep curves bring up what lies between partials
UNDER_DB = 30.0
POWER_SECONDS = 8192 / 44_100
ROWS = 16


def match_spectrum(
    audio: np.ndarray,
    sample_rate: int,
    target_db: np.ndarray,
    *,
    most_db: float | np.ndarray = 12.0,
    least_db: float | np.ndarray = -24.0,
    flat_above_hz: float = 16_000.0,
    bandwidth_hz: float | None = None,
    no_boost: np.ndarray | None = None,
    picture: LongTerm | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a stem, mono or stereo, brought to the target's spectral shape (`features.shape_db`), and what was done.

    The correction lies within `least_db` and `most_db` (for all bands, or one per band) and keeps the stem's K-weighted power (ungated:
    what sounds in few windows alone, as drums do, may read up to 1 LU differently). From the first band above `flat_above_hz` (or above
    `bandwidth_hz`, where that is lower) on it is level and no boost. Bands marked in `no_boost` and bands in which the stem has nothing
    are not boosted, and boosts beside them rise by 6 dB per band at most. `picture`: the stem's, where it is at hand.
    """
    check(audio)
    target_db = np.asarray(target_db, np.float64)
    if target_db.shape != CENTRES_HZ.shape or not np.isfinite(target_db).any():
        raise UsageError(f"a target spectrum is {len(CENTRES_HZ)} values in dB, one per band of mixdata.measures.bands, not all NaN")
    if not (np.all(np.less_equal(least_db, 0)) and np.all(np.greater_equal(most_db, 0))):
        raise UsageError(f"corrections reach from least_db <= 0 to most_db >= 0, got {least_db} and {most_db}")
    picture = picture or long_term(audio, sample_rate)
    limit_hz = min(flat_above_hz, bandwidth_hz or math.inf, sample_rate / 2)
    magnitude = picture.bands("magnitude")
    loudest = np.nanmax(magnitude)
    if loudest == 0:
        return audio.copy(), _record(np.zeros(len(CENTRES_HZ)), limit_hz, 0, 0)

    sounds = np.nan_to_num(magnitude) > loudest * 10 ** (-EMPTY_DB / 20)
    blocked = ~sounds | (limit_hz < CENTRES_HZ)
    blocked |= False if no_boost is None else np.asarray(no_boost, bool)
    most = np.minimum(most_db, STEP_DB * _distance(blocked))
    own_db = np.where(sounds, shape_db(magnitude), np.nan)
    wanted = _wanted(target_db - own_db)
    heard = picture.power * _k_weights(sample_rate, len(picture.power), picture.spacing_hz)
    weights = _loudness_shares(heard, picture.spacing_hz)
    asked = _at_one_loudness(wanted, weights, least_db, np.full_like(most, np.inf), limit_hz)
    curve = _at_one_loudness(wanted, weights, least_db, most, limit_hz)
    meant = curve
    for _ in range(REFINEMENTS):
        gains = _gains(curve, picture)
        missed = np.where(sounds & (limit_hz >= CENTRES_HZ), meant - _predicted(gains, picture, magnitude), 0.0)
        if np.max(np.abs(missed)) <= EXACT_DB:
            break
        share = np.sum(weights * 10 ** (curve / 10)) / np.sum(heard * gains**2)  # the centres tell little of steep curves
        curve = _at_one_loudness(curve + np.clip(missed, -REFINED_DB, REFINED_DB), weights, least_db, most, limit_hz, share)
    curve = np.round(curve, 2) + 0.0  # no -0.0
    capped = int(np.sum((curve >= most_db) | (curve <= least_db)))
    guarded = int(np.sum(sounds & (asked > np.maximum(most, 0.0)) & (most < most_db)))
    return zero_phase(audio, sample_rate, curve), _record(curve, limit_hz, capped, guarded)


def invert_spectrum(audio: np.ndarray, sample_rate: int, record: Mapping[str, Any]) -> np.ndarray:
    """Undo `match_spectrum` by its record: the same correction, turned over."""
    return zero_phase(audio, sample_rate, -np.asarray(record["correction_db"], np.float64))


def band_power(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the mean power of `(channels, frames)` per band, summed over its channels: for comparing raw levels."""
    check(audio)
    size = fft.next_fast_len(round(POWER_SECONDS * sample_rate), real=True)
    window = np.hanning(size).astype(np.float32)
    total = np.zeros(size // 2 + 1)
    for channel in audio:
        for first in range(0, audio.shape[1], ROWS * size):
            part = channel[first : first + ROWS * size]
            if part.size % size:
                part = np.concatenate([part, np.zeros(-part.size % size, part.dtype)])
            spectra = fft.rfft(part.reshape(-1, size) * window)
            total += np.einsum("ij,ij->j", spectra.real, spectra.real) + np.einsum("ij,ij->j", spectra.imag, spectra.imag)
    to_db(float(total.sum()))  # refuses NaN
    return to_bands(total / max(audio.shape[1], 1), sample_rate / size)


def guarded_bands(stem: np.ndarray, mixture: np.ndarray, sample_rate: int, under_db: float = UNDER_DB) -> np.ndarray:
    """Return, per band, whether a separated stem lies more than `under_db` under its mix, at raw levels: what a boost would raise is hiss.

    Either may be audio or its `band_power`, which saves measuring the mix anew for every stem.
    """
    powers = [np.nan_to_num(each if each.ndim == 1 else band_power(each, sample_rate)) for each in (stem, mixture)]
    return powers[0] < powers[1] * 10 ** (-under_db / 10)


def _wanted(difference_db: np.ndarray) -> np.ndarray:
    """Return the difference where it is known, level or linear where it is not."""
    return from_bands(difference_db, CENTRES_HZ) if np.isfinite(difference_db).any() else np.zeros(len(CENTRES_HZ))


def _loudness_shares(heard: np.ndarray, spacing_hz: float) -> np.ndarray:
    """Return K-weighted power per bin, shared out among the bands' centres as a linear interpolation between them would."""
    below, share = _places(len(heard), spacing_hz)
    above = heard * share
    return np.bincount(below, heard - above, len(CENTRES_HZ)) + np.bincount(below + 1, above, len(CENTRES_HZ))


@cache
def _places(bins: int, spacing_hz: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the band below each bin and how far, 0 to 1, the bin lies from there to the next."""
    places = from_bands(np.arange(float(len(CENTRES_HZ))), np.arange(bins) * spacing_hz)
    below = np.minimum(places.astype(np.int64), len(CENTRES_HZ) - 2)
    return below, places - below


@cache
def _k_weights(sample_rate: int, bins: int, spacing_hz: float) -> np.ndarray:
    response = signal.freqz_sos(k_weighting(sample_rate), np.arange(bins) * spacing_hz, fs=sample_rate)[1]
    return np.asarray(np.abs(response) ** 2)


def _distance(blocked: np.ndarray) -> np.ndarray:
    """Return how many bands lie between each band and the nearest blocked one: 0 there, infinity where none is."""
    bands = np.arange(float(len(blocked)))
    return np.min(np.abs(bands[:, None] - bands[blocked]), axis=1, initial=np.inf)


def _at_one_loudness(
    wanted: np.ndarray, weights: np.ndarray, least_db: float | np.ndarray, most: np.ndarray, limit_hz: float, share: float = 1.0
) -> np.ndarray:
    """Return the wanted correction within its limits, shifted so that the weighted power becomes `share` of what it is.

    By bisection, as limits do not shift.
    """
    goal = share * weights.sum()
    low, high = -100.0, 100.0
    for _ in range(50):
        offset = (low + high) / 2
        curve = _limited(wanted + offset, least_db, most, limit_hz)
        if np.dot(weights, 10 ** (curve / 10)) > goal:
            high = offset
        else:
            low = offset
    return curve


def _limited(curve: np.ndarray, least_db: float | np.ndarray, most: np.ndarray, limit_hz: float) -> np.ndarray:
    curve = np.clip(curve, least_db, most)
    inside = np.count_nonzero(limit_hz >= CENTRES_HZ)
    curve[inside:] = min(curve[inside - 1], 0.0) if inside else 0.0
    return curve


def _gains(curve: np.ndarray, picture: LongTerm) -> np.ndarray:
    """Return a correction as an amplitude per bin."""
    below, share = _places(len(picture.power), picture.spacing_hz)
    nepers = curve * (math.log(10) / 20)
    return np.exp(nepers[below] + share * np.diff(nepers)[below])


def _predicted(gains: np.ndarray, picture: LongTerm, magnitude: np.ndarray) -> np.ndarray:
    """Return what gains per bin will do to the bands' magnitudes, dB: bands overlap, and partials seldom lie on their centres."""
    after = to_bands(picture.magnitude * gains, picture.spacing_hz)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(20 * np.log10(after / magnitude))


def _record(curve: np.ndarray, limit_hz: float, capped: int, guarded: int) -> dict[str, Any]:
    return {
        "correction_db": [float(value) for value in curve],
        "limit_hz": round(limit_hz, 1),
        "capped_bands": capped,
        "guarded_bands": guarded,
    }
