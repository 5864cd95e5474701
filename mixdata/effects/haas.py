"""Haas: one channel comes a little later."""

from dataclasses import dataclass
from typing import Any, ClassVar

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.pan import stereo


@effect
@dataclass(frozen=True)
class Haas(Effect):
    """Delay the left or the right channel by `delay_ms` (rounded to whole frames), so that the sound seems to come from the other side.

    Haas, "The influence of a single echo on the audibility of speech", JAES 20(2), 1972 (after his thesis of 1949): up to some 40 ms the
    ear places a sound where it arrives first. The delayed channel is `(1 - mix) dry + mix delayed`; that it lags is the effect itself,
    the sound still arrives at its time by the other one. Mono comes back as it is.
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"mix": 0.0}

    delay_ms: float = parameter(15.0, low=0.1, high=100, draw={"uniform": [5, 35]})
    side: str = parameter("right", choices=("left", "right"), draw={"choice": ["left", "right"]})
    mix: float = parameter(1.0, low=0, high=1)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        out = audio.copy()
        if not stereo(self.name, audio):
            return out
        later = round(self.delay_ms / 1000 * sample_rate)
        source = audio[..., 1 if self.side == "right" else 0, :]
        target = out[..., 1 if self.side == "right" else 0, :]
        target *= audio.dtype.type(1 - self.mix)
        target[..., later:] += audio.dtype.type(self.mix) * source[..., : max(0, source.shape[-1] - later)]
        return out
