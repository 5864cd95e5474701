"""Chorus, flanger, phaser, tremolo, vibrato and gain automation, against plain loops written from their formulas."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import signal

from mixdata.effects.chorus import Chorus
from mixdata.effects.flanger import Flanger
from mixdata.effects.gain_automation import GainAutomation
from mixdata.effects.phaser import Phaser
from mixdata.effects.tremolo import Tremolo
from mixdata.effects.vibrato import Vibrato

RATE = 44100


def noise(frames: int, channels: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.2, size=(channels, frames))


def lagrange(points: dict[int, float], at: float) -> float:
    """The polynomial through the points, by its definition."""
    return sum(y * math.prod((at - other) / (x - other) for other in points if other != x) for x, y in points.items())


def slow_modulated_delay(row, rate, centre_s, depth, rate_hz, phase, feedback, mix):
    """The docstring's formulas, frame by frame."""
    line: list[float] = []
    out = []

    def past(n: int) -> float:
        return line[n] if 0 <= n < len(line) else 0.0

    for n, x in enumerate(row):
        delay = centre_s * rate * (1 + depth * math.sin(2 * math.pi * (rate_hz * n / rate + phase)))
        delay = max(delay, 2.0)
        whole = math.floor(delay)
        wet = lagrange({k: past(n - k) for k in range(whole - 1, whole + 3)}, delay)
        line.append(x + feedback * wet)
        out.append((1 - mix) * x + mix * wet)
    return np.array(out)


@pytest.mark.parametrize("rate", [44100, 96000])
@pytest.mark.parametrize("feedback, spread_cycles, phase_cycles", [(0.3, 0.25, 0.1), (-0.7, 0.5, 0.8), (0.0, 0.0, 0.0)])
def test_chorus_is_the_slow_loop(rate, feedback, spread_cycles, phase_cycles):
    audio = noise(2500)
    effect = Chorus(
        rate_hz=9.0, depth=0.6, centre_delay_ms=5, feedback=feedback, mix=0.4, phase_cycles=phase_cycles, spread_cycles=spread_cycles
    )
    out = effect(audio, rate)
    for channel in (0, 1):
        expected = slow_modulated_delay(audio[channel], rate, 0.005, 0.6, 9.0, phase_cycles + channel * spread_cycles, feedback, 0.4)
        assert out[channel] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("centre_delay_ms, depth, rate", [(1.0, 1.0, 44100), (0.1, 1.0, 8000), (3.0, 0.8, 44100)])
def test_flanger_is_the_slow_loop_down_to_two_frames(centre_delay_ms, depth, rate):
    audio = noise(2500)
    effect = Flanger(
        rate_hz=11.0, depth=depth, centre_delay_ms=centre_delay_ms, feedback=-0.6, mix=0.45, phase_cycles=0.3, spread_cycles=0.1
    )
    out = effect(audio, rate)
    for channel in (0, 1):
        expected = slow_modulated_delay(audio[channel], rate, centre_delay_ms / 1000, depth, 11.0, 0.3 + 0.1 * channel, -0.6, 0.45)
        assert out[channel] == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("effect_class", [Chorus, Flanger])
def test_single_precision_is_as_good_as_it_can_be(effect_class):
    audio = noise(RATE)
    assert effect_class()(audio.astype(np.float32), RATE) == pytest.approx(effect_class()(audio, RATE), abs=2e-6)


def test_a_still_chorus_is_one_echo_at_its_delay():
    audio = np.zeros((1, 3000))
    audio[0, 50] = 1
    out = Chorus(depth=0, centre_delay_ms=10, feedback=0.5, mix=0.25)(audio, RATE)[0]
    expected = np.zeros(3000)
    expected[[50, 491, 932, 1373, 1814, 2255, 2696]] = [0.75, *(0.25 * 0.5**k for k in range(6))]
    assert out == pytest.approx(expected, abs=1e-9)


def test_a_still_flanger_is_a_comb():
    """Zeros at (k + 1/2) / delay."""
    audio = np.zeros((1, 8192))
    audio[0, 0] = 1
    out = Flanger(depth=0, centre_delay_ms=2, feedback=0, mix=0.5)(audio, 48000)[0]
    for k in range(8):
        frequency = (k + 0.5) / 0.002
        level = abs(np.sum(out * np.exp(-2j * np.pi * frequency / 48000 * np.arange(8192))))
        assert level < 1e-6
        assert abs(np.sum(out * np.exp(-2j * np.pi * (k / 0.002) / 48000 * np.arange(8192)))) == pytest.approx(1, abs=1e-6)


def test_the_fully_wet_chorus_says_when_it_arrives():
    assert Chorus(mix=1, centre_delay_ms=10).arrival_frames(RATE) == 441
    assert Flanger(mix=1, centre_delay_ms=2).arrival_frames(48000) == 96
    assert Chorus().arrival_frames(RATE) == 0


def test_chorus_is_drawn_as_in_remfx():
    law = {each.name: each.metadata["draw"] for each in dataclasses.fields(Chorus)}
    assert law["rate_hz"] == {"uniform": [0.25, 1.5]} and law["depth"] == {"uniform": [0.2, 0.6]}
    assert law["centre_delay_ms"] == {"uniform": [5, 10]} and law["feedback"] == {"uniform": [0.1, 0.4]}
    assert law["mix"] == {"uniform": [0.15, 0.4]}


def shift_of(out: np.ndarray, frequency: float, rate: int) -> np.ndarray:
    """How many frames late a sine is, at each frame."""
    turn = 2 * np.pi * frequency / rate
    phase = np.unwrap(np.angle(signal.hilbert(out)))
    return (turn * np.arange(len(out)) - np.pi / 2 - phase) / turn


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize("phase_cycles", [0.0, 0.3])
def test_vibrato_shifts_to_and_fro_and_on_average_not_at_all(rate, phase_cycles):
    audio = np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)[None]
    out = Vibrato(rate_hz=5, depth_ms=0.5, phase_cycles=phase_cycles)(audio, rate)[0]
    middle = slice(rate // 2, rate // 2 + rate)  # five whole swings
    shift = shift_of(out, 440, rate)[middle]
    assert shift.mean() == pytest.approx(0, abs=0.01)
    time = np.arange(2 * rate)[middle] / rate
    assert shift == pytest.approx(0.0005 * rate * np.sin(2 * np.pi * (5 * time + phase_cycles)), abs=0.05)


def test_vibrato_reads_the_polynomial_around_now():
    audio = noise(2000, channels=1)
    out = Vibrato(rate_hz=20, depth_ms=2, phase_cycles=0.4)(audio, RATE)[0]
    for n in range(0, 2000, 7):
        delay = 0.002 * RATE * math.sin(2 * math.pi * (20 * n / RATE + 0.4))
        whole = math.floor(delay)
        points = {k: float(audio[0, n - k]) if 0 <= n - k < 2000 else 0.0 for k in range(whole - 1, whole + 3)}
        assert out[n] == pytest.approx(lagrange(points, delay), abs=1e-9), n


def test_vibrato_says_how_far_it_sways():
    assert Vibrato(depth_ms=1).sway_frames(RATE) == 45 + 2
    for phase in np.linspace(0, 1, 9):
        audio = np.zeros((1, 4000))
        audio[0, 2000] = 1
        out = Vibrato(depth_ms=1, phase_cycles=float(phase))(audio, RATE)[0]
        places = np.flatnonzero(np.abs(out) > 1e-9)
        assert len(places) and np.abs(places - 2000).max() <= 47


def slow_phaser(row, rate, effect, phase):
    """Smith's chain, frame by frame, the coefficient every 16 frames and straight lines between."""

    def coefficient(n: int) -> float:
        f = effect.centre_hz * 2 ** (effect.depth_octaves * math.sin(2 * math.pi * (effect.rate_hz * n / rate + phase)))
        slope = math.tan(math.pi * f / rate)
        return (slope - 1) / (slope + 1)

    stages = effect.stages
    x1, y1 = [0.0] * stages, [0.0] * stages
    last, out = 0.0, []
    for n, x in enumerate(row):
        begin = n // 16 * 16
        a = coefficient(begin) + (n - begin) / 16 * (coefficient(begin + 16) - coefficient(begin))
        wet = x + effect.feedback * last
        for k in range(stages):
            # the filter's memory is what a transposed form keeps: x1 - a y1 with the a of that frame
            y = a * wet + x1[k]
            x1[k], y1[k] = wet - a * y, y
            wet = y
        last = wet
        out.append((1 - effect.mix) * x + effect.mix * wet)
    return np.array(out)


@pytest.mark.parametrize("stages, feedback", [(1, 0.0), (4, 0.5), (6, -0.6)])
def test_phaser_is_the_slow_loop(stages, feedback):
    audio = noise(2001)
    effect = Phaser(rate_hz=7, depth_octaves=1.5, stages=stages, feedback=feedback, phase_cycles=0.7, spread_cycles=0.2)
    out = effect(audio, RATE)
    for channel in (0, 1):
        assert out[channel] == pytest.approx(slow_phaser(audio[channel], RATE, effect, 0.7 + 0.2 * channel), abs=1e-10)


@pytest.mark.parametrize("feedback", [0.0, 0.5])
def test_a_still_phaser_is_the_filter_of_its_stages(feedback):
    """Against scipy's polynomials; with feedback c, z^-1: H = A / (1 - c z^-1 A)."""
    audio = np.zeros((1, 1 << 15))
    audio[0, 0] = 1
    out = Phaser(centre_hz=1500, depth_octaves=0, stages=6, feedback=feedback, mix=0.4)(audio, RATE)[0]
    slope = math.tan(math.pi * 1500 / RATE)
    a = (slope - 1) / (slope + 1)
    w, stage = signal.freqz([a, 1], [1, a], worN=2048)
    through = stage**6
    expected = 0.6 + 0.4 * through / (1 - feedback * np.exp(-1j * w) * through)
    got = np.fft.rfft(out)[:-1].reshape(2048, -1)[:, 0]
    assert got == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("stages, notches", [(4, 2), (6, 3), (8, 4)])
def test_phaser_notches_lie_where_the_stages_turn_the_phase_by_half_a_turn(stages, notches):
    """Each stage turns by -2 atan(tan(pi f / rate) / tan(pi fc / rate)); N of them by half a turn at tan((2k + 1) pi / 2N)."""
    centre, frames = 1000, 1 << 16
    audio = np.zeros((1, frames))
    audio[0, 0] = 1
    out = Phaser(centre_hz=centre, depth_octaves=0, stages=stages, feedback=0, mix=0.5)(audio, RATE)[0]
    level = np.abs(np.fft.rfft(out))
    places = signal.argrelmin(level)[0]
    places = places[level[places] < 0.05] * RATE / frames
    expected = [
        math.atan(math.tan(math.pi * centre / RATE) * math.tan((2 * k + 1) * math.pi / (2 * stages))) * RATE / math.pi
        for k in range(notches)
    ]
    assert places == pytest.approx(expected, abs=1.5 * RATE / frames)


@pytest.mark.parametrize("shape", ["sine", "triangle", "square"])
@pytest.mark.parametrize("spread_cycles", [0.0, 0.5])
def test_tremolo_swings_between_one_and_one_less_the_depth(shape, spread_cycles):
    out = Tremolo(rate_hz=5, depth=0.6, shape=shape, phase_cycles=0.125, spread_cycles=spread_cycles)(np.ones((2, RATE)), RATE)
    for channel, row in enumerate(out):
        assert row.max() == pytest.approx(1, abs=1e-3) and row.min() == pytest.approx(0.4, abs=1e-3)
        assert row.mean() == pytest.approx(0.7, abs=1e-3)
        cycle = (5 * np.arange(RATE) / RATE + 0.125 + channel * spread_cycles) % 1
        triangle = np.interp(cycle, [0, 0.25, 0.75, 1], [0, 1, -1, 0])
        lfo = {"sine": np.sin(2 * np.pi * cycle), "triangle": triangle, "square": np.clip(8 * triangle, -1, 1)}[shape]
        assert row == pytest.approx(0.4 + 0.6 * (1 + lfo) / 2, abs=1e-9)


def test_tremolo_moves_every_piece_and_mono_alike():
    gain = Tremolo(spread_cycles=0.25)(np.ones((3, 2, 5000)), RATE)
    assert np.array_equal(gain[0], gain[2]) and not np.array_equal(gain[0, 0], gain[0, 1])
    assert np.array_equal(Tremolo(spread_cycles=0.25)(np.ones((1, 5000)), RATE)[0], gain[0, 0])


def test_automation_stays_in_its_range_and_reaches_its_drawn_levels():
    effect = GainAutomation(depth_db=8, rate_hz=10, noise_seed=5)
    out = 20 * np.log10(effect(np.ones((2, 10 * RATE)), RATE))
    assert np.array_equal(out[0], out[1])
    assert np.abs(out).max() <= 8 and out.min() < -6 and out.max() > 6 and abs(out.mean()) < 1.5
    levels = effect.levels_db(101)
    assert out[0, :: RATE // 10] == pytest.approx(levels[:100], abs=1e-9)
    halfway = out[0, RATE // 20 :: RATE // 10]
    assert halfway == pytest.approx((levels[:100] + levels[1:101]) / 2, abs=1e-9)
    quarter = GainAutomation(depth_db=8, rate_hz=10, noise_seed=5)(np.ones((1, 400)), 4000)[0]
    shares = [0.5 - 0.5 * math.cos(math.pi * n / 400) for n in range(400)]
    assert 20 * np.log10(quarter) == pytest.approx([levels[0] + share * (levels[1] - levels[0]) for share in shares], abs=1e-9)


def test_automation_has_no_jumps():
    out = 20 * np.log10(GainAutomation(depth_db=10, rate_hz=2)(np.ones((1, 5 * RATE)), RATE)[0])
    assert np.abs(np.diff(out)).max() <= 20 * np.pi / 2 * 2 / RATE  # half a cosine of 20 dB in half a second
    assert np.abs(np.diff(out)).max() > 1e-5


def test_automation_is_its_seed_and_the_same_at_any_rate():
    ones = np.ones((1, 48000))
    base = GainAutomation(noise_seed=1)(ones, 48000)
    assert not np.allclose(GainAutomation(noise_seed=2)(ones, 48000), base)
    assert GainAutomation(noise_seed=1)(ones[:, ::2], 24000) == pytest.approx(base[:, ::2])
    assert np.array_equal(GainAutomation(noise_seed=1)(ones[:, :20000], 48000), base[:, :20000]), "a shorter piece begins the same"
