"""What MP3 does to audio."""

import importlib
import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import soundfile

from mixdata.audio import resample
from mixdata.effects.base import Audio, Effect, effect, parameter
from mixdata.errors import EffectError, RateError

# Bit rates by the part of the standard that a sample rate belongs to (ISO/IEC 11172-3 and 13818-3, layer III, and MPEG-2.5).
MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
MPEG25 = (8, 16, 24, 32, 40, 48, 56, 64)
BIT_RATES = dict.fromkeys((8000, 11025, 12000), MPEG25) | dict.fromkeys((16000, 22050, 24000), MPEG2)
BIT_RATES |= dict.fromkeys((32000, 44100, 48000), MPEG1)
DELAY = 576 + 529  # frames, of LAME's encoder and of any decoder
SHORTEST = 256  # frames to which audio is padded, so that some are left at any rate
QUALITY = 3  # of LAME's 0 (slow) to 9; what the program `lame` uses
FULL_SCALE = 32767


@effect
@dataclass(frozen=True)
class LossyCodec(Effect):
    """Encode as MP3 of constant bit rate by LAME, decode by libsndfile: ISO/IEC 11172-3 and 13818-3, layer III.

    The delay of encoder and decoder, 1105 frames at each rate, is taken off, and so is the gain that LAME applies (0.95 up to 160 kbit/s).
    LAME is given 16 bits; audio beyond full scale is scaled down before and up again after. A sample rate that MP3 does not know is
    resampled by soxr to the next higher one that it knows, above 48 kHz to 48 kHz, and back. Below 32 kHz there are fewer bit rates
    (8 to 160, below 16 kHz 8 to 64): others are refused. Of more than two channels each pair is coded together, the last odd one alone.
    """

    rings: ClassVar[bool] = True
    streams: ClassVar[bool] = False

    bitrate_kbps: int = parameter(128, low=8, high=320, draw={"choice": [64, 96, 128, 160, 192, 256, 320]})

    def __post_init__(self) -> None:
        super().__post_init__()
        known = sorted({*MPEG1, *MPEG2})
        if self.bitrate_kbps not in known:
            raise EffectError(f"{self.name}.bitrate_kbps must be one of {_listed(known)}, got {self.bitrate_kbps}")

    def check_rate(self, sample_rate: int) -> None:
        rate = coded_rate(sample_rate)
        if self.bitrate_kbps not in BIT_RATES[rate]:
            raise RateError(
                f"{self.name}.bitrate_kbps is {self.bitrate_kbps}, but MP3 at {rate} Hz has only {_listed(BIT_RATES[rate])}"
                + (f" (audio at {sample_rate} Hz is coded at that rate)" if rate != sample_rate else "")
            )

    def sway_frames(self, sample_rate: int) -> int:
        return 16  # at the lowest bit rates the largest sample of a coded impulse is up to 9 frames away, though noise has no lag

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        out = np.zeros_like(audio)
        for first in range(0, len(audio), 2):
            pair = np.asarray(audio[first : first + 2], np.float32)
            if pair.any():
                out[first : first + 2] = self._coded(pair, sample_rate)
        return out

    def _coded(self, audio: Audio, sample_rate: int) -> Audio:
        rate = coded_rate(sample_rate)
        padded = np.pad(audio, ((0, 0), (0, max(SHORTEST - audio.shape[1], 0))))
        source = resample(padded, sample_rate, rate)
        peak = max(float(np.abs(source).max()), 1.0)
        decoded = decode(encode(source / np.float32(peak), rate, self.bitrate_kbps))[:, DELAY : DELAY + source.shape[1]]
        decoded = resample(decoded * np.float32(peak / lame_gain(self.bitrate_kbps)), rate, sample_rate)[:, : audio.shape[1]]
        return np.pad(decoded, ((0, 0), (0, audio.shape[1] - decoded.shape[1])))


def coded_rate(sample_rate: int) -> int:
    """Return the sample rate at which audio is coded: its own, or the next higher that MP3 knows, at most 48 kHz."""
    return min((rate for rate in BIT_RATES if rate >= sample_rate), default=max(BIT_RATES))


def lame_gain(bitrate_kbps: int) -> float:
    """Return what LAME 3.100 multiplies audio by at a constant bit rate."""
    return {192: 0.97, 224: 0.98}.get(bitrate_kbps, 1.0 if bitrate_kbps > 224 else 0.95)


def encode(audio: Audio, sample_rate: int, bitrate_kbps: int) -> bytes:
    """Return the MP3 of one or two channels that peak at 1."""
    try:
        encoder = importlib.import_module("lameenc").Encoder()
    except ImportError as error:
        raise EffectError(f"lossy_codec needs the package lameenc, which cannot be imported ({error}): pip install lameenc") from error
    encoder.silence()  # on the terminal
    encoder.set_channels(len(audio))
    encoder.set_in_sample_rate(sample_rate)
    encoder.set_out_sample_rate(sample_rate)
    encoder.set_bit_rate(bitrate_kbps)
    encoder.set_quality(QUALITY)
    codes = np.rint(audio.T * np.float32(FULL_SCALE)).astype("<i2")
    return bytes(encoder.encode(codes.tobytes())) + bytes(encoder.flush())  # it adds at least 576 frames, so the last ones come out


def decode(mp3: bytes) -> Audio:
    """Return the audio of an MP3, float32."""
    audio, _ = soundfile.read(io.BytesIO(mp3), dtype="float32", always_2d=True)
    return audio.T


def _listed(rates: tuple[int, ...] | list[int]) -> str:
    return ", ".join(map(str, rates))
