"""MP3: on time at each rate, at the level of the input, and with the losses that belong to it."""

import dataclasses
import sys

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from mixdata.audio import resample
from mixdata.effects.lossy_codec import BIT_RATES, DELAY, MPEG1, LossyCodec, coded_rate, decode, encode
from mixdata.errors import EffectError

RATE = 44100


def music(rate: int, channels: int = 2, seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    """Noise up to 0.15 of the rate, another one in each channel."""
    audio = np.random.default_rng(seed).normal(size=(channels, round(rate * seconds))) * 0.2
    return np.ascontiguousarray(sosfilt(butter(4, 0.3, output="sos"), audio), np.float32)


def lag(out: np.ndarray, audio: np.ndarray) -> int:
    """How many frames `out` is late: where the cross-correlation peaks."""
    size = 2 * len(audio)
    correlation = np.fft.irfft(np.fft.rfft(out, size) * np.conj(np.fft.rfft(audio, size)), size)
    place = int(np.argmax(np.abs(correlation)))
    return place if place < len(audio) else place - size


@pytest.mark.parametrize("rate", [*BIT_RATES, 88200, 96000, 192000, 37800])
@pytest.mark.parametrize("channels", [1, 2])
def test_coded_audio_is_on_time_to_the_frame_in_each_channel(rate, channels):
    audio = music(rate, channels)
    out = LossyCodec(bitrate_kbps=64)(audio, rate)
    assert out.shape == audio.shape
    assert [lag(after, before) for after, before in zip(out, audio, strict=True)] == [0] * channels
    # and to a tenth of a frame: the slope of the phase, up to a tenth of the rate
    spectra = (np.fft.rfft(out) * np.conj(np.fft.rfft(audio)))[:, : audio.shape[1] // 10]
    frequencies = np.arange(spectra.shape[1]) / audio.shape[1]
    weights = np.abs(spectra) * frequencies
    assert abs((weights * np.angle(spectra)).sum() / (2 * np.pi * (weights * frequencies).sum())) < 0.1


@pytest.mark.parametrize("frames", [1, 2, 575, 1151, 1152, 1153, 1729, 5000])
def test_the_last_frame_comes_out(frames):
    audio = music(RATE, 2)[:, :frames]
    audio[:, -1] = 0.5
    mp3 = encode(audio, RATE, 320)
    assert decode(mp3).shape[1] >= frames + DELAY
    out = LossyCodec(bitrate_kbps=320)(audio, RATE)
    assert out.shape == audio.shape and (out[:, -1] > 0.2).all()


@pytest.mark.parametrize("rate", [9000, 96000, 192000, 1_000_000])
def test_one_frame_can_be_coded_at_any_rate(rate):
    out = LossyCodec(bitrate_kbps=64)(np.full((2, 1), 0.5, np.float32), rate)
    assert out.shape == (2, 1) and np.isfinite(out).all()


@pytest.mark.parametrize("bitrate_kbps", MPEG1)
def test_the_level_is_that_of_the_input(bitrate_kbps):  # LAME itself multiplies by 0.95 to 1
    audio = np.float32(0.5) * np.sin(2 * np.pi * 500 * np.arange(RATE) / RATE, dtype=np.float32)[None]
    out = LossyCodec(bitrate_kbps=bitrate_kbps)(audio, RATE)
    middle = slice(8000, -8000)
    assert 20 * np.log10(out[:, middle].std() / audio[:, middle].std()) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("rate, bitrate_kbps", [(22050, 64), (11025, 64), (48000, 192), (96000, 224)])
def test_the_level_is_that_of_the_input_at_other_rates(rate, bitrate_kbps):
    audio = np.float32(0.5) * np.sin(2 * np.pi * 500 * np.arange(rate) / rate, dtype=np.float32)[None]
    out = LossyCodec(bitrate_kbps=bitrate_kbps)(audio, rate)
    middle = slice(rate // 4, -rate // 4)
    assert 20 * np.log10(out[:, middle].std() / audio[:, middle].std()) == pytest.approx(0, abs=0.01)


def test_channels_stay_apart_and_in_order():
    audio = np.zeros((5, RATE), np.float32)
    for channel, frequency in enumerate((300, 700, 1100, 1900, 2900)):
        audio[channel] = 0.3 * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)
    codec = LossyCodec(bitrate_kbps=320)
    out = codec(audio, RATE)
    for before, after in zip(audio, out, strict=True):
        assert np.abs(after - before)[4000:-4000].max() < 0.02
    assert np.array_equal(out[2:4], codec(audio[2:4], RATE))
    assert np.array_equal(out[4:], codec(audio[4:], RATE))


def test_fewer_bits_lose_more():
    audio = music(RATE, 2, 2.0)
    noise = [np.square(LossyCodec(bitrate_kbps=rate)(audio, RATE) - audio).mean() for rate in (64, 128, 256)]
    assert noise[0] > 2 * noise[1] > 4 * noise[2] > 0


def test_64_kbps_take_what_is_above_16_khz():
    audio = np.random.default_rng(1).normal(size=(2, RATE)).astype(np.float32) * 0.1
    spectrum = np.abs(np.fft.rfft(LossyCodec(bitrate_kbps=64)(audio, RATE)[0])) ** 2
    assert spectrum[16500:20000].mean() < 1e-4 * spectrum[1000:5000].mean()


@pytest.mark.parametrize("peak", [1.0, 4.0, 100.0])
def test_audio_beyond_full_scale_is_not_clipped(peak):
    audio = music(RATE)
    audio *= np.float32(peak / np.abs(audio).max())
    codec = LossyCodec(bitrate_kbps=256)
    out = codec(audio, RATE)
    unit = codec(audio / np.float32(peak), RATE)
    assert np.abs(out / peak - unit).max() < 1e-3
    assert np.abs(out).max() == pytest.approx(peak, rel=0.05)


def test_audio_within_full_scale_is_coded_as_it_is():
    audio = music(RATE) * np.float32(0.2)
    by_hand = decode(encode(audio, RATE, 128))[:, DELAY : DELAY + RATE] / 0.95
    assert np.abs(LossyCodec(bitrate_kbps=128)(audio, RATE) - by_hand).max() < 1e-6


def test_rates_that_mp3_does_not_know_are_coded_at_the_next_one():
    assert [coded_rate(rate) for rate in (1000, 8000, 9000, 37800, 44100, 47000, 48000, 88200, 192000)] == [
        *(8000, 8000, 11025, 44100, 44100, 48000, 48000, 48000, 48000)
    ]
    audio = music(96000)
    codec = LossyCodec(bitrate_kbps=128)
    by_hand = resample(codec(resample(audio, 96000, 48000), 48000), 48000, 96000)
    assert np.abs(codec(audio, 96000) - by_hand).max() < 1e-5


def test_bit_rates_that_the_sample_rate_does_not_have_are_refused():
    for rate, bitrate_kbps in ((22050, 192), (8000, 128), (11025, 80), (44100, 8), (48000, 144), (96000, 24)):
        with pytest.raises(EffectError, match=rf"lossy_codec\.bitrate_kbps is {bitrate_kbps}, but MP3 at \d+ Hz"):
            LossyCodec(bitrate_kbps=bitrate_kbps)(music(rate, 1, 0.1), rate)
    for bitrate_kbps in (100, 300, 31):
        with pytest.raises(EffectError, match=r"lossy_codec\.bitrate_kbps must be one of 8, 16"):
            LossyCodec(bitrate_kbps=bitrate_kbps)
    for rate, known in BIT_RATES.items():
        for bitrate_kbps in known:
            LossyCodec(bitrate_kbps=bitrate_kbps).check_rate(rate)


def test_the_bit_rate_is_the_one_that_was_asked_for():
    audio = music(RATE, 2, 4.0)
    for bitrate_kbps in (64, 160, 320):
        assert len(encode(audio, RATE, bitrate_kbps)) * 8 / 4 == pytest.approx(bitrate_kbps * 1000, rel=0.03)


def test_what_is_drawn_works_at_44_1_khz():
    (field,) = dataclasses.fields(LossyCodec)
    for bitrate_kbps in field.metadata["draw"]["choice"]:
        LossyCodec(bitrate_kbps=bitrate_kbps).check_rate(44100)


def test_without_lameenc_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lameenc", None)
    with pytest.raises(EffectError, match="pip install lameenc"):
        LossyCodec()(music(RATE, 1, 0.1), RATE)
