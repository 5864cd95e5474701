"""What chorus, flanger, vibrato and tremolo share: the slow oscillator, and reading between the frames of a delay line."""

import math

import numpy as np

from mixdata.effects.base import Audio, Effect
from mixdata.kernels import kernel

SHORTEST = 2.0
"""The shortest delay in frames: the interpolation reads one frame later than the place it reads at, and the loop needs that one done."""
STRIDE = 64
TINY = 1e-30  # less counts as silence, or feedback would never die: it would stay in the smallest numbers, which are slow


def oscillator(frames: int, sample_rate: int, rate_hz: float, phase_cycles: float) -> np.ndarray:
    """Return sin(2 pi (rate_hz t + phase_cycles))."""
    return np.sin(2 * np.pi * (np.arange(frames) * (rate_hz / sample_rate) + phase_cycles))


def channel_phases(channels: int, phase_cycles: float, spread_cycles: float) -> np.ndarray:
    """Return each channel's phase in cycles: every channel is `spread_cycles` ahead of the one before."""
    return phase_cycles + spread_cycles * np.arange(channels)


def modulated_delay(
    audio: Audio,
    sample_rate: int,
    *,
    delay_s: float,
    depth_s: float,
    rate_hz: float,
    phases: np.ndarray,
    feedback: float = 0.0,
    mix: float = 1.0,
) -> Audio:
    """Mix audio with itself read from a delay line at a delay that swings as a sine.

    delay[n] = delay_s + depth_s sin(2 pi (rate_hz n / sample_rate + phase)), at least two frames;
    wet[n] = line read delay[n] ago, line[n] = x[n] + feedback wet[n], out = (1 - mix) x + mix wet: the general structure of
    Dattorro, "Effect Design, Part 2", JAES 45(10), 1997. Between frames the line is read by Lagrange's polynomial of third order through
    the four nearest (Laakso et al., "Splitting the Unit Delay", IEEE Signal Processing Magazine 13(1), 1996).
    """
    delay, depth = delay_s * sample_rate, depth_s * sample_rate
    pad = math.ceil(max(delay + depth, SHORTEST)) + 3
    line = np.zeros((len(audio), pad + audio.shape[1]), audio.dtype)
    out = np.empty_like(audio)
    steps = 2 * np.pi * (np.arange(STRIDE) * (rate_hz / sample_rate))
    weights = np.array([1, 2, 1 / 6, 1 / 2, feedback, 1 - mix, mix], audio.dtype)
    _read(audio, line, out, pad, delay, depth, rate_hz / sample_rate, phases, np.sin(steps), np.cos(steps), weights)
    return out


class SwingingDelay(Effect):
    """What chorus and flanger are: audio mixed with itself from a delay that swings. They differ in their parameters' ranges alone."""

    rate_hz: float
    depth: float
    centre_delay_ms: float
    feedback: float
    mix: float
    phase_cycles: float
    spread_cycles: float

    def arrival_frames(self, sample_rate: int) -> int:
        return max(round(self.centre_delay_ms / 1000 * sample_rate), round(SHORTEST)) if self.mix == 1 else 0

    def sway_frames(self, sample_rate: int) -> int:
        return math.ceil(self.depth * self.centre_delay_ms / 1000 * sample_rate) + 2 if self.mix == 1 else 0

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        delay = self.centre_delay_ms / 1000
        return modulated_delay(
            audio,
            sample_rate,
            delay_s=delay,
            depth_s=delay * self.depth,
            rate_hz=self.rate_hz,
            phases=channel_phases(len(audio), self.phase_cycles, self.spread_cycles),
            feedback=self.feedback,
            mix=self.mix,
        )


@kernel
def _read(x, line, out, pad, delay, depth, cycles, phases, sines, cosines, weights):  # type: ignore[no-untyped-def]
    """The oscillator is exact at each stride's begin and turned on from there. The weights are of the audio's own precision."""
    channels, frames = x.shape
    one, two, sixth, half, feedback, dry, wet = weights[0], weights[1], weights[2], weights[3], weights[4], weights[5], weights[6]
    zero = feedback * 0
    for channel in range(channels):
        source, memory, target = x[channel], line[channel], out[channel]
        for start in range(0, frames, STRIDE):
            turn = cycles * start + phases[channel]
            angle = 2 * math.pi * (turn - math.floor(turn))
            sine, cosine = depth * math.sin(angle), depth * math.cos(angle)
            for n in range(min(STRIDE, frames - start)):
                late = max(delay + (sine * cosines[n] + cosine * sines[n]), SHORTEST)
                whole = int(late)
                f = x.dtype.type(late - whole)
                at = pad + start + n - whole
                before, after, last = f + one, f - one, f - two
                outer = (sixth * f) * (before * after * memory[at - 2] - after * last * memory[at + 1])
                value = outer + (half * before * last) * (after * memory[at] - f * memory[at - 1])
                memory[pad + start + n] = source[start + n] + feedback * (value if abs(value) > TINY else zero)
                target[start + n] = dry * source[start + n] + wet * value
