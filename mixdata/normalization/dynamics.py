"""Dynamics: compress or expand a stem until its onsets' peaks lie as far over its loudness as a target's do.

FxNorm (Martínez-Ramírez et al., ISMIR 2022) runs a compressor for each threshold and ratio until the peaks are low enough, each channel for
itself. Here one gain serves all channels, and settings are tried on a model of the level; a few real runs correct what it predicts.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixdata.effects.base import Effect, describe
from mixdata.effects.compressor import Compressor
from mixdata.effects.upward_expander import UpwardExpander
from mixdata.measures.levels import check, sample_peak_db
from mixdata.measures.loudness import integrated_loudness
from mixdata.measures.onsets import onset_frames, onset_peaks
from mixdata.normalization.features import higher_quarter
from mixdata.normalization.level_model import Ballistics, LevelModel

TOLERANCE_LU = 0.1
QUIET_DB = -50.0  # a stem that peaks lower is left alone, as published
RUNS = 4
EXPANSION, MOST_EXPANSION = 2.0, 4.0  # ratios
EXPANSION_DEPTH_DB, MOST_BOOST_DB = 9.0, 24.0  # what lies lower needs no boost, which would only be a gain
QUICK_ATTACK_MS, QUICK_RELEASE_MS, QUICK_LOOKAHEAD_MS = 0.1, 50.0, 1.0
COARSE = np.concatenate([np.arange(16) / 16, 1 + np.arange(9) / 8])
FINE = 9


@dataclass(frozen=True)
class CompressorSettings:
    """How a stem is compressed or expanded: times to 63 %; the ratio that compression begins with, and the highest.

    `depth_db` is how far under the highest onset peak a threshold may lie. `quicken`: where these times cannot bring the stem to its
    target, an attack of 0.1 ms and a release of 50 ms may. An attack of 10 ms lets through what an onset's peak is made of.
    """

    attack_ms: float
    release_ms: float
    ratio: float
    most_ratio: float = 20.0
    depth_db: float = 40.0
    quicken: bool = True


PUBLISHED = {  # FxNorm's, with its range of ratios; its thresholds go down to 30 dB under the highest peak
    "vocals": CompressorSettings(7.5, 400, 4),
    "drums": CompressorSettings(10, 180, 6),
    "bass": CompressorSettings(10, 500, 5),
    "other": CompressorSettings(15, 666, 4),
}


def match_dynamics(
    audio: np.ndarray, sample_rate: int, target_lu: float, spread_lu: float, settings: CompressorSettings, *, expand: bool = False
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a stem, `(channels, frames)`, whose onset peaks lie within the spread of the target, and what was done.

    The feature is `Features.onset_peak_lu`. Over target + spread the stem is compressed until it lies there; under target - spread it is
    expanded upward until it lies there, where `expand` says so. Else it stays as it is, bit for bit, and so does one that peaks under
    -50 dBFS or has no onsets. The threshold comes down from the highest onset peak, at one ratio, then the ratio goes up; the first that
    reaches the edge within 0.1 LU is taken; where none does, the nearest is.

    In the record, `reached` says whether the stem lies within the spread in the end, and the gains are those on what lies within 40 dB of
    the peak. `effects.from_record(record["effect"])` does the same to the same audio again, bit for bit.
    """
    check(audio)
    onsets = onset_frames(audio, sample_rate)
    before = _onset_peak_lu(audio, sample_rate, onsets) if sample_peak_db(audio) >= QUIET_DB else math.nan
    low, high = target_lu - spread_lu, target_lu + spread_lu
    up = before < low
    if not (before > high + TOLERANCE_LU or (expand and before < low - TOLERANCE_LU)):
        return audio, _record(None, before, before, (low, high), np.zeros(1), 0)
    search = _Search(audio, sample_rate, onsets, before, low if up else high)
    most = MOST_BOOST_DB if up else math.inf
    ballistics = Ballistics(settings.attack_ms, settings.release_ms, 0.0, most, up)
    quick = Ballistics(QUICK_ATTACK_MS, QUICK_RELEASE_MS, 0.0 if up else QUICK_LOOKAHEAD_MS, most, up)
    if not search.along(settings, ballistics, needed=settings.quicken) and settings.quicken:
        search.along(settings, quick)
    gains_db = search.model.gains_db(search.audio)
    return search.audio, _record(search.effect, before, search.found, (low, high), gains_db, search.runs)


def _onset_peak_lu(audio: np.ndarray, sample_rate: int, onsets: np.ndarray | None = None) -> float:
    peaks, loudness = onset_peaks(audio, sample_rate, onsets), integrated_loudness(audio, sample_rate)
    return higher_quarter(peaks) - loudness if len(peaks) and math.isfinite(loudness) else math.nan


class _Search:
    """The best that was found so far for one stem."""

    def __init__(self, audio: np.ndarray, sample_rate: int, onsets: np.ndarray, before: float, edge: float):
        self.dry, self.sample_rate, self.before, self.edge = audio, sample_rate, before, edge
        self.highest = float(onset_peaks(audio, sample_rate, onsets).max())
        self.model = LevelModel(audio, sample_rate, onsets)
        self.audio, self.found, self.runs = audio, before, 0
        self.effect: Effect | None = None

    def along(self, settings: CompressorSettings, ballistics: Ballistics, needed: bool = False) -> bool:
        """Predict where on the way (0 to 2) the edge is met, go there, and correct the prediction by what was found there.

        Return whether the edge was met. What is `needed` to be tried at all is a prediction that it will be.
        """
        up = ballistics.up
        first, last = (EXPANSION, MOST_EXPANSION) if up else (settings.ratio, max(settings.most_ratio, settings.ratio))
        depth = EXPANSION_DEPTH_DB if up else settings.depth_db

        def way(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """Thresholds and ratios: first the threshold comes down, then the ratio goes up."""
            share = np.maximum(places - 1, 0.0)
            ratios = first + (last - first) * share if up else 1 / (1 / first + (1 / last - 1 / first) * share)
            thresholds = np.clip(self.highest - depth * np.minimum(places, 1.0), -120, 24)
            return np.round(thresholds, 4), np.round(ratios, 4)

        def predicted(places: np.ndarray) -> np.ndarray:
            thresholds, ratios = way(places)
            return self.model.onset_peak_lu(thresholds, ratios - 1 if up else 1 - 1 / ratios, ballistics)

        coarse = predicted(COARSE)
        start, share, tried = coarse[0], 1.0, {0.0}  # share: of the change predicted, how much comes
        for _ in range(RUNS):
            wanted = start + (self.edge - self.before) / share
            place, value = _first_crossing(coarse, wanted, up, predicted)
            if place in tried or (needed and abs(value - wanted) > TOLERANCE_LU):
                break
            tried.add(place)
            threshold, ratio = (float(values[0]) for values in way(np.array([place])))
            effect = _effect(threshold, ratio, ballistics)
            wet = effect(self.dry, self.sample_rate)
            self.runs += 1
            found = _onset_peak_lu(wet, self.sample_rate)
            share = min(max((found - self.before) / (value - start), 0.25), 4.0) if value != start else 1.0
            if abs(found - self.edge) < abs(self.found - self.edge):
                self.audio, self.effect, self.found = wet, effect, found
            if abs(self.found - self.edge) < TOLERANCE_LU:
                break
        return abs(self.found - self.edge) <= TOLERANCE_LU


def _effect(threshold_db: float, ratio: float, ballistics: Ballistics) -> Effect:
    attack, release = ballistics.attack_ms, ballistics.release_ms
    if ballistics.up:
        return UpwardExpander(threshold_db, ratio, ballistics.most_db, attack, release)
    return Compressor(
        threshold_db, ratio, attack, release, knee_db=0.0, lookahead_ms=ballistics.lookahead_ms, ballistics="smooth_branching"
    )


def _first_crossing(coarse: np.ndarray, edge: float, up: bool, predicted: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """Return the first place of the way at which the edge is met, or that nearest to it where it never is, and what is predicted there."""
    met = coarse >= edge if up else coarse <= edge
    if met[0] or not met.any():
        distance = np.abs(coarse - edge)
        nearest = int(np.argmax(distance <= distance.min() + TOLERANCE_LU))
        return float(COARSE[nearest]), float(coarse[nearest])
    after = int(np.argmax(met))
    places = np.linspace(COARSE[after - 1], COARSE[after], FINE)
    values = predicted(places)
    k = max(int(np.argmax(values >= edge if up else values <= edge)), 1)
    step = values[k] - values[k - 1]
    share = min(max((edge - values[k - 1]) / step, 0.0), 1.0) if step else 1.0
    return float(places[k - 1] + share * (places[k] - places[k - 1])), float(values[k - 1] + share * step)


def _record(
    effect: Effect | None, before: float, after: float, span: tuple[float, float], gains_db: np.ndarray, runs: int
) -> dict[str, Any]:
    return {
        "action": "none" if effect is None else "expand" if isinstance(effect, UpwardExpander) else "compress",
        "effect": describe(effect) if effect else None,
        "onset_peak_lu": [round(value, 2) if math.isfinite(value) else None for value in (before, after)],
        "mean_gain_db": round(float(gains_db.mean()), 2),
        "most_gain_db": round(float(gains_db[np.argmax(np.abs(gains_db))]), 2),
        "reached": span[0] - TOLERANCE_LU <= after <= span[1] + TOLERANCE_LU,
        "runs": runs,
    }
