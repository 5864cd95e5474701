"""Chorus: a voice and its wavering doubles."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.modulation import SHORTEST, channel_phases, modulated_delay


@effect
@dataclass(frozen=True)
class Chorus(Effect):
    """Add a copy whose delay swings between (1 - depth) and (1 + depth) times `centre_delay_ms`, as a sine of `rate_hz`.

    Dattorro, "Effect Design, Part 2", JAES 45(10), 1997; the formulas are at `modulation.modulated_delay`.
    `phase_cycles` is where the sine starts; the right channel's is `spread_cycles` ahead. The sum is `(1 - mix) dry + mix wet`.
    """

    neutral: ClassVar[dict[str, Any]] = {"mix": 0.0}

    rate_hz: float = parameter(0.8, low=0.01, high=20, draw={"uniform": [0.25, 1.5]})
    depth: float = parameter(0.4, low=0, high=1, draw={"uniform": [0.2, 0.6]})
    centre_delay_ms: float = parameter(7.5, low=1, high=100, draw={"uniform": [5, 10]})
    feedback: float = parameter(0.2, low=-0.95, high=0.95, draw={"uniform": [0.1, 0.4]})
    mix: float = parameter(0.3, low=0, high=1, draw={"uniform": [0.15, 0.4]})
    phase_cycles: float = parameter(0.0, low=0, high=1, draw={"uniform": [0, 1]})
    spread_cycles: float = parameter(0.25, low=0, high=0.5)

    def arrival_frames(self, sample_rate: int) -> int:
        return max(round(self.centre_delay_ms / 1000 * sample_rate), round(SHORTEST)) if self.mix == 1 else 0

    def sway_frames(self, sample_rate: int) -> int:
        return math.ceil(self.depth * self.centre_delay_ms / 1000 * sample_rate) + 2 if self.mix == 1 else 0

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        delay = self.centre_delay_ms / 1000
        phases = channel_phases(len(audio), self.phase_cycles, self.spread_cycles)
        return modulated_delay(
            audio,
            sample_rate,
            delay_s=delay,
            depth_s=delay * self.depth,
            rate_hz=self.rate_hz,
            phases=phases,
            feedback=self.feedback,
            mix=self.mix,
        )
