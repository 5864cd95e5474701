"""Tremolo: the level swings."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.modulation import channel_phases, oscillator

EDGE = 8.0
"""How much steeper than the triangle the square's edges are: each takes a sixteenth of a cycle, so that it does not click."""


@effect
@dataclass(frozen=True)
class Tremolo(Effect):
    """Multiply by a gain that swings between 1 and 1 - depth: 1 - depth (1 - lfo) / 2 (Zolzer, "DAFX", 2nd ed. 2011, ch. 3).

    The lfo is a sine of `rate_hz` in `shape`: itself, the triangle or the rounded square with the same zeros and extremes.
    `phase_cycles` is where it starts; the right channel's is `spread_cycles` ahead (0.5: the sound wanders from side to side).
    """

    level_only: ClassVar[bool] = True
    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"depth": 0.0}

    rate_hz: float = parameter(5.0, low=0.01, high=20, draw={"loguniform": [2, 10]})
    depth: float = parameter(0.5, low=0, high=1, draw={"uniform": [0.2, 0.9]})
    shape: str = parameter("sine", choices=("sine", "triangle", "square"), draw={"choice": ["sine", "triangle", "square"]})
    phase_cycles: float = parameter(0.0, low=0, high=1, draw={"uniform": [0, 1]})
    spread_cycles: float = parameter(0.0, low=0, high=0.5)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        channels, frames = audio.shape[-2:]
        phases = channel_phases(channels if self.spread_cycles else 1, self.phase_cycles, self.spread_cycles)
        lfo = np.stack([oscillator(frames, sample_rate, self.rate_hz, phase) for phase in phases])
        if self.shape != "sine":
            lfo = np.arcsin(lfo) * (2 / np.pi)
        if self.shape == "square":
            lfo = np.clip(EDGE * lfo, -1, 1)
        return audio * (1 - self.depth * (0.5 - 0.5 * lfo)).astype(audio.dtype)
