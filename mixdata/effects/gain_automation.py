"""Gain automation: a level that is moved by hand."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.rng import stream


@effect
@dataclass(frozen=True)
class GainAutomation(Effect):
    """Multiply by a gain that wanders between -depth_db and depth_db without jumps, the same for every channel.

    Every 1 / rate_hz seconds, from time 0 on, a level is drawn evenly between the two (by `noise_seed`: the same seed gives the same
    levels); between two of them the dB follow half a cosine.
    """

    level_only: ClassVar[bool] = True
    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"depth_db": 0.0}

    depth_db: float = parameter(6.0, low=0, high=60, draw={"uniform": [2, 10]})
    rate_hz: float = parameter(0.5, low=0.001, high=20, draw={"loguniform": [0.2, 2]})
    noise_seed: int = parameter(0, low=0, high=2**31 - 1, draw={"integers": [0, 2**31 - 1]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        frames = audio.shape[-1]
        time = np.arange(frames) * (self.rate_hz / sample_rate)
        levels = self.levels_db(math.floor(time[-1]) + 2)
        last = time.astype(np.int64)
        share = 0.5 - 0.5 * np.cos(np.pi * (time - last))
        db = levels[last] + share * (levels[last + 1] - levels[last])
        return audio * np.exp(db * (math.log(10) / 20)).astype(audio.dtype)

    def levels_db(self, count: int) -> np.ndarray:
        """Return the first drawn levels."""
        return self.depth_db * (2 * stream(self.noise_seed, self.name).random(count) - 1)
