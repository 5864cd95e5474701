"""Second-order sections: their coefficients from published formulas, and a cascade of them run over audio.

A section is `(b0, b1, b2, a1, a2)`, divided by a0: y[n] = b0 x[n] + b1 x[n-1] + b2 x[n-2] - a1 y[n-1] - a2 y[n-2].
"""

import math
from collections.abc import Sequence

import numpy as np

from mixdata.effects.base import Audio
from mixdata.kernels import kernel

Section = tuple[float, float, float, float, float]
GAIN_KINDS = ("peak", "low_shelf", "high_shelf")
KINDS = (*GAIN_KINDS, "low_pass", "high_pass", "band_pass", "notch", "all_pass")
BUTTERWORTH = math.sqrt(0.5)
BLOCK = 1024


def rbj(kind: str, frequency_hz: float, gain_db: float, q: float, sample_rate: float) -> Section:
    """Return a section of the Audio EQ Cookbook (Robert Bristow-Johnson; W3C Note of 8 June 2021).

    `gain_db` counts for peak and shelves alone. The band-pass has 0 dB at its peak; a peak's bandwidth is such that -gain_db undoes it.
    """
    w0 = 2 * math.pi * frequency_hz / sample_rate
    c, alpha, a = math.cos(w0), math.sin(w0) / (2 * q), 10 ** (gain_db / 40)
    b: tuple[float, float, float]
    if kind == "peak":
        b, d = (1 + alpha * a, -2 * c, 1 - alpha * a), (1 + alpha / a, -2 * c, 1 - alpha / a)
    elif kind in ("low_shelf", "high_shelf"):
        r, s = 2 * math.sqrt(a) * alpha, 1 if kind == "low_shelf" else -1
        b = (a * (a + 1 - s * (a - 1) * c + r), s * 2 * a * (a - 1 - s * (a + 1) * c), a * (a + 1 - s * (a - 1) * c - r))
        d = (a + 1 + s * (a - 1) * c + r, s * -2 * (a - 1 + s * (a + 1) * c), a + 1 + s * (a - 1) * c - r)
    else:
        d = (1 + alpha, -2 * c, 1 - alpha)
        b = {
            "low_pass": ((1 - c) / 2, 1 - c, (1 - c) / 2),
            "high_pass": ((1 + c) / 2, -(1 + c), (1 + c) / 2),
            "band_pass": (alpha, 0.0, -alpha),
            "notch": (1.0, -2 * c, 1.0),
            "all_pass": (1 - alpha, -2 * c, 1 + alpha),
        }[kind]
    return b[0] / d[0], b[1] / d[0], b[2] / d[0], d[1] / d[0], d[2] / d[0]


def butterworth(kind: str, frequency_hz: float, order: int, sample_rate: float) -> list[Section]:
    """Return the sections of a `low_pass` or `high_pass` that is 3.01 dB down at its frequency and falls by 6 dB an octave for each order.

    S. Butterworth, "On the Theory of Filter Amplifiers", 1930: poles on a circle, so pairs of Q = 1 / (2 cos(angle)); bilinear transform,
    its frequency prewarped, as in the cookbook's sections.
    """
    angles = [math.pi * (2 * k + 1 + order % 2) / (2 * order) for k in range(order // 2)]
    sections = [rbj(kind, frequency_hz, 0.0, 1 / (2 * math.cos(angle)), sample_rate) for angle in angles]
    if order % 2:
        t = math.tan(math.pi * frequency_hz / sample_rate)
        b0, b1 = (t / (1 + t), t / (1 + t)) if kind == "low_pass" else (1 / (1 + t), -1 / (1 + t))
        sections.append((b0, b1, 0.0, (t - 1) / (t + 1), 0.0))
    return sections


def cascade(audio: Audio, sections: Sequence[Section]) -> Audio:
    """Return `(…, channels, frames)` run through the sections one after the other, in float64."""
    out = np.empty_like(audio)
    frames = audio.shape[-1]
    _cascade(audio.reshape(-1, frames), out.reshape(-1, frames), np.array(sections, np.float64).reshape(-1, 5))
    return out


@kernel
def _cascade(audio: Audio, out: Audio, sections: Audio) -> None:
    """Run all sections over a block that stays in the cache, two channels beside each other so that their recursions overlap."""
    channels, frames = audio.shape
    count = len(sections)
    block = np.empty((2, BLOCK))
    for first in range(0, channels, 2):
        second = min(first + 1, channels - 1)
        past = np.zeros((count, 4, 2))
        for start in range(0, frames, BLOCK):
            size = min(BLOCK, frames - start)
            for i in range(size):
                block[0, i] = audio[first, start + i]
            for i in range(size):
                block[1, i] = audio[second, start + i]
            for at in range(0, count - 1, 2):
                _two_sections(block, size, sections[at], sections[at + 1], past[at], past[at + 1])
            if count % 2:
                _one_section(block, size, sections[count - 1], past[count - 1])
            for i in range(size):
                out[first, start + i] = block[0, i]
            for i in range(size):
                out[second, start + i] = block[1, i]
            for at in range(count):  # what has died away would go on as slow denormal numbers
                for tap in range(4):
                    for channel in range(2):
                        if abs(past[at, tap, channel]) < 1e-60:
                            past[at, tap, channel] = 0.0


@kernel
def _one_section(block: Audio, size: int, section: Audio, past: Audio) -> None:
    b0, b1, b2, a1, a2 = section[0], section[1], section[2], section[3], section[4]
    xl1, xl2, yl1, yl2 = past[0, 0], past[1, 0], past[2, 0], past[3, 0]
    xr1, xr2, yr1, yr2 = past[0, 1], past[1, 1], past[2, 1], past[3, 1]
    for i in range(size):
        xl, xr = block[0, i], block[1, i]
        yl = ((b0 * xl + b1 * xl1) + (b2 * xl2 - a2 * yl2)) - a1 * yl1
        yr = ((b0 * xr + b1 * xr1) + (b2 * xr2 - a2 * yr2)) - a1 * yr1
        xl1, xl2, yl1, yl2 = xl, xl1, yl, yl1
        xr1, xr2, yr1, yr2 = xr, xr1, yr, yr1
        block[0, i], block[1, i] = yl, yr
    past[0, 0], past[1, 0], past[2, 0], past[3, 0] = xl1, xl2, yl1, yl2
    past[0, 1], past[1, 1], past[2, 1], past[3, 1] = xr1, xr2, yr1, yr2


@kernel
def _two_sections(block: Audio, size: int, section: Audio, next_section: Audio, past: Audio, next_past: Audio) -> None:
    """Run two sections in one pass: the second works on sample n - 1 while the first is at n, as far as the processor sees ahead."""
    b0, b1, b2, a1, a2 = section[0], section[1], section[2], section[3], section[4]
    d0, d1, d2, c1, c2 = next_section[0], next_section[1], next_section[2], next_section[3], next_section[4]
    xl1, xl2, yl1, yl2, zl1, zl2 = past[0, 0], past[1, 0], past[2, 0], past[3, 0], next_past[2, 0], next_past[3, 0]
    xr1, xr2, yr1, yr2, zr1, zr2 = past[0, 1], past[1, 1], past[2, 1], past[3, 1], next_past[2, 1], next_past[3, 1]
    for i in range(size):
        xl, xr = block[0, i], block[1, i]
        yl = ((b0 * xl + b1 * xl1) + (b2 * xl2 - a2 * yl2)) - a1 * yl1
        yr = ((b0 * xr + b1 * xr1) + (b2 * xr2 - a2 * yr2)) - a1 * yr1
        zl = ((d0 * yl + d1 * yl1) + (d2 * yl2 - c2 * zl2)) - c1 * zl1
        zr = ((d0 * yr + d1 * yr1) + (d2 * yr2 - c2 * zr2)) - c1 * zr1
        xl1, xl2, yl1, yl2, zl1, zl2 = xl, xl1, yl, yl1, zl, zl1
        xr1, xr2, yr1, yr2, zr1, zr2 = xr, xr1, yr, yr1, zr, zr1
        block[0, i], block[1, i] = zl, zr
    past[0, 0], past[1, 0], past[2, 0], past[3, 0], next_past[2, 0], next_past[3, 0] = xl1, xl2, yl1, yl2, zl1, zl2
    past[0, 1], past[1, 1], past[2, 1], past[3, 1], next_past[2, 1], next_past[3, 1] = xr1, xr2, yr1, yr2, zr1, zr2
