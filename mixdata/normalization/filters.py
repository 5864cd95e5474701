"""Static filters from curves over the bands: one curve for all channels, or a matrix of curves between two channels.

Linear-phase FIR by frequency sampling (window method; Oppenheim and Schafer, "Discrete-Time Signal Processing", section 7.5), centred, so
that nothing is delayed; applied by overlap-save.
"""

from functools import cache

import numpy as np
from scipy import fft, signal

from mixdata.errors import UsageError
from mixdata.kernels import kernel
from mixdata.measures.bands import CENTRES_HZ, from_bands
from mixdata.measures.levels import check, to_db

HALF_SECONDS = 0.3  # half a response's length: bands 6 dB apart keep within 0.5 dB from 50 Hz on, where they lie 6 Hz apart
TRANSFORM_SECONDS = 65_536 / 44_100
ROWS = 4  # scipy transforms four rows at once about three times as fast as one by one


def zero_phase(audio: np.ndarray, sample_rate: int, curve_db: np.ndarray) -> np.ndarray:
    """Return `(channels, frames)` filtered, every channel by the same curve: dB at the bands' centres, linear over log f between them.

    A curve of zeros changes nothing. Raises `AudioError` for NaN and `UsageError` for a curve that is not of the bands.
    """
    _refuse_nan(audio)
    wanted = amplitudes(curve_db, sample_rate)
    if not np.any(curve_db):
        return audio.copy()
    gain = _realised(wanted, sample_rate).astype(audio.dtype)
    size, half = sizes(sample_rate)
    out = np.empty_like(audio)
    for channel in range(len(audio)):
        for first in range(0, audio.shape[1], ROWS * (size - 2 * half)):
            spectra = fft.rfft(_rows(audio[channel], first, size, half, ROWS))
            _scale(spectra, gain)
            _put(fft.irfft(spectra, size), half, out[channel], first)
    return out


def mix_channels(audio: np.ndarray, sample_rate: int, matrix: np.ndarray) -> np.ndarray:
    """Return stereo in which channel i is the sum over j of channel j filtered by `matrix[i, j]`.

    `matrix`: `(2, 2, bins)`, amplitudes with their sign at `frequencies(sample_rate)`. The identity changes nothing.
    """
    _refuse_nan(audio)
    if len(audio) != 2:
        raise UsageError(f"a matrix of channels takes stereo, got {len(audio)} channels")
    if np.array_equal(matrix, np.broadcast_to(np.eye(2)[:, :, None], matrix.shape)):
        return audio.copy()
    gains = _realised(matrix, sample_rate).astype(audio.dtype)
    size, half = sizes(sample_rate)
    rows = ROWS // 2
    out = np.empty_like(audio)
    source = np.empty((2, rows, size), audio.dtype)
    for first in range(0, audio.shape[1], rows * (size - 2 * half)):
        for channel in range(2):
            source[channel] = _rows(audio[channel], first, size, half, rows)
        spectra = fft.rfft(source.reshape(ROWS, size)).reshape(2, rows, -1)
        _mix(spectra[0], spectra[1], gains)
        pieces = fft.irfft(spectra.reshape(ROWS, -1), size).reshape(2, rows, size)
        for channel in range(2):
            _put(pieces[channel], half, out[channel], first)
    return out


def amplitudes(curve_db: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return a curve over the bands as amplitudes at `frequencies(sample_rate)`."""
    curve_db = np.asarray(curve_db, np.float64)
    if curve_db.shape != CENTRES_HZ.shape or not np.isfinite(curve_db).all():
        raise UsageError(f"a curve is {len(CENTRES_HZ)} finite values, one per band of mixdata.measures.bands")
    return np.asarray(10 ** (from_bands(curve_db, frequencies(sample_rate)) / 20))


def response(curve_db: np.ndarray, sample_rate: int, at_hz: np.ndarray) -> np.ndarray:
    """Return the amplitude that `zero_phase` really has at some frequencies."""
    return np.interp(at_hz, frequencies(sample_rate), _realised(amplitudes(curve_db, sample_rate), sample_rate))


def frequencies(sample_rate: int) -> np.ndarray:
    """Return the frequencies at which filters are designed, Hz."""
    size = sizes(sample_rate)[0]
    return np.arange(size // 2 + 1) * (sample_rate / size)


@cache
def sizes(sample_rate: int) -> tuple[int, int]:
    """Return the length of the transforms, even, and half the length of the responses, in frames."""
    return 2 * int(fft.next_fast_len(round(TRANSFORM_SECONDS * sample_rate / 2), real=True)), round(HALF_SECONDS * sample_rate)


def _realised(gains: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the frequency responses, real, of responses cut to their length by a window."""
    size, half = sizes(sample_rate)
    impulses = fft.irfft(gains, size)
    impulses *= _window(size, half)
    return np.asarray(fft.rfft(impulses).real)


@cache
def _window(size: int, half: int) -> np.ndarray:
    """Return a Tukey window around lag 0: level over its inner half, which blurs curves half as much as a Hann window does."""
    window = np.zeros(size)
    lags = np.arange(-half + 1, half)
    window[lags] = signal.windows.tukey(len(lags), 0.5)
    return window


def _refuse_nan(audio: np.ndarray) -> None:
    check(audio)
    to_db(float(np.sum(audio, dtype=np.float64)) ** 2)


def _rows(channel: np.ndarray, first: int, size: int, half: int, rows: int) -> np.ndarray:
    """Return `rows` stretches of a channel, each `size` long and `size` - 2 `half` after the last, the first from `first` - `half` on."""
    step = size - 2 * half
    stretch = np.zeros((rows - 1) * step + size, channel.dtype)
    part = channel[max(first - half, 0) : first - half + len(stretch)]
    start = max(half - first, 0)
    stretch[start : start + len(part)] = part
    return np.lib.stride_tricks.sliding_window_view(stretch, size)[::step]


def _put(pieces: np.ndarray, half: int, out: np.ndarray, first: int) -> None:
    """Write the middles of the stretches, which alone are whole."""
    step = pieces.shape[1] - 2 * half
    for row, piece in enumerate(pieces):
        target = out[first + row * step : first + (row + 1) * step]
        target[:] = piece[half : half + len(target)]


@kernel
def _scale(spectra, gain):  # type: ignore[no-untyped-def]
    for row in range(spectra.shape[0]):
        for k in range(spectra.shape[1]):
            spectra[row, k] *= gain[k]


@kernel
def _mix(left, right, gains):  # type: ignore[no-untyped-def]
    for row in range(left.shape[0]):
        for k in range(left.shape[1]):
            a, b = left[row, k], right[row, k]
            left[row, k] = a * gains[0, 0, k] + b * gains[0, 1, k]
            right[row, k] = a * gains[1, 0, k] + b * gains[1, 1, k]
