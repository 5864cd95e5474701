"""How different two pieces of audio sound: distances of their magnitude spectra."""

from functools import cache

import numpy as np
from scipy import fft

SIZES = (512, 4096)
FLOOR = 1e-5  # of a bin's magnitude; -100 dBFS for a sine, so that dither and rounding do not count as differences


class Spectra:
    """Magnitude spectra at several resolutions, taken once so that a piece can be compared with several others."""

    def __init__(self, audio: np.ndarray, sizes: tuple[int, ...] = SIZES):
        self.magnitudes = [_magnitudes(audio, size) for size in sizes]
        self.logs = [np.log(np.maximum(each, each.dtype.type(FLOOR))) for each in self.magnitudes]
        self.norms = [_norm(each) for each in self.magnitudes]

    def distance(self, other: "Spectra") -> float:
        """Return the multi-resolution STFT distance of `other` from this: spectral convergence plus log difference, mean over the sizes.

        Spectral convergence is |A - B| / |A| (Frobenius norms, A this one), the other term the mean of |log A - log B| over all bins
        (Yamamoto, Song and Kim, "Parallel WaveGAN", 2020, equations 5 and 6). Frames are one size apart: a quarter of the usual work,
        which is enough to tell whether anything changed.
        """
        total = 0.0
        for a, b, log_a, log_b, norm in zip(self.magnitudes, other.magnitudes, self.logs, other.logs, self.norms, strict=True):
            total += _norm(a - b) / max(norm, FLOOR) + float(np.mean(np.abs(log_a - log_b)))
        return total / len(self.magnitudes)


def stft_distance(reference: np.ndarray, audio: np.ndarray) -> float:
    """Multi-resolution STFT distance of `audio` from `reference`, both `(channels, frames)` of one length; 0 for equal magnitudes."""
    return Spectra(reference).distance(Spectra(audio))


def _magnitudes(audio: np.ndarray, size: int) -> np.ndarray:
    frames = max(audio.shape[-1] // size, 1)
    padded = audio[:, : frames * size]
    if padded.shape[-1] < frames * size:
        padded = np.pad(padded, ((0, 0), (0, frames * size - padded.shape[-1])))
    windowed = padded.reshape(audio.shape[0], frames, size) * _window(size).astype(audio.dtype)
    bins = fft.rfft(windowed, axis=-1, overwrite_x=True)
    return np.asarray(np.sqrt(np.square(bins.real) + np.square(bins.imag)))  # three times as fast as np.abs


def _norm(values: np.ndarray) -> float:
    return float(np.sqrt(np.vdot(values, values)))


@cache
def _window(size: int) -> np.ndarray:
    """Return a periodic Hann window, scaled so that a full-scale sine reads 1."""
    return np.asarray(np.hanning(size + 1)[:-1] / (size / 4))
