"""Delay: where the echoes lie, how loud and how dark they are, and on which side."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from mixdata.effects.delay import Delay
from mixdata.errors import EffectError

RATE = 44100


def impulse(frames: int, place: int = 0, channels: int = 2) -> np.ndarray:
    audio = np.zeros((channels, frames))
    audio[:, place] = 1
    return audio


def slow_delay(audio: np.ndarray, later: int, feedback: float, mix: float, pole: float = 0.0, ping_pong: bool = False) -> np.ndarray:
    """The formulas of the docstring, frame by frame."""
    channels, frames = audio.shape
    echo, dark = np.zeros_like(audio), np.zeros_like(audio)
    for n in range(frames):
        for c in range(channels):
            if n >= later:
                if not ping_pong:
                    echo[c, n] = audio[c, n - later] + feedback * dark[c, n - later]
                elif c == 0:
                    echo[c, n] = (audio[0, n - later] + audio[1, n - later]) / 2 + feedback * dark[1, n - later]
                else:
                    echo[c, n] = feedback * dark[0, n - later]
            dark[c, n] = (1 - pole) * echo[c, n] + pole * (dark[c, n - 1] if n else 0)
    return (1 - mix) * audio + mix * echo


@pytest.mark.parametrize("rate", [44100, 48000, 96000])
@pytest.mark.parametrize("time_s", [0.001, 0.0125, 0.1])
def test_echoes_lie_at_multiples_of_the_time_and_decay_by_the_feedback(rate, time_s):
    later = round(time_s * rate)
    out = Delay(time_s=time_s, feedback=0.5, mix=0.25)(impulse(6 * later + 20, 7), rate)
    expected = np.zeros_like(out)
    expected[:, 7] = 0.75
    for k in range(1, 7):
        expected[:, 7 + k * later] = 0.25 * 0.5 ** (k - 1)
    assert out == pytest.approx(expected, abs=1e-12)


def test_echoes_of_the_same_time_lie_at_the_same_time_at_any_rate():
    places = {}
    for rate in (44100, 48000, 96000):
        out = Delay(time_s=0.15, feedback=0.5)(impulse(rate), rate)[0]
        places[rate] = np.flatnonzero(out)[:4] / rate
        assert places[rate] == pytest.approx([0, 0.15, 0.3, 0.45], abs=1e-9)


def test_the_time_is_rounded_to_the_nearest_frame_and_at_least_one():
    assert [Delay(time_s=time_s).frames(RATE) for time_s in (1.4 / RATE * 100, 0.01001, 0.02)] == [140, 441, 882]
    assert Delay(time_s=0.001).frames(1000) == 1
    assert np.array_equal(np.flatnonzero(Delay(time_s=0.001, feedback=0.9)(impulse(10), 1000)[0]), np.arange(10))


@pytest.mark.parametrize("ping_pong", [False, True])
@pytest.mark.parametrize("damping_hz", [math.inf, 3000.0])
@pytest.mark.parametrize("frames", [50, 1200])
def test_the_fast_loop_is_the_formula(ping_pong, damping_hz, frames):
    audio = np.random.default_rng(1).normal(size=(2, frames))
    pole = 0.0
    if math.isfinite(damping_hz):
        c = 2 - math.cos(2 * math.pi * damping_hz / RATE)
        pole = c - math.sqrt(c**2 - 1)
    out = Delay(time_s=0.0023, feedback=0.8, mix=0.4, damping_hz=damping_hz, ping_pong=ping_pong)(audio, RATE)
    assert out == pytest.approx(slow_delay(audio, 101, 0.8, 0.4, pole, ping_pong), abs=1e-12)


def test_ping_pong_goes_left_right_left_with_the_folded_sound():
    audio = np.zeros((2, 5000))
    audio[0, 0], audio[1, 0] = 0.8, 0.2
    out = Delay(time_s=0.02, feedback=0.6, mix=0.5, ping_pong=True)(audio, RATE)
    echoes = {n: (out[0, n], out[1, n]) for n in range(882, 5000) if out[:, n].any()}
    assert echoes == {
        882: (pytest.approx(0.25), 0),
        1764: (0, pytest.approx(0.25 * 0.6)),
        2646: (pytest.approx(0.25 * 0.36), 0),
        3528: (0, pytest.approx(0.25 * 0.216)),
        4410: (pytest.approx(0.25 * 0.1296), 0),
    }
    assert out[:, 0] == pytest.approx([0.4, 0.1])


def test_ping_pong_of_mono_is_the_plain_delay():
    audio = np.random.default_rng(2).normal(size=(1, 3000))
    assert np.array_equal(Delay(time_s=0.01, ping_pong=True)(audio, RATE), Delay(time_s=0.01)(audio, RATE))


@pytest.mark.parametrize("rate", [44100, 96000])
@pytest.mark.parametrize("damping_hz", [500.0, 4000.0, 15000.0])
def test_each_echo_but_the_first_is_three_db_darker_at_the_damping_frequency(rate, damping_hz):
    later = round(0.1 * rate)
    out = Delay(time_s=0.1, feedback=0.5, mix=1, damping_hz=damping_hz)(impulse(4 * later), rate)[0]
    echoes = [
        np.abs(np.sum(out[k * later : (k + 1) * later] * np.exp(-2j * np.pi * damping_hz / rate * np.arange(later)))) for k in (1, 2, 3)
    ]
    assert 20 * math.log10(echoes[0]) == pytest.approx(0, abs=1e-6)
    for before, after in itertools.pairwise(echoes):
        assert 20 * math.log10(after / before / 0.5) == pytest.approx(-3.0103, abs=1e-3)
    assert sum(out[2 * later : 3 * later]) == pytest.approx(0.5, abs=1e-6), "DC passes undamped"


def test_damping_above_half_the_rate_is_refused():
    with pytest.raises(EffectError, match=r"delay\.damping_hz is 9000 Hz"):
        Delay(damping_hz=9000)(impulse(10), 16000)


def test_a_delay_longer_than_the_audio_leaves_the_dry_sound():
    audio = np.random.default_rng(3).normal(size=(2, 100))
    for ping_pong in (False, True):
        for damping_hz in (math.inf, 2000.0):
            out = Delay(time_s=1, mix=0.25, ping_pong=ping_pong, damping_hz=damping_hz)(audio, RATE)
            assert out == pytest.approx(0.75 * audio)


def test_the_fully_wet_delay_says_when_it_arrives():
    effect = Delay(time_s=0.05, mix=1)
    assert effect.arrival_frames(RATE) == 2205 == int(np.flatnonzero(effect(impulse(5000), RATE)[0])[0])
    assert Delay(time_s=0.05, mix=0.99).arrival_frames(RATE) == 0


def test_the_longest_feedback_dies_away():
    out = Delay(time_s=0.001, feedback=0.99, mix=1)(impulse(RATE), RATE)[0]
    assert np.abs(out).max() == 1
    assert out[44 * 1000] == pytest.approx(0.99**999)


def test_the_delay_is_pedalboards():
    pedalboard = pytest.importorskip("pedalboard")
    audio = np.random.default_rng(4).normal(scale=0.2, size=(2, 20000)).astype(np.float32)
    theirs = pedalboard.Delay(delay_seconds=0.1, feedback=0.3, mix=0.35)(audio, RATE)
    assert Delay(time_s=0.1, feedback=0.3, mix=0.35)(audio, RATE) == pytest.approx(theirs, abs=1e-6)


def test_parameters_are_drawn_as_in_remfx():
    law = {each.name: each.metadata["draw"] for each in dataclasses.fields(Delay)}
    assert law["time_s"] == {"loguniform": [0.1, 1.0]}
    assert law["feedback"] == {"uniform": [0.05, 0.3]}
    assert law["mix"] == {"uniform": [0.1, 0.35]}
