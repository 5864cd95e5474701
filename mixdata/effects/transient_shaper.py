"""Transient shaper."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.dynamics import excess_db, factors, pole
from mixdata.kernels import kernel

FAST_ATTACK_MS, SLOW_ATTACK_MS = 1.0, 20.0
FAST_RELEASE_MS, SLOW_RELEASE_MS = 30.0, 300.0
FULL_DB = 12.0
FLOOR = 1e-6


@effect
@dataclass(frozen=True)
class TransientShaper(Effect):
    """Make attacks louder or softer by up to `attack_db`, and what follows them by up to `sustain_db`, whatever their level.

    The principle is the difference of two envelopes (SPL's Transient Designer, "Differential Envelope Technology"); the constants and the
    law are this project's own. All envelopes follow the largest magnitude of the channels with one pole. Attacks show in a fast one (1 ms
    up) over a slow one (20 ms up), both 30 ms down; what follows them in a slow one (300 ms down) over a fast one (30 ms down), both up at
    once. Each ratio, in dB between 0 and 12, divided by 12, is how much of `attack_db` or `sustain_db` is applied. Levels far below
    -120 dBFS count as silence, and every piece starts as after silence.
    """

    lanes: ClassVar[bool] = True
    neutral: ClassVar[dict[str, float]] = {"attack_db": 0.0, "sustain_db": 0.0}

    attack_db: float = parameter(0.0, low=-48, high=48, draw={"uniform": [-15, 15]})
    sustain_db: float = parameter(0.0, low=-48, high=48, draw={"uniform": [-15, 15]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        if audio.ndim == 3:
            return np.stack([self.process(piece, sample_rate) for piece in audio])
        poles = np.array([pole(ms, sample_rate) for ms in (FAST_ATTACK_MS, SLOW_ATTACK_MS, FAST_RELEASE_MS, SLOW_RELEASE_MS)])
        attack, sustain = np.empty(audio.shape[-1]), np.empty(audio.shape[-1])
        _envelope_ratios(audio, poles, attack, sustain)
        gain_db = self.attack_db / FULL_DB * excess_db(attack, FULL_DB) + self.sustain_db / FULL_DB * excess_db(sustain, FULL_DB)
        return audio * factors(gain_db).astype(audio.dtype)


@kernel
def _envelope_ratios(audio: Audio, poles: Audio, attack: Audio, sustain: Audio) -> None:
    up, slow_up, down, slow_down = poles[0], poles[1], poles[2], poles[3]
    fast, slow, short, long = FLOOR, FLOOR, FLOOR, FLOOR
    for i in range(audio.shape[1]):
        level = 0.0
        for channel in range(audio.shape[0]):
            level = max(level, np.float64(abs(audio[channel, i])))
        level += FLOOR  # envelopes of silence rest here, far from denormal numbers
        fast = level + (up if level > fast else down) * (fast - level)
        slow = level + (slow_up if level > slow else down) * (slow - level)
        short = max(level, level + down * (short - level))
        long = max(level, level + slow_down * (long - level))
        attack[i], sustain[i] = fast / slow, long / short
