"""Chains: effects one after the other, and parallel sends. Both are effects themselves, so they nest."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter


@effect
@dataclass(frozen=True)
class Chain(Effect):
    """Effects in their order: `Chain((Eq(...), Compressor(...)))(audio, sample_rate)`. Without any, it does nothing."""

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"effects": ()}

    effects: tuple[Effect, ...] = parameter((), items=Effect)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        for each in self.effects:
            audio = each(audio, sample_rate)
        return audio

    def is_identity(self) -> bool:
        return all(each.is_identity() for each in self.effects)

    def check_rate(self, sample_rate: int) -> None:
        for each in self.effects:
            each.check_rate(sample_rate)

    def reach_frames(self, sample_rate: int) -> int:
        return sum(each.reach_frames(sample_rate) for each in self.effects)

    def arrival_frames(self, sample_rate: int) -> int:
        return sum(each.arrival_frames(sample_rate) for each in self.effects)


@effect
@dataclass(frozen=True)
class Send(Effect):
    """A parallel way: the audio at `dry_db` plus the same audio through the effects at `send_db`. -inf silences either."""

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, Any]] = {"send_db": -math.inf, "dry_db": 0.0}

    effects: tuple[Effect, ...] = parameter((), items=Effect)
    send_db: float = parameter(-12.0, low=-math.inf, high=24, draw={"uniform": [-24, -6]})
    dry_db: float = parameter(0.0, low=-math.inf, high=24)

    @property
    def chain(self) -> Chain:
        """The effects as a chain."""
        return Chain(self.effects)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        wet, kind = self.chain(audio, sample_rate), audio.dtype.type
        return np.asarray(audio * kind(amplitude(self.dry_db)) + wet * kind(amplitude(self.send_db)))

    def check_rate(self, sample_rate: int) -> None:
        self.chain.check_rate(sample_rate)

    def reach_frames(self, sample_rate: int) -> int:
        return self.chain.reach_frames(sample_rate)

    def arrival_frames(self, sample_rate: int) -> int:
        return 0 if self.dry_db > -math.inf else self.chain.arrival_frames(sample_rate)
