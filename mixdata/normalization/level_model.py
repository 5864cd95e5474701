"""What a compressor or an upward expander would make of a stem's onset peaks and loudness, told from its level alone."""

import math
from dataclasses import dataclass

import numpy as np

from mixdata.effects.dynamics import pole
from mixdata.kernels import kernel
from mixdata.measures.loudness import HOP, cumulative_energies, gated_mean
from mixdata.normalization.features import higher_quarter

STEP_RATE = 22_050  # of the thinned level
BLOCK = 32  # steps for which one gain serves the energy
NOTHING_DB = -600.0
HEARD_DB = 40.0
NEPERS = math.log(10) / 10


@dataclass(frozen=True)
class Ballistics:
    """Of the gain, as in `Compressor`; `most_db` bounds it, and it raises the level where `up` says so."""

    attack_ms: float
    release_ms: float
    lookahead_ms: float
    most_db: float
    up: bool


class LevelModel:
    """The level of `(channels, frames)`, thinned out, the energy that loudness counts, and the onsets.

    Of each step the detector gets one sample, no mean and no maximum: so what it smooths is distributed as it is in the whole.
    """

    def __init__(self, audio: np.ndarray, sample_rate: int, onsets: np.ndarray):
        self.sample_rate, self.step = sample_rate, max(1, round(sample_rate / STEP_RATE))
        self.rate = sample_rate / self.step
        self.frames = audio.shape[1]
        size = -(-self.frames // (self.step * BLOCK)) * BLOCK
        levels = np.zeros((2, size))
        _thin(audio, self.step, levels)
        self.level_db, self.peak_db = _db(levels)
        self.onsets = onsets // self.step
        edges = np.minimum(np.arange(1, size // BLOCK + 1) * BLOCK * self.step, self.frames)
        self.energy = np.diff(cumulative_energies([audio], sample_rate, edges)[0], prepend=0.0)
        self.hops = np.floor((np.arange(size // BLOCK) + 0.5) * BLOCK / self.rate / HOP).astype(np.int64)

    def onset_peak_lu(self, thresholds_db: np.ndarray, slopes: np.ndarray, ballistics: Ballistics) -> np.ndarray:
        """Return about what `Features.onset_peak_lu` would be, for each pair of threshold and slope (see `effects.dynamics.Curve`)."""
        rise, fall = pole(ballistics.attack_ms, self.rate), pole(ballistics.release_ms, self.rate)
        ahead = round(ballistics.lookahead_ms * self.rate / 1000)
        sign = 1.0 if ballistics.up else -1.0
        peaks = np.full((len(self.onsets), len(thresholds_db)), NOTHING_DB)
        energy = np.zeros((max(int(self.hops[-1]) + 1, 4), len(thresholds_db)))
        _predict(
            *(self.level_db, self.peak_db, self.onsets, self.energy, self.hops),
            *(thresholds_db, slopes, ballistics.most_db, sign, rise, fall, ahead, peaks, energy),
        )
        total = np.cumsum(np.pad(energy, ((1, 0), (0, 0))), axis=0)
        powers = (total[4:] - total[:-4]) / (4 * HOP * self.sample_rate)
        loudness = (max(gated_mean(power, relative_gate=-10.0)[0], NOTHING_DB) for power in powers.T)
        return np.array([higher_quarter(peak) - value for peak, value in zip(peaks.T, loudness, strict=True)])

    def gains_db(self, wet: np.ndarray) -> np.ndarray:
        """Return the gain that made `wet`, at the samples of the thinned level that lie within 40 dB of the highest."""
        before = self.level_db[: -(-self.frames // self.step)]
        heard = before > self.peak_db.max() - HEARD_DB
        return _db(np.abs(wet[:, :: self.step]).max(axis=0))[heard] - before[heard]


def _db(amplitude: np.ndarray) -> np.ndarray:
    return np.asarray(20 * np.log10(np.maximum(amplitude.astype(np.float64), 10 ** (NOTHING_DB / 20))))


@kernel
def _thin(audio, step, levels):  # type: ignore[no-untyped-def]
    """Write the first and the highest magnitude of any channel in each step."""
    for channel in range(audio.shape[0]):
        for n in range(audio.shape[1]):
            value, place = abs(audio[channel, n]), n // step
            if n % step == 0:
                levels[0, place] = max(levels[0, place], value)
            levels[1, place] = max(levels[1, place], value)


@kernel
def _predict(level_db, peak_db, onsets, energy, hops, thresholds, slopes, most, sign, rise, fall, ahead, peaks, out):  # type: ignore[no-untyped-def]
    """Let the gain of each candidate follow the level; write the highest peak after each onset and the energy of each hop."""
    count, size = len(thresholds), len(level_db)
    gain, highest = np.zeros(count), np.empty(count)
    interval = -1
    for n in range(size + ahead):
        level, here = level_db[n] if n < size else NOTHING_DB, n - ahead
        while here >= 0 and interval + 1 < len(onsets) and here == onsets[interval + 1]:
            interval += 1
            highest[:] = NOTHING_DB
        peak = peak_db[max(here, 0)]
        for c in range(count):
            wanted = min(slopes[c] * max(level - thresholds[c], 0.0), most)
            old = gain[c]
            up, down = rise * old + (1 - rise) * wanted, fall * old + (1 - fall) * wanted
            new = up if wanted > old else down
            gain[c] = new
            highest[c] = max(highest[c], peak + sign * new)
        if here < 0:
            continue
        if interval >= 0 and (here + 1 == size or (interval + 1 < len(onsets) and here + 1 == onsets[interval + 1])):
            peaks[interval] = highest
        if here % BLOCK == BLOCK - 1:
            block = here // BLOCK
            for c in range(count):
                out[hops[block], c] += energy[block] * math.exp(sign * gain[c] * NEPERS)
