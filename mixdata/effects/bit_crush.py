"""Bit crush: few bits, few values per second."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter


@effect
@dataclass(frozen=True)
class BitCrush(Effect):
    """Round to the steps of a converter of `bits` bits, and hold each value until the next of `hold_hz` values per second.

    A step is 2^(1 - bits); what lies beyond the converter's range, -1 to 1 less a step, is clipped. There is no dither and no filter, so
    that the error is heard. A value is held for a whole number of frames, from the first frame on; where that is one, nothing is held.
    A held value is never early and up to a period late: by nature the sound lags by half a period on average.
    """

    lanes: ClassVar[bool] = True

    bits: int = parameter(8, low=1, high=24, draw={"integers": [5, 12]})
    hold_hz: float = parameter(math.inf, low=100, high=math.inf, draw={"loguniform": [4800, 44100]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        frames = audio.shape[-1]
        hold = max(1, round(sample_rate / self.hold_hz))
        steps = audio.dtype.type(2 ** (self.bits - 1))
        whole = np.round(audio[..., ::hold] * steps) / steps
        whole += 0.0  # no negative zeros
        return np.repeat(np.clip(whole, -1.0, 1 - 1 / steps), hold, axis=-1)[..., :frames]
