"""Reverb from decaying noise: the plainest model of a diffuse room."""

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import scipy.fft

from mixdata.effects.base import Audio, Effect, amplitude, effect, parameter
from mixdata.effects.convolution import convolve, spectra_of
from mixdata.rng import stream

EDGES_HZ = (20.0, *(centre * 2**0.5 for centre in (250, 500, 1000, 2000)))  # of five bands; the last is open
DECAYED_DB = 80.0  # where the noise ends


@effect
@dataclass(frozen=True)
class NoiseReverb(Effect):
    """Convolution with white noise in octave bands, each of which decays exponentially at its own rate.

    Moorer, "About This Reverberation Business", Computer Music Journal 3(2), 1979; in bands as by Steinmetz, Ithapu and Calamia,
    "Filtered Noise Shaping for Time Domain Room Impulse Response Estimation", WASPAA 2021.

    The decays are times to -60 dB: `low_decay_s` up to the octave of 250 Hz, `mid_decay_s` in that of 1 kHz, `high_decay_s` from that
    of 4 kHz on, and the geometric means in between. So are the gains, which say how loud a band begins compared with 1 kHz (in between: the
    mean of the decibels). The noise is fixed by `noise_seed`, and another one for each channel. It has unit energy and begins
    `predelay_ms` late; the output is (1 - mix) times the input and mix times the reverb, cut at the end of the audio.
    """

    neutral: ClassVar[dict[str, float]] = {"mix": 0.0}
    exact: ClassVar[bool] = False

    low_decay_s: float = parameter(1.5, low=0.05, high=15, draw={"loguniform": [0.4, 4]})
    mid_decay_s: float = parameter(1.2, low=0.05, high=15, draw={"loguniform": [0.3, 3]})
    high_decay_s: float = parameter(0.7, low=0.05, high=15, draw={"loguniform": [0.2, 2]})
    low_gain_db: float = parameter(0.0, low=-24, high=24, draw={"uniform": [-6, 3]})
    high_gain_db: float = parameter(0.0, low=-24, high=24, draw={"uniform": [-12, 0]})
    predelay_ms: float = parameter(0.0, low=0, high=500, draw={"uniform": [0, 40]})
    mix: float = parameter(0.3, low=0, high=1, draw={"uniform": [0.1, 0.6]})
    noise_seed: int = parameter(0, low=0, high=2**31 - 1, draw={"integers": [0, 2**31 - 1]})

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        return convolve(audio, _spectra(self, sample_rate, len(audio), audio.dtype.char), 1 - self.mix, self.mix)

    def arrival_frames(self, sample_rate: int) -> int:
        return round(self.predelay_ms * sample_rate / 1000) if self.mix == 1 else 0

    def impulse_response(self, sample_rate: int, channels: int) -> Audio:
        """Return the reverb alone, (channels, frames) of float32, without predelay."""
        low, mid, high = self.low_decay_s, self.mid_decay_s, self.high_decay_s
        decays = np.array([low, (low * mid) ** 0.5, mid, (mid * high) ** 0.5, high])
        levels = [self.low_gain_db, self.low_gain_db / 2, 0.0, self.high_gain_db / 2, self.high_gain_db]
        frames = max(round(decays.max() * DECAYED_DB / 60 * sample_rate), 2)
        size = scipy.fft.next_fast_len(max(frames, sample_rate // 10), real=True)
        edges = [*(min(round(edge * size / sample_rate), size // 2) for edge in EDGES_HZ), size // 2 + 1]
        slopes = np.log(10) * -3 / (decays * sample_rate)
        envelopes = np.exp(slopes[:, None] * np.arange(frames)).astype(np.float32)
        response = np.empty((channels, frames), np.float32)
        for channel in range(channels):
            noise = (
                stream(self.noise_seed, "noise_reverb", channel).standard_normal(2 * (size // 2 + 1), dtype=np.float32).view(np.complex64)
            )
            bands = np.zeros((len(decays), len(noise)), np.complex64)
            for band, level, first, last in zip(bands, levels, edges[:-1], edges[1:], strict=True):
                band[first:last] = noise[first:last] * np.float32(amplitude(level))
            decayed = (scipy.fft.irfft(bands, size)[:, :frames] * envelopes).sum(axis=0)
            response[channel] = decayed / np.sqrt(np.square(decayed, dtype=np.float64).sum())
        return response


@lru_cache(maxsize=8)
def _spectra(effect: NoiseReverb, sample_rate: int, channels: int, kind: str) -> Audio:
    delay = round(effect.predelay_ms * sample_rate / 1000)
    return spectra_of(effect.impulse_response(sample_rate, channels), delay, np.dtype(kind))
