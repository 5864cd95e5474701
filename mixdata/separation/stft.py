"""Short-time Fourier transforms with perfect reconstruction, in float32, for songs of any length in bounded memory.

Analysis and synthesis both use the square root of a periodic Hann window, so their product overlap-adds to the constant
`size / (2 * hop)` for every hop that divides `size / 2`.
"""

from collections.abc import Iterator

import numpy as np
from scipy import fft


def window(size: int) -> np.ndarray:
    """Square root of the periodic Hann window, float32: a sine's half period."""
    return np.sin(np.pi * np.arange(size) / size).astype(np.float32)


def stft(audio: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Return complex64 `(..., times, bins)` of `(..., frames)` audio; only whole windows, no padding."""
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=-1)[..., ::hop, :]
    return fft.rfft(frames * window(size), axis=-1)


def istft(spectra: np.ndarray, size: int, hop: int) -> np.ndarray:
    """Return float32 `(..., frames)`, `(times - 1) * hop + size` frames; exact where every window that covers a sample is there."""
    pieces = fft.irfft(spectra, n=size, axis=-1)
    pieces *= window(size) * np.float32(2 * hop / size)
    times, overlap = pieces.shape[-2], size // hop
    out = np.zeros((*pieces.shape[:-2], times + overlap - 1, hop), np.float32)
    for part in range(overlap):
        out[..., part : part + times, :] += pieces[..., part * hop : (part + 1) * hop]
    return out.reshape(*out.shape[:-2], -1)


def chunks(frames: int, size: int, hop: int, times: int = 256, context: int = 0) -> Iterator[tuple[int, int, int]]:
    """Cut `frames` into spans that can be worked on alone: yield `(start, stop, margin)`.

    Work on `cut(audio, start - margin, stop + margin)` and keep what lies `margin` from both ends: inside it every window
    and `context` windows more on either side are the same as those of the whole song.
    """
    margin = size - hop + context * hop
    for start in range(0, frames, times * hop):
        length = min(times * hop, frames - start)
        yield start, start + -(-length // hop) * hop, margin


def cut(audio: np.ndarray, start: int, stop: int) -> np.ndarray:
    """Return `audio[..., start:stop]`, with zeros where that lies outside."""
    frames = audio.shape[-1]
    inside = audio[..., max(start, 0) : max(min(stop, frames), 0)]
    left = min(max(-start, 0), stop - start)
    return np.pad(inside, [(0, 0)] * (audio.ndim - 1) + [(left, stop - start - left - inside.shape[-1])])
