"""Polarity, pan, width and Haas: what happens to left and right."""

import math

import numpy as np
import pytest

from mixdata.effects import EFFECTS
from mixdata.effects.haas import Haas
from mixdata.effects.pan import LAWS, Pan
from mixdata.effects.polarity import Polarity
from mixdata.effects.stereo_width import StereoWidth
from mixdata.errors import EffectError

RATE = 44100
NEEDS_STEREO = [Pan(position=0.5), StereoWidth(width=0.3), Haas()]


@pytest.fixture
def audio() -> np.ndarray:
    """Noise on the grid of 16-bit PCM."""
    return (np.random.default_rng(3).integers(-20000, 20000, size=(2, 3000)) / 32768).astype(np.float32)


def db(gain: float) -> float:
    return 20 * math.log10(gain)


@pytest.mark.parametrize("channels, signs", [("both", (-1, -1)), ("left", (-1, 1)), ("right", (1, -1))])
def test_polarity_turns_the_named_channels_only(audio, channels, signs):
    assert np.array_equal(Polarity(channels=channels)(audio, RATE), audio * np.float32(signs)[:, None])


def test_polarity_of_mono_turns_with_both_only(audio):
    mono = audio[:1]
    assert np.array_equal(Polarity()(mono, RATE), -mono)
    assert np.array_equal(Polarity(channels="left")(mono, RATE), mono)
    assert np.array_equal(Polarity(channels="right")(mono, RATE), mono)


@pytest.mark.parametrize(
    "law, position, left_db, right_db",
    [  # Centre and p = 0.25 of the three pan laws (published values of the laws, worked out again by hand)
        ("linear", 0.0, -6.02, -6.02),
        ("constant_power", 0.0, -3.01, -3.01),
        ("minus_4_5_db", 0.0, -4.52, -4.52),
        ("constant_power", -0.5, -0.69, -8.34),
        ("linear", -0.5, -2.50, -12.04),
        ("minus_4_5_db", -0.5, -1.59, -10.19),
    ],
)
def test_pan_laws_have_their_published_gains(audio, law, position, left_db, right_db):
    out = Pan(position=position, law=law, centred=False)(audio, RATE).astype(float)
    rms = np.sqrt((out**2).mean(axis=1) / (audio.astype(float) ** 2).mean(axis=1))
    assert db(rms[0]) == pytest.approx(left_db, abs=0.006)
    assert db(rms[1]) == pytest.approx(right_db, abs=0.006)


@pytest.mark.parametrize("position", np.linspace(-1, 1, 21).tolist())
def test_pan_sums_and_mirrors(position):
    linear, power = (Pan(position=position, law=law, centred=False).gains() for law in ("linear", "constant_power"))
    assert sum(linear) == pytest.approx(1)
    assert power[0] ** 2 + power[1] ** 2 == pytest.approx(1)
    for law in LAWS:
        gains = Pan(position=position, law=law).gains()
        assert gains == pytest.approx(Pan(position=-position, law=law).gains()[::-1], abs=1e-12)
        assert (gains[1] - gains[0]) * position >= 0


@pytest.mark.parametrize("law, loudest_db", [("linear", 6.02), ("constant_power", 3.01), ("minus_4_5_db", 4.52)])
def test_centred_pan_is_the_law_relative_to_its_centre(audio, law, loudest_db):
    assert np.array_equal(Pan(position=0, law=law)(audio, RATE), audio)
    right = Pan(position=1, law=law)(audio, RATE)
    assert not right[0].any()
    assert db(float(np.abs(right[1]).max() / np.abs(audio[1]).max())) == pytest.approx(loudest_db, abs=0.006)
    plain, centred = Pan(position=0.3, law=law, centred=False).gains(), Pan(position=0.3, law=law).gains()
    assert centred[0] / plain[0] == pytest.approx(centred[1] / plain[1])
    assert db(centred[0] / plain[0]) == pytest.approx(loudest_db, abs=0.006)


def test_pan_without_compensation_is_not_neutral_at_the_centre(audio):
    assert Pan(position=0, law="linear", centred=False)(audio, RATE) == pytest.approx(audio * 0.5)


def test_width_zero_makes_both_channels_the_same_and_keeps_the_mid(audio):
    out = StereoWidth(width=0)(audio, RATE)
    assert np.array_equal(out[0], out[1])
    assert np.array_equal(out[0], (audio[0] + audio[1]) / 2)


def test_width_one_is_exact_on_the_grid_of_pcm(audio):
    assert np.array_equal(StereoWidth().process(audio, RATE), audio)


@pytest.mark.parametrize("width", [0.0, 0.5, 1.5, 2.0])
def test_width_multiplies_the_side_and_nothing_else(audio, width):
    out = StereoWidth(width=width)(audio, RATE)
    assert out[0] + out[1] == pytest.approx(audio[0] + audio[1], abs=1e-6)
    assert out[0] - out[1] == pytest.approx(width * (audio[0] - audio[1]), abs=1e-6)


@pytest.mark.parametrize("rate, frames", [(44100, 441), (48000, 480), (96000, 960), (22050, 220)])  # 220.5 rounds to even
@pytest.mark.parametrize("side", ["left", "right"])
def test_haas_delays_one_channel_by_whole_frames(audio, rate, frames, side):
    out = Haas(delay_ms=10, side=side)(audio, rate)
    late, early = (0, 1) if side == "left" else (1, 0)
    assert np.array_equal(out[early], audio[early])
    assert not out[late, :frames].any()
    assert np.array_equal(out[late, frames:], audio[late, :-frames])


def test_haas_mixes_the_delayed_channel_only(audio):
    out = Haas(delay_ms=10, side="left", mix=0.25)(audio, RATE)
    assert np.array_equal(out[1], audio[1])
    assert out[0, :441] == pytest.approx(0.75 * audio[0, :441])
    assert out[0, 441:] == pytest.approx(0.75 * audio[0, 441:] + 0.25 * audio[0, :-441], abs=1e-6)


def test_haas_longer_than_the_audio_leaves_silence(audio):
    out = Haas(delay_ms=100)(audio[:, :100], RATE)
    assert np.array_equal(out[0], audio[0, :100]) and not out[1].any()


@pytest.mark.parametrize("effect", NEEDS_STEREO, ids=lambda each: each.name)
def test_mono_comes_back_as_it_is_and_surround_is_refused(audio, effect):
    assert np.array_equal(effect(audio[:1], RATE), audio[:1])
    with pytest.raises(EffectError, match=rf"{effect.name} .* 3 channels"):
        effect(np.concatenate([audio, audio[:1]]), RATE)


def test_what_only_changes_levels_says_so():
    for name in ("polarity", "pan", "tremolo", "gain_automation"):
        assert EFFECTS[name].level_only, name
    for name in ("stereo_width", "haas", "distortion", "bit_crush", "delay", "chorus", "flanger", "phaser", "vibrato"):
        assert not EFFECTS[name].level_only, name
