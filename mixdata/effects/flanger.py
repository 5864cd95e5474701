"""Flanger: a comb whose teeth wander."""

from dataclasses import dataclass
from typing import Any, ClassVar

from mixdata.effects.base import effect, parameter
from mixdata.effects.modulation import SwingingDelay


@effect
@dataclass(frozen=True)
class Flanger(SwingingDelay):
    """Add a copy whose delay swings between (1 - depth) and (1 + depth) times `centre_delay_ms`, a few ms.

    Dattorro, "Effect Design, Part 2", JAES 45(10), 1997; the formulas are at `modulation.modulated_delay`. At mix 0.5 without feedback
    the teeth are the zeros of a comb: (k + 1/2) / delay. Negative feedback makes the sound hollow. The delay is never under two frames.
    """

    neutral: ClassVar[dict[str, Any]] = {"mix": 0.0}

    rate_hz: float = parameter(0.3, low=0.01, high=20, draw={"loguniform": [0.1, 1.0]})
    depth: float = parameter(0.7, low=0, high=1, draw={"uniform": [0.3, 0.9]})
    centre_delay_ms: float = parameter(2.0, low=0.1, high=20, draw={"uniform": [1, 4]})
    feedback: float = parameter(0.3, low=-0.95, high=0.95, draw={"uniform": [-0.7, 0.7]})
    mix: float = parameter(0.5, low=0, high=1, draw={"uniform": [0.3, 0.5]})
    phase_cycles: float = parameter(0.0, low=0, high=1, draw={"uniform": [0, 1]})
    spread_cycles: float = parameter(0.0, low=0, high=0.5)
