"""Laws that hold for every effect: length, time, determinism, hostile audio, parameters, records."""

import dataclasses
import json
import math

import numpy as np
import pytest

from mixdata.effects import EFFECTS, describe, from_record
from mixdata.effects.base import Effect
from mixdata.errors import EffectError

UNITLESS = {  # ratios and shares
    *("ratio", "q", "mix", "feedback", "depth", "width", "position", "damping", "room", "amount", "spread", "bias", "density"),
    *("low_ratio", "mid_ratio", "high_ratio"),
}
RATES = (8000, 11025, 16000, 22050, 44100, 48000, 96000, 192000)


def all_effects() -> list[Effect]:
    """One instance of each effect, with the parameters that make it most itself."""
    return [examples(cls) for cls in EFFECTS.values()]


def examples(cls: type[Effect]) -> Effect:
    """An effect that does something: the middle of the law that its parameters are drawn from."""
    given = {}
    for each in dataclasses.fields(cls):  # type: ignore[arg-type]
        law = each.metadata["draw"]
        if isinstance(law, dict) and ("uniform" in law or "loguniform" in law):
            low, high = law.get("uniform") or law["loguniform"]
            given[each.name] = math.sqrt(low * high) if "loguniform" in law else (low + 0.6 * (high - low))
    return cls(**given)


def music(seconds: float, rate: int, channels: int = 2, seed: int = 1, dtype=np.float32) -> np.ndarray:
    """Noise bursts over a chord, -12 dBFS or so."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    chord = sum(np.sin(2 * np.pi * f * time + p) for f, p in ((220, 0.1), (331, 0.7), (523, 1.9))) * 0.1
    bursts = random.normal(size=(channels, len(time))) * 0.1 * (np.sin(2 * np.pi * 2 * time) > 0)
    return np.ascontiguousarray(chord + bursts, dtype=dtype)


def run(effect: Effect, audio: np.ndarray, rate: int) -> np.ndarray | None:
    """Process, or None where the effect says that a frequency of its does not fit the rate."""
    try:
        return effect(audio, rate)
    except EffectError as error:
        assert "Hz" in str(error) and effect.name in str(error), error
        assert rate < 44100, error
        return None


@pytest.fixture(params=sorted(EFFECTS))
def each(request) -> Effect:
    return examples(EFFECTS[request.param])


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_length_type_and_input_are_kept(each, rate, channels):
    audio = music(0.2, rate, channels)
    before = audio.copy()
    out = run(each, audio, rate)
    assert np.array_equal(audio, before)
    if out is not None:
        assert out.shape == audio.shape and out.dtype == np.float32 and np.isfinite(out).all()
        assert out is not audio


def test_float64_stays_and_agrees_with_float32(each):
    audio = music(0.5, 44100, dtype=np.float64)
    double, single = each(audio, 44100), each(audio.astype(np.float32), 44100)
    assert double.dtype == np.float64
    assert np.abs(double - single).max() < 2e-3 * max(np.abs(double).max(), 0.1)


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(np.zeros((2, 3000)), id="silence"),
        pytest.param(np.full((2, 3000), 1e-40), id="denormal32"),
        pytest.param(np.full((2, 3000), 1e-310), id="denormal64"),
        pytest.param(np.ones((2, 3000)), id="plus_one"),
        pytest.param(-np.ones((2, 3000)), id="minus_one"),
        pytest.param(np.tile([1.0, -1.0], (2, 1500)), id="nyquist"),
        pytest.param(np.full((2, 3000), 0.25), id="dc"),
        pytest.param(np.full((2, 3000), 100.0), id="far_above_full_scale"),
        pytest.param(np.ones((1, 1)), id="one_sample"),
        pytest.param(np.zeros((2, 1)), id="one_silent_sample"),
        pytest.param(np.ones((2, 2)), id="two_samples"),
        pytest.param(np.zeros((2, 0)), id="empty"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hostile_audio_gives_finite_audio(each, audio, dtype):
    audio = np.ascontiguousarray(audio, dtype)
    out = each(audio, 44100)
    assert out.shape == audio.shape and out.dtype == dtype and np.isfinite(out).all()


def test_silence_stays_silent(each):
    assert not each(np.zeros((2, 44100), np.float32), 44100).any()


def test_the_same_audio_gives_the_same_bits(each):
    audio = music(0.5, 44100)
    assert np.array_equal(each(audio, 44100), each(audio.copy(), 44100))
    again = from_record(json.loads(json.dumps(describe(each))))
    assert np.array_equal(each(audio, 44100), again(audio, 44100))


def test_the_future_does_not_reach_back_further_than_the_effect_says(each):
    """What is cut off at the end changes nothing but the last moment before it (look-ahead, filters without delay)."""
    audio = music(1.0, 44100)
    whole, part = each(audio, 44100), each(audio[:, :33075], 44100)
    assert np.abs(whole[:, : 33075 - 4410] - part[:, : 33075 - 4410]).max() < 1e-4


def test_sound_arrives_when_the_effect_says(each):
    rate, place = 44100, 5040
    audio = np.zeros((2, 20000))
    audio[:, place] = 0.5
    out = np.abs(each(audio, rate)).max(axis=0)
    expected = place + each.arrival_frames(rate)
    if each.rings:
        assert int(np.argmax(out)) == expected
    else:
        first = int(np.flatnonzero(out > 1e-9 * out.max())[0])
        assert abs(first - expected) <= each.sway_frames(rate)


def test_pieces_do_not_touch_each_other(each):
    pieces = np.stack([music(0.3, 44100, seed=seed) * gain for seed, gain in ((1, 1.0), (2, 0.1), (3, 3.0), (4, 0.0))])
    together = each(pieces, 44100)
    for piece, out in zip(pieces, together, strict=True):
        assert np.array_equal(out, each(piece, 44100))


def test_neutral_parameters_do_nothing():
    audio = music(0.5, 44100)
    for cls in EFFECTS.values():
        if cls.neutral is not None:
            effect = dataclasses.replace(examples(cls), **cls.neutral)
            assert effect.is_identity(), cls.name
            assert np.array_equal(effect(audio, 44100), audio), cls.name
            # and it is no special case that hides another truth: the formula itself says so
            assert np.abs(effect.process(audio, 44100) - audio).max() < 1e-5, cls.name


def test_records_come_back_exactly(each):
    data = json.loads(json.dumps(describe(each)))
    assert from_record(data) == each
    assert data["effect"] == each.name
    with pytest.raises(EffectError, match=r"no parameter 'nonsense'"):
        from_record(data | {"nonsense": 1})


FIELDS = [(name, field) for name, cls in EFFECTS.items() for field in dataclasses.fields(cls)]


@pytest.mark.parametrize("name, field", FIELDS, ids=[f"{name}.{field.name}" for name, field in FIELDS])
def test_parameters_out_of_range_are_refused_by_name(name, field):
    cls, facts = EFFECTS[name], field.metadata
    kind = field.type if isinstance(field.type, str) else field.type.__name__
    wrong: list[object] = [None, "nonsense!", [1, 2]] if kind != "str" or facts["choices"] else [None, 3]
    if kind in ("float", "int"):
        assert facts["low"] is not None and facts["high"] is not None, "every number has a documented range"
        wrong += [math.nan, True]
        if facts["low"] != -math.inf:
            wrong += [facts["low"] - 1, -math.inf]
        if facts["high"] != math.inf:
            wrong += [facts["high"] + 1, math.inf]
    for value in wrong:
        with pytest.raises(EffectError, match=rf"{name}\.{field.name}"):
            dataclasses.replace(examples(cls), **{field.name: value})


def test_every_parameter_says_its_unit():
    for name, cls in EFFECTS.items():
        for field in dataclasses.fields(cls):
            kind = field.type if isinstance(field.type, str) else field.type.__name__
            if kind == "float":
                assert field.name.endswith(("_db", "_hz", "_ms", "_s", "_percent", "_cycles", "_octaves")) or field.name in UNITLESS, (
                    f"{name}.{field.name}: put the unit into the name"
                )


@pytest.mark.parametrize("wrong", [np.zeros((2, 10), np.int16), np.zeros(10, np.float32), [[0.0]], np.zeros((0, 10), np.float32)])
def test_what_is_no_audio_is_refused(each, wrong):
    with pytest.raises(EffectError, match="audio must"):
        each(wrong, 44100)


@pytest.mark.parametrize("rate", [0, -44100, 44100.0, math.nan, "44100", 10**9])
def test_what_is_no_rate_is_refused(each, rate):
    with pytest.raises(EffectError, match="sample_rate"):
        each(np.zeros((2, 10), np.float32), rate)


def test_gain_is_in_decibels_of_amplitude():
    assert EFFECTS["gain"](gain_db=6)(np.full((1, 3), 0.1), 44100) == pytest.approx(0.1 * 10**0.3)


@pytest.mark.parametrize("name", ["delay", "chorus", "flanger", "phaser", "reverb", "distortion", "compressor", "eq"])
def test_what_rings_on_ends_in_exact_silence(name):
    """Feedback must not settle in subnormal numbers, which are slow on many machines and are not silence."""
    cls, feedback = EFFECTS[name], {"delay": 0.9, "chorus": 0.9, "flanger": 0.9, "phaser": 0.9}
    changes = {"feedback": feedback[name]} if name in feedback else {"kind": "asymmetric"} if name == "distortion" else {}
    changes |= {"time_s": 0.01} if name == "delay" else {}
    effect = dataclasses.replace(examples(cls), **changes)
    for dtype in (np.float32, np.float64):
        audio = np.zeros((2, 30 * 44100), dtype)
        audio[:, :22050] = music(0.5, 44100, dtype=dtype)
        assert not effect(audio, 44100)[:, -44100:].any()


def test_a_limiter_does_not_hide_what_is_no_number():
    audio = np.zeros((1, 2000))
    audio[0, 700] = np.nan
    assert np.isnan(EFFECTS["limiter"](ceiling_db=-1)(audio, 44100)).any()


@pytest.mark.parametrize("wrong", [{"gain_db": 10**400}, {"gain_db": np.inf}, {"gain_db": "6"}])
def test_odd_numbers_are_refused_by_name(wrong):
    with pytest.raises(EffectError, match=r"gain\.gain_db"):
        EFFECTS["gain"](**wrong)
    with pytest.raises(EffectError, match="no parameter"):
        from_record({"effect": "gain", 3: 1})


def test_transposed_audio_is_noticed():
    with pytest.raises(EffectError, match="transposed"):
        EFFECTS["gain"](gain_db=3)(np.zeros((44100, 2), np.float32), 44100)


def test_an_entry_of_a_records_chain_is_an_effect():
    entry = {**describe(EFFECTS["gain"](gain_db=3)), "label": "louder", "removed": True}
    assert from_record(entry) == EFFECTS["gain"](gain_db=3)


def test_a_send_adds_its_effects_at_its_level_to_the_dry_sound_at_its_own():
    audio = np.full((2, 4), 0.1)
    louder = EFFECTS["gain"](gain_db=20)
    assert EFFECTS["send"]((louder,), send_db=-6, dry_db=-3)(audio, 44100) == pytest.approx(0.1 * 10 ** (14 / 20) + 0.1 * 10 ** (-3 / 20))
    assert np.array_equal(EFFECTS["send"]((louder,), send_db=-math.inf)(audio, 44100), audio)
    assert EFFECTS["send"]((louder,), send_db=0, dry_db=-math.inf)(audio, 44100) == pytest.approx(1.0)


@pytest.mark.parametrize("depth", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("phase_cycles", [0.0, 0.25, 0.75])
@pytest.mark.parametrize("name, rate, centre_delay_ms", [("flanger", 8000, 0.1), ("flanger", 44100, 2.0), ("chorus", 44100, 7.5)])
def test_fully_wet_swinging_delays_come_when_they_say(name, rate, centre_delay_ms, phase_cycles, depth):
    given = {"mix": 1.0, "feedback": 0.0, "depth": depth, "phase_cycles": phase_cycles, "centre_delay_ms": centre_delay_ms}
    effect = dataclasses.replace(examples(EFFECTS[name]), **given)
    impulse = np.zeros((1, 4000))
    impulse[0, 1000] = 1.0
    peak = int(np.argmax(np.abs(effect(impulse, rate)))) - 1000
    assert abs(peak - effect.arrival_frames(rate)) <= effect.sway_frames(rate)
    if depth == 0:
        assert peak == effect.arrival_frames(rate)
