"""The reverb of combs and all-passes that most plug-ins descend from."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.kernels import kernel

COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)  # frames at 44.1 kHz
ALL_PASSES = (556, 441, 341, 225)
SPREAD = 23  # frames more on the right
INPUT_GAIN, WET_GAIN = 0.015, 1.5
ROOM_SCALE, ROOM_OFFSET, DAMPING_SCALE = 0.28, 0.7, 0.4
ALL_PASS_FEEDBACK = 0.5
BLOCK = 8192  # frames between two looks for what is tiny, at most; at low rates fewer
TINY = 1e-20  # what is smaller in a delay line becomes 0, so that no tail ends in slow denormal numbers


@effect
@dataclass(frozen=True)
class Reverb(Effect):
    """Freeverb: eight damped combs in parallel, then four all-passes in series, for each channel.

    Jezar at Dreampoint, Freeverb, public domain, 2000, after Schroeder, "Natural Sounding Artificial Reverberation", JAES 10(3), 1962.
    The delays are scaled to the sample rate and rounded down, as in JUCE. There is no freeze. The tail is cut where the audio ends.

    `room` sets the feedback of the combs to 0.28 room + 0.7 (for 0.5, a decay of about 1.3 s), `damping` the share 0.4 damping of the last
    value in their low-pass. The output is (1 - mix) times the input and 1.5 mix times the reverb, which hears 0.015 times the sum of both
    channels: half of what JUCE makes of wet = mix and dry = 1 - mix. `width` 1 keeps the reverb's channels apart, 0 mixes them.
    One channel alone goes through the left half. Of more channels each pair is a room of its own, and the last odd one is alone.
    """

    neutral: ClassVar[dict[str, float]] = {"mix": 0.0}

    room: float = parameter(0.5, low=0, high=1, draw={"uniform": [0.3, 1.0]})
    damping: float = parameter(0.5, low=0, high=1, draw={"uniform": [0.2, 1.0]})
    width: float = parameter(1.0, low=0, high=1, draw={"uniform": [0.2, 1.0]})
    mix: float = parameter(0.3, low=0, high=1, draw={"uniform": [0.2, 0.6]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        kind = audio.dtype.type
        cross = (1 - self.width) / 2
        out = np.empty_like(audio)
        for first in range(0, len(audio), 2):
            dry, wet = audio[first : first + 2], out[first : first + 2]
            wet[:] = reverberated(dry, sample_rate, self.room, self.damping)
            gain = WET_GAIN * self.mix
            if len(dry) == 1:
                wet[:] = kind(1 - self.mix) * dry + kind(gain) * wet
            else:
                _mix(dry, wet, kind(1 - self.mix), kind(gain * (1 - cross)), kind(gain * cross))
        return out

    def arrival_frames(self, sample_rate: int) -> int:
        return scaled(COMBS, 0, sample_rate)[0] if self.mix == 1 else 0


def scaled(delays: tuple[int, ...], spread: int, sample_rate: int) -> list[int]:
    """Return delays of 44.1 kHz in frames of this rate."""
    return [(delay + spread) * sample_rate // 44100 for delay in delays]


def reverberated(audio: Audio, sample_rate: int, room: float, damping: float) -> Audio:
    """Return the bare reverb of one or two channels: what an impulse of 1 starts comes back as 0.015."""
    kind = audio.dtype.type
    spreads = (0, SPREAD)[: len(audio)]
    combs = np.array([scaled(COMBS, spread, sample_rate) for spread in spreads])
    passes = np.array([scaled(ALL_PASSES, spread, sample_rate) for spread in spreads])
    source = audio.sum(axis=0) * kind(INPUT_GAIN)
    out = np.empty_like(audio)
    feedback, damping = kind(ROOM_SCALE * room + ROOM_OFFSET), DAMPING_SCALE * damping
    _freeverb(source, combs, passes, feedback, kind(1 - damping), kind(damping), kind(ALL_PASS_FEEDBACK), kind(TINY), out)
    return out


@kernel
def _freeverb(source, combs, passes, feedback, keep, damping, half, tiny, out):  # type: ignore[no-untyped-def]
    """Fill out (channels, n) from source (n,).

    A delay line is a row that holds the past and one block, so that the frames of a block lie in one piece; after each block the past
    is moved to the front. Inside, it goes in chunks no longer than the shortest delay: what a chunk reads does not overlap what it
    writes, so the compiler may take many frames at once.
    """
    channels = len(combs)
    past, short_past = combs.max(), passes.max()
    block, chunk = max(min(5 * past, BLOCK), past), passes.min()
    lines = np.zeros((channels, combs.shape[1], past + block), source.dtype)
    short_lines = np.zeros((channels, passes.shape[1], short_past + block), source.dtype)
    states = np.zeros((channels, combs.shape[1]), source.dtype)
    for first in range(0, len(source), block):
        frames = min(block, len(source) - first)
        for channel in range(channels):
            for at in range(0, frames, chunk):
                begin, end = first + at, first + min(at + chunk, frames)
                values = out[channel, begin:end]
                _combs(source[begin:end], lines[channel], past + at, combs[channel], states[channel], feedback, keep, damping, values)
                for stage in range(passes.shape[1]):
                    _all_pass(values, short_lines[channel, stage], short_past + at, passes[channel, stage], half)
            for line in lines[channel]:
                _move(line[block : block + past], line[:past], tiny)
            for line in short_lines[channel]:
                _move(line[block : block + short_past], line[:short_past], tiny)


@kernel
def _combs(source, lines, at, delays, states, feedback, keep, damping, out):  # type: ignore[no-untyped-def]
    """Write the sum of eight combs. All eight in one loop: each low-pass waits for its last value, and they wait together."""
    a, b, c, d, e, f, g, h = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5], lines[6], lines[7]
    ra, rb, rc, rd = at - delays[0], at - delays[1], at - delays[2], at - delays[3]
    re, rf, rg, rh = at - delays[4], at - delays[5], at - delays[6], at - delays[7]
    sa, sb, sc, sd, se, sf, sg, sh = states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7]
    for i in range(len(source)):
        value = source[i]
        oa, ob, oc, od = a[ra + i], b[rb + i], c[rc + i], d[rd + i]
        oe, of, og, oh = e[re + i], f[rf + i], g[rg + i], h[rh + i]
        sa = oa * keep + sa * damping
        sb = ob * keep + sb * damping
        sc = oc * keep + sc * damping
        sd = od * keep + sd * damping
        se = oe * keep + se * damping
        sf = of * keep + sf * damping
        sg = og * keep + sg * damping
        sh = oh * keep + sh * damping
        a[at + i] = value + sa * feedback
        b[at + i] = value + sb * feedback
        c[at + i] = value + sc * feedback
        d[at + i] = value + sd * feedback
        e[at + i] = value + se * feedback
        f[at + i] = value + sf * feedback
        g[at + i] = value + sg * feedback
        h[at + i] = value + sh * feedback
        out[i] = ((oa + ob) + (oc + od)) + ((oe + of) + (og + oh))
    states[0], states[1], states[2], states[3], states[4], states[5], states[6], states[7] = sa, sb, sc, sd, se, sf, sg, sh


@kernel
def _all_pass(values, line, at, delay, half):  # type: ignore[no-untyped-def]
    """Change the values in place."""
    read = at - delay
    for i in range(len(values)):
        delayed, value = line[read + i], values[i]
        line[at + i] = value + delayed * half
        values[i] = delayed - value


@kernel
def _move(last, front, tiny):  # type: ignore[no-untyped-def]
    """Copy the last values to the front, without the tiny ones."""
    for i in range(len(front)):
        value = last[i]
        front[i] = value if abs(value) > tiny else value - value


@kernel
def _mix(dry, wet, dry_gain, straight, cross):  # type: ignore[no-untyped-def]
    """Make `wet`, two channels, the output."""
    for i in range(dry.shape[1]):
        left, right = wet[0, i], wet[1, i]
        wet[0, i] = dry_gain * dry[0, i] + (straight * left + cross * right)
        wet[1, i] = dry_gain * dry[1, i] + (straight * right + cross * left)
