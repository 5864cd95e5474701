"""Where in a published mix do its tracks begin? Found from the audio, with a confidence, and refused where it is not sure.

Coarse: onset strengths in bands (half-wave rectified differences of log energy every 10 ms), correlated over all lags at which enough
of both overlaps; they survive equalizers, compressors, lossy codecs and reverb. Fine: the generalized cross-correlation with phase
transform (Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE Trans. ASSP 24(4), 1976) of many
windows around each of the best coarse lags, its magnitude, so that polarity does not matter. Windows vote: what counts is how
many of them say the same lag to a millisecond, which windows of other music do by chance one in hundreds of times.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import fft

from mixdata.audio import resample

Reason = Literal["", "silent", "too_short", "unsure", "ambiguous", "drift", "edit"]

CONFIDENT = 0.5  # of the windows; docs/automix.md has the measurements, of RIVAL too
RIVAL = 0.8
HINT = 0.2  # of the windows; fewer are no sign of an edit either
TOLERANCE_SECONDS = 0.001
HOP_SECONDS = 0.01
BANDS = 24
LOWEST_HZ, HIGHEST_HZ = 80.0, 8000.0
WINDOW_SECONDS = 2.0
MOST_WINDOWS = 64
FEWEST_WINDOWS = 5
SEARCH_SECONDS = 0.25  # around a coarse lag; a window's lag lies there by chance with 1 in 250
LEAST_OVERLAP_SECONDS = 6.0
CANDIDATES = 8
QUIET_DB = 40.0  # a window this far under the loudest one has no vote
PHAT = 0.8  # power of the magnitude that is taken off; all of it would let bins with nothing but noise vote like the others
DRIFT_SECONDS = 0.001  # over the whole overlap; more is refused
STEEPEST = 0.002  # of a drift that is looked for window by window
RATES = (48_000 / 44_100, 44_100 / 48_000, 1001 / 1000, 1000 / 1001, 25 / 24, 24 / 25)  # labels that are mistaken for one another


@dataclass(frozen=True)
class Alignment:
    """How a mix lies over its tracks: the tracks' frame n sounds in the mix's frame n + `lag_frames`.

    `confidence` is the share of the windows that say this lag to a millisecond, 0 to 1, times the share of the shorter of the two that
    lies over the other; `coherence` how much of the phases of those windows follows the lag (about 0.65 where both are the same);
    `rival` how well the next best lag does, as a share of this one. `drift_ppm` is how fast the lag grows.
    `reason` says why the two cannot be used together and is empty where they can: silent; too_short (fewer than five windows sound);
    unsure (the confidence is under a half); ambiguous (the music repeats itself, and a rival does nearly as well); drift (by more than
    1 ms over the song: other clocks, a wrong sample rate); edit (6 s or more of the tracks lie at another place in the mix).
    """

    sample_rate: int
    lag_frames: int = 0
    confidence: float = 0.0
    drift_ppm: float = 0.0
    windows: int = 0
    coherence: float = 0.0
    rival: float = 0.0
    reason: Reason = ""

    @property
    def lag_seconds(self) -> float:
        """The lag in seconds."""
        return self.lag_frames / self.sample_rate


def align(mix: np.ndarray, rough: np.ndarray, sample_rate: int) -> Alignment:
    """Find where `rough`, the sum of the tracks, lies in `mix`; both are `(channels, frames)` at `sample_rate`, of any lengths."""
    mix, rough = _mono(mix), _mono(rough)
    if not mix.any() or not rough.any():
        return Alignment(sample_rate, reason="silent")
    shortest = LEAST_OVERLAP_SECONDS * sample_rate
    if min(len(mix), len(rough)) < shortest:
        return Alignment(sample_rate, reason="too_short")
    mix_onsets, rough_onsets = _onsets(mix, sample_rate), _onsets(rough, sample_rate)
    found = _best(mix, rough, mix_onsets, rough_onsets, sample_rate)
    if found.reason == "drift":
        return found.alignment
    if found.alignment.confidence >= HINT and _edited(found, mix, rough, mix_onsets):
        return replace(found.alignment, reason="edit")
    if not found.reason and found.alignment.rival > RIVAL:
        return replace(found.alignment, reason="ambiguous")
    ratio = _mislabelled(mix, rough, sample_rate) if found.reason == "unsure" else None
    return found.alignment if ratio is None else replace(found.alignment, reason="drift", drift_ppm=1e6 * (1 / ratio - 1))


def _mono(audio: np.ndarray) -> np.ndarray:
    """Return the mean of the channels; where they cancel each other, the first that sounds."""
    audio = np.atleast_2d(audio)
    mono = np.asarray(audio.mean(axis=0, dtype=np.float32))
    if np.square(mono).mean() < 0.01 * np.square(audio).mean():
        return np.asarray(max(audio, key=lambda channel: float(np.abs(channel).max())))
    return mono


@dataclass(frozen=True)
class _Found:
    """An alignment with its windows: where they begin in the tracks, the lag that each says, and whether it agrees."""

    alignment: Alignment
    starts: np.ndarray
    lags: np.ndarray
    agrees: np.ndarray
    clearness: float

    @property
    def reason(self) -> Reason:
        return self.alignment.reason


def _best(mix: np.ndarray, rough: np.ndarray, mix_onsets: np.ndarray, rough_onsets: np.ndarray, sample_rate: int) -> _Found:
    """Return the best of the coarse lags: by the share of the windows that agree, and by how clearly they say it."""
    hop = _hop(sample_rate)
    tried = [_vote(mix, rough, lag * hop, sample_rate) for lag, _ in _coarse(mix_onsets, rough_onsets)]
    tried.sort(key=lambda found: (-found.clearness, abs(found.alignment.lag_frames)))
    apart = 5 * TOLERANCE_SECONDS * sample_rate
    rivals = [found.clearness for found in tried[1:] if abs(found.alignment.lag_frames - tried[0].alignment.lag_frames) > apart]
    rival = max(rivals, default=0.0) / max(tried[0].clearness, 1e-9)
    return replace(tried[0], alignment=replace(tried[0].alignment, rival=rival))


def _hop(sample_rate: int) -> int:
    return round(HOP_SECONDS * sample_rate)


def _onsets(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return how much the log energy of each band rises per hop, `(bands, hops)`, its slow mean taken off."""
    hop = _hop(sample_rate)
    size = 4 * hop
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(audio, (2 * hop, 2 * hop)), size)[::hop]
    edges = np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, 0.45 * sample_rate), BANDS + 1) * size / sample_rate
    first = np.unique(np.round(edges).astype(int))
    taper = np.hanning(size).astype(np.float32)
    energy = np.empty((len(first) - 1, len(frames)), np.float32)
    for start in range(0, len(frames), 512):
        power = np.square(np.abs(fft.rfft(frames[start : start + 512] * taper, axis=1)))
        energy[:, start : start + 512] = np.add.reduceat(power, first, axis=1)[:, :-1].T
    floor = 1e-6 * energy.max(axis=1, keepdims=True) + 1e-12
    rise = np.maximum(np.diff(np.log(energy + floor), n=1, axis=1, prepend=np.log(energy[:, :1] + floor)), 0)
    slow = np.ones(round(1 / HOP_SECONDS)) * HOP_SECONDS
    return np.stack([band - np.convolve(band, slow, mode="same") for band in rise])


def _coarse(mix: np.ndarray, rough: np.ndarray) -> list[tuple[int, float]]:
    """Return the lags, in hops, at which the onsets are most alike, and how much they are: the best first, 100 ms or more apart."""
    shorter = min(mix.shape[1], rough.shape[1])
    least = min(max(round(LEAST_OVERLAP_SECONDS / HOP_SECONDS), shorter // 4), shorter)
    cross = _correlation(mix, rough).sum(axis=0)
    mix_energy = _correlation(np.square(mix).sum(axis=0)[None], np.ones((1, rough.shape[1])))[0]
    rough_energy = _correlation(np.ones((1, mix.shape[1])), np.square(rough).sum(axis=0)[None])[0]
    lags = np.arange(-rough.shape[1] + 1, mix.shape[1])
    overlap = np.minimum(mix.shape[1], rough.shape[1] + lags) - np.maximum(0, lags)
    # Times the root of the overlap: a likeness that lasts is worth more than the same for a moment.
    alike = cross / np.sqrt(np.maximum(mix_energy * rough_energy, 1e-9)) * np.sqrt(overlap / shorter)
    alike[overlap < least] = -np.inf
    chosen: list[tuple[int, float]] = []
    for _ in range(CANDIDATES):
        place = int(np.argmax(alike))
        if not np.isfinite(alike[place]):
            break
        chosen.append((int(lags[place]), float(alike[place])))
        alike[max(place - 10, 0) : place + 11] = -np.inf
    return chosen


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return sum over n of a[n + lag] b[n] for every lag, the most negative first."""
    size = fft.next_fast_len(a.shape[1] + b.shape[1] - 1, real=True)
    product = fft.irfft(fft.rfft(a, size) * np.conj(fft.rfft(b, size)), size)
    return np.concatenate([product[:, size - b.shape[1] + 1 :], product[:, : a.shape[1]]], axis=1)


def _vote(mix: np.ndarray, rough: np.ndarray, lag: int, sample_rate: int) -> _Found:
    """Ask windows of the tracks where they lie in the mix, near this lag in frames."""
    size, reach = round(WINDOW_SECONDS * sample_rate), round(SEARCH_SECONDS * sample_rate)
    begin, end = max(0, -lag), min(len(rough), len(mix) - lag)
    count = min(max((end - begin - size) // (size // 2) + 1, 1), MOST_WINDOWS)
    starts = np.linspace(begin, max(end - size, begin), count).astype(int)
    powers = np.array([_power(rough[n : n + size]) * _power(mix[n + lag : n + lag + size]) for n in starts])
    starts = starts[powers > powers.max(initial=0) * 10 ** (-QUIET_DB / 5)]
    length = fft.next_fast_len(size + 2 * reach, real=True)
    band = np.abs(fft.rfftfreq(length, 1 / sample_rate) - (LOWEST_HZ + HIGHEST_HZ) / 2) <= (HIGHEST_HZ - LOWEST_HZ) / 2
    lags, strengths = np.zeros(len(starts), int), np.zeros(len(starts))
    taper = np.hanning(size).astype(np.float32)
    for number, start in enumerate(starts):
        ours = _piece(rough, start, start + size) * taper
        theirs = _piece(mix, start + lag - reach, start + lag + size + reach)
        cross = fft.rfft(theirs, length) * np.conj(fft.rfft(ours, length)) * band
        cross = cross / np.maximum(np.abs(cross), 1e-20) ** PHAT
        near = np.abs(fft.irfft(cross, length)[: 2 * reach + 1])
        peak = int(np.argmax(near))
        lags[number] = lag - reach + peak
        strengths[number] = near[peak] * length / max(2 * float(np.abs(cross).sum()), 1e-20)
    return _counted(starts, lags, strengths, _covered(mix, rough, lag, sample_rate), sample_rate)


def _covered(mix: np.ndarray, rough: np.ndarray, lag: int, sample_rate: int) -> float:
    """Return how much of the shorter of the two lies over the other at this lag, 0 to 1; silence at their ends does not count."""
    (a, b), (c, d) = _sounding(mix, sample_rate), _sounding(rough, sample_rate)
    return max(min(b, d + lag) - max(a, c + lag), 0) / max(min(b - a, d - c), 1)


def _sounding(audio: np.ndarray, sample_rate: int) -> tuple[int, int]:
    size = round(0.1 * sample_rate)
    power = np.add.reduceat(np.square(audio), np.arange(0, len(audio), size))
    loud = np.flatnonzero(power > power.max() * 10 ** (-QUIET_DB / 10))
    return int(loud[0]) * size, min(int(loud[-1] + 1) * size, len(audio))


def _power(audio: np.ndarray) -> float:
    return float(np.mean(np.square(audio))) if len(audio) else 0.0


def _piece(audio: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return `audio[start:stop]`, with silence where there is none."""
    first, last = min(max(start, 0), len(audio)), min(max(stop, 0), len(audio))
    before = min(max(-start, 0), stop - start)
    return np.pad(audio[first:last], (before, stop - start - before - (last - first)))


def _counted(starts: np.ndarray, lags: np.ndarray, strengths: np.ndarray, covered: float, sample_rate: int) -> _Found:
    """Find the lag, or the line of lags, that most windows agree with."""
    tolerance = TOLERANCE_SECONDS * sample_rate
    if len(starts) < FEWEST_WINDOWS:
        return _Found(Alignment(sample_rate, windows=len(starts), reason="too_short"), starts, lags, np.zeros(len(starts), bool), 0.0)
    level = np.abs(lags[:, None] - lags[None]) <= tolerance
    most = int(np.argmax(level.sum(axis=1)))
    agrees = level[most]
    lag = round(float(np.median(lags[agrees])))
    slope, rising = _steady_drift(starts, lags, tolerance / 2)
    span = starts[-1] - starts[0]
    drifts = abs(slope) * span > DRIFT_SECONDS * sample_rate and rising.sum() >= max(agrees.sum(), FEWEST_WINDOWS)
    voters = rising if drifts else agrees
    share = covered * float(voters.mean()) if voters.sum() >= FEWEST_WINDOWS else 0.0
    reason: Reason = "unsure" if share < CONFIDENT else "drift" if drifts else ""
    coherence = float(strengths[voters].mean())
    found = Alignment(sample_rate, lag, share, 0.0 if reason == "unsure" else 1e6 * slope, len(starts), coherence, reason=reason)
    return _Found(found, starts, lags, voters, share * coherence)


def _steady_drift(starts: np.ndarray, lags: np.ndarray, tolerance: float) -> tuple[float, np.ndarray]:
    """Return the slope of the line that most of the lags lie on, of all lines through two of them, and which those are."""
    i, j = np.triu_indices(len(starts), 1)
    far = starts[j] - starts[i] > 0.25 * (starts[-1] - starts[0])
    i, j = i[far], j[far]
    slopes = (lags[j] - lags[i]) / (starts[j] - starts[i])
    gentle = np.abs(slopes) <= STEEPEST
    i, slopes = i[gentle], slopes[gentle]
    if not len(slopes):
        return 0.0, np.zeros(len(starts), bool)
    on_line = np.abs(lags[None] - lags[i, None] - slopes[:, None] * (starts[None] - starts[i, None])) <= tolerance
    most = on_line[int(np.argmax(on_line.sum(axis=1)))]
    slope = float(np.polyfit(starts[most], lags[most], 1)[0]) if most.sum() > 1 else 0.0
    return slope, most


def _edited(found: _Found, mix: np.ndarray, rough: np.ndarray, mix_onsets: np.ndarray) -> bool:
    """Say whether the longest stretch of windows that do not agree lies elsewhere in the mix."""
    best, run = (0, 0), 0
    for number, agrees in enumerate(found.agrees):
        run = 0 if agrees else run + 1
        best = max(best, (run, number))
    if best[0] < FEWEST_WINDOWS:
        return False
    rate = found.alignment.sample_rate
    stretch = rough[found.starts[best[1] - best[0] + 1] : found.starts[best[1]] + round(WINDOW_SECONDS * rate)]
    if len(stretch) < LEAST_OVERLAP_SECONDS * rate:
        return False
    return not _best(mix, stretch, mix_onsets, _onsets(stretch, rate), rate).reason


def _mislabelled(mix: np.ndarray, rough: np.ndarray, sample_rate: int) -> float | None:
    """Return the ratio of rates that the mix would have to be played at to lie over its tracks; None where no likely one does it."""
    onsets = _onsets(rough, sample_rate)

    def played_at(ratio: float) -> np.ndarray:
        return resample(mix[None], sample_rate, round(sample_rate * ratio))[0]

    ratio = max(RATES, key=lambda ratio: _coarse(_onsets(played_at(ratio), sample_rate), onsets)[0][1])
    stretched = played_at(ratio)
    found = _best(stretched, rough, _onsets(stretched, sample_rate), onsets, sample_rate)
    return None if found.reason == "unsure" else ratio
