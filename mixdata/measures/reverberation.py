"""Reverberation: decay times of impulse responses (ISO 3382), and an estimate of them from a stem alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mixdata.measures.levels import check, to_db

OCTAVES_HZ = (125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)
ONSET_DB = 20.0  # ISO 3382-1: a response starts where it comes within 20 dB of its peak
MARGIN_DB = 10.0  # and what is evaluated ends at least 10 dB above the noise
TAIL_SHARE = 0.1  # the last tenth of a response is taken as noise at first
ROUNDS = 5  # of finding the noise, where it begins, and the slope before it
HOP_SECONDS, SMOOTHED = 0.01, 5  # of the blind estimate: levels every 10 ms, each over 50 ms
RANGE_DB, LEAST_DROP_DB, RISE_DB = 60.0, 10.0, 2.0
LEAST_SECONDS, LEAST_DECAYS = 0.15, 3
TYPICAL = 0.4  # of the decays, the faster ones: those that overlap read too long (Ratnam et al., JASA 114, 2003)


@dataclass(frozen=True)
class Decay:
    """Times of a decay by 60 dB, seconds, from the slopes between -5 and -25 dB, -5 and -35 dB, 0 and -10 dB. NaN: lost in noise."""

    t20: float
    t30: float
    edt: float


NO_DECAY = Decay(math.nan, math.nan, math.nan)


def decay_times(response: np.ndarray, sample_rate: int) -> Decay:
    """Return the decay times of an impulse response `(channels, frames)`, whose channels count together, by their energy.

    Schroeder's backward integral and ISO 3382-1's lines. The noise is found and cut off as by Lundeby et al. ("Uncertainties of
    measurements in room acoustics", Acustica 81, 1995), what is left of it subtracted (Chu, JASA 63, 1978), and what was cut off of the
    decay added, as ISO 3382-1 allows. A time is NaN where its range does not end 10 dB above the noise; so is all of a silent or very short
    response.
    """
    check(response)
    energy = np.sum(np.square(response, dtype=np.float64), axis=0)
    to_db(float(np.sum(energy)))  # refuses NaN
    peak = np.max(energy, initial=0.0)
    if peak <= 0:
        return NO_DECAY
    energy = energy[int(np.argmax(energy >= peak * 10 ** (-ONSET_DB / 10))) :] / peak
    curve = _decay_curve(energy, sample_rate)
    if curve is None:
        return NO_DECAY
    return Decay(*(_decay_time(*curve, sample_rate, top, bottom) for top, bottom in ((-5.0, -25.0), (-5.0, -35.0), (0.0, -10.0))))


def decay_times_by_octave(response: np.ndarray, sample_rate: int) -> dict[float, Decay]:
    """Return the decay times per octave band, by its centre (125 Hz to 8 kHz, as far as the sample rate reaches).

    Bands are Butterworth filters of order 6, which themselves ring for 0.1 s at 125 Hz, and the less the higher: no shorter decay is read.
    """
    from scipy import signal  # loads slowly; needed only here

    check(response)
    to_db(float(np.sum(np.square(response, dtype=np.float64))))  # refuses NaN
    bands = {}
    response = response.astype(np.float64) if response.size else np.zeros((1, 1))
    for centre in OCTAVES_HZ:
        if centre * math.sqrt(2) < sample_rate / 2:
            edges = (centre / math.sqrt(2), centre * math.sqrt(2))
            sections = signal.butter(3, edges, "bandpass", fs=sample_rate, output="sos")
            bands[centre] = decay_times(signal.sosfilt(sections, response, axis=1), sample_rate)
    return bands


def blind_decay_seconds(audio: np.ndarray, sample_rate: int) -> float:
    """Estimate the reverberation time of a stem, seconds, from the decays that nothing interrupts. NaN where there are fewer than three.

    In the style of Vieira ("Automatic estimation of reverberation time", AES 116, 2004): stretches of at least 150 ms in which the level
    falls by at least 10 dB and never rises by 2 dB; a line through what lies 5 dB under their start; a little less than their median.
    Estimated is the slower of the room's decay and the sound's own: held notes (bass, pads) give no estimate, or their own. Measured in
    decays of 0.3 to 2 s: bursts of noise within 15 %, or 40 % too short where only 30 % is reverberated; singing within 45 %; drums whose
    cymbals fill the decays up to 2.6 times too long. It grows with the true time. Use it to compare stems, not to measure rooms.
    """
    check(audio)
    hop = max(1, round(HOP_SECONDS * sample_rate))
    count = audio.shape[1] // hop
    squares = np.sum(np.square(audio[:, : count * hop], dtype=np.float64), axis=0)
    to_db(float(np.sum(squares)))  # refuses NaN
    if count < SMOOTHED or not squares.any():
        return math.nan
    powers = np.convolve(squares.reshape(count, hop).mean(axis=1), np.full(SMOOTHED, 1 / SMOOTHED), mode="valid")
    levels = 10 * np.log10(np.maximum(powers / max(np.max(powers), 1e-300), 1e-30))
    levels[levels < -RANGE_DB] = -math.inf
    slopes = []
    for start, stop in _falls(levels.tolist()):
        start += int(np.argmax(levels[start:stop] < levels[start] - 5))
        if (stop - start) * HOP_SECONDS >= LEAST_SECONDS:
            slopes.append(float(np.polyfit(np.arange(stop - start), levels[start:stop], 1)[0]))
    return float(-60 / np.quantile(slopes, TYPICAL) * hop / sample_rate) if len(slopes) >= LEAST_DECAYS else math.nan


def _falls(levels: list[float]) -> Iterator[tuple[int, int]]:
    """Yield the stretches in which the level falls far enough, without rising in between."""
    start = lowest = 0
    for n, level in enumerate([*levels, math.inf]):
        if level > min(levels[start], levels[lowest] + RISE_DB) or level == -math.inf:
            if levels[start] - levels[lowest] >= LEAST_DROP_DB:
                yield start, lowest + 1
            start = lowest = min(n, len(levels) - 1)
        elif level < levels[lowest]:
            lowest = n


def _decay_curve(energy: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int] | None:
    """Return the decay in dB per frame, and the frame up to which it may be used; None where no decay is found."""
    energy = energy[: int(np.flatnonzero(energy)[-1]) + 1]
    frames = len(energy)
    tail = min(int(frames * (1 - TAIL_SHARE)), frames - 1)
    size, knee, line = 0.03 * sample_rate, frames, (0.0, 0.0)
    noise = float(np.mean(energy[tail:]))
    for number in range(ROUNDS):
        found = _line(energy, max(1, round(size)), noise, math.inf if number == 0 else 25.0)
        if found is None:
            size /= 4
            if size < 1:
                return None
            continue
        line = found
        slope, start_db = line
        knee = min(max(int((10 * math.log10(noise) - start_db) / slope), 0), frames)
        noise = float(np.mean(energy[min(tail, int(knee - 5 / slope)) :]))
        size = -2 / slope  # five intervals per 10 dB
    slope, start_db = line
    if slope >= 0:
        return None
    if 10 * math.log10(noise) < start_db + slope * (frames + tail) / 2 + 2:  # the tail lies on the line: it is still the decay
        noise, knee = 0.0, frames
    beyond = 10 ** ((start_db + slope * knee) / 10) / (1 - 10 ** (slope / 10))
    curve = np.cumsum((energy[:knee] - noise)[::-1])[::-1] + beyond
    if not curve.size or curve[0] <= 0:
        return None
    levels = 10 * np.log10(np.maximum(curve / curve[0], 1e-30))
    return levels, int(knee + MARGIN_DB / slope)


def _line(energy: np.ndarray, size: int, noise: float, range_db: float) -> tuple[float, float] | None:
    """Fit a line to the level of intervals, from `range_db` down to 5 dB above the noise: dB per frame, and dB at frame 0."""
    count = len(energy) // size
    if not count:
        return None
    levels = 10 * np.log10(np.maximum(energy[: count * size].reshape(count, size).mean(axis=1), 1e-300))
    first = int(np.argmax(levels))
    noise_db = 10 * math.log10(noise)
    below = np.flatnonzero(levels[first:] < noise_db + 5)
    last = first + int(below[0]) if below.size else count
    above = np.flatnonzero(levels[first:last] > noise_db + 5 + range_db)
    first += int(above[-1]) if above.size else 0
    if last - first < 3:
        return None
    slope, level = np.polyfit((np.arange(first, last) + 0.5) * size, levels[first:last], 1)
    return (float(slope), float(level)) if slope < 0 else None


def _decay_time(levels: np.ndarray, usable: int, sample_rate: int, top_db: float, bottom_db: float) -> float:
    """Return the time of 60 dB by the line between two levels, NaN where the lower one is not reached in time."""
    if levels[-1] > bottom_db:
        return math.nan
    first, last = int(np.argmax(levels <= top_db)), int(np.argmax(levels <= bottom_db))
    if last > usable or last - first < 2:
        return math.nan
    slope = np.polyfit(np.arange(first, last), levels[first:last], 1)[0]
    return float(-60 / slope / sample_rate)
