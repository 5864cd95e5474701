"""The long-term picture of a piece: its mean spectrum and where it lies between the channels, per frequency, taken in one pass.

Windows of 65,536 samples at 44.1 kHz (as long at other rates), the root of a Hann window, as FxNorm takes them (Martínez-Ramírez et al.,
"Automatic music mixing with deep learning and out-of-domain data", ISMIR 2022); half a window apart, the first from half a window before
the start, so that every sample weighs the same. Only windows that sound count, those over an edge by the share of them that holds audio.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import fft

from mixdata.errors import UsageError
from mixdata.kernels import kernel
from mixdata.measures.bands import to_bands
from mixdata.measures.levels import check, to_db

WINDOW_SECONDS = 65_536 / 44_100
SOUNDING_DB = 40.0  # a window counts if it is less than this under the loudest


@dataclass(frozen=True)
class LongTerm:
    """Means over the windows that sound, per bin; bin k lies at k · `spacing_hz`.

    `magnitude`: of |X| of all channels. `power`: of |X|² of all channels. `mid`, `side`: of |L + R|²/4 and |L − R|²/4.
    `similarity`: of 2|L||R| / (|L|² + |R|²), 1 where both channels are alike in magnitude, 0 where one is silent; `position`: of
    (1 − similarity), positive to the right (Avendano's panning index as FxNorm uses it: the phase plays no part). NaN where a bin never
    sounds. Mono audio is all mid, of similarity 1.
    """

    spacing_hz: float
    windows: int
    magnitude: np.ndarray
    power: np.ndarray
    mid: np.ndarray
    side: np.ndarray
    similarity: np.ndarray
    position: np.ndarray

    def bands(self, name: str) -> np.ndarray:
        """Return one of the curves on the grid of `bands.CENTRES_HZ`."""
        return to_bands(getattr(self, name), self.spacing_hz)


def long_term(audio: np.ndarray, sample_rate: int) -> LongTerm:
    """Measure `(channels, frames)`, mono or stereo, of any length. Raises `AudioError` for NaN or infinity."""
    check(audio)
    if audio.shape[0] not in (1, 2):
        raise UsageError(f"the long-term picture is taken of mono or stereo, got {audio.shape[0]} channels")
    size = window_frames(sample_rate)
    sums = np.zeros((7, size // 2 + 1))
    starts = sounding_windows(audio, size)
    for start in starts:
        spectra = _spectra(audio, start, size)
        _add(spectra[0], spectra[-1], sums)
    weight = float(sum(_share(audio.shape[1], start, size) for start in starts))
    with np.errstate(invalid="ignore", divide="ignore"):
        similarity, position = sums[4] / sums[6], sums[5] / sums[6]
    magnitude, power, mid, side = sums[:4] / (weight or 1.0)
    return LongTerm(sample_rate / size, len(starts), magnitude, power, mid, side, similarity, position)


def window_frames(sample_rate: int) -> int:
    """Return the window's length in frames: even, and quick to transform."""
    half = round(WINDOW_SECONDS * sample_rate / 2)
    return 2 * int(fft.next_fast_len(half, real=True))


def windows(audio: np.ndarray, sample_rate: int) -> Iterator[np.ndarray]:
    """Yield the spectra, complex64 `(channels, bins)`, of the windows that sound. A sine of amplitude 1 has magnitude 1 where it peaks."""
    size = window_frames(sample_rate)
    for start in sounding_windows(audio, size):
        yield _spectra(audio, start, size)


def sounding_windows(audio: np.ndarray, size: int) -> list[int]:
    """Return where the windows of `size` frames that sound begin; all are half of that apart, the first begins before the audio."""
    hop = size // 2
    pieces = (audio[:, start : start + hop] for start in range(0, audio.shape[1], hop))
    halves = [float(np.sum(np.square(piece, dtype=np.float64))) for piece in pieces]
    to_db(sum(halves))  # refuses NaN
    energies = np.add([0.0, *halves], [*halves, 0.0])
    return [hop * (k - 1) for k in np.flatnonzero(energies > energies.max() * 10 ** (-SOUNDING_DB / 10)).tolist()]


def _spectra(audio: np.ndarray, start: int, size: int) -> np.ndarray:
    first, last = max(start, 0), min(start + size, audio.shape[1])
    piece = np.zeros((audio.shape[0], size), np.float32)
    np.multiply(audio[:, first:last], _window(size)[first - start : last - start], out=piece[:, first - start : last - start])
    return np.asarray(fft.rfft(piece, overwrite_x=True))


def _share(frames: int, start: int, size: int) -> float:
    """Return how much of a window's power lies over the audio: 1 inside, a half at the start."""
    power = np.square(_window(size), dtype=np.float64)
    return float(power[max(-start, 0) : frames - start].sum() / power.sum())


@cache
def _window(size: int) -> np.ndarray:
    window = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
    return (window * (2 / window.sum())).astype(np.float32)


@kernel
def _add(left, right, sums):  # type: ignore[no-untyped-def]
    """Add one window to the sums: magnitude, power, mid, side, similarity, position, and how often the bin sounded."""
    for k in range(len(left)):
        lr, li, rr, ri = float(left[k].real), float(left[k].imag), float(right[k].real), float(right[k].imag)
        a, b = lr * lr + li * li, rr * rr + ri * ri
        total = a + b
        cross = 2 * (lr * rr + li * ri)
        sums[1, k] += 0.5 * total
        sums[2, k] += 0.25 * (total + cross)
        sums[3, k] += 0.25 * (total - cross)
        if total > 1e-30:
            both = math.sqrt(a * b)
            similarity = 2 * both / total
            sums[0, k] += 0.5 * math.sqrt(total + 2 * both)
            sums[4, k] += similarity
            sums[5, k] += (1 - similarity) * (1.0 if b > a else -1.0 if b < a else 0.0)
            sums[6, k] += 1
