"""A compressor that can be undone: the model, sample by sample, and the same loop run backwards (see `inversion.py`).

Both loops stand here because they share one step: what was compiled is renewed when the file that holds it changes.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter
from mixdata.kernels import kernel

AT_REST = 1e-200  # a level below this is none: keeps denormal numbers out of long silence
CLOSE = 1e-12  # a Newton step as small as this (in parts of the value) leaves an error of its square
STEPS = 200  # never needed: bisection alone has one double's bits after some 60


@effect
@dataclass(frozen=True)
class ModelCompressor(Effect):
    """Compressor whose output and parameters give the input back (`invert_compressor`).

    Gorlow and Reiss, "Model-based inversion of dynamic range compression", IEEE TASLP 21(7), 2013: feed-forward, hard knee, no
    look-ahead. With p = 1 for the peak and p = 2 for the rms detector, l the threshold's amplitude and ' for the sample before:

        u = b |x|^p + (1 - b) u'     v = u^(1/p)     b: detector_attack_ms where |x| > v', else detector_release_ms
        f = (v / l)^(1/ratio - 1) where v > l, else 1
        g = c f + (1 - c) g'                         c: attack_ms where f < g', else release_ms
        y = makeup g x

    A coefficient is 1 - exp(-2.2 / (time sample_rate)): the time from 10 to 90 % of a step; 0 ms is at once. The state begins at rest
    at the first frame (u = 0, g = 1), so only audio cut where it was compressed can be undone.
    `link`: the detector hears the mean of |x|^p over the channels and all get one gain; without it each channel is alone.
    """

    neutral: ClassVar[dict[str, Any]] = {"ratio": 1.0, "makeup_db": 0.0}

    threshold_db: float = parameter(-25.0, low=-80, high=20, draw={"uniform": [-40, -15]})
    ratio: float = parameter(4.0, low=1, high=math.inf, draw={"loguniform": [1.5, 12]})
    detector: str = parameter("rms", choices=("peak", "rms"), draw={"choice": ["peak", "rms"]})
    detector_attack_ms: float = parameter(5.0, low=0, high=1000, draw={"loguniform": [1, 20]})
    detector_release_ms: float = parameter(50.0, low=0, high=5000, draw={"loguniform": [20, 200]})
    attack_ms: float = parameter(5.0, low=0, high=1000, draw={"loguniform": [0.5, 20]})
    release_ms: float = parameter(100.0, low=0, high=5000, draw={"loguniform": [20, 500]})
    makeup_db: float = parameter(0.0, low=-60, high=60)
    link: bool = parameter(True)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        return self._run(compress, audio, sample_rate)

    def undo(self, audio: Audio, sample_rate: int) -> Audio:
        """Return what `process` made this audio from. `invert_compressor` does this with checks."""
        return self._run(restore, audio, sample_rate)

    def _run(self, loop: Any, audio: Audio, sample_rate: int) -> Audio:
        out = np.empty_like(audio)
        times_ms = (self.detector_attack_ms, self.detector_release_ms, self.attack_ms, self.release_ms)
        shares = tuple(coefficient(time_ms, sample_rate) for time_ms in times_ms)
        curve = (amplitude(self.threshold_db), 1.0 - 1.0 / self.ratio, amplitude(self.makeup_db))
        heard = [slice(None)] if self.link else [slice(channel, channel + 1) for channel in range(len(audio))]
        for channels in heard:
            loop(audio[channels], out[channels], self.detector == "rms", *curve, *shares)
        return out


def coefficient(time_ms: float, sample_rate: int) -> float:
    """Return the share of the new value in a one-pole average that goes from 10 to 90 % of a step in this time."""
    frames = time_ms / 1000 * sample_rate
    return -math.expm1(-2.2 / frames) if frames > 0 else 1.0


@kernel
def compress(
    audio: Audio,
    out: Audio,
    rms: bool,
    threshold: float,
    slope: float,
    makeup: float,
    detector_attack: float,
    detector_release: float,
    attack: float,
    release: float,
) -> None:
    """Write the compressed audio into `out`. `slope` is 1 - 1/ratio, `threshold` an amplitude; the rest are coefficients."""
    limit = threshold * threshold if rms else threshold
    exponent = -0.5 * slope if rms else -slope
    level, gain = 0.0, 1.0
    for n in range(audio.shape[1]):
        power = mean_power(audio, n, rms, 1.0)
        level, _ = detected(power, level, detector_attack, detector_release)
        gain, _ = smoothed(level, gain, limit, exponent, attack, release)
        for channel in range(audio.shape[0]):
            out[channel, n] = makeup * gain * audio[channel, n]


@kernel
def restore(
    audio: Audio,
    out: Audio,
    rms: bool,
    threshold: float,
    slope: float,
    makeup: float,
    detector_attack: float,
    detector_release: float,
    attack: float,
    release: float,
) -> None:
    """Solve g(a) a = |y| / makeup for a = |x| (of several channels: the p-mean of it), sample by sample.

    The left side is continuous and rises with a through all branches: d log(g a) / d log a lies between 1/ratio and 1. So there is one
    solution, and each trial takes the branches that the compressor takes for it; nothing is guessed. Newton's steps begin at |y| / g'.
    """
    limit = threshold * threshold if rms else threshold
    exponent = -0.5 * slope if rms else -slope
    level, gain = 0.0, 1.0
    for n in range(audio.shape[1]):
        power = mean_power(audio, n, rms, 1.0 / makeup)
        wanted = math.sqrt(power) if rms else power
        new = wanted / gain
        low, high = 0.0, math.inf
        for _ in range(STEPS if wanted > 0.0 else 0):
            trial = new
            trial_level, part = detected(trial * trial if rms else trial, level, detector_attack, detector_release)
            trial_gain, moving = smoothed(trial_level, gain, limit, exponent, attack, release)
            error = trial_gain * trial - wanted
            if error < 0.0:
                low = trial
            else:
                high = trial
            new = trial - error / (trial_gain - slope * part * moving)
            if abs(new - trial) <= CLOSE * trial:
                break
            if not low < new < high:
                new = 0.5 * (low + high) if high < math.inf else 2.0 * low
        level, _ = detected(new * new if rms else new, level, detector_attack, detector_release)
        if wanted > 0.0:
            gain = wanted / new
        else:
            gain, _ = smoothed(level, gain, limit, exponent, attack, release)
        for channel in range(audio.shape[0]):
            out[channel, n] = audio[channel, n] / (makeup * gain)


@kernel
def mean_power(audio: Audio, n: int, rms: bool, factor: float) -> float:
    """Return the mean of |x|^p over the channels, of audio times a factor."""
    total = 0.0
    for channel in range(audio.shape[0]):
        value = abs(factor * audio[channel, n])
        total += value * value if rms else value
    return total / audio.shape[0]


@kernel
def detected(power: float, before: float, attack: float, release: float) -> tuple[float, float]:
    """Return the level u, and which part of it is this sample's."""
    share = attack if power > before else release
    level = share * power + (1.0 - share) * before
    return (level, share * power / level) if level > AT_REST else (0.0, 0.0)


@kernel
def smoothed(level: float, before: float, limit: float, exponent: float, attack: float, release: float) -> tuple[float, float]:
    """Return the gain g, and how much of it moves with the level: c f above the threshold, nothing below."""
    wanted = (level / limit) ** exponent if level > limit else 1.0
    share = attack if wanted < before else release
    return share * wanted + (1.0 - share) * before, share * wanted if level > limit else 0.0
