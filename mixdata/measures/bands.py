"""The frequency grid of all long-term curves: a sixth of an octave apart, each value a mean over a third of an octave."""

from functools import cache

import numpy as np
from scipy import sparse

PER_OCTAVE = 6
CENTRES_HZ = 1000.0 * 2.0 ** (np.arange(-32, 26) / PER_OCTAVE)  # 58 bands, 24.8 Hz to 18.0 kHz
CENTRES_HZ.flags.writeable = False


def to_bands(values: np.ndarray, spacing_hz: float) -> np.ndarray:
    """Return the mean of each band of values per bin, bin k at k · `spacing_hz`: `(..., bins)` in, `(..., bands)` out.

    A band's bins are weighted by a triangle over the logarithm of the frequency, a third of an octave wide at half its height and
    two thirds at its foot. Bands whose half height reaches over the last bin are NaN.
    """
    weights, inside = _weights(values.shape[-1], float(spacing_hz))
    return np.where(inside, values @ weights, np.nan)


def from_bands(curve: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """Return a curve at other frequencies: linear over the logarithm of the frequency, level beyond its first and its last finite band.

    NaN everywhere for a curve without one.
    """
    finite = np.isfinite(curve)
    if not finite.any():
        return np.full(np.shape(frequencies), np.nan)
    return np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(CENTRES_HZ[finite]), curve[finite])


@cache
def _weights(bins: int, spacing_hz: float) -> tuple[sparse.csr_matrix, np.ndarray]:
    with np.errstate(divide="ignore"):
        octaves = np.log2(np.arange(bins) * spacing_hz / CENTRES_HZ[:, None])
    weights = np.maximum(1 - np.abs(octaves) * PER_OCTAVE / 2, 0.0)
    for band, row in enumerate(weights):  # where bins lie wider than bands
        if not row.any():
            row[np.argmin(np.abs(octaves[band]))] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    inside = np.less_equal(CENTRES_HZ * 2 ** (1 / PER_OCTAVE), (bins - 1) * spacing_hz)
    return sparse.csr_matrix(weights.T), inside
