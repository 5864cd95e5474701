"""Upward expander."""

from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.dynamics import LINKS, Curve, Detection, Motion, apply_gain


@effect
@dataclass(frozen=True)
class UpwardExpander(Effect):
    """Upward expander: what is above the threshold is made louder.

    The inverse of a compressor's static curve, y = T + R (x - T) above the threshold, with the same parabolic knee (Giannoulis, Massberg
    and Reiss, JAES 60(6), 2012, eq. 4), and their smooth branching detector on the boost in decibels: where the levels are steady, what a
    compressor without knee and make-up gain did is undone with its threshold and its ratio. `most_db` is the largest boost. `attack_ms` is
    the time of the boost's rise, `release_ms` that of its fall, both to 63.2 %. `link` is that of the compressor (peak levels).
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"ratio": 1.0}

    threshold_db: float = parameter(-30.0, low=-120, high=24, draw={"uniform": [-40, -15]})
    ratio: float = parameter(1.5, low=1, high=100, draw={"uniform": [1.2, 3]})
    most_db: float = parameter(24.0, low=0, high=120, draw={"uniform": [6, 24]})
    attack_ms: float = parameter(10.0, low=0, high=1000, draw={"uniform": [1, 50]})
    release_ms: float = parameter(100.0, low=0, high=10_000, draw={"uniform": [10, 250]})
    knee_db: float = parameter(0.0, low=0, high=48)
    link: str = parameter("max", choices=LINKS)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        curve = Curve(self.threshold_db, self.ratio - 1, self.knee_db, most_db=self.most_db, boost=True)
        motion = Motion("smooth_branching", self.attack_ms, self.release_ms)
        return apply_gain(audio, sample_rate, Detection(link=self.link), curve, motion)
