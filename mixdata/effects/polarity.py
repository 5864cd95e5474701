"""Polarity: the sign alone."""

from dataclasses import dataclass
from typing import ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter

CHANNELS = {"both": slice(None), "left": slice(0, 1), "right": slice(1, 2)}


@effect
@dataclass(frozen=True)
class Polarity(Effect):
    """Turn the sign over: of every channel, or of the left or the right one only, which mono does not have."""

    level_only: ClassVar[bool] = True
    lanes: ClassVar[bool] = True

    channels: str = parameter("both", choices=tuple(CHANNELS))

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        out = audio.copy()
        if self.channels == "both" or audio.shape[-2] > 1:
            out[..., CHANNELS[self.channels], :] *= -1
        return out
