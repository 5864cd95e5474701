"""Compressor, limiter, expanders, multiband compressor and transient shaper against their formulas and plain loops written from them."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import signal

from mixdata.effects.compressor import Compressor
from mixdata.effects.dynamics import BALLISTICS, DETECTORS, LINKS, Curve
from mixdata.effects.expander import Expander
from mixdata.effects.limiter import Limiter
from mixdata.effects.multiband_compressor import MultibandCompressor
from mixdata.effects.transient_shaper import TransientShaper
from mixdata.effects.upward_expander import UpwardExpander
from mixdata.errors import EffectError

RATE = 44100
POINTS = [(-30, -30), (-23, -23), (-21.5, -21.640625), (-20, -20.5625), (-18.5, -19.765625), (-17, -19.25), (-10, -17.5), (0, -15)]
"""Giannoulis, Massberg and Reiss 2012, eq. 4, at T -20, R 4, W 6: level in, level out."""


def bursts(frames: int = 5000, channels: int = 2, seed: int = 5) -> np.ndarray:
    """Noise with loud and quiet stretches of a few hundred frames, from -50 to 0 dBFS."""
    random = np.random.default_rng(seed)
    levels = np.repeat(10 ** random.uniform(-2.5, 0, (channels, frames // 400 + 1)), 400, axis=1)[:, :frames]
    return random.uniform(-1, 1, (channels, frames)) * levels


def db(value):
    with np.errstate(divide="ignore"):
        return 20 * np.log10(np.abs(value))


def reduction(wet: np.ndarray, dry: np.ndarray) -> np.ndarray:
    """By how many dB each frame is lower."""
    return db(dry) - db(wet)


def pole(ms: float, rate: float = RATE) -> float:
    return math.exp(-1 / (ms / 1000 * rate)) if ms else 0.0


def compressed(audio: np.ndarray, effect: Compressor) -> np.ndarray:
    """The compressor as the paper and its docstring have it, sample by sample."""
    channels, frames = audio.shape
    if effect.link == "none" and channels > 1:
        return np.concatenate([compressed(row[None], effect) for row in audio])
    if effect.detector == "rms":
        squares, a = np.zeros((channels, frames)), pole(effect.rms_ms)
        for n in range(frames):
            squares[:, n] = (a * squares[:, n - 1] if n else 0) + (1 - a) * audio[:, n] ** 2
        level = np.sqrt(squares.max(0) if effect.link == "max" else squares.mean(0))
    else:
        level = np.abs(audio).max(0) if effect.link == "max" else np.abs(audio).mean(0)
    ahead = round(effect.lookahead_ms * RATE / 1000)
    out, y1, yl, gains = np.empty_like(audio), 0.0, 0.0, []
    a_a, a_r = pole(effect.attack_ms), pole(effect.release_ms)
    t, w, slope = effect.threshold_db, effect.knee_db, 1 / effect.ratio - 1
    for x in [*level, *[0.0] * ahead]:
        x_g = 20 * math.log10(x) if x > 0 else -1000.0
        if 2 * (x_g - t) < -w:
            y_g = x_g
        elif w and 2 * abs(x_g - t) <= w:
            y_g = x_g + slope * (x_g - t + w / 2) ** 2 / (2 * w)
        else:
            y_g = t + (x_g - t) / effect.ratio
        x_l = x_g - y_g
        if effect.ballistics == "decoupled":
            y1 = max(x_l, a_r * y1)
            yl = a_a * yl + (1 - a_a) * y1
        elif effect.ballistics == "smooth_decoupled":
            y1 = max(x_l, a_r * y1 + (1 - a_r) * x_l)
            yl = a_a * yl + (1 - a_a) * y1
        elif x_l > yl:
            yl = a_a * yl + (1 - a_a) * x_l
        elif effect.ballistics == "branching":
            yl = a_r * yl
        else:
            yl = a_r * yl + (1 - a_r) * x_l
        gains.append(10 ** ((effect.makeup_db - yl) / 20))
    out[:] = audio * np.array(gains[ahead:])
    return out


@pytest.mark.parametrize("level_db, expected_db", POINTS)
def test_the_static_curve_is_the_papers(level_db, expected_db):
    assert level_db - Curve(-20, 0.75, 6).reduction_db(level_db) == pytest.approx(expected_db, abs=1e-12)
    steady = np.full((2, 3), 10 ** (level_db / 20))
    wet = Compressor(-20, 4, attack_ms=0, release_ms=0, knee_db=6)(steady, RATE)
    assert db(wet) == pytest.approx(np.full((2, 3), expected_db), abs=1e-9)


@pytest.mark.parametrize("ratio", [1.5, 4, math.inf])
@pytest.mark.parametrize("knee_db", [0, 0.1, 6, 48])
@pytest.mark.parametrize("threshold_db", [-120, -20, 0, 24])
def test_the_static_curve_holds_at_the_ends_of_its_ranges(threshold_db, knee_db, ratio):
    levels = np.linspace(-160, 40, 2001)
    wet = Compressor(threshold_db, ratio, 0, 0, knee_db)(10 ** (levels[None] / 20), RATE)[0]
    over, half = levels - threshold_db, knee_db / 2
    bend = (over + half) ** 2 / (2 * knee_db) if knee_db else 0 * over
    expected = levels - (1 - 1 / ratio) * np.where(over <= -half, 0, np.where(over < half, bend, over))
    assert np.abs(db(wet) - expected).max() < 1e-8


def test_the_knee_joins_without_a_corner():
    levels = np.arange(-30, -10, 0.01)
    out = np.array([level - Curve(-20, 0.75, 6).reduction_db(level) for level in levels])
    slopes = np.diff(out) / 0.01
    assert np.abs(np.diff(slopes)).max() < 0.01 / 6 * 0.75 * 1.01  # the slope changes evenly over the knee, and nowhere else
    assert slopes[0] == pytest.approx(1) and slopes[-1] == pytest.approx(0.25)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("ballistics", BALLISTICS)
def test_a_compressor_is_the_papers_loop(ballistics, detector, link):
    effect = Compressor(-30, 5, 1.5, 20, 9, 3.5, 0, detector, 4, ballistics, link)
    audio = bursts()
    assert np.abs(effect(audio, RATE) / compressed(audio, effect) - 1).max() < 1e-9


@pytest.mark.parametrize("lookahead_ms", [0.1, 2, 40, 100])
def test_look_ahead_moves_the_gain_and_not_the_sound(lookahead_ms):
    effect = Compressor(-30, 5, 1.5, 20, lookahead_ms=lookahead_ms)
    audio = bursts(6000)
    wet, ahead = effect(audio, RATE), round(lookahead_ms * RATE / 1000)
    assert np.abs(wet / compressed(audio, effect) - 1).max() < 1e-9
    gain = (wet / audio)[0]
    late = (dataclasses.replace(effect, lookahead_ms=0.0)(audio, RATE) / audio)[0]
    assert np.abs(gain[: 6000 - ahead] - late[ahead:]).max() < 1e-9


def step(low: float, high: float, back: int | None = None, frames: int = 30000, at: int = 1000) -> np.ndarray:
    audio = np.full((1, frames), low)
    audio[:, at:back] = high
    return audio


@pytest.mark.parametrize("ballistics", BALLISTICS)
@pytest.mark.parametrize("attack_ms", [1, 10, 50])
def test_a_step_is_taken_to_63_percent_after_the_attack(ballistics, attack_ms):
    audio = step(0.01, 1.0)
    wet = Compressor(-20, 4, attack_ms, 100, 0, ballistics=ballistics)(audio, RATE)
    after = round(attack_ms / 1000 * RATE)
    got = reduction(wet, audio)[0, 1000 + after - 1]  # the first sample of the step is one sample into it
    assert got == pytest.approx(15 * (1 - math.exp(-after / (attack_ms / 1000 * RATE))), abs=1e-6)


@pytest.mark.parametrize(
    "ballistics, expected_ms", [("decoupled", 110.5), ("smooth_decoupled", 110.5), ("branching", 100), ("smooth_branching", 100)]
)
def test_the_recovery_of_the_decoupled_forms_takes_about_attack_and_release(ballistics, expected_ms):
    # attack 10 ms, release 100 ms: down to 1/e after 110.5 ms where the two are in a row
    audio = step(0.01, 1.0, back=20000)
    wet = Compressor(-20, 4, 10, 100, 0, ballistics=ballistics)(audio, RATE)
    left = reduction(wet, audio)[0, 20000:]
    assert np.argmax(left < 15 / math.e) / RATE * 1000 == pytest.approx(expected_ms, abs=0.2)


def test_ratio_one_is_identity_and_makeup_alone_is_a_gain():
    audio = bursts()
    assert Compressor(ratio=1).is_identity() and not Compressor(ratio=1, makeup_db=3).is_identity()
    assert np.array_equal(Compressor(ratio=1, knee_db=0).process(audio, RATE), audio)
    assert np.abs(Compressor(ratio=1, makeup_db=6)(audio, RATE) / audio / 10**0.3 - 1).max() < 1e-11


def test_what_is_below_the_threshold_is_untouched_bit_for_bit():
    audio = bursts().astype(np.float32) * np.float32(0.01)
    assert np.array_equal(Compressor(-30, 4)(audio, RATE), audio)


ALONE = [Compressor(), Limiter(12), Expander(-10, 4, hold_ms=0), MultibandCompressor(), UpwardExpander()]


@pytest.mark.parametrize("link", ["max", "mean"])
@pytest.mark.parametrize("effect", ALONE, ids=lambda each: each.name)
def test_linked_channels_keep_the_image(effect, link):
    if isinstance(effect, Limiter) and link == "mean":
        with pytest.raises(EffectError, match=r"limiter\.link must be one of max, none"):  # a mean would let a channel through
            dataclasses.replace(effect, link=link)
        return
    audio = bursts(channels=1)
    audio = np.concatenate([0.9 * audio, 0.3 * audio])
    wet = dataclasses.replace(effect, link=link)(audio, RATE)
    assert np.abs(wet[0] - 3 * wet[1]).max() < 1e-12 and np.abs(wet - audio).max() > 0.01


@pytest.mark.parametrize("effect", ALONE, ids=lambda each: each.name)
def test_channels_that_are_not_linked_are_each_alone(effect):
    audio = bursts(channels=3)
    wet = dataclasses.replace(effect, link="none")(audio, RATE)
    for channel in range(3):
        assert np.array_equal(wet[channel : channel + 1], effect(audio[channel : channel + 1], RATE))
    assert not np.array_equal(wet, effect(audio, RATE))


@pytest.mark.parametrize(
    "effect",
    [
        *(Compressor(-30, ballistics=ballistics, lookahead_ms=3) for ballistics in BALLISTICS),
        Compressor(-30, detector="rms"),
        Compressor(-30, link="none"),
        Limiter(12),
        Expander(-20),
        UpwardExpander(-30, 2),
        MultibandCompressor(),
        TransientShaper(6, -6),
    ],
    ids=lambda each: each.name,
)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 9])
def test_pieces_keep_to_themselves_bit_for_bit(effect, count):
    pieces = np.stack([bursts(4500, seed=seed) * 3.0**-seed for seed in range(count)]).astype(np.float32)
    for piece, wet in zip(pieces, effect(pieces, RATE), strict=True):
        assert np.array_equal(effect(piece, RATE), wet)


@pytest.mark.parametrize("detector", DETECTORS)
def test_silence_after_sound_is_silent_and_recovers(detector):
    audio = np.concatenate([bursts(2000), np.zeros((2, 40000)), np.full((2, 2), 0.05)], axis=1)
    wet = Compressor(-26, 4, 1, 10, 0, detector=detector)(audio, RATE)
    assert not wet[:, 2000:42000].any()
    assert wet[0, 42000] == 0.05


def brute_limited(audio: np.ndarray, effect: Limiter) -> np.ndarray:
    """The limiter as its docstring has it: windows cut out one by one."""
    frames, ahead = audio.shape[1], round(effect.lookahead_ms * RATE / 1000)
    driven = audio * 10 ** (effect.gain_db / 20)
    ceiling, a = 10 ** (effect.ceiling_db / 20), pole(effect.release_ms)
    needed = np.concatenate([np.ones(ahead), np.minimum(1, ceiling / np.maximum(np.abs(driven).max(0), 1e-300)), np.ones(ahead)])
    recovered, state = np.ones(frames + ahead), 1.0
    for t in range(frames + ahead):  # t is the place of the detector, `ahead` later than that of the sound
        least = needed[t : t + ahead + 1].min()
        state = min(least, a * state + (1 - a) * least)
        recovered[t] = state
    return driven * np.array([recovered[n : n + ahead + 1].mean() for n in range(frames)])


@pytest.mark.parametrize("lookahead_ms", [0, 0.03, 1, 5, 50])
@pytest.mark.parametrize("release_ms", [0, 30])
def test_a_limiter_is_minimum_recovery_and_mean(lookahead_ms, release_ms):
    effect, audio = Limiter(9, -3, release_ms, lookahead_ms), bursts(6000)
    assert np.abs(effect(audio, RATE) - brute_limited(audio, effect)).max() < 1e-9


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ceiling_db", [-120, -20, -1, -0.3, 0, 24])
@pytest.mark.parametrize("lookahead_ms", [0, 0.1, 5, 50])
def test_nothing_exceeds_the_ceiling(ceiling_db, lookahead_ms, dtype):
    audio = bursts(20000).astype(dtype)
    audio[0, ::911] = 100
    wet = Limiter(40, ceiling_db, 20, lookahead_ms)(audio, RATE)
    assert float(np.abs(wet).max()) <= 10 ** (ceiling_db / 20)
    assert np.abs(wet).max() == pytest.approx(10 ** (ceiling_db / 20), rel=1e-6 if ceiling_db > -100 else 0.01)  # and all of it is used
    audio[1, 5::1733] = -1e20
    assert float(np.abs(Limiter(40, ceiling_db, 20, lookahead_ms)(audio, RATE)).max()) <= 10 ** (ceiling_db / 20)


def test_the_ceiling_is_kept_by_the_gain_and_not_by_clipping():
    audio = bursts(20000)
    effect = Limiter(20, -1, 50, 5)
    wet = effect(audio, RATE)
    gain = wet / (audio * 10)
    assert np.abs(gain[0] - gain[1]).max() < 1e-8  # clipping would turn down one channel alone
    assert np.abs(np.diff(gain[0])).max() < 1 / 200  # the mean over 221 frames goes by 1/221 at most


def test_a_limiter_leaves_what_is_under_the_ceiling_bit_for_bit():
    audio = bursts().astype(np.float32) * np.float32(0.5)
    assert np.array_equal(Limiter(0, -3)(audio, RATE), audio)
    assert np.array_equal(Limiter(0, -3)(audio.astype(np.float64), RATE), audio.astype(np.float64))


def test_a_limiter_does_not_drift():
    """The running sum is exact: after much limiting the gain is 1 again, bit for bit."""
    audio = bursts(20000)
    audio[:, 15000:] *= 0.01
    wet = Limiter(0, -12, release_ms=0)(audio, RATE)
    assert np.array_equal(wet[:, 15400:], audio[:, 15400:]) and not np.array_equal(wet, audio)


def test_a_limiter_lets_go_after_its_release():
    audio = step(0.1, 1.0, back=20000, frames=40000)
    wet = Limiter(0, -20 * math.log10(2), 100, 0)(audio, RATE)
    gone = round(0.1 * RATE)
    assert wet[0, 20000 + gone - 1] / 0.1 == pytest.approx(1 - 0.5 * math.exp(-1), abs=1e-4)
    assert wet[0, 39999] / 0.1 > 0.99


def test_a_limiter_comes_down_before_the_peak_along_a_line():
    audio = np.full((1, 4000), 0.1)
    audio[0, 2000] = 1.0
    gain = (Limiter(0, -20 * math.log10(2), 100, 5)(audio, RATE) / audio)[0]
    ahead = round(0.005 * RATE)
    assert np.abs(gain[: 2000 - ahead] - 1).max() == 0 and gain[2000] == pytest.approx(0.5, abs=1e-9)
    assert gain[2000 - ahead : 2001] == pytest.approx(1 - 0.5 * np.arange(1, ahead + 2) / (ahead + 1), abs=1e-9)


def expanded(audio: np.ndarray, effect: Expander) -> np.ndarray:
    """The expander as its docstring has it, sample by sample."""
    level = {"max": np.abs(audio).max(0), "mean": np.abs(audio).mean(0)}[effect.link]
    a_a, a_r, hold = pole(effect.attack_ms), pole(effect.release_ms), round(effect.hold_ms * RATE / 1000)
    t, w, slope = effect.threshold_db, effect.knee_db, effect.ratio - 1
    gains, state, waited = [], None, 0
    for x in level:
        under = t - (20 * math.log10(x) if x > 0 else -1000.0)
        if 2 * under < -w or (under <= 0 and not w):
            want = 0.0
        elif 2 * abs(under) <= w:
            want = slope * (under + w / 2) ** 2 / (2 * w) if under > -w / 2 else 0.0
        else:
            want = slope * under
        want = min(want, effect.range_db)
        state = want if state is None else state
        if want <= state:
            state, waited = a_a * state + (1 - a_a) * want, 0
        else:
            waited += 1
            if waited > hold:
                state = a_r * state + (1 - a_r) * want
        gains.append(10 ** (-state / 20))
    return audio * np.array(gains)


@pytest.mark.parametrize(
    "effect",
    [
        Expander(-30, 2, 40, 1, 2, 20),
        Expander(-20, math.inf, 60, 0.5, 0, 10),
        Expander(-25, 3, 12, 1, 5, 5, 10),
        Expander(-20, math.inf, 30, 1, 1, 30, 6, "mean"),
    ],
)
def test_an_expander_is_the_loop_of_its_docstring(effect):
    audio = bursts(8000)
    audio[:, 3000:3500] = 0
    wet, expected = effect(audio, RATE), expanded(audio, effect)
    assert np.abs(wet - expected).max() < 1e-9 * np.abs(expected).max() and np.abs(wet - audio).max() > 0.001


@pytest.mark.parametrize("level_db, expected_db", [(-10, -10), (-40, -40), (-50, -60), (-60, -80), (-80, -120), (-100, -140)])
def test_the_static_curve_of_an_expander(level_db, expected_db):  # T -40, R 2, range 40: y = T + R (x - T), at most 40 dB less
    steady = np.full((1, 3), 10 ** (level_db / 20))
    assert db(Expander(-40, 2, 40)(steady, RATE)) == pytest.approx(np.full((1, 3), expected_db), abs=1e-9)


def test_the_knee_of_an_expander_is_that_of_a_compressor_turned_around():
    for level_db, expected_db in POINTS:  # under the threshold by what the compressor's points are over it, slope 3/4
        gone = Curve(-20, 0.75, 6, below=True).reduction_db(-40 - level_db)
        assert gone == pytest.approx(level_db - expected_db, abs=1e-12)


def test_a_gate_opens_with_its_attack_and_closes_after_hold_with_its_release():
    audio = step(0.001, 0.5, back=15000)
    gone = reduction(Expander(-30, math.inf, 40, 5, 30, 60)(audio, RATE), audio)[0]
    attack, hold, release = (round(ms * RATE / 1000) for ms in (5, 30, 60))
    assert gone[:1000] == pytest.approx(40)
    assert gone[1000 + attack - 1] == pytest.approx(40 * math.exp(-attack / (0.005 * RATE)), abs=1e-6)
    assert np.abs(gone[14000 : 15000 + hold]).max() < 1e-6
    assert gone[15000 + hold + release - 1] == pytest.approx(40 * (1 - math.exp(-release / (0.06 * RATE))), abs=1e-6)


def test_a_gate_that_holds_does_not_follow_the_wave():
    wave = 0.5 * np.sin(2 * np.pi * 100 * np.arange(22050) / RATE)[None]
    wet = Expander(-20, math.inf, 60, 0.1, 10, 5)(wave, RATE)
    assert np.abs(wet - wave)[:, 2000:].max() < 1e-9


def test_an_expander_without_range_or_ratio_does_nothing():
    audio = bursts()
    assert np.array_equal(Expander(ratio=1).process(audio, RATE), audio)
    assert np.array_equal(Expander(range_db=0).process(audio, RATE), audio)


def lifted(audio: np.ndarray, effect: UpwardExpander) -> np.ndarray:
    """The upward expander as its docstring has it, sample by sample."""
    level = {"max": np.abs(audio).max(0), "mean": np.abs(audio).mean(0)}[effect.link]
    a_a, a_r = pole(effect.attack_ms), pole(effect.release_ms)
    t, w, slope = effect.threshold_db, effect.knee_db, effect.ratio - 1
    boosts, boost = [], 0.0
    for x in level:
        over = (20 * math.log10(x) if x > 0 else -1000.0) - t
        want = slope * over if 2 * over > w else slope * (over + w / 2) ** 2 / (2 * w) if w and 2 * over > -w else 0.0
        want = min(want, effect.most_db)
        a = a_a if want > boost else a_r
        boost = a * boost + (1 - a) * want
        boosts.append(10 ** (boost / 20))
    return audio * np.array(boosts)


@pytest.mark.parametrize(
    "effect",
    [
        UpwardExpander(-30, 2, 24, 2, 20),
        UpwardExpander(-25, 3, 10, 0, 5),
        UpwardExpander(-35, 1.3, 40, 1, 0, 12),
        UpwardExpander(-20, 2, 6, 20, 1, 3, "mean"),
    ],
)
def test_an_upward_expander_is_the_loop_of_its_docstring(effect):
    audio = bursts(8000)
    audio[:, 3000:3500] = 0
    wet = effect(audio, RATE)
    assert np.abs(wet - lifted(audio, effect)).max() < 1e-9 * np.abs(wet).max() and np.abs(wet - audio).max() > 0.001


@pytest.mark.parametrize("level_db, expected_db", [(-80, -80), (-40, -40), (-39, -37), (-30, -10), (-28, -4), (-27, -3), (-10, 14)])
def test_the_static_curve_of_an_upward_expander(level_db, expected_db):  # T -40, R 3, at most 24 dB: y = T + R (x - T), from -28 on x + 24
    steady = np.full((1, 3), 10 ** (level_db / 20))
    assert db(UpwardExpander(-40, 3, 24, 0, 0)(steady, RATE)) == pytest.approx(np.full((1, 3), expected_db), abs=1e-9)


@pytest.mark.parametrize("ratio", [1.5, 3, 10])
def test_an_upward_expander_undoes_a_compressor_on_steady_levels(ratio):
    """y = T + (x - T) / R of the one and T + R (y - T) of the other: the levels come back, however they are reached."""
    for level_db in (-35, -20.5, -19, -6, 0):
        steady = np.full((2, 3 * RATE), 10 ** (level_db / 20))
        wet = Compressor(-20, ratio, 10, 200, 0, ballistics="smooth_branching")(steady, RATE)
        back = UpwardExpander(-20, ratio, 120, 10, 200)(wet, RATE)
        assert db(back[:, -1]) == pytest.approx([level_db] * 2, abs=1e-4)


def test_a_boost_rises_with_the_attack_and_falls_with_the_release():
    audio = step(0.001, 1.0, back=15000)
    boost = -reduction(UpwardExpander(-20, 1.5, 24, 5, 60)(audio, RATE), audio)[0]
    attack, release = (round(ms * RATE / 1000) for ms in (5, 60))
    assert boost[:1000] == pytest.approx(0, abs=1e-9) and boost[14999] == pytest.approx(10)
    assert boost[1000 + attack - 1] == pytest.approx(10 * (1 - math.exp(-attack / (0.005 * RATE))), abs=1e-6)
    assert boost[15000 + release - 1] == pytest.approx(10 * math.exp(-release / (0.06 * RATE)), abs=1e-6)


def test_what_is_below_an_upward_expanders_threshold_is_untouched_bit_for_bit():
    audio = bursts().astype(np.float32) * np.float32(0.01)
    assert np.array_equal(UpwardExpander(-30, 3)(audio, RATE), audio)
    assert np.array_equal(UpwardExpander(-60, 3, most_db=0)(audio, RATE), audio)


def neutral_bands(**more) -> MultibandCompressor:
    return MultibandCompressor(**({"low_ratio": 1, "mid_ratio": 1, "high_ratio": 1} | more))


@pytest.mark.parametrize("low_hz, high_hz", [(60, 2000), (300, 12000), (900, 1100)])
def test_the_bands_add_up_flat(low_hz, high_hz):
    audio = np.zeros((1, 1 << 15))
    audio[0, 0] = 1
    wet = neutral_bands(low_crossover_hz=low_hz, high_crossover_hz=high_hz)(audio, RATE)
    assert np.abs(db(np.fft.rfft(wet[0]))).max() < 1e-6


def test_each_band_is_six_db_down_at_its_crossover_and_falls_by_24_db_an_octave():  # Linkwitz and Riley, fourth order
    audio = np.zeros((1, 1 << 16))
    audio[0, 0] = 1
    low, mid, high = (
        db(np.fft.rfft(band[0])) for band in MultibandCompressor(low_crossover_hz=375, high_crossover_hz=3000).split(audio, 48000)
    )

    def at(hz):
        return round(hz * (1 << 16) / 48000)

    assert low[at(375)] == pytest.approx(-6.0206, abs=1e-2) and mid[at(375)] == pytest.approx(-6.0206, abs=1e-2)
    assert mid[at(3000)] == pytest.approx(-6.0206, abs=1e-2) and high[at(3000)] == pytest.approx(-6.0206, abs=1e-2)
    assert low[at(750)] - low[at(1500)] == pytest.approx(24, abs=1) and high[at(1500)] - high[at(750)] == pytest.approx(24, abs=1)


def test_the_split_is_scipys():
    audio, effect = bursts(), MultibandCompressor(low_crossover_hz=200, high_crossover_hz=4000)

    def twice(kind, hz, x):
        sos = signal.butter(2, hz, kind, fs=RATE, output="sos")
        return signal.sosfilt(sos, signal.sosfilt(sos, x))

    rest = twice("high", 200, audio)
    low = twice("low", 200, audio)
    expected = (twice("low", 4000, low) + twice("high", 4000, low), twice("low", 4000, rest), twice("high", 4000, rest))
    for got, band in zip(effect.split(audio, RATE), expected, strict=True):
        assert np.abs(got - band).max() < 1e-10


@pytest.mark.parametrize("band, place", [("low", 0), ("mid", 1), ("high", 2)])
def test_each_band_has_its_own_compressor(band, place):
    audio = bursts(channels=1)
    effect = neutral_bands(
        **{f"{band}_ratio": 4, f"{band}_threshold_db": -35, f"{band}_makeup_db": 5}, attack_ms=2, release_ms=30, knee_db=3
    )
    bands = list(effect.split(audio, RATE))
    bands[place] = compressed(bands[place], Compressor(-35, 4, 2, 30, 3, 5))
    assert np.abs(effect(audio, RATE) - sum(bands)).max() < 1e-9


def test_crossovers_must_be_in_order_and_fit_the_rate():
    with pytest.raises(EffectError, match=r"multiband_compressor\.low_crossover_hz must lie below high_crossover_hz"):
        MultibandCompressor(low_crossover_hz=3000, high_crossover_hz=3000)
    with pytest.raises(EffectError, match=r"multiband_compressor\.high_crossover_hz is 5000 Hz"):
        MultibandCompressor(high_crossover_hz=5000)(bursts(), 8000)


def hits(level: float = 0.5) -> np.ndarray:
    """Four decaying tones, 0.25 s each."""
    time = np.arange(11025) / RATE
    return np.tile(level * np.exp(-time / 0.08) * np.cos(2 * np.pi * 700 * time), 4)[None]


def shaped(audio: np.ndarray, effect: TransientShaper) -> np.ndarray:
    """The shaper as its docstring has it, sample by sample."""
    fast = slow = short = long = 1e-6
    gains = []

    def follow(state, level, up_ms, down_ms):
        a = pole(up_ms if level > state else down_ms)
        return a * state + (1 - a) * level

    for level in np.abs(audio).max(0) + 1e-6:
        fast, slow = follow(fast, level, 1, 30), follow(slow, level, 20, 30)
        short, long = follow(short, level, 0, 30), follow(long, level, 0, 300)
        attack, sustain = (min(12, max(0, 20 * math.log10(ratio))) / 12 for ratio in (fast / slow, long / short))
        gains.append(10 ** ((attack * effect.attack_db + sustain * effect.sustain_db) / 20))
    return audio * np.array(gains)


def test_a_transient_shaper_is_the_loop_of_its_docstring():
    effect, audio = TransientShaper(9, -7), bursts()
    assert np.abs(effect(audio, RATE) / shaped(audio, effect) - 1).max() < 1e-9


def test_attack_and_sustain_act_where_they_say():
    audio = hits()

    def loudness(effect, first, last):
        wet = effect(audio, RATE)
        return np.mean([db(np.sqrt(np.mean(wet[0, start + first : start + last] ** 2))) for start in (11025, 22050, 33075)])

    plain = TransientShaper()
    assert loudness(TransientShaper(12, 0), 40, 200) > loudness(plain, 40, 200) + 4
    assert loudness(TransientShaper(12, 0), 4000, 9000) == pytest.approx(loudness(plain, 4000, 9000), abs=0.5)
    assert loudness(TransientShaper(0, -12), 4000, 9000) < loudness(plain, 4000, 9000) - 4
    assert loudness(TransientShaper(0, -12), 40, 200) == pytest.approx(loudness(plain, 40, 200), abs=0.5)


def test_shaping_does_not_depend_on_the_level():
    loud, quiet = (TransientShaper(9, -9)(hits(level), RATE) / level for level in (1.0, 0.1))
    assert np.abs(loud - quiet).max() < 1e-3


def test_pedalboards_compressor_settles_at_the_same_level():
    """JUCE follows the level, not the reduction, so only the steady state can agree: threshold, ratio and hard knee."""
    pedalboard = pytest.importorskip("pedalboard")
    steady = np.full((1, RATE), 0.5, np.float32)
    other = pedalboard.Compressor(-20, 4, 1, 100)(steady, RATE)
    assert db(Compressor(-20, 4, 1, 100, 0)(steady, RATE))[0, -1] == pytest.approx(db(other)[0, -1], abs=0.01)


def test_pedalboards_gate_settles_at_the_same_level():
    pedalboard = pytest.importorskip("pedalboard")
    steady = np.full((1, RATE), 0.01, np.float32)
    other = pedalboard.NoiseGate(-30, 2, 1, 100)(steady, RATE)
    assert db(Expander(-30, 2, 100)(steady, RATE))[0, -1] == pytest.approx(db(other)[0, -1], abs=0.05)
