"""Tilt: brighter or darker as a whole."""

import math
from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter, refuse_above_nyquist
from mixdata.effects.biquad import cascade


@effect
@dataclass(frozen=True)
class Tilt(Effect):
    """Tilt the spectrum around `frequency_hz`: towards +gain_db / 2 far above it and -gain_db / 2 far below it, 0 dB there.

    The first-order shelf H(s) = (g s + 1) / (s + g), s in units of the pivot, with g = 10^(gain_db / 40) and thus |H(j)| = 1,
    |H(0)| = 1 / g, |H(inf)| = g; in discrete time by the bilinear transform, the pivot prewarped (J. O. Smith, "Introduction to Digital
    Filters", 2007, has the transform). -gain_db undoes it.
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"gain_db": 0.0}

    frequency_hz: float = parameter(1000.0, low=1, high=500_000, draw={"loguniform": [500, 2000]})
    gain_db: float = parameter(0.0, low=-48, high=48, draw={"uniform": [-12, 12]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        t, g = math.tan(math.pi * self.frequency_hz / sample_rate), amplitude(self.gain_db / 2)
        a0 = 1 + g * t
        return cascade(audio, [((g + t) / a0, (t - g) / a0, 0.0, (g * t - 1) / a0, 0.0)])

    def check_rate(self, sample_rate: int) -> None:
        refuse_above_nyquist(f"{self.name}.frequency_hz", self.frequency_hz, sample_rate)
