"""Onsets by high-frequency content, and how high the sound peaks after each. Onsets do not depend on the level."""

import math
from functools import cache

import numpy as np
from scipy import fft

from mixdata.kernels import kernel
from mixdata.measures.levels import check, to_db

WINDOW_SECONDS = 1024 / 44_100
BEFORE, AFTER = 12, 2  # hops around a window from which its threshold is taken
MEAN_SHARE = 0.5
FLOOR_DB = 60.0  # a window that lies this far under the loudest is silent
APART_SECONDS = 0.05
BATCH = 256


def onset_frames(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the frames at which notes and hits of `(channels, frames)` begin, int64 and ascending, up to 23 ms early. Silence has none.

    High-frequency content: the sum of k |X_k| over the bins of a window (Masri, "Computer modeling of sound for transformation and
    synthesis of musical signals", 1996; of magnitudes as in Brossier, "Automatic annotation of musical audio", 2006), of the channels'
    summed power. An onset is a local maximum above the moving median plus half the moving mean (Brossier's threshold, constants of our
    own), 50 ms or more after the last. Windows hold 1024 samples at 44.1 kHz, at other rates as much time; they overlap by half, so that
    no hit falls between two. Before its first sample the audio counts as silent. Raises `AudioError` for NaN.
    """
    check(audio)
    to_db(float(np.max(np.abs(audio), initial=0.0)))  # refuses NaN
    hop = max(1, round(WINDOW_SECONDS * sample_rate / 2))
    content, power = _contents(audio, hop)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(content, (BEFORE, AFTER)), BEFORE + 1 + AFTER)
    threshold = np.median(around, axis=1) + MEAN_SHARE * around.mean(axis=1)
    later, earlier = np.append(content[1:], 0.0), np.append(0.0, content[:-1])
    peaks = (content > earlier) & (content >= later) & (content > threshold) & (power > power.max() * 10 ** (-FLOOR_DB / 10))
    kept: list[int] = []
    for place in np.flatnonzero(peaks):
        if not kept or (place - kept[-1]) * hop >= APART_SECONDS * sample_rate:
            kept.append(int(place))
    return np.maximum(np.array(kept, np.int64) - 1, 0) * hop


def onset_peaks(audio: np.ndarray, sample_rate: int, onsets: np.ndarray | None = None) -> np.ndarray:
    """Return the largest magnitude of any channel from each onset to the next (or the end), dBFS; intervals of pure silence are left out.

    `onsets` are those of `onset_frames` where they are not given. What lies before the first counts for none.
    """
    onsets = onset_frames(audio, sample_rate) if onsets is None else onsets
    if not len(onsets):
        return np.empty(0)
    peaks = np.maximum.reduceat(np.abs(audio).max(axis=0), onsets).astype(np.float64)
    to_db(float(peaks.max()))  # refuses NaN
    return 20 * np.log10(peaks[peaks > 0])


def _contents(audio: np.ndarray, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return high-frequency content and power of every window of two hops; window n begins at (n - 1) hops."""
    padded = np.pad(audio.astype(np.float32, copy=False), ((0, 0), (hop, max(0, hop - audio.shape[1]))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop, axis=1)[:, ::hop]
    content, power = np.empty(frames.shape[1]), np.empty(frames.shape[1])
    for start in range(0, len(content), BATCH):
        batch = slice(start, start + BATCH)
        _weigh(fft.rfft(frames[:, batch] * _taper(2 * hop)), content[batch], power[batch])
    return content, power


@cache
def _taper(size: int) -> np.ndarray:
    return (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(size) + 0.5) / size)).astype(np.float32)


@kernel
def _weigh(spectra, content, power):  # type: ignore[no-untyped-def]
    """Sum k |X_k| and |X_k|² of each window, `(channels, windows, bins)`."""
    for window in range(spectra.shape[1]):
        weighed = total = 0.0
        for k in range(spectra.shape[2]):
            square = 0.0
            for channel in range(spectra.shape[0]):
                x = spectra[channel, window, k]
                square += float(x.real) * float(x.real) + float(x.imag) * float(x.imag)
            weighed += k * math.sqrt(square)
            total += square
        content[window], power[window] = weighed, total
