"""Delay: echoes."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter, refuse_above_nyquist
from mixdata.kernels import kernel

TINY = 1e-30  # less counts as silence, or echoes would never die: they would stay in the smallest numbers, which are slow


@effect
@dataclass(frozen=True)
class Delay(Effect):
    """Echoes every `time_s` (rounded to whole frames, at least one), each `feedback` times as loud as the one before.

    The feedback comb filter of Zolzer, "DAFX", 2nd ed. 2011, ch. 2: echo[n] = x[n - D] + feedback LP(echo)[n - D],
    out = (1 - mix) x + mix echo.
    LP is a one-pole low-pass that is 3.01 dB down at `damping_hz` exactly: the first echo is bright, each further one darker; "inf" is
    without. With `ping_pong` stereo is folded, (L + R) / 2, and its echoes come left, right, left and so on.
    """

    neutral: ClassVar[dict[str, Any]] = {"mix": 0.0}

    time_s: float = parameter(0.3, low=0.001, high=5, draw={"loguniform": [0.1, 1.0]})
    feedback: float = parameter(0.2, low=0, high=0.99, draw={"uniform": [0.05, 0.3]})
    mix: float = parameter(0.25, low=0, high=1, draw={"uniform": [0.1, 0.35]})
    damping_hz: float = parameter(math.inf, low=100, high=math.inf)
    ping_pong: bool = parameter(False)

    def check_rate(self, sample_rate: int) -> None:
        if math.isfinite(self.damping_hz):
            refuse_above_nyquist(f"{self.name}.damping_hz", self.damping_hz, sample_rate)

    def arrival_frames(self, sample_rate: int) -> int:
        return self.frames(sample_rate) if self.mix == 1 else 0

    def frames(self, sample_rate: int) -> int:
        """Return the time from echo to echo in frames."""
        return max(1, round(self.time_s * sample_rate))

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        later = self.frames(sample_rate)
        pole = 0.0
        if math.isfinite(self.damping_hz):
            c = 2 - math.cos(2 * math.pi * self.damping_hz / sample_rate)
            pole = c - math.sqrt(c * c - 1)
        bounces = self.ping_pong and len(audio) == 2
        source = (audio[:1] + audio[1:]) * audio.dtype.type(0.5) if bounces else audio
        real = audio.dtype.type
        echo = np.zeros_like(audio)
        _echo(source, echo, later, real(self.feedback), pole, bounces)
        _mix(audio, echo, real(1 - self.mix), real(self.mix))
        return echo


@kernel
def _echo(x, echo, later, feedback, pole, bounces):  # type: ignore[no-untyped-def]
    """Fill `echo`, one delay's length after the other: nothing within such a stretch depends on the same stretch."""
    channels, frames = echo.shape
    dark = np.zeros((channels, min(later, frames) if pole > 0 else 0), x.dtype)
    state = np.zeros(channels)
    for start in range(later, frames, later):
        count = min(later, frames - start)
        for channel in range(channels):
            past = echo[channels - 1 - channel if bounces else channel, start - later : start - later + count]
            if pole > 0:
                kept = state[channel]
                for n in range(count):
                    kept = past[n] + pole * (kept - past[n])
                    kept = kept if abs(kept) > TINY else 0.0
                    dark[channel, n] = kept
                state[channel] = kept
                past = dark[channel, :count]
            target = echo[channel, start : start + count]
            if bounces and channel == 1:
                for n in range(count):
                    target[n] = feedback * past[n] if abs(past[n]) > TINY else 0
            else:
                source = x[channel, start - later : start - later + count]
                for n in range(count):
                    target[n] = source[n] + (feedback * past[n] if abs(past[n]) > TINY else feedback * 0)


@kernel
def _mix(x, echo, dry, wet):  # type: ignore[no-untyped-def]
    for channel in range(len(x)):
        source, target = x[channel], echo[channel]
        for n in range(len(source)):
            target[n] = dry * source[n] + wet * target[n]
