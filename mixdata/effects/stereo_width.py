"""Stereo width: the share of what differs between left and right."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.pan import stereo


@effect
@dataclass(frozen=True)
class StereoWidth(Effect):
    """Multiply the side signal by `width`: M = (L + R) / 2, S = (L - R) / 2, then L = M + width S, R = M - width S.

    0 makes both channels the same, 1 changes nothing, 2 doubles the difference. Mono has no side and comes back as it is.
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"width": 1.0}

    width: float = parameter(1.0, low=0, high=2, draw={"uniform": [0.0, 2.0]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        if not stereo(self.name, audio):
            return audio.copy()
        half, width = audio.dtype.type(0.5), audio.dtype.type(self.width)
        left, right = audio[..., 0, :], audio[..., 1, :]
        mid, side = half * (left + right), (half * width) * (left - right)
        out = np.empty_like(audio)
        out[..., 0, :] = mid + side
        out[..., 1, :] = mid - side
        return out
