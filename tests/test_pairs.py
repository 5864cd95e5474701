"""The laws of wet/dry pairs: what input and target are, what the check finds, and that a record gives the same bits again."""

import json
import math
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

from mixdata.effects import (
    EFFECTS,
    Chain,
    Compressor,
    Delay,
    Distortion,
    Gain,
    HighPass,
    NoiseReverb,
    Polarity,
    Reverb,
    Send,
    Vibrato,
    pairs,
)
from mixdata.effects.base import Effect
from mixdata.effects.pairs import LEVEL_TOLERANCE, Link, Pair, arrival, is_shifted, render, render_checked
from mixdata.errors import EffectError
from mixdata.measures import integrated_loudness
from mixdata.measures.spectral import FLOOR, SIZES, stft_distance
from mixdata.recipes.effect_words import WORDS, Setting
from mixdata.rng import stream

RATE = 16_000
ELSEWHERE = ("chain", "send", "convolution", "plugin")  # need other effects, or files
CHAIN = (HighPass(frequency_hz=300), Distortion(drive_db=15), Compressor(threshold_db=-30, ratio=4), Delay(time_s=0.1, mix=0.3))


def song(seconds: float = 1.5, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Bursts of noise over a chord, the channels not alike."""
    random = stream(seed, "pairs")
    time = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * time + p) for f, p in ((110, 0.1), (233, 0.7), (523, 1.9))) * 0.05
    bursts = random.normal(size=(2, len(time))) * 0.05 * (np.sin(2 * np.pi * 2 * time) > 0)
    return np.ascontiguousarray((chord + bursts) * [[1.0], [0.7]], np.float32)


def pair(*effects: Effect, removed: tuple[bool, ...] | None = None, **levels: object) -> Pair:
    """A pair of these effects, all removed where nothing else is said."""
    flags = removed if removed is not None else (True,) * len(effects)
    return Pair(tuple(Link(each, each.name, flag) for each, flag in zip(effects, flags, strict=True)), **levels)


def through(effects: list[Effect], audio: np.ndarray, each_lufs: float | None = None, pre_roll: int = 0) -> np.ndarray:
    """The reference: one effect after the other, levelled in front of each where wanted."""
    for effect in effects:
        if each_lufs is not None:
            audio = audio * np.float32(10 ** ((each_lufs - integrated_loudness(audio[:, pre_roll:], RATE)) / 20))
        audio = effect(audio, RATE)
    return audio


@dataclass(frozen=True)
class Faulty(Effect):
    """The base of effects that are wrong in one way. They are not registered."""

    name: ClassVar[str] = "faulty"


class Dead(Faulty):
    """Labelled, but never applied (SonicMaster's)."""

    def process(self, audio, sample_rate):
        return audio.copy()


class Turned(Faulty):
    """Returns -x where it was to be skipped (SonicMaster's)."""

    def process(self, audio, sample_rate):
        return -audio


class Louder(Faulty):
    """Changes nothing but the level, which is not what it is labelled for."""

    def process(self, audio, sample_rate):
        return audio * np.float32(2)


class Late(Faulty):
    """One frame late (De-limiter's)."""

    def process(self, audio, sample_rate):
        return np.pad(audio, ((0, 0), (1, 0)))[:, :-1]


class LateFilter(Late):
    def process(self, audio, sample_rate):
        return super().process(HighPass(frequency_hz=300)(audio, sample_rate), sample_rate)


class Early(Faulty):
    def process(self, audio, sample_rate):
        return np.pad(audio, ((0, 0), (0, 1)))[:, 1:]


class Zero(Faulty):
    def process(self, audio, sample_rate):
        return np.zeros_like(audio)


class Poisoned(Faulty):
    value: ClassVar[float] = np.nan

    def process(self, audio, sample_rate):
        out = audio.copy()
        out[1, -1] = self.value
        return out


class Endless(Poisoned):
    value: ClassVar[float] = np.inf


class Vanishing(Faulty):
    """So quiet that no gain brings it back."""

    def process(self, audio, sample_rate):
        return HighPass(frequency_hz=300)(audio, sample_rate) * audio.dtype.type(1e-6)


@pytest.fixture
def whole(monkeypatch) -> None:
    """Let presence always be measured over the whole, never over a beginning that is enough."""
    monkeypatch.setattr(pairs, "_beginning", lambda audio, sample_rate, guard: audio.shape[1])


def reason(effect: Effect, **more: object) -> str | None:
    """What the check finds in a pair whose only effect this is."""
    levels = {name: more.pop(name) for name in ("match", "match_lufs", "gain_db") if name in more}
    return render_checked(pair(effect, removed=(not more.pop("kept", False),), **levels), song(), RATE, **more)[1]


def test_without_effects_input_and_target_are_the_source_bit_for_bit():
    source = song()
    for pre_roll in (0, 1, 5000):
        for gain_db in (0.0, -7.3):
            made = render(Pair((), gain_db), source, RATE, pre_roll)
            expected = source[:, pre_roll:] * np.float32(10 ** (gain_db / 20))
            assert np.array_equal(made.input, expected) and np.array_equal(made.target, expected)
            assert made.input.flags.c_contiguous and made.input.dtype == np.float32


@pytest.mark.parametrize("removed", list(product((False, True), repeat=4)))
def test_the_input_has_all_effects_and_the_target_the_kept_ones_wherever_they_stand(removed):
    source, pre_roll = song(0.8), 3000
    made = render(pair(*CHAIN, removed=removed, gain_db=9.0), source, RATE, pre_roll)
    dry = source * np.float32(10 ** (9 / 20))
    kept = [effect for effect, out in zip(CHAIN, removed, strict=True) if not out]
    assert np.array_equal(made.input, through([*CHAIN], dry)[:, pre_roll:])
    assert np.array_equal(made.target, through(kept, dry)[:, pre_roll:])
    assert np.array_equal(source, song(0.8)), "the source is left as it was"


def test_the_order_of_the_chain_is_the_order_of_the_links():
    source = song(0.5)
    forth = render(pair(*CHAIN[:2]), source, RATE).input
    back = render(pair(*CHAIN[1::-1]), source, RATE).input
    assert np.abs(forth - back).max() > 0.01
    assert np.array_equal(back, CHAIN[0](CHAIN[1](source, RATE), RATE))


def test_the_level_before_each_effect_is_measured_without_the_pre_roll():
    source, pre_roll = song(1.5), 8000
    source[:, :pre_roll] *= 30
    removed = (True, False, True, False)
    made = render(pair(*CHAIN, removed=removed, each_lufs=-23.0), source, RATE, pre_roll)
    assert np.allclose(made.input, through([*CHAIN], source, -23.0, pre_roll)[:, pre_roll:], atol=2e-6)
    assert np.allclose(made.target, through([CHAIN[1], CHAIN[3]], source, -23.0, pre_roll)[:, pre_roll:], atol=2e-6)
    assert len(made.gains["input"]) == 4 and len(made.gains["target"]) == 2
    assert made.gains["input"][0] == pytest.approx(-23 - integrated_loudness(source[:, pre_roll:], RATE))


@pytest.mark.parametrize("gain_db", [-12.0, 6.0])
def test_the_gain_stands_before_the_chain(gain_db):
    """A distortion tells: half the drive in front is not half the level behind."""
    source = song(0.5)
    made = render(pair(Distortion(drive_db=20), gain_db=gain_db), source, RATE)
    assert np.array_equal(made.input, Distortion(drive_db=20)(source * np.float32(10 ** (gain_db / 20)), RATE))
    assert not np.allclose(made.input, Distortion(drive_db=20)(source, RATE) * 10 ** (gain_db / 20), atol=1e-3)


def test_with_enough_pre_roll_a_block_is_a_stretch_of_the_whole_songs_rendering():
    """Echoes of echoes 0.1 s later need 0.1 s before the block: with that every bit is right, with a frame less the first is wrong."""
    whole, start, memory = song(1.5), 12_000, 1600
    drawn = pair(Delay(time_s=0.06, feedback=0, mix=0.4), Delay(time_s=0.04, feedback=0, mix=0.4), removed=(True, False))
    expected = render(drawn, whole, RATE)
    for pre_roll in (memory, memory + 1, start):
        made = render(drawn, whole[:, start - pre_roll :], RATE, pre_roll)
        assert np.array_equal(made.input, expected.input[:, start:]), pre_roll
        assert np.array_equal(made.target, expected.target[:, start:]), pre_roll
    short = render(drawn, whole[:, start - memory + 1 :], RATE, memory - 1).input
    assert np.array_equal(np.flatnonzero((short != expected.input[:, start:]).any(axis=0)), [0])


def test_filters_and_detectors_are_settled_after_a_pre_roll():
    whole, start = song(3.0), 32_000
    drawn = pair(HighPass(frequency_hz=100), Compressor(threshold_db=-35, ratio=6, attack_ms=10, release_ms=100))
    expected = render(drawn, whole, RATE).input[:, start:]
    errors = {
        pre_roll: np.abs(render(drawn, whole[:, start - pre_roll :], RATE, pre_roll).input - expected).max() for pre_roll in (0, RATE)
    }
    assert errors[RATE] < 1e-5 < 1e-3 < errors[0]


@pytest.mark.parametrize("match", ["none", "input_to_target", "both_to_lufs"])
def test_levels_are_matched_as_promised_and_by_one_gain_for_both_channels(match):
    source = song()
    drawn = pair(*CHAIN, removed=(False, True, True, True), gain_db=3.0, match=match, match_lufs=-27.0)
    plain = render(replace(drawn, match="none"), source, RATE)
    made, wrong, _ = render_checked(drawn, source, RATE)
    assert wrong is None
    levels = {role: integrated_loudness(getattr(made, role), RATE) for role in ("input", "target")}
    unmatched = {role: integrated_loudness(getattr(plain, role), RATE) for role in ("input", "target")}
    assert abs(unmatched["input"] - unmatched["target"]) > 3
    if match == "none":
        assert np.array_equal(made.input, plain.input) and np.array_equal(made.target, plain.target)
    elif match == "input_to_target":
        assert np.array_equal(made.target, plain.target) and levels["input"] == pytest.approx(levels["target"], abs=LEVEL_TOLERANCE)
    else:
        assert levels == pytest.approx({"input": -27.0, "target": -27.0}, abs=LEVEL_TOLERANCE)
    for role in ("input", "target"):
        gain = np.float32(10 ** (made.gains["match"][role] / 20))
        assert np.array_equal(getattr(made, role), getattr(plain, role) * gain)
        assert made.gains["match"][role] == pytest.approx(levels[role] - unmatched[role], abs=0.01)


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - {*ELSEWHERE}))
def test_a_record_brings_back_every_bit(name):
    """From the record and the gains that were measured alone, as JSON, whatever effect was drawn."""
    random = stream(3, name)
    source, rate = song(0.6, 44_100), 44_100
    effect = WORDS[name]().draw(random, Setting(-20.0))
    drawn = pair(Gain(gain_db=-1.7), effect, Delay(), removed=(False, True, False), gain_db=2.2, each_lufs=-21.0, match="input_to_target")
    made = render(drawn, source, rate, 4000)
    record, gains = json.loads(json.dumps([drawn.as_record(), made.gains]))
    again = Pair.from_record(record)
    assert again == drawn
    for second in (render(again, source, rate, 4000), render(again, source, rate, 4000, gains)):
        assert np.array_equal(made.input, second.input) and np.array_equal(made.target, second.target)
        assert second.gains == made.gains


def test_gains_of_a_record_are_applied_and_not_measured_anew():
    source = song(0.6)
    drawn = pair(*CHAIN, removed=(False, True, True, False), each_lufs=-25.0, match="both_to_lufs", match_lufs=-20.0)
    gains = {"input": [1.0, 2.0, 3.0, 4.0], "target": [1.0, -5.0], "match": {"input": -1.0, "target": -2.0}}
    made = render(drawn, source, RATE, 100, gains)
    expected = source
    for effect, gain_db in zip(CHAIN, gains["input"], strict=True):
        expected = effect(expected * np.float32(10 ** (gain_db / 20)), RATE)
    assert np.array_equal(made.input, expected[:, 100:] * np.float32(10 ** (-1 / 20)))
    assert made.gains == gains


@pytest.mark.parametrize(
    "broken",
    [
        {},
        [],
        None,
        {"chain": [{"effect": "gain"}]},
        {
            "chain": [{"effect": "gian", "label": "gain", "removed": True}],
            "gain_db": 0,
            "each_lufs": None,
            "match": "none",
            "match_lufs": None,
        },
        {"chain": [], "gain_db": 0, "each_lufs": None, "match": "none"},
        {"chain": [3], "gain_db": 0, "each_lufs": None, "match": "none", "match_lufs": None},
    ],
)
def test_what_is_no_record_is_refused(broken):
    with pytest.raises(EffectError, match=r"no record of a pair|unknown effect 'gian'; did you mean 'gain'"):
        Pair.from_record(broken)


@pytest.mark.parametrize(
    "effect, expected",
    [
        (Dead(), "absent"),
        (Turned(), "absent"),
        (Late(), "shifted"),
        (LateFilter(), "shifted"),
        (Early(), "shifted"),
        (Zero(), "silent"),
        (Poisoned(), "nonfinite"),
        (Endless(), "nonfinite"),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_an_effect_that_does_not_do_what_its_label_says_is_found(effect, expected, kept):
    assert reason(effect, kept=kept) == expected
    for place in range(3):  # and wherever it stands among others that are right
        effects = [HighPass(frequency_hz=500), Distortion(drive_db=20)]
        effects.insert(place, effect)
        flags = [True, False]
        flags.insert(place, not kept)
        assert render_checked(pair(*effects, removed=tuple(flags)), song(), RATE)[1] == expected


def test_a_mere_change_of_level_is_not_the_effect_that_it_is_labelled_as():
    assert reason(Louder()) == "absent" and reason(Louder(), match="input_to_target") == "absent"


def test_an_effect_that_no_gain_makes_up_for_breaks_the_promised_level():
    assert reason(Vanishing(), match="input_to_target") == "level"
    assert reason(Vanishing(), match="both_to_lufs", match_lufs=-20.0) == "level"
    assert reason(Vanishing()) is None, "without a promise there is none to break"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda trace, pre_roll: trace.signals[-1][:, pre_roll + 1 :], id="pre_roll_off_by_one"),
        pytest.param(lambda trace, pre_roll: trace.signals[-1][::-1, pre_roll:], id="channels_swapped"),
        pytest.param(lambda trace, pre_roll: -trace.signals[-1][:, pre_roll:], id="sign"),
        pytest.param(lambda trace, pre_roll: trace.signals[-1][:, pre_roll:] * np.float32(1 + 2**-23), id="last_bit"),
    ],
)
def test_a_chain_that_does_not_null_without_its_effects_is_found(monkeypatch, broken):
    monkeypatch.setattr(pairs, "_after", broken)
    assert render_checked(pair(Distortion(drive_db=20)), song(), RATE, 100)[1] == "not_null"


def test_silence_has_no_pair():
    assert render_checked(pair(Distortion()), np.zeros((2, RATE), np.float32), RATE)[1] == "silent"
    early = song(1.0)
    early[:, 8000:] = 0  # sounds in the pre-roll only
    assert render_checked(pair(Distortion()), early, RATE, 8000)[1] == "silent"


def test_level_and_polarity_are_judged_by_the_difference_alone(whole):
    assert reason(Gain(gain_db=-6)) is None and reason(Gain(gain_db=0.0)) == "absent"
    assert reason(Gain(gain_db=0.05)) == "absent"  # 20 log10(10^(0.05/20) - 1) is -44.8 dB
    assert reason(Gain(gain_db=0.1)) is None  # -38.7 dB
    assert reason(Polarity()) is None and reason(Polarity(channels="left"), kept=True) is None
    found = render_checked(pair(Gain(gain_db=-6.0)), song(), RATE)[2][0]
    assert found == {"difference_db": pytest.approx(20 * math.log10(10 ** (6 / 20) - 1), abs=1e-4), "stft": 0.0}


def test_what_levelling_undoes_is_not_labelled():
    assert reason(Gain(gain_db=-6.0), match="input_to_target") == "absent"
    assert reason(Gain(gain_db=-6.0), kept=True, match="both_to_lufs", match_lufs=-20.0) == "absent"
    assert reason(Polarity(), match="input_to_target") is None


def test_presence_is_measured_with_levels_matched_and_by_its_stated_formula(whole):
    source, effect = song(1.0), HighPass(frequency_hz=200)
    made, wrong, found = render_checked(pair(effect, Gain(gain_db=-20.0)), source, RATE)
    assert wrong is None
    wet, dry = made.input.astype(np.float64), source.astype(np.float64) * 0.1
    matched = dry * (np.sum(wet * dry) / np.sum(dry * dry))
    assert found[0]["difference_db"] == pytest.approx(20 * np.log10(np.linalg.norm(wet - matched) / np.linalg.norm(wet)), abs=1e-3)
    assert found[0]["stft"] == pytest.approx(stft_distance(wet, matched), rel=1e-3)


def test_the_thresholds_of_presence_can_be_set(whole):
    slight = Distortion(drive_db=1.0, mix=0.05)
    found = render_checked(pair(slight), song(), RATE, difference_db=-200, stft=0)[2][0]
    assert -200 < found["difference_db"] < 0 and found["stft"] > 0
    for difference_db, stft, expected in (
        (found["difference_db"] - 0.1, 0.0, None),
        (found["difference_db"] + 0.1, 0.0, "absent"),
        (-200, found["stft"] * 0.99, None),
        (-200, found["stft"] * 1.01, "absent"),
    ):
        assert reason(slight, difference_db=difference_db, stft=stft) == expected


class AsLoudAsAll(Faulty):
    """What comes out depends on all that comes later."""

    streams: ClassVar[bool] = False

    def process(self, audio, sample_rate):
        return audio + np.abs(audio).mean() * HighPass(frequency_hz=300)(audio, sample_rate)


@pytest.mark.parametrize(
    "effect", [HighPass(frequency_hz=200), Distortion(drive_db=20), Polarity(), Compressor(), Delay(), Gain(gain_db=-3)]
)
def test_what_is_found_in_the_beginning_is_never_more_than_in_the_whole(effect):
    source = song(6.0)
    source[:, 3 * RATE :] *= 0.7
    drawn = pair(Delay(time_s=0.05), effect, HighPass(frequency_hz=100), removed=(False, True, True))
    quick = render_checked(drawn, source, RATE)[2]
    full = render_checked(drawn, source, RATE, stft=10.0)[2]  # never enough: then the whole is measured
    assert quick[0]["difference_db"] < full[0]["difference_db"]
    one = pair(effect)
    assert render_checked(one, source, RATE)[2][0]["difference_db"] <= reason_whole(one, source)["difference_db"] + 1e-6


def reason_whole(drawn: Pair, source: np.ndarray) -> dict[str, float]:
    """Presence over the whole, computed plainly."""
    (link,) = drawn.links
    wet, dry = link.effect(source, RATE).astype(np.float64), source.astype(np.float64)
    gain = 1.0 if link.effect.level_only else np.sum(wet * dry) / np.sum(dry * dry)
    return {"difference_db": 20 * np.log10(np.linalg.norm(wet - gain * dry) / np.linalg.norm(wet))}


def test_what_is_found_in_the_beginning_counts_for_its_share_of_the_time():
    quick, full = (render_checked(pair(HighPass(frequency_hz=200)), song(6.0), RATE, stft=stft)[2][0] for stft in (1e-3, 10.0))
    assert 1e-3 < quick["stft"] < 0.7 * full["stft"] and quick["difference_db"] < full["difference_db"] - 1


def test_an_effect_that_does_something_only_late_is_there():
    """A gate of sorts: the beginning is untouched, only the last second is loud enough to be compressed."""
    source = song(6.0)
    source[:, : 5 * RATE] *= 0.01
    found = render_checked(pair(Compressor(threshold_db=-25, ratio=10, attack_ms=1)), source, RATE)
    assert found[1] is None and found[2][0]["difference_db"] > -40


def test_effects_that_need_the_whole_are_given_the_whole_also_inside_a_chain():
    source = song(6.0)
    source[:, 4 * RATE :] *= 2
    for effect in (AsLoudAsAll(), Chain((AsLoudAsAll(),))):
        made, wrong, found = render_checked(pair(effect), source, RATE)
        expected = reason_whole(pair(effect), source)["difference_db"]
        assert wrong is None and found[0]["difference_db"] == pytest.approx(expected, abs=1e-3)
        assert np.array_equal(made.target, source)


def test_a_kept_effect_is_sought_in_the_target_and_a_removed_one_in_the_input(whole):
    """Behind a removed all-but-silencer the kept filter is hard to hear in the input; the target has it whole."""
    _, wrong, found = render_checked(pair(HighPass(frequency_hz=400), Distortion(drive_db=30), removed=(False, True)), song(), RATE)
    assert wrong is None
    alone = render_checked(pair(HighPass(frequency_hz=400)), song(), RATE)[2][0]
    assert found[0] == pytest.approx(alone)
    removed_one = render_checked(pair(HighPass(frequency_hz=400), Distortion(drive_db=30), removed=(True, False)), song(), RATE)[2][0]
    assert removed_one["difference_db"] != pytest.approx(alone["difference_db"], abs=0.1)


@pytest.mark.parametrize("name", sorted(set(EFFECTS) - {*ELSEWHERE}))
def test_nothing_that_recipes_draw_counts_as_shifted(name):
    random = stream(5, name)
    for _ in range(8):
        effect = WORDS[name]().draw(random, Setting(-20.0))
        assert not pairs.is_shifted(effect, 44_100), effect


def test_lag_is_judged_by_the_impulse_response_and_swaying_is_no_lag():
    assert arrival(Late(), RATE) == 1 and arrival(Early(), RATE) == -1 and arrival(Turned(), RATE) == 0 and arrival(Zero(), RATE) is None
    assert arrival(Delay(time_s=0.01, mix=1.0), RATE) == 160
    swaying = Vibrato(depth_ms=2.0, phase_cycles=0.25)
    assert abs(arrival(swaying, RATE)) > 5
    for effect in (swaying, Chain((Gain(gain_db=-3), swaying)), Send((swaying,), dry_db=-math.inf), Chain((swaying, swaying))):
        assert not pairs.is_shifted(effect, RATE)
    for effect in (Late(), Delay(time_s=0.01, mix=1.0), Chain((Late(),)), Send((Late(),), dry_db=-math.inf)):
        assert pairs.is_shifted(effect, RATE)
    assert reason(swaying) is None


def test_tails_and_effects_before_it_do_not_hide_a_late_effect():
    assert render_checked(pair(Reverb(mix=0.5), Late(), Delay()), song(), RATE)[1] == "shifted"


def _stft_by_the_formula(reference: np.ndarray, audio: np.ndarray) -> float:
    total = 0.0
    for size in SIZES:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        frames = [
            [
                np.abs(np.fft.rfft(each[channel, start : start + size] * window)) * 4 / size
                for start in range(0, each.shape[1] - size + 1, size)
            ]
            for each in (reference.astype(np.float64), audio.astype(np.float64))
            for channel in range(each.shape[0])
        ]
        a, b = np.array(frames[: len(reference)]), np.array(frames[len(reference) :])
        total += np.sqrt(np.sum((a - b) ** 2)) / np.sqrt(np.sum(a**2))
        total += np.mean(np.abs(np.log(np.maximum(a, FLOOR)) - np.log(np.maximum(b, FLOOR))))
    return total / len(SIZES)


def test_stft_distance_is_the_stated_formula():
    """Yamamoto, Song and Kim, "Parallel WaveGAN", 2020, equations 5 and 6, written out with loops."""
    a, b = song(1.5, seed=1), song(1.5, seed=2)
    filtered = HighPass(frequency_hz=1000)(a, RATE)
    for left, right in ((a, b), (a, filtered), (filtered, a), (a, a * np.float32(0.5))):
        assert stft_distance(left, right) == pytest.approx(_stft_by_the_formula(left, right), rel=1e-4)


def test_stft_distance_is_zero_for_equal_magnitudes_and_alike_both_ways():
    a, b = song(1.5, seed=1), song(1.5, seed=2)
    assert stft_distance(a, a) == 0 and stft_distance(a, -a) == 0
    assert 0.5 < stft_distance(a, b) / stft_distance(b, a) < 2
    assert stft_distance(a, a * np.float32(0.5)) > 0.5
    assert stft_distance(a[:, :100], a[:, :100]) == 0 and stft_distance(a[:, :100], b[:, :100]) > 0.1
    silence = np.zeros_like(a)
    assert stft_distance(silence, silence) == 0 and math.isfinite(stft_distance(silence, a))


def test_stft_distance_hears_no_rounding_to_16_bits():
    a = song(1.5)
    assert stft_distance(a, (np.round(a * 32768) / 32768).astype(np.float32)) < 1e-2
    assert stft_distance(a, a + np.float32(1e-7) * song(1.5, seed=2)) < 1e-5


@pytest.mark.parametrize(
    "effect",
    [
        Delay(mix=1, time_s=0.01, feedback=0),
        Delay(mix=1, time_s=0.3, feedback=0),
        Delay(mix=1, time_s=2, feedback=0),
        Reverb(mix=1),
        Send((Delay(mix=1, time_s=0.5, feedback=0),), dry_db=-math.inf, send_db=0),
        NoiseReverb(mix=1, predelay_ms=40),
    ],
    ids=lambda effect: f"{effect.name}",
)
def test_a_shift_of_any_length_is_seen(effect):
    assert is_shifted(effect, RATE) and checked([effect])[1] == "shifted"


def test_look_ahead_of_others_is_not_taken_for_an_effect():
    """Rendered from cut audio, what looks ahead differs at the cut; that must not make an inaudible effect present."""
    compressor = Compressor(threshold_db=-30, lookahead_ms=100)
    assert checked([Gain(0.01), compressor, compressor])[1] == "absent"


@pytest.mark.parametrize("effect", [Chain((Gain(6),)), Chain((Polarity(),)), Send((Gain(6),), send_db=0)], ids=lambda effect: effect.name)
def test_chains_of_level_effects_are_judged_without_matching_levels(effect):
    assert checked([effect])[1] is None


def checked(effects):
    source = (np.random.default_rng(0).standard_normal((2, 4 * RATE)) * 0.1).astype(np.float32)
    return render_checked(Pair(tuple(Link(effect, effect.name, True) for effect in effects)), source, RATE)
