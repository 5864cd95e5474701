"""Convolution with the measured response of a room, and the fast convolution that noise reverbs use, too."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import scipy.fft

from mixdata.audio import resample
from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.effects.impulse_responses import load, path_of
from mixdata.errors import EffectError, RateError
from mixdata.kernels import kernel

BLOCK = 16_384
GROUP = 4  # scipy transforms four rows at once about three times as fast as one by one
LEAST_LEFT = 1e-4  # of a response's energy: less is what resampling leaves of a response that lies above half the new rate
FADE_MS = 10.0  # where `length_s` cuts a response


@effect
@dataclass(frozen=True)
class Convolution(Effect):
    """The sound of a real room (plate, spring): convolution with its measured impulse response.

    `impulse_response` is the SHA-256 of a file in a folder opened by `ImpulseResponses.open`; "" is none, which changes nothing.
    The response starts with its direct sound: the first sample within 20 dB of the peak (the threshold of ISO 3382-1:2009; Defrance,
    Daudet and Polack, JASA 124(4), EL248, 2008, compare it with others), so the effect does not delay. It is resampled by soxr, ended by
    a fade of 10 ms after `length_s`, and scaled to unit energy (mean of its channels): white noise comes back as loud as it was.
    The output is (1 - mix) times the input and mix times the reverb, which begins `predelay_ms` later and is cut at the end of the audio.

    A mono response is put on every channel; of a response with more channels the first two go to channels 0, 2, … and 1, 3, ….
    Convolution is done by FFT in equal parts (Gardner, "Efficient Convolution without Input-Output Delay", JAES 43(3), 1995, section 2).
    """

    neutral: ClassVar[dict[str, float]] = {"mix": 0.0}
    exact: ClassVar[bool] = False

    impulse_response: str = parameter("")
    mix: float = parameter(0.3, low=0, high=1, draw={"uniform": [0.1, 0.6]})
    predelay_ms: float = parameter(0.0, low=0, high=500, draw={"uniform": [0, 40]})
    length_s: float = parameter(20.0, low=0.01, high=20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch(r"([0-9a-f]{64})?", self.impulse_response):
            raise EffectError(f"{self.name}.impulse_response must be the SHA-256 of a file (64 hex digits), got {self.impulse_response!r}")

    def is_identity(self) -> bool:
        return not self.impulse_response or super().is_identity()

    def check_rate(self, sample_rate: int) -> None:
        if not self.is_identity():
            path_of(self.impulse_response)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        if not self.impulse_response:
            return audio.copy()
        spectra = _spectra(self.impulse_response, sample_rate, self.predelay_ms, self.length_s, audio.dtype.char)
        return convolve(audio, spectra, 1 - self.mix, self.mix)

    def arrival_frames(self, sample_rate: int) -> int:
        return round(self.predelay_ms * sample_rate / 1000) if self.mix == 1 and self.impulse_response else 0


def onset(response: Audio) -> int:
    """Return the frame of the direct sound: the first within 20 dB of the peak, in any channel."""
    loudest = np.abs(response).max(axis=0)
    return int(np.argmax(loudest >= 0.1 * loudest.max()))


def prepared(response: Audio, from_rate: int, sample_rate: int, length_s: float) -> Audio:
    """Return a response from its direct sound on, at this rate, cut and scaled to unit energy."""
    response = response[:, onset(response) :]
    least = from_rate // sample_rate + 2  # what gives a frame at this rate, and what soxr takes
    response = np.pad(response, ((0, 0), (0, max(least - response.shape[1], 0))))
    before = np.square(response, dtype=np.float64).sum() / from_rate
    response = resample(response, from_rate, sample_rate).astype(np.float64)
    if np.square(response).sum() / sample_rate <= LEAST_LEFT * before:
        raise RateError(f"convolution.impulse_response: at {sample_rate} Hz nothing is left of a response of {from_rate} Hz")
    frames = max(round(length_s * sample_rate), 1)
    if response.shape[1] > frames:
        fade = min(round(FADE_MS * sample_rate / 1000), frames)
        response = response[:, :frames].copy()
        response[:, frames - fade :] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / (fade + 1))
    return response / np.sqrt(np.square(response).sum() / len(response))


@lru_cache(maxsize=16)
def _spectra(sha256: str, sample_rate: int, predelay_ms: float, length_s: float, kind: str) -> Audio:
    response = prepared(*load(sha256), sample_rate, length_s)
    return spectra_of(response, round(predelay_ms * sample_rate / 1000), np.dtype(kind))


def spectra_of(response: Audio, delay: int, dtype: "np.dtype[np.floating]") -> Audio:
    """Return the spectra (channels, parts, bins) of a response (channels, frames) that begins `delay` frames late."""
    parts = -(-(delay + response.shape[1]) // BLOCK)
    padded = np.zeros((len(response), parts * BLOCK), dtype)
    padded[:, delay : delay + response.shape[1]] = response
    return scipy.fft.rfft(padded.reshape(len(response), parts, BLOCK), 2 * BLOCK)


def convolve(audio: Audio, spectra: Audio, dry: float, wet: float) -> Audio:
    """Return `dry` times the audio plus `wet` times its convolution, of the audio's length. Channels take the spectra in turn."""
    kind = audio.dtype.type
    frames = audio.shape[1]
    blocks = -(-frames // BLOCK)
    out = np.empty_like(audio)
    heard = np.empty((blocks, BLOCK + 1), spectra.dtype)
    source, products = np.zeros((GROUP, BLOCK), audio.dtype), np.zeros((GROUP, BLOCK + 1), spectra.dtype)
    for channel in range(len(audio)):
        tail = np.zeros(BLOCK, audio.dtype)
        for first in range(0, blocks, GROUP):
            count = min(GROUP, blocks - first)
            part = audio[channel, first * BLOCK : (first + count) * BLOCK]
            source.reshape(-1)[: part.size] = part
            source.reshape(-1)[part.size :] = 0
            heard[first : first + count] = scipy.fft.rfft(source, 2 * BLOCK)[:count]
            _multiply(heard, spectra[channel % len(spectra)], first, products[:count])
            pieces = scipy.fft.irfft(products, 2 * BLOCK)
            pieces[0, :BLOCK] += tail
            pieces[1:, :BLOCK] += pieces[:-1, BLOCK:]
            tail = pieces[-1, BLOCK:]
            result = pieces[:, :BLOCK] * kind(wet)
            if dry:
                result += source * kind(dry)
            out[channel, first * BLOCK : first * BLOCK + part.size] = result.reshape(-1)[: part.size]
    return out


@kernel
def _multiply(heard, spectra, first, out):  # type: ignore[no-untyped-def]
    """Write the spectra of the blocks from `first` on: the sum over parts of the response of what was heard so many blocks before."""
    bins = out.shape[1]
    for row in range(len(out)):
        block = first + row
        for k in range(bins):
            out[row, k] = heard[block, k] * spectra[0, k]
        for part in range(1, min(len(spectra), block + 1)):
            for k in range(bins):
                out[row, k] += heard[block - part, k] * spectra[part, k]
