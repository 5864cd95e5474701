"""Gain: level alone."""

from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter


@effect
@dataclass(frozen=True)
class Gain(Effect):
    """Multiply by `gain_db` decibels."""

    level_only: ClassVar[bool] = True
    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"gain_db": 0.0}

    gain_db: float = parameter(0.0, low=-120, high=60, draw={"uniform": [-12, 12]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        return audio * audio.dtype.type(amplitude(self.gain_db))
