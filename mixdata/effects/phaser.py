"""Phaser: notches that wander."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter, refuse_above_nyquist
from mixdata.effects.modulation import TINY, channel_phases
from mixdata.kernels import kernel

STRIDE = 16


@effect
@dataclass(frozen=True)
class Phaser(Effect):
    """Add the sound to itself after `stages` first-order all-passes whose frequency swings around `centre_hz`.

    Smith, "An allpass approach to digital phasing and flanging", ICMC 1984. Each stage is (a + z^-1) / (1 + a z^-1) with
    a = (tan(pi f / rate) - 1) / (tan(pi f / rate) + 1), which turns the phase at f by -90 degrees;
    f = centre_hz 2^(depth_octaves sin(2 pi (rate_hz t + phase))); a is reckoned every 16 frames and goes straight in between. The last
    stage feeds back into the first, a frame later. The sum is `(1 - mix) dry + mix wet`: at mix 0.5 there is a notch where the stages
    together turn the phase by -180 degrees, -540, and so on. The right channel's sine is `spread_cycles` ahead.
    """

    neutral: ClassVar[dict[str, Any]] = {"mix": 0.0}

    rate_hz: float = parameter(0.5, low=0.01, high=20, draw={"loguniform": [0.1, 2]})
    centre_hz: float = parameter(800.0, low=50, high=10_000, draw={"loguniform": [400, 1600]})
    depth_octaves: float = parameter(1.0, low=0, high=3, draw={"uniform": [0.5, 2]})
    stages: int = parameter(4, low=1, high=12, draw={"choice": [4, 6, 8]})
    feedback: float = parameter(0.2, low=-0.95, high=0.95, draw={"uniform": [0, 0.6]})
    mix: float = parameter(0.5, low=0, high=1, draw={"uniform": [0.3, 0.5]})
    phase_cycles: float = parameter(0.0, low=0, high=1, draw={"uniform": [0, 1]})
    spread_cycles: float = parameter(0.0, low=0, high=0.5)

    def check_rate(self, sample_rate: int) -> None:
        refuse_above_nyquist(f"{self.name}.centre_hz at its highest", self.centre_hz * 2**self.depth_octaves, sample_rate)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        out = np.empty_like(audio)
        phases = channel_phases(len(audio), self.phase_cycles, self.spread_cycles)
        centre, cycles = math.pi * self.centre_hz / sample_rate, self.rate_hz / sample_rate
        _phase(audio, out, centre, self.depth_octaves, cycles, phases, self.stages, self.feedback, 1 - self.mix, self.mix)
        return out


@kernel
def _phase(x, out, centre, octaves, cycles, phases, stages, feedback, dry, wet):  # type: ignore[no-untyped-def]
    channels, frames = x.shape
    kept = np.zeros(stages)
    for channel in range(channels):
        kept[:] = 0
        back = 0.0
        a = 0.0
        for start in range(-STRIDE, frames, STRIDE):
            turn = cycles * (start + STRIDE) + phases[channel]
            slope = math.tan(centre * 2 ** (octaves * math.sin(2 * math.pi * (turn - math.floor(turn)))))
            following = (slope - 1) / (slope + 1)
            step = (following - a) / STRIDE
            for n in range(max(start, 0), min(start + STRIDE, frames)):
                y = x[channel, n] + feedback * back
                for stage in range(stages):
                    through = a * y + kept[stage]
                    rest = y - a * through
                    kept[stage] = rest if abs(rest) > TINY else 0.0
                    y = through
                back = y if abs(y) > TINY else 0.0
                out[channel, n] = dry * x[channel, n] + wet * y
                a += step
            a = following
