"""Compressor."""

import math
from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.dynamics import BALLISTICS, DETECTORS, LINKS, Curve, Detection, Motion, apply_gain


@effect
@dataclass(frozen=True)
class Compressor(Effect):
    """Feed-forward compressor: the reduction is found in decibels and then smoothed.

    Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design", JAES 60(6), 2012: the static curve with its knee (eq. 4) and
    the smooth decoupled, decoupled, branching and smooth branching detectors after it.
    `attack_ms` and `release_ms` are the times to 63.2 % (1 - 1/e); in the decoupled forms the recovery takes about attack + release.
    `lookahead_ms` moves the gain, not the sound: it starts to act that much before. `detector`: `peak` is the magnitude of each sample,
    `rms` the root of a mean square with one pole of `rms_ms`. `link`: one gain for all channels, from their largest (`max`) or their mean
    level (of magnitudes, or of mean squares), or one for each (`none`), which moves the stereo image. `ratio` may be infinite.
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"ratio": 1.0, "makeup_db": 0.0}

    threshold_db: float = parameter(-20.0, low=-120, high=24, draw={"uniform": [-42, -20]})
    ratio: float = parameter(4.0, low=1, high=math.inf, draw={"uniform": [1.5, 6]})
    attack_ms: float = parameter(10.0, low=0, high=1000, draw={"uniform": [1, 50]})
    release_ms: float = parameter(100.0, low=0, high=10_000, draw={"uniform": [10, 250]})
    knee_db: float = parameter(6.0, low=0, high=48)
    makeup_db: float = parameter(0.0, low=-60, high=60)
    lookahead_ms: float = parameter(0.0, low=0, high=100)
    detector: str = parameter("peak", choices=DETECTORS)
    rms_ms: float = parameter(10.0, low=0, high=1000)
    ballistics: str = parameter("smooth_decoupled", choices=BALLISTICS)
    link: str = parameter("max", choices=LINKS)

    def reach_frames(self, sample_rate: int) -> int:
        return super().reach_frames(sample_rate) + round(self.lookahead_ms * sample_rate / 1000)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        detection = Detection(self.detector, self.link, self.rms_ms, self.lookahead_ms)
        curve = Curve(self.threshold_db, 1 - 1 / self.ratio, self.knee_db)
        return apply_gain(audio, sample_rate, detection, curve, Motion(self.ballistics, self.attack_ms, self.release_ms), self.makeup_db)
