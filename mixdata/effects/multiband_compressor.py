"""Multiband compressor."""

import math
from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter, refuse_above_nyquist
from mixdata.effects.biquad import BUTTERWORTH, butterworth, cascade, rbj
from mixdata.effects.dynamics import LINKS, Curve, Detection, Motion, apply_gain
from mixdata.errors import EffectError


@effect
@dataclass(frozen=True)
class MultibandCompressor(Effect):
    """Split into three bands, compress each as `compressor` does (peak, smooth decoupled), add them up.

    The crossovers are Linkwitz-Riley filters of fourth order (S. Linkwitz, "Active Crossover Networks for Noncoincident Drivers", JAES
    24(1), 1976): two Butterworth filters each. The low band goes through the all-pass that the upper crossover is to the other two, so the
    bands add up to a flat magnitude. That sum has the phase of two second-order all-passes, also where every ratio is 1 and nothing is
    made up: then it is flat but not the input, so no setting is neutral.
    """

    lanes: ClassVar[bool] = True

    low_crossover_hz: float = parameter(150.0, low=1, high=500_000, draw={"loguniform": [60, 300]})
    high_crossover_hz: float = parameter(3000.0, low=1, high=500_000, draw={"loguniform": [2000, 12_000]})
    low_threshold_db: float = parameter(-24.0, low=-120, high=24, draw={"uniform": [-42, -20]})
    mid_threshold_db: float = parameter(-24.0, low=-120, high=24, draw={"uniform": [-42, -20]})
    high_threshold_db: float = parameter(-24.0, low=-120, high=24, draw={"uniform": [-42, -20]})
    low_ratio: float = parameter(3.0, low=1, high=math.inf, draw={"uniform": [1.5, 6]})
    mid_ratio: float = parameter(3.0, low=1, high=math.inf, draw={"uniform": [1.5, 6]})
    high_ratio: float = parameter(3.0, low=1, high=math.inf, draw={"uniform": [1.5, 6]})
    low_makeup_db: float = parameter(0.0, low=-60, high=60)
    mid_makeup_db: float = parameter(0.0, low=-60, high=60)
    high_makeup_db: float = parameter(0.0, low=-60, high=60)
    attack_ms: float = parameter(10.0, low=0, high=1000, draw={"uniform": [1, 50]})
    release_ms: float = parameter(100.0, low=0, high=10_000, draw={"uniform": [10, 250]})
    knee_db: float = parameter(6.0, low=0, high=48)
    link: str = parameter("max", choices=LINKS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low_crossover_hz < self.high_crossover_hz:
            message = f"must lie below high_crossover_hz ({self.high_crossover_hz:g}), got {self.low_crossover_hz:g}"
            raise EffectError(f"multiband_compressor.low_crossover_hz {message}")

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        low, mid, high = self.split(audio, sample_rate)
        out = self._compressed(low, sample_rate, self.low_threshold_db, self.low_ratio, self.low_makeup_db)
        out += self._compressed(mid, sample_rate, self.mid_threshold_db, self.mid_ratio, self.mid_makeup_db)
        out += self._compressed(high, sample_rate, self.high_threshold_db, self.high_ratio, self.high_makeup_db)
        return out

    def split(self, audio: Audio, sample_rate: int) -> tuple[Audio, Audio, Audio]:
        """Return the low, the middle and the high band."""
        low_hz, high_hz = self.low_crossover_hz, self.high_crossover_hz
        rest = cascade(audio, 2 * butterworth("high_pass", low_hz, 2, sample_rate))
        all_pass = rbj("all_pass", high_hz, 0.0, BUTTERWORTH, sample_rate)
        return (
            cascade(audio, [*(2 * butterworth("low_pass", low_hz, 2, sample_rate)), all_pass]),
            cascade(rest, 2 * butterworth("low_pass", high_hz, 2, sample_rate)),
            cascade(rest, 2 * butterworth("high_pass", high_hz, 2, sample_rate)),
        )

    def check_rate(self, sample_rate: int) -> None:
        refuse_above_nyquist(f"{self.name}.high_crossover_hz", self.high_crossover_hz, sample_rate)

    def _compressed(self, band: Audio, sample_rate: int, threshold_db: float, ratio: float, makeup_db: float) -> Audio:
        curve = Curve(threshold_db, 1 - 1 / ratio, self.knee_db)
        motion = Motion("smooth_decoupled", self.attack_ms, self.release_ms)
        return apply_gain(band, sample_rate, Detection(link=self.link), curve, motion, makeup_db)
