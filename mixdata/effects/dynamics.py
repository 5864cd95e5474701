"""What compressors, expanders and gates share: level detection, the static curve, ballistics, and the gain put onto the audio.

Everything is computed in float64 and in decibels, block by block, with plain arithmetic only: logarithm and power are polynomials here,
as those of the system differ from machine to machine and cannot be run on several samples at once.
"""

import math
from dataclasses import dataclass

import numpy as np

from mixdata.effects.base import Audio
from mixdata.kernels import kernel

Constants = tuple[float, ...]
BALLISTICS = ("smooth_decoupled", "decoupled", "branching", "smooth_branching")
DETECTORS = ("peak", "rms")
LINKS = ("max", "mean", "none")

BLOCK = 1024
LANES = 4
DB_PER_OCTAVE = 20 * math.log10(2)
STEEPEST = 1e12
_DECOUPLED, _BRANCHING, _HOLDING = 0, 1, 2
_MANTISSA, _ONE, _EXPONENT = np.uint64(0x000F_FFFF_FFFF_FFFF), np.uint64(0x3FF0_0000_0000_0000), np.uint64(52)
_WHOLE, _BIAS = np.uint64(0x4330_0000_0000_0000), np.uint64(1023)
_WHOLE_OFFSET = 2.0**52 + 1023
_ROUND = 1.5 * 2.0**52
_SQRT2 = math.sqrt(2)
_ATANH = 2 / math.log(2)
_E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10 = (math.log(2) ** k / math.factorial(k) for k in range(1, 11))


@dataclass(frozen=True)
class Curve:
    """A static curve: the reduction is `slope` times the dB above the threshold (under it, where `below`), at most `most_db`.

    With `boost` the gain rises by as much instead: all that is said of the reduction holds of the boost. Within `knee_db` around the
    threshold a parabola joins the two straight lines (Giannoulis, Massberg and Reiss 2012, eq. 4).
    """

    threshold_db: float
    slope: float
    knee_db: float = 0.0
    below: bool = False
    most_db: float = math.inf
    boost: bool = False

    def reduction_db(self, level_db: float) -> float:
        """Return by how much a steady level is reduced."""
        return float(_reduction(level_db, self.threshold_db, -1.0 if self.below else 1.0, self.slope, self.knee_db, self.most_db))


@dataclass(frozen=True)
class Motion:
    """How the reduction follows the curve: `rise_ms` up, `fall_ms` down, both to 63.2 %. `hold_ms` counts for the kind `holding`."""

    kind: str
    rise_ms: float
    fall_ms: float
    hold_ms: float = 0.0


@dataclass(frozen=True)
class Detection:
    """What counts as the level: peak or RMS (a mean square of one pole), the largest or the mean of the channels, and how early."""

    detector: str = "peak"
    link: str = "max"
    rms_ms: float = 10.0
    lookahead_ms: float = 0.0


def excess_db(level: Audio, most_db: float) -> Audio:
    """Return by how many dB each value of a row lies above 1, within 0 and `most_db`."""
    out = np.array(level, np.float64)
    _to_reduction(out, len(out), np.empty(len(out)), np.empty(len(out)), DB_PER_OCTAVE, (0.0, 1.0, 1.0, 0.0, most_db))
    return out


def factors(gain_db: Audio) -> Audio:
    """Return the factor of each gain of a row."""
    out = -np.asarray(gain_db, np.float64)
    _to_gain(out, len(out), np.empty(len(out)), np.empty(len(out)), 0.0)
    return out


def pole(time_ms: float, sample_rate: float) -> float:
    """Return exp(-1 / (time x rate)): after that time a one-pole smoother has come 1 - 1/e (63.2 %) of the way."""
    return math.exp(-1000.0 / (time_ms * sample_rate)) if time_ms > 0 else 0.0


def apply_gain(audio: Audio, sample_rate: int, detection: Detection, curve: Curve, motion: Motion, makeup_db: float = 0.0) -> Audio:
    """Return `(channels, frames)` or `(pieces, channels, frames)` with the gain of curve and motion on it."""
    out = np.empty_like(audio)
    frames = audio.shape[-1]
    shape = (-1, 1, frames) if detection.link == "none" else (-1, audio.shape[-2], frames)
    rise, fall = pole(motion.rise_ms, sample_rate), pole(motion.fall_ms, sample_rate)
    _apply_gain(
        audio.reshape(shape),
        out.reshape(shape),
        detection.detector == "rms",
        pole(detection.rms_ms, sample_rate),
        detection.link == "mean",
        round(detection.lookahead_ms * sample_rate / 1000),
        (curve.threshold_db, -1.0 if curve.below else 1.0, min(curve.slope, STEEPEST), curve.knee_db, curve.most_db),
        {"holding": _HOLDING, "branching": _BRANCHING, "smooth_branching": _BRANCHING}.get(motion.kind, _DECOUPLED),
        (rise, 1 - rise, fall, 0.0 if motion.kind in ("decoupled", "branching") else 1 - fall),
        round(motion.hold_ms * sample_rate / 1000),
        makeup_db,
        curve.boost,
    )
    return out


@kernel
def _apply_gain(
    audio: Audio,
    out: Audio,
    rms: bool,
    mean_pole: float,
    mean: bool,
    ahead: int,
    curve: Constants,
    kind: int,
    motion: Constants,
    hold: int,
    makeup_db: float,
    boost: bool,
) -> None:
    """Go through the detector's time, which is `ahead` of the audio; four pieces beside each other, so that their recursions overlap."""
    pieces, channels, frames = audio.shape
    work, power, fraction = np.empty((LANES, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    for first in range(0, pieces, LANES):
        lanes = min(LANES, pieces - first)
        squares = np.zeros((LANES, channels))
        state = np.zeros((3, LANES))
        work[:] = 0.0
        for start in range(0, frames + ahead, BLOCK):
            size = min(BLOCK, frames + ahead - start)
            heard = max(0, min(size, frames - start))
            for lane in range(lanes):
                level = work[lane]
                if rms:
                    _mean_squares(audio[first + lane], start, heard, level, squares[lane], mean_pole, mean)
                else:
                    _peaks(audio[first + lane], start, heard, level, mean)
                level[heard:size] = 0.0
                _to_reduction(level, size, power, fraction, 0.5 * DB_PER_OCTAVE if rms else DB_PER_OCTAVE, curve)
            if kind == _HOLDING and start == 0:
                state[0] = work[:, 0]
            if kind == _DECOUPLED:
                _decoupled(work, size, state, motion)
            elif kind == _BRANCHING:
                _branching(work, size, state, motion)
            else:
                _holding(work, size, state, motion, hold)
            skipped = max(0, min(size, ahead - start))
            for lane in range(lanes):
                gain = work[lane]
                if boost:
                    for i in range(size):
                        gain[i] = -gain[i]
                _to_gain(gain, size, power, fraction, makeup_db)
                for channel in range(channels):
                    before, after = audio[first + lane, channel], out[first + lane, channel]
                    for i in range(skipped, size):
                        after[start - ahead + i] = before[start - ahead + i] * gain[i]


@kernel
def _peaks(audio: Audio, start: int, size: int, level: Audio, mean: bool) -> None:
    channels = audio.shape[0]
    for i in range(size):
        level[i] = abs(audio[0, start + i])
    for channel in range(1, channels):
        row = audio[channel]
        if mean:
            for i in range(size):
                level[i] += abs(row[start + i])
        else:
            for i in range(size):
                value = np.float64(abs(row[start + i]))
                level[i] = value if value > level[i] else level[i]
    if mean and channels > 1:
        for i in range(size):
            level[i] /= channels


@kernel
def _mean_squares(audio: Audio, start: int, size: int, level: Audio, squares: Audio, mean_pole: float, mean: bool) -> None:
    channels = audio.shape[0]
    for channel in range(channels):
        row, square = audio[channel], squares[channel]
        for i in range(size):
            value = np.float64(row[start + i])
            square = mean_pole * square + (1 - mean_pole) * (value * value)
            if channel == 0:
                level[i] = square
            elif mean:
                level[i] += square
            else:
                level[i] = max(level[i], square)
        squares[channel] = square if square > 1e-60 else 0.0
    if mean and channels > 1:
        for i in range(size):
            level[i] /= channels


@kernel
def _reduction(level_db: float, threshold_db: float, sign: float, slope: float, knee_db: float, most_db: float) -> float:
    over = sign * (level_db - threshold_db)
    in_knee = over + 0.5 * knee_db
    in_knee = in_knee if in_knee > 0.0 else 0.0
    in_knee = in_knee if in_knee < knee_db else knee_db
    beyond = over - 0.5 * knee_db
    beyond = beyond if beyond > 0.0 else 0.0
    bend = 0.5 / knee_db if knee_db > 0.0 else 0.0
    reduction = slope * (in_knee * in_knee * bend + beyond)
    return reduction if reduction < most_db else most_db


@kernel
def _to_reduction(level: Audio, size: int, power: Audio, fraction: Audio, db_per_octave: float, curve: Constants) -> None:
    """Turn amplitudes (or squares) into reductions in dB.

    log2 = exponent + 1/2 + 2/ln 2 atanh((m - sqrt 2) / (m + sqrt 2)) of the mantissa 1 <= m < 2: seven terms, true to 1e-12.
    A level of 0 reads as -6,000 dB.
    """
    threshold_db, sign, slope, knee_db, most_db = curve
    bits, exponents, mantissas = level.view(np.uint64), power.view(np.uint64), fraction.view(np.uint64)
    for i in range(size):
        exponents[i] = (bits[i] >> _EXPONENT) | _WHOLE
    for i in range(size):
        mantissas[i] = (bits[i] & _MANTISSA) | _ONE
    for i in range(size):
        s = (fraction[i] - _SQRT2) / (fraction[i] + _SQRT2)
        q = s * s
        series = 1 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13))))))
        octaves = (power[i] - _WHOLE_OFFSET) + (0.5 + _ATANH * s * series)
        level[i] = _reduction(db_per_octave * octaves, threshold_db, sign, slope, knee_db, most_db)


@kernel
def _to_gain(reduction: Audio, size: int, power: Audio, fraction: Audio, makeup_db: float) -> None:
    """Turn reductions in dB into factors: 2^v, v split into its nearest whole number and a rest; ten terms of its series, true to 1e-12."""
    bits = power.view(np.uint64)
    for i in range(size):
        octaves = (makeup_db - reduction[i]) * (1 / DB_PER_OCTAVE)
        octaves = octaves if octaves > -1000.0 else -1000.0
        octaves = octaves if octaves < 1000.0 else 1000.0
        rounded = octaves + _ROUND
        power[i] = rounded
        fraction[i] = octaves - (rounded - _ROUND)
    for i in range(size):
        bits[i] = (bits[i] + _BIAS) << _EXPONENT
    for i in range(size):
        f = fraction[i]
        high = _E6 + f * (_E7 + f * (_E8 + f * (_E9 + f * _E10)))
        reduction[i] = power[i] * (1 + f * (_E1 + f * (_E2 + f * (_E3 + f * (_E4 + f * (_E5 + f * high))))))


@kernel
def _decoupled_step(x: float, slow: float, y: float, rise: float, rise_rest: float, fall: float, fall_rest: float) -> tuple[float, float]:
    slow = fall * slow + fall_rest * x
    slow = x if x > slow else slow
    return slow, rise * y + rise_rest * slow


@kernel
def _decoupled(work: Audio, size: int, state: Audio, motion: Constants) -> None:
    rise, rise_rest, fall, fall_rest = motion
    s0, s1, s2, s3 = state[1, 0], state[1, 1], state[1, 2], state[1, 3]
    y0, y1, y2, y3 = state[0, 0], state[0, 1], state[0, 2], state[0, 3]
    for i in range(size):
        s0, y0 = _decoupled_step(work[0, i], s0, y0, rise, rise_rest, fall, fall_rest)
        s1, y1 = _decoupled_step(work[1, i], s1, y1, rise, rise_rest, fall, fall_rest)
        s2, y2 = _decoupled_step(work[2, i], s2, y2, rise, rise_rest, fall, fall_rest)
        s3, y3 = _decoupled_step(work[3, i], s3, y3, rise, rise_rest, fall, fall_rest)
        work[0, i], work[1, i], work[2, i], work[3, i] = y0, y1, y2, y3
    state[1, 0], state[1, 1], state[1, 2], state[1, 3] = s0, s1, s2, s3
    state[0, 0], state[0, 1], state[0, 2], state[0, 3] = y0, y1, y2, y3
    _flush(state)


@kernel
def _branching_step(x: float, y: float, rise: float, rise_rest: float, fall: float, fall_rest: float) -> float:
    up, down = rise * y + rise_rest * x, fall * y + fall_rest * x
    return up if x > y else down


@kernel
def _branching(work: Audio, size: int, state: Audio, motion: Constants) -> None:
    rise, rise_rest, fall, fall_rest = motion
    y0, y1, y2, y3 = state[0, 0], state[0, 1], state[0, 2], state[0, 3]
    for i in range(size):
        y0 = _branching_step(work[0, i], y0, rise, rise_rest, fall, fall_rest)
        y1 = _branching_step(work[1, i], y1, rise, rise_rest, fall, fall_rest)
        y2 = _branching_step(work[2, i], y2, rise, rise_rest, fall, fall_rest)
        y3 = _branching_step(work[3, i], y3, rise, rise_rest, fall, fall_rest)
        work[0, i], work[1, i], work[2, i], work[3, i] = y0, y1, y2, y3
    state[0, 0], state[0, 1], state[0, 2], state[0, 3] = y0, y1, y2, y3
    _flush(state)


@kernel
def _holding_step(
    x: float, y: float, age: float, rise: float, rise_rest: float, fall: float, fall_rest: float, hold: int
) -> tuple[float, float]:
    up = rise * y + rise_rest * x if age >= hold else y
    down = fall * y + fall_rest * x
    return (up, age + 1.0) if x > y else (down, 0.0)


@kernel
def _holding(work: Audio, size: int, state: Audio, motion: Constants, hold: int) -> None:
    """Smooth branching whose rise waits until the reduction wanted has been above the one at hand for `hold` samples on end."""
    rise, rise_rest, fall, fall_rest = motion
    a0, a1, a2, a3 = state[1, 0], state[1, 1], state[1, 2], state[1, 3]
    y0, y1, y2, y3 = state[0, 0], state[0, 1], state[0, 2], state[0, 3]
    for i in range(size):
        y0, a0 = _holding_step(work[0, i], y0, a0, rise, rise_rest, fall, fall_rest, hold)
        y1, a1 = _holding_step(work[1, i], y1, a1, rise, rise_rest, fall, fall_rest, hold)
        y2, a2 = _holding_step(work[2, i], y2, a2, rise, rise_rest, fall, fall_rest, hold)
        y3, a3 = _holding_step(work[3, i], y3, a3, rise, rise_rest, fall, fall_rest, hold)
        work[0, i], work[1, i], work[2, i], work[3, i] = y0, y1, y2, y3
    state[1, 0], state[1, 1], state[1, 2], state[1, 3] = a0, a1, a2, a3
    state[0, 0], state[0, 1], state[0, 2], state[0, 3] = y0, y1, y2, y3
    _flush(state)


@kernel
def _flush(state: Audio) -> None:
    """Let what has died away be zero: it would go on as slow denormal numbers."""
    for row in range(2):
        for lane in range(LANES):
            if state[row, lane] < 1e-60:
                state[row, lane] = 0.0
