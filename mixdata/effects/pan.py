"""Pan: the place between left and right."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.errors import EffectError

LAWS = ("constant_power", "minus_4_5_db", "linear")


@effect
@dataclass(frozen=True)
class Pan(Effect):
    """Multiply left and right by the two gains of a pan law; `position` runs from -1 (left) over 0 to 1 (right).

    With p = (position + 1) / 2 the laws are `linear` (1 - p, p; centre -6.02 dB), `constant_power` (cos, sin of p pi / 2; -3.01 dB) and
    `minus_4_5_db`, the square root of the product of both (-4.52 dB). With `centred` the gains are given relative to the law's centre,
    so that position 0 changes nothing and a fully panned side gains 3.01, 4.52 or 6.02 dB; without it they are the law's own.
    Stereo is not folded: each channel keeps its content, as with a balance control. Mono cannot be panned and comes back as it is.
    """

    level_only: ClassVar[bool] = True
    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"position": 0.0, "centred": True}

    position: float = parameter(0.0, low=-1, high=1, draw={"uniform": [-0.8, 0.8]})
    law: str = parameter("constant_power", choices=LAWS)
    centred: bool = parameter(True)

    def gains(self) -> tuple[float, float]:
        """Return the factors of left and right."""
        left, right = _law(self.law, (self.position + 1) / 2)
        centre = _law(self.law, 0.5)[0] if self.centred else 1.0
        return left / centre, right / centre

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        if not stereo(self.name, audio):
            return audio.copy()
        return audio * np.array(self.gains(), audio.dtype)[:, None]


def stereo(name: str, audio: Audio) -> bool:
    """Return whether audio has a left and a right: False for mono. Raises `EffectError` for more than two channels."""
    if audio.shape[-2] > 2:
        raise EffectError(f"{name} knows left and right only, got {audio.shape[-2]} channels")
    return audio.shape[-2] == 2


def _law(law: str, p: float) -> tuple[float, float]:
    linear = 1 - p, p
    power = (1.0, 0.0) if p == 0 else (0.0, 1.0) if p == 1 else (math.cos(p * math.pi / 2), math.sin(p * math.pi / 2))
    if law == "linear":
        return linear
    if law == "constant_power":
        return power
    return math.sqrt(linear[0] * power[0]), math.sqrt(linear[1] * power[1])
