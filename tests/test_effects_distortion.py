"""Distortion and bit crush: the curves, their overtones, and what must not come with them."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import signal

from mixdata.effects.bit_crush import BitCrush
from mixdata.effects.distortion import AUTOMATIC, KINDS, STAGES, Distortion, half_band
from mixdata.errors import EffectError

RATE = 44100
ODD = ("tanh", "soft", "hard")
# slope at zero
SLOPE = {"tanh": 1.0, "soft": 1.5, "hard": 1.0, "asymmetric": 1.0}


def curve(kind: str, v: float) -> float:
    if kind == "tanh":
        return math.tanh(v)
    if kind == "hard":
        return max(-1.0, min(1.0, v))
    if kind == "soft":
        return math.copysign(1.0, v) if abs(v) >= 1 else 1.5 * v - 0.5 * v**3
    return math.tanh(v) if v >= 0 else math.tanh(2 * v) / 2


def shaped(kind: str, audio: np.ndarray, drive_db: float, bias: float = 0.0) -> np.ndarray:
    drive = 10 ** (drive_db / 20)
    return np.array([[curve(kind, drive * float(v) + bias) - curve(kind, bias) for v in row] for row in audio])


def sine(frequency: float, seconds: float = 1.0, rate: int = RATE, amplitude: float = 1.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)[None]


def aliases_db(effect: Distortion, dtype: type = np.float32, frequency: float = 997.0, rate: int = RATE) -> float:
    """The sum of all that lies under 20 kHz (or 0.4535 of the rate) and is no multiple of the sine, relative to the sine."""
    tone = np.sin(2 * np.pi * frequency * np.arange(round(2.5 * rate)) / rate)[None]
    out = effect(tone.astype(dtype), rate)[0, rate // 4 : -rate // 4].astype(float)
    spectrum = np.abs(np.fft.rfft(out * signal.windows.blackmanharris(len(out)))) ** 2
    bins = np.fft.rfftfreq(len(out), 1 / rate)
    near = np.abs(bins - np.round(bins / frequency) * frequency) < 8
    alias = spectrum[~near & (bins > 20) & (bins < min(20000, 0.4535 * rate))].sum()
    return 10 * math.log10(alias / spectrum[np.abs(bins - frequency) < 8].sum())


@pytest.mark.parametrize("kind", KINDS)
def test_aliases_of_a_driven_sine_stay_under_minus_sixty_db(kind):
    for drive_db in (15, 24, 25):
        assert aliases_db(Distortion(kind=kind, drive_db=drive_db)) < -60, drive_db


@pytest.mark.parametrize("kind, rate", [*((kind, 32_000) for kind in KINDS), *((kind, 16_000) for kind in KINDS if kind != "hard")])
def test_at_lower_rates_the_automatic_factor_is_larger_and_aliases_stay_down(kind, rate):
    assert aliases_db(Distortion(kind=kind, drive_db=24), rate=rate) < -60


@pytest.mark.parametrize("kind", KINDS)
def test_the_automatic_factor_is_the_smallest_that_does(kind):
    factor = Distortion(kind=kind, drive_db=24).factor(RATE)
    assert factor == AUTOMATIC[kind]
    assert aliases_db(Distortion(kind=kind, drive_db=24, oversampling=factor // 2)) > -60


@pytest.mark.parametrize("doubling, audible", [(1, 0.4535), (2, 0.25), (3, 0.125)])
def test_filters_keep_what_is_audible_and_its_mirror_image_out(doubling, audible):
    """`audible` is in parts of the doubled rate's half: 20 kHz of 44.1 first, then all that the rate before could hold."""
    side = half_band(*STAGES[doubling - 1])
    odd = np.concatenate([side[::-1], side])
    whole = np.zeros(2 * len(odd) - 1)
    whole[::2], whole[len(odd) - 1] = odd / 2, 0.5
    w, response = signal.freqz(whole, worN=4096)
    level = np.abs(response)
    assert np.abs(level[w <= audible * np.pi] - 1).max() < 1e-4
    assert level[w >= (1 - audible) * np.pi].max() < 10 ** (-80 / 20)


def test_the_automatic_factor_grows_with_drive_and_falls_with_rate():
    assert [Distortion(drive_db=drive).factor(RATE) for drive in (0, 25, 26, 31, 32, 60)] == [2, 2, 4, 4, 8, 8]
    assert [Distortion(kind="hard").factor(rate) for rate in (8000, 44100, 48000, 88200, 96000, 192000)] == [8, 8, 8, 4, 4, 2]
    assert Distortion(kind="tanh", drive_db=10).factor(192000) == 1
    assert Distortion(kind="hard", oversampling=2).factor(RATE) == 2


@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-9), (np.float32, 2e-5)])
@pytest.mark.parametrize("kind", ODD)
def test_the_bare_curve_is_the_formula(kind, dtype, tolerance):
    audio = np.random.default_rng(1).normal(scale=0.3, size=(2, 3000)).astype(dtype)
    out = Distortion(kind=kind, drive_db=14, oversampling=1)(audio, RATE)
    assert out == pytest.approx(shaped(kind, audio, 14), abs=tolerance)


@pytest.mark.parametrize("kind, bias", [("asymmetric", 0.0), ("asymmetric", -0.4), ("tanh", 0.5), ("soft", 0.3), ("hard", -0.7)])
def test_uneven_curves_are_the_formula_and_a_high_pass_at_ten_hz(kind, bias):
    audio = np.random.default_rng(1).normal(scale=0.3, size=(2, 5000))
    out = Distortion(kind=kind, drive_db=14, bias=bias, oversampling=1)(audio, RATE)
    pole = math.exp(-2 * math.pi * 10 / RATE)
    level = (1 + pole) / 2
    expected = signal.lfilter([level, -level], [1, -pole], shaped(kind, audio, 14, bias))
    assert out == pytest.approx(expected, abs=2e-7)


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("kind", ["tanh", "soft"])
def test_a_low_sine_meets_the_memoryless_curve(kind, factor):
    audio = sine(50, 0.2)
    out = Distortion(kind=kind, drive_db=12, oversampling=factor)(audio, RATE)
    assert np.abs(out - shaped(kind, audio, 12))[:, 100:-100].max() < 2e-4


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_overtones_have_the_levels_of_the_curve(factor):
    """A clipped sine of clip ratio c has its Fourier series in closed form; at 997 Hz and 24 dB through 19 kHz."""
    audio = sine(997, 2.0)
    out = Distortion(kind="hard", drive_db=24, oversampling=factor)(audio, RATE)[0]
    drive = 10 ** (24 / 20)
    turn = np.linspace(0, 2 * np.pi, 400_000, endpoint=False)
    clipped = np.clip(drive * np.sin(turn), -1, 1)
    time = np.arange(len(out)) / RATE
    window = signal.windows.blackmanharris(len(out))
    for overtone in range(1, 20, 2):
        expected = 2 * np.mean(clipped * np.sin(overtone * turn))
        got = 2 * np.sum(window * out * np.sin(2 * np.pi * 997 * overtone * time)) / window.sum()
        assert got == pytest.approx(expected, abs=10 ** (-55 / 20)), overtone


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
@pytest.mark.parametrize("kind", KINDS)
def test_a_quiet_signal_passes_flat_and_in_time(kind, factor):
    audio = 1e-6 * np.random.default_rng(2).normal(size=(1, 20000))
    audio = signal.lfilter(signal.firwin(401, 18000, fs=RATE), 1, audio)
    if kind == "asymmetric":  # keep away from the high-pass, which turns the phase below
        audio = signal.lfilter(signal.firwin(4001, 2000, fs=RATE, pass_zero=False), 1, audio)
    out = Distortion(kind=kind, drive_db=6, oversampling=factor)(audio, RATE)
    expected = SLOPE[kind] * 10 ** (6 / 20) * audio
    rest = np.abs(out - expected)[:, 5000:-200].max() / np.abs(expected).max()
    assert rest < (1e-2 if kind == "asymmetric" else 1e-3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("drive_db", [0, 12, 25, 60])
def test_an_impulse_peaks_at_its_place(kind, drive_db):
    for factor in (0, 1, 2, 4, 8):
        audio = np.zeros((1, 6000))
        audio[0, 3001] = 0.5
        assert np.argmax(np.abs(Distortion(kind=kind, drive_db=drive_db, oversampling=factor)(audio, RATE))) == 3001


@pytest.mark.parametrize("bias, kind", [(0.0, "asymmetric"), (0.5, "tanh"), (-0.8, "hard")])
def test_no_dc_is_left(bias, kind):
    out = Distortion(kind=kind, drive_db=20, bias=bias)(sine(441, 2.0), RATE)
    bare = shaped(kind, sine(441, 0.2), 20, bias)
    assert abs(bare.mean()) > 0.05
    assert abs(out[:, RATE:].mean()) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_cannot_be_heard(kind):
    """The same audio, cut at another place, lies otherwise in the blocks."""
    audio = np.random.default_rng(4).normal(scale=0.2, size=(2, 10000))
    whole = Distortion(kind=kind, oversampling=8)(audio, RATE)
    for cut in (1, 777, 2048):
        part = Distortion(kind=kind, oversampling=8)(audio[:, cut:], RATE)
        difference = np.abs(whole[:, cut:] - part)[:, 200:]
        if kind == "asymmetric":  # the high-pass remembers what was cut off
            decay = math.exp(-2 * math.pi * 10 / RATE) ** np.arange(difference.shape[1])
            assert (difference <= 0.1 * decay + 1e-12).all()
            assert np.abs(np.diff(whole[:, cut:] - part, axis=1))[:, 200:].max() < 2e-4
        else:
            assert difference.max() < 1e-12


@pytest.mark.parametrize("factor", [1, 4])
def test_mix_and_output_level(factor):
    audio = np.random.default_rng(5).normal(scale=0.2, size=(2, 3000))
    wet = Distortion(drive_db=20, oversampling=factor)(audio, RATE)
    out = Distortion(drive_db=20, oversampling=factor, mix=0.3, output_db=-6)(audio, RATE)
    assert out == pytest.approx(0.7 * audio + 0.3 * 10 ** (-6 / 20) * wet, abs=1e-12)


@pytest.mark.parametrize("wrong", [3, 5, 7])
def test_factors_that_are_no_doublings_are_refused(wrong):
    with pytest.raises(EffectError, match=r"distortion\.oversampling must be one of 0, 1, 2, 4, 8"):
        Distortion(oversampling=wrong)


def test_the_bare_tanh_is_pedalboards():
    pedalboard = pytest.importorskip("pedalboard")
    audio = np.random.default_rng(6).normal(scale=0.2, size=(2, 5000)).astype(np.float32)
    theirs = pedalboard.Distortion(drive_db=17)(audio, RATE)
    assert Distortion(drive_db=17, oversampling=1)(audio, RATE) == pytest.approx(theirs, abs=1e-5)


def test_drive_is_drawn_as_in_remfx():
    law = {each.name: each.metadata["draw"] for each in dataclasses.fields(Distortion)}
    assert law["drive_db"] == {"uniform": [8, 25]} and law["kind"] is None and Distortion().kind == "tanh"


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
def test_crushed_values_are_the_nearest_of_the_converter(bits):
    audio = np.random.default_rng(7).uniform(-1.2, 1.2, size=(2, 2000))
    step = 2.0 ** (1 - bits)
    values = [-1 + step * k for k in range(2**bits)]
    out = BitCrush(bits=bits)(audio, RATE)
    assert np.isin(out, values).all()
    inside = np.abs(audio) <= 1 - step
    assert (np.abs(out - audio)[inside] <= step / 2 + 1e-12).all()
    assert out.min() >= -1 and out.max() <= 1 - step


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_crushing_makes_the_noise_of_its_bits(bits):
    """Quantisation noise re full-scale sine: 6.02 N + 1.76 dB."""
    audio = sine(997.0123, 3.0, amplitude=0.99)
    error = BitCrush(bits=bits)(audio, RATE) - audio
    assert 10 * math.log10(0.5 / np.mean(error**2)) == pytest.approx(6.02 * bits + 1.76, abs=0.15)


@pytest.mark.parametrize(
    "rate, hold_hz, hold", [(44100, 11025, 4), (48000, 8000, 6), (44100, 44100, 1), (44100, math.inf, 1), (44100, 10000, 4)]
)
def test_values_are_held_for_whole_frames_and_never_early(rate, hold_hz, hold):
    audio = np.random.default_rng(8).uniform(-0.9, 0.9, size=(2, 1003))
    out = BitCrush(bits=24, hold_hz=hold_hz)(audio, rate)
    expected = [audio[:, n // hold * hold] for n in range(1003)]
    assert out == pytest.approx(np.array(expected).T, abs=2.0**-23)
