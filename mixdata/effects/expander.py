"""Expander and gate."""

import math
from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.dynamics import LINKS, STEEPEST, Curve, Detection, Motion, apply_gain


@effect
@dataclass(frozen=True)
class Expander(Effect):
    """Downward expander: what is below the threshold is made quieter; with a ratio of infinity it is a gate.

    The mirror of a compressor's static curve, y = T + R (x - T) below the threshold, with the same parabolic knee (Giannoulis, Massberg and
    Reiss, JAES 60(6), 2012, eq. 4, turned around), and their smooth branching detector on the reduction in decibels.
    `range_db` is the most that is taken away. `attack_ms` is the time to open, `release_ms` the time to close, both to 63.2 %; closing
    waits until the level has asked for it for `hold_ms` on end, so a hold longer than half a wave keeps the gate from following the wave.
    It starts as the first sample asks for. `link` is that of the compressor (peak levels).
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"ratio": 1.0}

    threshold_db: float = parameter(-40.0, low=-120, high=24, draw={"uniform": [-50, -20]})
    ratio: float = parameter(2.0, low=1, high=math.inf, draw={"uniform": [1.5, 10]})
    range_db: float = parameter(40.0, low=0, high=120, draw={"uniform": [10, 60]})
    attack_ms: float = parameter(1.0, low=0, high=1000, draw={"uniform": [0.5, 10]})
    hold_ms: float = parameter(20.0, low=0, high=2000, draw={"uniform": [10, 50]})
    release_ms: float = parameter(100.0, low=0, high=10_000, draw={"uniform": [50, 400]})
    knee_db: float = parameter(0.0, low=0, high=48)
    link: str = parameter("max", choices=LINKS)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        curve = Curve(self.threshold_db, min(self.ratio - 1, STEEPEST), self.knee_db, below=True, most_db=self.range_db)
        motion = Motion("holding", self.release_ms, self.attack_ms, self.hold_ms)
        return apply_gain(audio, sample_rate, Detection(link=self.link), curve, motion)
