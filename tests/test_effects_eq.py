"""Equalizers and filters against their published formulas, SciPy and a plain loop."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import signal

from mixdata.effects import EFFECTS, describe, from_record
from mixdata.effects.biquad import KINDS, butterworth, cascade, rbj
from mixdata.effects.eq import Band, Eq
from mixdata.effects.filters import BandPass, HighPass, LowPass
from mixdata.effects.tilt import Tilt
from mixdata.errors import EffectError

RATE = 44100
FIVE = Eq(
    (
        Band("low_shelf", 80, 6, 0.7),
        Band("peak", 450, -5, 1.2),
        Band("notch", 1700, 0, 2),
        Band("peak", 4900, 9, 0.4),
        Band("high_shelf", 7100, -8, 0.9),
    )
)


def noise(channels: int = 2, frames: int = 5000, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, frames)) * 0.2


def impulse_response(effect, rate: int = RATE, frames: int = 1 << 15) -> np.ndarray:
    audio = np.zeros((1, frames))
    audio[0, 0] = 1
    return effect(audio, rate)[0]


def gain_db(effect, *frequencies_hz: float, rate: int = RATE, frames: int = 1 << 16) -> np.ndarray:
    """The gain at exact frequencies, from the impulse response alone."""
    response = impulse_response(effect, rate, frames)
    turns = np.exp(-2j * np.pi * np.outer(frequencies_hz, np.arange(frames)) / rate)
    return 20 * np.log10(np.abs(turns @ response))


def cookbook(kind: str, f0: float, db: float, q: float, rate: float) -> tuple[list[float], list[float]]:
    """Written from the cookbook's list a second time, one line for each kind."""
    a, w = 10 ** (db / 40), 2 * math.pi * f0 / rate
    c, alpha = math.cos(w), math.sin(w) / 2 / q
    r = 2 * math.sqrt(a) * alpha
    plain = [1 + alpha, -2 * c, 1 - alpha]
    return {
        "low_pass": ([(1 - c) / 2, 1 - c, (1 - c) / 2], plain),
        "high_pass": ([(1 + c) / 2, -1 - c, (1 + c) / 2], plain),
        "band_pass": ([alpha, 0, -alpha], plain),
        "notch": ([1, -2 * c, 1], plain),
        "all_pass": ([1 - alpha, -2 * c, 1 + alpha], plain),
        "peak": ([1 + alpha * a, -2 * c, 1 - alpha * a], [1 + alpha / a, -2 * c, 1 - alpha / a]),
        "low_shelf": (
            [a * ((a + 1) - (a - 1) * c + r), 2 * a * ((a - 1) - (a + 1) * c), a * ((a + 1) - (a - 1) * c - r)],
            [(a + 1) + (a - 1) * c + r, -2 * ((a - 1) + (a + 1) * c), (a + 1) + (a - 1) * c - r],
        ),
        "high_shelf": (
            [a * ((a + 1) + (a - 1) * c + r), -2 * a * ((a - 1) + (a + 1) * c), a * ((a + 1) + (a - 1) * c - r)],
            [(a + 1) - (a - 1) * c + r, 2 * ((a - 1) - (a + 1) * c), (a + 1) - (a - 1) * c - r],
        ),
    }[kind]


def test_a_peak_has_the_published_coefficients():  # the cookbook's formulas at +6 dB, 1 kHz, Q 1, 44.1 kHz, worked out on their own
    expected = (1.0476300262, -1.884991252457, 0.856656460922, -1.884991252457, 0.904286487122)
    assert rbj("peak", 1000, 6, 1, RATE) == pytest.approx(expected, abs=1e-10)


def test_a_peak_has_the_published_impulse_response():
    expected = [1.0476300262, 0.0897821827, 0.0785374138, 0.0668535234, 0.0549979848]
    assert impulse_response(Eq((Band("peak", 1000, 6, 1),)))[:5] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "frequency_hz, db, q, rate", [(1000, 6, 1, 44100), (60, -11, 0.3, 48000), (15000, 17, 8, 44100), (3900, 3, 2, 8000)]
)
def test_every_kind_is_the_cookbooks(kind, frequency_hz, db, q, rate):
    b, a = cookbook(kind, frequency_hz, db, q, rate)
    audio = noise()
    expected = signal.lfilter(b, a, audio)
    wet = Eq((Band(kind, frequency_hz, db, q),))(audio, rate)
    assert np.abs(wet - expected).max() < 1e-12 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("db", [-12.0, -3.0, 6.0, 15.0])
@pytest.mark.parametrize("q", [0.5, 0.707, 2.0])
def test_gains_at_the_points_that_the_cookbook_fixes(db, q):
    def at(kind, *frequencies_hz):
        return gain_db(Eq((Band(kind, 1000, db, q),)), *frequencies_hz)

    assert at("peak", 0, 1000, RATE / 2) == pytest.approx([0, db, 0], abs=1e-6)
    assert at("low_shelf", 0, 1000, RATE / 2) == pytest.approx([db, db / 2, 0], abs=1e-6)
    assert at("high_shelf", 0, 1000, RATE / 2) == pytest.approx([0, db / 2, db], abs=1e-6)
    assert at("low_pass", 0, 1000) == pytest.approx([0, 20 * math.log10(q)], abs=1e-6)
    assert at("high_pass", RATE / 2, 1000) == pytest.approx([0, 20 * math.log10(q)], abs=1e-6)
    assert at("band_pass", 1000) == pytest.approx([0], abs=1e-6)
    assert at("all_pass", 20, 1000, 5000) == pytest.approx([0, 0, 0], abs=1e-6)
    assert at("notch", 0, RATE / 2) == pytest.approx([0, 0], abs=1e-6) and at("notch", 1000)[0] < -200


def test_an_all_pass_turns_the_phase_by_half_a_turn_at_its_frequency():
    response = impulse_response(Eq((Band("all_pass", 1000, 0, 0.707),)))
    assert response @ np.exp(-2j * np.pi * 1000 / RATE * np.arange(len(response))) == pytest.approx(-1, abs=1e-9)


@pytest.mark.parametrize("kind", ["peak", "low_shelf", "high_shelf"])
def test_up_and_down_by_the_same_is_a_wire(kind):  # +9 then -9 dB: at most 2e-14 off
    audio = noise()
    up, down = Eq((Band(kind, 1000, 9, 0.8),)), Eq((Band(kind, 1000, -9, 0.8),))
    assert np.abs(down(up(audio, RATE), RATE) - audio).max() < 1e-13
    assert np.abs(Eq(up.bands + down.bands)(audio, RATE) - audio).max() < 1e-13


@pytest.mark.parametrize("count", range(9))
def test_any_number_of_bands_is_one_after_the_other(count):
    random = np.random.default_rng(count)
    bands = tuple(Band(KINDS[i % 8], random.uniform(30, 15000), random.uniform(-12, 12), random.uniform(0.3, 2)) for i in range(count))
    audio = noise(3)  # three channels: a pair and one alone
    expected = audio
    for band in bands:
        expected = signal.lfilter(*cookbook(band.kind, band.frequency_hz, band.gain_db, band.q, RATE), expected)
    assert np.abs(Eq(bands)(audio, RATE) - expected).max() < 1e-11


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_channels_keep_to_themselves(channels):
    audio = noise(channels)
    wet = FIVE(audio, RATE)
    for channel in range(channels):
        assert np.array_equal(wet[channel : channel + 1], FIVE(audio[channel : channel + 1], RATE))


def test_pieces_keep_to_themselves_bit_for_bit():
    pieces = noise(10).astype(np.float32).reshape(5, 2, 5000)
    for piece, wet in zip(pieces, FIVE(pieces, RATE), strict=True):
        assert np.array_equal(FIVE(piece, RATE), wet)


@pytest.mark.parametrize("frames", [1, 2, 1023, 1024, 1025, 2048, 3000])
def test_the_length_of_the_piece_changes_nothing_before_its_end(frames):
    audio = noise(2, 4000)
    assert np.array_equal(FIVE(audio[:, :frames], RATE), FIVE(audio, RATE)[:, :frames])


def test_float32_is_float64_rounded_once():
    audio = noise().astype(np.float32)
    assert np.array_equal(FIVE(audio, RATE), FIVE(audio.astype(np.float64), RATE).astype(np.float32))


@pytest.mark.parametrize("bands", [(), (Band(),), (Band("low_shelf", 100), Band("high_shelf", 5000)), Eq().bands])
def test_bands_without_gain_do_nothing(bands):
    effect, audio = Eq(bands), noise()
    assert effect.is_identity() and np.array_equal(effect(audio, RATE), audio)
    assert np.abs(effect.process(audio, RATE) - audio).max() < 1e-12


@pytest.mark.parametrize("kind", ["low_pass", "high_pass", "band_pass", "notch", "all_pass"])
def test_a_filter_without_gain_of_its_own_is_no_identity(kind):
    assert not Eq((Band(), Band(kind))).is_identity()


@pytest.mark.parametrize("frequency_hz", [4000, 4001, 20000])
def test_a_band_above_half_the_rate_is_named(frequency_hz):
    with pytest.raises(EffectError, match=rf"eq\.bands\.1\.frequency_hz is {frequency_hz} Hz; audio at 8000 Hz"):
        Eq((Band("peak", 3999, 3), Band("peak", frequency_hz, 3)))(noise(), 8000)


@pytest.mark.parametrize(
    "wrong", [{"q": 0}, {"q": -1}, {"q": math.nan}, {"frequency_hz": 0}, {"frequency_hz": -5}, {"kind": "bell"}, {"gain_db": 99}]
)
def test_a_wrong_band_is_refused_by_name(wrong):
    with pytest.raises(EffectError, match=rf"band\.{next(iter(wrong))}"):
        Band(**wrong)


def test_bands_come_back_from_their_record():
    assert from_record(json.loads(json.dumps(describe(FIVE)))) == FIVE


def test_an_impulse_does_not_leave_slow_tails():
    """Denormal numbers are slow: they would be reached after 14,000 frames, 1e-60 after 2,700."""
    response = impulse_response(Eq((Band("peak", 1000, 6, 1),)))
    assert response[2000:2100].any() and not response[4096:].any()


@pytest.mark.parametrize("order", range(1, 9))
@pytest.mark.parametrize("kind, frequency_hz, rate", [("low_pass", 1000, 44100), ("high_pass", 80, 44100), ("high_pass", 3000, 8000)])
def test_pass_filters_are_butterworths(order, kind, frequency_hz, rate):
    audio = noise()
    design = signal.butter(order, frequency_hz, kind.replace("_pass", ""), fs=rate, output="sos")
    effect = (LowPass if kind == "low_pass" else HighPass)(frequency_hz, order)
    assert np.abs(effect(audio, rate) - signal.sosfilt(design, audio)).max() < 1e-9


@pytest.mark.parametrize("order", range(1, 9))
def test_pass_filters_are_three_db_down_and_fall_by_six_db_an_octave_for_each_order(order):
    low = gain_db(LowPass(500, order), 0, 500, 1000 / 0.5, 2000 / 0.5, rate=192_000)
    assert low[:2] == pytest.approx([0, -3.0103], abs=1e-4)
    assert low[2] - low[3] == pytest.approx(6.02 * order, rel=0.05)
    high = gain_db(HighPass(2000, order), 96_000, 2000, 500, 250, rate=192_000)
    assert high[:2] == pytest.approx([0, -3.0103], abs=1e-4)
    assert high[2] - high[3] == pytest.approx(6.02 * order, rel=0.05)


def test_a_band_pass_is_a_high_pass_and_a_low_pass():
    audio = noise()
    expected = LowPass(3500, 3)(HighPass(350, 3)(audio, RATE), RATE)
    assert np.abs(BandPass(350, 3500, 3)(audio, RATE) - expected).max() < 1e-13


def test_a_band_pass_needs_its_ends_in_order():
    for high_hz in (349, 350):
        with pytest.raises(EffectError, match=r"band_pass\.low_hz must lie below high_hz"):
            BandPass(350, high_hz)


@pytest.mark.parametrize("effect", [HighPass(4000), LowPass(4000), BandPass(100, 4000), Tilt(4000, 3)], ids=lambda each: each.name)
def test_a_filter_above_half_the_rate_is_named(effect):
    with pytest.raises(EffectError, match=rf"{effect.name}\.(frequency|high)_hz is 4000 Hz"):
        effect(noise(), 8000)


@pytest.mark.parametrize("db", [-12.0, 3.0, 6.0])
def test_a_tilt_rises_by_half_its_gain_on_either_side(db):
    assert gain_db(Tilt(1000, db), 0, 1000, RATE / 2) == pytest.approx([-db / 2, 0, db / 2], abs=1e-6)
    # |H(j x)|^2 = (g^2 x^2 + 1) / (x^2 + g^2) at x, the prewarped frequency in units of the pivot
    x, g = math.tan(math.pi * 3000 / RATE) / math.tan(math.pi * 1000 / RATE), 10 ** (db / 40)
    assert gain_db(Tilt(1000, db), 3000) == pytest.approx(10 * math.log10((g * g * x * x + 1) / (x * x + g * g)), abs=1e-9)


def test_a_tilt_back_is_a_wire():
    audio = noise()
    assert np.abs(Tilt(700, -9)(Tilt(700, 9)(audio, RATE), RATE) - audio).max() < 1e-13


def test_filters_have_minimum_phase():
    """All zeros inside the unit circle or on it: no delay that the magnitude does not ask for."""
    for sections in ([rbj("peak", 900, 6, 1, RATE)], butterworth("low_pass", 900, 5, RATE), butterworth("high_pass", 900, 4, RATE)):
        for b0, b1, b2, a1, a2 in sections:
            assert np.abs(np.roots([b0, b1, b2])).max(initial=0) <= 1 + 1e-7
            assert np.abs(np.roots([1, a1, a2])).max() < 1


def test_cascade_of_nothing_is_the_input():
    audio = noise()
    assert np.array_equal(cascade(audio, []), audio)


def test_the_default_bands_are_drawn_in_the_published_ranges():  # Koo et al. 2023: five bands
    laws = next(each for each in dataclasses.fields(EFFECTS["eq"]) if each.name == "bands").metadata["draw"]
    assert [law["frequency_hz"]["loguniform"] for law in laws] == [[30, 200], [200, 1000], [1000, 3000], [3000, 8000], [5000, 10000]]
    assert {law["gain_db"]["uniform"][1] for law in laws} == {12} and {tuple(law["q"]["uniform"]) for law in laws} == {(0.3, 2)}
    for law, band in zip(laws, Eq().bands, strict=True):
        assert (
            band.kind == law["kind"] and law["frequency_hz"]["loguniform"][0] <= band.frequency_hz <= law["frequency_hz"]["loguniform"][1]
        )


@pytest.mark.parametrize(
    "ours, theirs",
    [
        (Eq((Band("peak", 700, -7, 1.3),)), ("PeakFilter", (700, -7, 1.3))),
        (Eq((Band("low_shelf", 200, 8, 0.7),)), ("LowShelfFilter", (200, 8, 0.7))),
        (Eq((Band("high_shelf", 4000, -8, 0.7),)), ("HighShelfFilter", (4000, -8, 0.7))),
        (HighPass(300, 1), ("HighpassFilter", (300,))),
        (LowPass(3000, 1), ("LowpassFilter", (3000,))),
    ],
    ids=lambda each: each[0] if isinstance(each, tuple) else "",
)
def test_pedalboard_says_the_same(ours, theirs):
    pedalboard = pytest.importorskip("pedalboard")
    audio = noise().astype(np.float32)
    other = getattr(pedalboard, theirs[0])(*theirs[1])(audio, RATE)
    assert np.abs(ours(audio, RATE) - other).max() < 2e-5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "effect", [FIVE, HighPass(20, 8), LowPass(20, 8), Eq((Band("peak", 30, 60, 0.01),))], ids=["eq", "high", "low", "far"]
)
def test_hostile_audio_stays_finite_and_silence_silent(effect, dtype):
    for audio in (np.full((2, 3000), 100), np.full((2, 3000), 1e-310), np.tile([100, -100], (2, 1500)), np.ones((1, 1))):
        assert np.isfinite(effect(np.ascontiguousarray(audio, dtype), RATE)).all()
    assert not effect(np.zeros((2, 3000), dtype), RATE).any()
