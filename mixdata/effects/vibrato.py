"""Vibrato: the pitch swings."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.modulation import SHORTEST, channel_phases, modulated_delay


@effect
@dataclass(frozen=True)
class Vibrato(Effect):
    """Read the sound up to `depth_ms` later and earlier in turn: out(t) = x(t - depth_ms sin(2 pi (rate_hz t + phase_cycles))).

    Zolzer, "DAFX", 2nd ed. 2011, ch. 3; here around now instead of around a delay, by looking ahead, so that over whole swings nothing is
    shifted. The pitch swings by 2 pi rate_hz depth_ms / 1000 of itself either way. Between frames by Lagrange's polynomial of third order,
    which takes treble away where it reads midway (1 dB at a quarter of the rate); beyond either end lies silence.
    """

    neutral: ClassVar[dict[str, Any]] = {"depth_ms": 0.0}

    rate_hz: float = parameter(5.0, low=0.01, high=20, draw={"uniform": [3, 7]})
    depth_ms: float = parameter(0.5, low=0, high=10, draw={"loguniform": [0.2, 1.0]})
    phase_cycles: float = parameter(0.0, low=0, high=1, draw={"uniform": [0, 1]})

    def sway_frames(self, sample_rate: int) -> int:
        return math.ceil(self.depth_ms / 1000 * sample_rate) + 2

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        depth = self.depth_ms / 1000
        ahead = math.ceil(depth * sample_rate + SHORTEST)
        longer = np.pad(audio, ((0, 0), (0, ahead)))
        phases = channel_phases(len(audio), self.phase_cycles - self.rate_hz * ahead / sample_rate, 0.0)
        swung = modulated_delay(longer, sample_rate, delay_s=ahead / sample_rate, depth_s=depth, rate_hz=self.rate_hz, phases=phases)
        return swung[:, ahead:].copy()
