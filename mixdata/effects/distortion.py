"""Distortion: a memoryless curve, run at a higher rate so that its overtones do not fold back."""

import functools
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import signal

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter
from mixdata.errors import EffectError
from mixdata.kernels import kernel

KINDS = ("tanh", "soft", "hard", "asymmetric")
FACTORS = (0, 1, 2, 4, 8)
AUTOMATIC = {"tanh": 2, "soft": 4, "hard": 8, "asymmetric": 4}
"""The smallest factors at 44.1 kHz with which all aliases under 20 kHz of a 997 Hz sine, driven by 24 dB, sum to 60 dB less than it."""
AMPLE_DRIVE_DB = 25.0

BLOCK = 2048
MARGIN = 72
STAGES = ((28, 0.4535), (8, 0.25), (4, 0.125))
"""For each doubling of the rate: half the filter's odd taps, and the end of its pass band, in parts of the doubled rate's Nyquist."""

TANH_END = 8.5
TANH = (
    (0.9999999999833288, 0.14117772934236952, 0.004450746002485213, 4.291792479150015e-05, 1.149369715363896e-07, 3.915599224683526e-11),
    (1.0, 0.4745110624843424, 0.02928776719456318, 0.0005056189906576659, 2.6641326622445923e-06, 3.0923069401931186e-09),
)
"""tanh(v) / v as a ratio of polynomials in v^2 (own least-squares fit): true to 2e-11 up to TANH_END, where tanh is 1 to within 1e-7."""
DC_HZ = 10.0
TINY = 1e-30  # less counts as silence


@effect
@dataclass(frozen=True)
class Distortion(Effect):
    """Drive a curve that saturates at -1 and 1: `wet = curve(drive x + bias) - curve(bias)`.

    The curves, of v: `tanh`; `soft`, the cubic 1.5 v - 0.5 v^3 (Zolzer, "DAFX", 2nd ed. 2011, ch. 4, has this family); `hard`, a clip;
    `asymmetric`, tanh(v) above zero and tanh(2 v) / 2 below. The curve runs at `oversampling` times the rate (1, 2, 4 or 8; 1 is the
    bare curve; 0 takes what the curve needs: the aliases under 20 kHz of a full-scale 997 Hz sine at up to 25 dB of drive then sum to less
    than -60 dB of it, at rates from 16 kHz up, with `hard` from 32 kHz up; every 6 dB of drive above get another doubling, to 8 at
    most), reached by linear-phase half-band filters whose delay is compensated; above 20 kHz (0.4535 of the rate) they fade out.
    Where the curve is not odd (`asymmetric`, or a bias) it makes DC, which a first-order high-pass at 10 Hz takes out of the wet part.
    `output_db` is the level of the wet part; the sum is `(1 - mix) dry + mix wet`.
    """

    rings: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"mix": 0.0}

    kind: str = parameter("tanh", choices=KINDS)
    drive_db: float = parameter(15.0, low=0, high=60, draw={"uniform": [8, 25]})
    bias: float = parameter(0.0, low=-1, high=1)
    mix: float = parameter(1.0, low=0, high=1)
    output_db: float = parameter(0.0, low=-60, high=24)
    oversampling: int = parameter(0, low=0, high=8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.oversampling not in FACTORS:
            raise EffectError(f"distortion.oversampling must be one of {', '.join(map(str, FACTORS))}, got {self.oversampling!r}")

    def factor(self, sample_rate: int) -> int:
        """Return how many times the rate the curve runs at. What is automatic needs less at high rates and more at low ones."""
        if self.oversampling:
            return self.oversampling
        hotter = max(0, math.ceil((self.drive_db - AMPLE_DRIVE_DB) / 6))
        faster = math.floor(math.log2(sample_rate / 44_100))  # a whole octave above 44.1 kHz, or any below
        wanted = AUTOMATIC[self.kind] << hotter
        return min(8, max(1, wanted >> faster if faster > 0 else wanted << min(-faster, 3)))

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        real = audio.dtype.type
        doublings = self.factor(sample_rate).bit_length() - 1
        pole = math.exp(-2 * math.pi * DC_HZ / sample_rate) if self.kind == "asymmetric" or self.bias else 0.0
        out = np.empty_like(audio)
        _distort(
            audio,
            out,
            *(half_band(*stage).astype(audio.dtype) for stage in STAGES),
            doublings,
            KINDS.index(self.kind),
            np.asarray(TANH, audio.dtype),
            np.asarray([amplitude(self.drive_db), self.bias, TANH_END, 1.0, 1.5, 0.5, 2.0, 0.0], audio.dtype),
            real(1 - self.mix),
            real(self.mix * amplitude(self.output_db)),
            pole,
        )
        return out


@functools.cache
def half_band(side: int, edge: float) -> np.ndarray:
    """Return the taps that stand at the odd places of a linear-phase half-band filter: `side` of them, mirrored on the other side.

    The one-band design of Vaidyanathan and Nguyen, IEEE Trans. CAS 34(3), 1987. The taps of both sides sum to 1: a constant stays itself.
    """
    taps = signal.remez(2 * side, [0, 2 * edge], [1.0], fs=2)[side:]
    return taps / (2 * taps.sum())


@kernel
def _distort(x, out, first, second, third, doublings, kind, tanh, facts, dry, wet, pole):  # type: ignore[no-untyped-def]
    """Fill `out`, block by block so that all of a block stays in the cache; neighbours are reckoned anew from MARGIN frames around it."""
    channels, frames = x.shape
    span = BLOCK + 2 * MARGIN
    base = np.zeros(span, x.dtype)
    rate2, rate4, rate8 = np.zeros(2 * span, x.dtype), np.zeros(4 * span, x.dtype), np.zeros(8 * span, x.dtype)
    odd = np.zeros(4 * span, x.dtype)
    even = np.zeros(4 * span, x.dtype)
    silent = np.zeros(1, x.dtype)
    _curve(silent, kind, tanh, facts, facts[7])
    rest = silent[0]
    for channel in range(channels):
        before, kept = 0.0, 0.0
        for start in range(0, frames, BLOCK):
            low, high = max(0, start - MARGIN), min(frames, start + BLOCK + MARGIN)
            base[:] = 0
            base[low - start + MARGIN : high - start + MARGIN] = x[channel, low:high]
            top = base
            if doublings > 0:
                _double(base, rate2, odd, first)
                top = rate2
            if doublings > 1:
                _double(rate2, rate4, odd, second)
                top = rate4
            if doublings > 2:
                _double(rate4, rate8, odd, third)
                top = rate8
            _curve(top, kind, tanh, facts, rest)
            if doublings > 2:
                _halve(rate8, rate4, even, odd, third)
            if doublings > 1:
                _halve(rate4, rate2, even, odd, second)
            if doublings > 0:
                _halve(rate2, base, even, odd, first)
            count = min(BLOCK, frames - start)
            if pole > 0:
                level = 0.5 * (1 + pole)
                for n in range(MARGIN, MARGIN + count):
                    kept = level * (base[n] - before) + pole * kept
                    kept = kept if abs(kept) > TINY else 0.0
                    before = base[n]
                    base[n] = kept
            source, shaped, target = x[channel, start : start + count], base[MARGIN : MARGIN + count], out[channel, start : start + count]
            for n in range(count):
                target[n] = dry * source[n] + wet * shaped[n]


@kernel
def _double(x, y, odd, taps):  # type: ignore[no-untyped-def]
    """Fill `y` with `x` at twice the rate: `x` itself, and between two frames what the filter makes of those around them."""
    side = len(taps)
    inner = len(x) - 2 * side
    _mirrored(x[1:], odd, taps, inner)
    for n in range(inner):
        y[2 * (n + side)] = x[n + side]
        y[2 * (n + side) + 1] = odd[n]


@kernel
def _halve(x, y, even, odd, taps):  # type: ignore[no-untyped-def]
    """Fill `y` with every second frame of the filtered `x`."""
    side, count = len(taps), len(y)
    inner = count - 2 * side
    for n in range(count):
        even[n] = x[2 * n]
        odd[n] = x[2 * n + 1]
    target, middle = y[side : side + inner], even[side : side + inner]
    _mirrored(odd, target, taps, inner)
    half = taps.dtype.type(0.5)
    for n in range(inner):
        target[n] = half * (target[n] + middle[n])


@kernel
def _mirrored(x, y, taps, inner):  # type: ignore[no-untyped-def]
    """y[n] = sum over k of taps[k] (x[n + side + k] + x[n + side - 1 - k]), four taps at a time."""
    side = len(taps)
    y[:inner] = 0
    for k in range(0, side, 4):
        a, b, c, d = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
        up = x[side + k :]
        down = x[side - k - 4 :]
        for n in range(inner):
            y[n] += (a * (up[n] + down[n + 3]) + b * (up[n + 1] + down[n + 2])) + (
                c * (up[n + 2] + down[n + 1]) + d * (up[n + 3] + down[n])
            )


@kernel
def _curve(x, kind, tanh, facts, rest):  # type: ignore[no-untyped-def]
    """Put the curve's values in the place of `x`. Constants come as arrays to be of the audio's own precision."""
    drive, bias, end, one, a, b, two, zero = facts[0], facts[1], facts[2], facts[3], facts[4], facts[5], facts[6], facts[7]
    if kind == 2:
        for n in range(len(x)):
            x[n] = min(max(drive * x[n] + bias, -one), one) - rest
    elif kind == 1:
        for n in range(len(x)):
            v = min(max(drive * x[n] + bias, -one), one)
            x[n] = v * (a - b * (v * v)) - rest
    else:
        p0, p1, p2, p3, p4, p5 = tanh[0, 0], tanh[0, 1], tanh[0, 2], tanh[0, 3], tanh[0, 4], tanh[0, 5]
        q1, q2, q3, q4, q5 = tanh[1, 1], tanh[1, 2], tanh[1, 3], tanh[1, 4], tanh[1, 5]
        steep = two if kind == 3 else one
        flat = b if kind == 3 else one
        for n in range(len(x)):
            v = drive * x[n] + bias
            below = v < zero
            v = min(max(steep * v if below else v, -end), end)
            t = v * v
            upper = p0 + t * (p1 + t * (p2 + t * (p3 + t * (p4 + t * p5))))
            lower = one + t * (q1 + t * (q2 + t * (q3 + t * (q4 + t * q5))))
            y = v * upper / lower
            x[n] = (flat * y if below else y) - rest
