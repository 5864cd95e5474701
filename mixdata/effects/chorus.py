"""Chorus: a voice and its wavering doubles."""

from dataclasses import dataclass
from typing import Any, ClassVar

from mixdata.effects.base import effect, parameter
from mixdata.effects.modulation import SwingingDelay


@effect
@dataclass(frozen=True)
class Chorus(SwingingDelay):
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
