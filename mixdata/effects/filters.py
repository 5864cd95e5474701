"""High-pass, low-pass and band-pass filters of any steepness."""

from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter, refuse_above_nyquist
from mixdata.effects.biquad import butterworth, cascade
from mixdata.errors import EffectError


@effect
@dataclass(frozen=True)
class HighPass(Effect):
    """Take away what is below `frequency_hz`, by `order` times 6 dB an octave.

    A Butterworth filter ("On the Theory of Filter Amplifiers", 1930) by the bilinear transform: minimum phase, -3.01 dB at its frequency.
    """

    lanes: ClassVar[bool] = True

    frequency_hz: float = parameter(80.0, low=1, high=500_000, draw={"loguniform": [20, 400]})
    order: int = parameter(2, low=1, high=8, draw={"integers": [1, 4]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        return cascade(audio, butterworth("high_pass", self.frequency_hz, self.order, sample_rate))

    def check_rate(self, sample_rate: int) -> None:
        refuse_above_nyquist(f"{self.name}.frequency_hz", self.frequency_hz, sample_rate)


@effect
@dataclass(frozen=True)
class LowPass(Effect):
    """Take away what is above `frequency_hz`, by `order` times 6 dB an octave.

    A Butterworth filter ("On the Theory of Filter Amplifiers", 1930) by the bilinear transform: minimum phase, -3.01 dB at its frequency.
    """

    lanes: ClassVar[bool] = True

    frequency_hz: float = parameter(8000.0, low=1, high=500_000, draw={"loguniform": [2000, 16_000]})
    order: int = parameter(2, low=1, high=8, draw={"integers": [1, 4]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        return cascade(audio, butterworth("low_pass", self.frequency_hz, self.order, sample_rate))

    def check_rate(self, sample_rate: int) -> None:
        refuse_above_nyquist(f"{self.name}.frequency_hz", self.frequency_hz, sample_rate)


@effect
@dataclass(frozen=True)
class BandPass(Effect):
    """Keep what lies between `low_hz` and `high_hz`: a high-pass and a low-pass one after the other, each of `order`.

    Both are Butterworth filters, 3 dB down at their frequency; where the two lie close together the middle is lower, too.
    """

    lanes: ClassVar[bool] = True

    low_hz: float = parameter(350.0, low=1, high=500_000, draw={"loguniform": [100, 600]})
    high_hz: float = parameter(3500.0, low=1, high=500_000, draw={"loguniform": [2000, 8000]})
    order: int = parameter(2, low=1, high=8, draw={"integers": [1, 4]})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low_hz < self.high_hz:
            raise EffectError(f"band_pass.low_hz must lie below high_hz ({self.high_hz:g}), got {self.low_hz:g}")

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        highs = butterworth("high_pass", self.low_hz, self.order, sample_rate)
        return cascade(audio, highs + butterworth("low_pass", self.high_hz, self.order, sample_rate))

    def check_rate(self, sample_rate: int) -> None:
        refuse_above_nyquist(f"{self.name}.high_hz", self.high_hz, sample_rate)
