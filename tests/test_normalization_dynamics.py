"""Dynamics normalization: what must hold of every stem it is given."""

import json
import math
from functools import cache

import numpy as np
import pytest

import trees
from mixdata import audio as files
from mixdata.corpora import load_corpus
from mixdata.effects import from_record
from mixdata.effects.compressor import Compressor
from mixdata.effects.upward_expander import UpwardExpander
from mixdata.errors import AudioError, UsageError
from mixdata.measures import integrated_loudness
from mixdata.measures.onsets import onset_frames, onset_peaks
from mixdata.normalization.dynamics import PUBLISHED, CompressorSettings, match_dynamics
from mixdata.normalization.features import higher_quarter, measure
from mixdata.normalization.level_model import Ballistics, LevelModel

RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
DRUMS = PUBLISHED["drums"]


@cache
def stem(name: str, song: int = 0) -> np.ndarray:
    songs = list(load_corpus("synth:songs=2,seconds=10"))
    audio, _ = songs[song].stems[name].read()
    audio.flags.writeable = False
    return audio


@cache
def hits(seed: int = 0, seconds: float = 12.0, lean: float = 0.0) -> np.ndarray:
    """Drum-like hits of 20 dB of range over a quiet bed, all leaning to one side by as much."""
    random = np.random.default_rng(seed)
    frames = round(seconds * RATE)
    t = np.arange(round(0.25 * RATE)) / RATE
    out = 0.003 * random.standard_normal(frames)
    for start in np.arange(0.1, seconds - 0.3, 0.25):
        shot = np.exp(-t / random.uniform(0.01, 0.06)) * (random.standard_normal(len(t)) * 0.3 + np.sin(2 * np.pi * 180 * t))
        place = round((start + random.uniform(0, 0.05)) * RATE)
        out[place : place + len(t)] += 0.5 * 10 ** (random.uniform(-20, 0) / 20) * shot
    audio = (np.array([[1 - lean], [1 + lean]]) * out / 2).astype(np.float32)
    audio.flags.writeable = False
    return audio


def feature(audio: np.ndarray, rate: int = RATE) -> float:
    """The feature from its parts: mean of the onset peaks' higher quarter over the loudness."""
    peaks = onset_peaks(audio, rate, onset_frames(audio, rate))
    above = peaks[peaks > np.percentile(peaks, 75)]
    return float((above if len(above) else peaks).mean()) - integrated_loudness(audio, rate)


def changed(audio: np.ndarray, by: float, spread: float = 1.0, settings: CompressorSettings = DRUMS, rate: int = RATE, **more):
    """Match to a target whose nearer edge lies `by` LU from where the audio is; returns audio, record and that edge."""
    edge = feature(audio, rate) + by
    out, record = match_dynamics(audio, rate, edge - math.copysign(spread, -by), spread, settings, **more)
    return out, record, edge


def test_the_published_settings_are_the_tables():
    # FxNorm's constants: attack ms, release ms, first ratio
    assert {name: (s.attack_ms, s.release_ms, s.ratio, s.most_ratio) for name, s in PUBLISHED.items()} == {
        "vocals": (7.5, 400, 4, 20),
        "drums": (10, 180, 6, 20),
        "bass": (10, 500, 5, 20),
        "other": (15, 666, 4, 20),
    }


@pytest.mark.parametrize("offset", [-0.95, 0, 0.95])
@pytest.mark.parametrize("name", STEMS)
def test_a_stem_within_the_spread_stays_as_it_is(name, offset):
    audio = stem(name)
    out, record = match_dynamics(audio, RATE, feature(audio) + offset, 1.0, PUBLISHED[name], expand=True)
    assert out is audio and record["action"] == "none" and record["effect"] is None and record["reached"]
    assert record["onset_peak_lu"] == [round(feature(audio), 2)] * 2 and record["mean_gain_db"] == record["most_gain_db"] == 0


def test_a_stem_under_the_target_is_expanded_only_where_asked():
    audio = hits()
    out, record, _ = changed(audio, +2)
    assert out is audio and record["action"] == "none" and not record["reached"] and record["runs"] == 0


@pytest.mark.parametrize("by", [-0.3, -1, -3])
@pytest.mark.parametrize("name", ["hits", "drums", "other"])
def test_what_peaks_too_high_comes_down_to_the_edge(name, by):
    audio = hits() if name == "hits" else stem(name)
    out, record, edge = changed(audio, by, settings=PUBLISHED.get(name, DRUMS))
    assert record["action"] == "compress" and record["reached"]
    assert feature(out) == pytest.approx(edge, abs=0.11)
    assert record["onset_peak_lu"] == pytest.approx([edge - by, feature(out)], abs=0.01)
    assert measure(out, RATE).onset_peak_lu == pytest.approx(feature(out), abs=1e-9)


@pytest.mark.parametrize("name", ["hits", "drums", "bass", "other"])
def test_a_planted_compression_of_three_to_one_is_brought_back_to_the_edge_with_expand(name):
    audio = hits() if name == "hits" else stem(name)
    peak = onset_peaks(audio, RATE).max()
    squashed = Compressor(float(peak) - 15, 3, 0.1, 60, 0, lookahead_ms=1, ballistics="smooth_branching")(audio, RATE)
    assert feature(squashed) < feature(audio) - 0.5
    out, record = match_dynamics(squashed, RATE, feature(audio), 0.2, PUBLISHED.get(name, DRUMS), expand=True)
    assert record["action"] == "expand" and record["effect"]["effect"] == "upward_expander"
    assert feature(out) == pytest.approx(feature(audio) - 0.2, abs=0.3)


def test_a_planted_compression_of_recorded_drums_is_brought_back_too():
    folder = trees.shared("multitrack_cc0", "Software-Entwicklungskit - Potassium")
    audio, rate = files.read(folder / "grouped" / "drums.flac")
    squashed = Compressor(-25, 3, 0.1, 60, 0, lookahead_ms=1, ballistics="smooth_branching")(audio, rate)
    assert feature(squashed, rate) < feature(audio, rate) - 0.5
    out, record = match_dynamics(squashed, rate, feature(audio, rate), 0.2, DRUMS, expand=True)
    assert record["action"] == "expand" and feature(out, rate) == pytest.approx(feature(audio, rate) - 0.2, abs=0.3)


@pytest.mark.parametrize("by", [-2, 2])
def test_one_gain_for_all_channels_keeps_the_image(by):
    audio = hits(lean=0.6)
    out, record, _ = changed(audio, by, expand=True)
    assert record["action"] == ("compress" if by < 0 else "expand")
    before, after = (10 * np.log10(np.sum(each[1] ** 2.0) / np.sum(each[0] ** 2.0)) for each in (audio, out))
    assert before == pytest.approx(20 * np.log10(4), abs=1e-4) and after == pytest.approx(before, abs=0.01)
    assert np.abs(out[1] - 4 * out[0]).max() < 1e-6


def two_sided() -> np.ndarray:
    """Channels that share little: each has hits of its own."""
    return np.concatenate([hits(1)[:1], 0.5 * hits(2)[:1]])


@pytest.mark.parametrize("by", [-2, 2])
def test_swap_and_negation_go_through_bit_for_bit(by):
    audio = two_sided()
    out, record, _ = changed(audio, by, expand=True)
    swapped, swapped_record, _ = changed(np.ascontiguousarray(audio[::-1]), by, expand=True)
    negated, negated_record, _ = changed(-audio, by, expand=True)
    assert record["runs"] and record == swapped_record == negated_record
    assert np.array_equal(swapped[::-1], out) and np.array_equal(-negated, out)


@pytest.mark.parametrize("gain_db", [-13, 7])
@pytest.mark.parametrize("by", [-2, 2])
def test_a_gain_goes_through(by, gain_db):
    gain = np.float32(10 ** (gain_db / 20))
    audio, target = hits(), feature(hits()) + by
    out, record = match_dynamics(audio, RATE, target, 0.0, DRUMS, expand=True)
    louder, louder_record = match_dynamics(audio * gain, RATE, target, 0.0, DRUMS, expand=True)
    assert np.abs(louder / gain - out).max() < 1e-4 * np.abs(out).max() and record["action"] == louder_record["action"] != "none"
    assert louder_record["effect"]["threshold_db"] == pytest.approx(record["effect"]["threshold_db"] + gain_db, abs=0.001)


@pytest.mark.parametrize("by", [-3, -1, 0.5, 1.5])
@pytest.mark.parametrize("name", ["hits", "other"])
def test_a_second_pass_changes_less_than_a_fifth_of_a_lu(name, by):
    audio = hits() if name == "hits" else stem(name)
    edge = feature(audio) + by
    once, record = match_dynamics(audio, RATE, edge, 0.0, DRUMS, expand=True)
    twice, again = match_dynamics(once, RATE, edge, 0.0, DRUMS, expand=True)
    assert record["reached"]
    assert abs(feature(twice) - feature(once)) < 0.2 and abs(again["mean_gain_db"]) < 0.2


def test_the_record_does_the_same_again_bit_for_bit():
    for by in (-2, 2):
        audio = hits()
        out, record, _ = changed(audio, by, expand=True)
        effect = from_record(json.loads(json.dumps(record))["effect"])
        assert np.array_equal(effect(audio, RATE), out) and not np.array_equal(audio, out)
        again, same, _ = changed(audio.copy(), by, expand=True)
        assert np.array_equal(again, out) and same == record


def test_the_gains_of_the_record_are_those_on_what_sounds():
    audio = hits()
    for by in (-2, 2):
        out, record, _ = changed(audio, by, expand=True)
        level, after = np.abs(audio).max(0), np.abs(out).max(0)
        heard = level > level.max() * 0.01
        gain_db = 20 * np.log10(after[heard] / level[heard])
        most = gain_db.min() if by < 0 else gain_db.max()
        assert record["mean_gain_db"] == pytest.approx(gain_db.mean(), abs=0.05)
        assert record["most_gain_db"] == pytest.approx(most, abs=0.3) and record["most_gain_db"] * by > 0.5


def test_every_third_of_a_song_is_treated_alike():
    """The parameters are fitted once, so the same music gets the same gain wherever it stands in the song."""
    one = hits(seconds=6.0)
    audio = np.tile(one, 3)
    out, record, _ = changed(audio, -2)
    first, second, third = np.split(out, 3, axis=1)
    assert record["action"] == "compress"
    settled = RATE  # what a release of 50 to 180 ms could still carry over
    assert np.abs(second[:, settled:] - first[:, settled:]).max() < 1e-4
    assert np.abs(third[:, settled:] - first[:, settled:]).max() < 1e-4
    features = [feature(each) for each in (first, second, third)]
    assert max(features) - min(features) < 0.1


def test_what_cannot_be_reached_says_so_and_comes_no_further_away():
    tone = (0.1 * np.sin(2 * np.pi * 440 * np.arange(5 * RATE) / RATE))[None].astype(np.float32)
    out, record = match_dynamics(tone, RATE, feature(tone) - 20, 0.5, DRUMS)
    assert not record["reached"] and np.isfinite(out).all()
    assert abs(feature(out) - feature(tone) + 20) <= 20


def test_of_several_runs_the_nearest_is_kept(monkeypatch):
    found = iter([20.0, 15.5, 12.0, 18.0, 18.5, 11.0, 19.0, 12.5, 17.0])
    monkeypatch.setattr("mixdata.normalization.dynamics._onset_peak_lu", lambda *_: next(found))
    out, record = match_dynamics(hits(), RATE, 15.0, 0.0, DRUMS)
    assert record["onset_peak_lu"] == [20.0, 15.5] and record["runs"] > 1 and not record["reached"]
    assert np.array_equal(from_record(record["effect"])(hits(), RATE), out)


def test_without_quicker_times_the_settings_own_are_kept():
    slow = CompressorSettings(10, 180, 6, quicken=False)
    for by in (-1, 1):
        _, record, _ = changed(stem("bass"), by, settings=slow, expand=True)
        assert record["action"] == "none" or (record["effect"]["attack_ms"], record["effect"]["release_ms"]) == (10, 180)
    _, record, _ = changed(stem("bass"), -3, settings=DRUMS)
    assert (record["effect"]["attack_ms"], record["effect"]["release_ms"], record["reached"]) == (0.1, 50, True)


def test_the_first_ratio_is_kept_while_thresholds_are_left():
    _, record, _ = changed(hits(), -2)
    peak = onset_peaks(hits(), RATE).max()
    assert record["effect"]["ratio"] == 6 and peak - 40 <= record["effect"]["threshold_db"] < peak
    _, shallow, _ = changed(hits(), -2, settings=CompressorSettings(10, 180, 1.5, depth_db=20.0))
    assert 1.5 < shallow["effect"]["ratio"] <= 20 and shallow["effect"]["threshold_db"] == pytest.approx(peak - 20, abs=0.001)
    assert shallow["reached"]


@pytest.mark.parametrize(
    "audio",
    [
        pytest.param(np.zeros((2, 3 * RATE), np.float32), id="silence"),
        pytest.param(np.zeros((1, 1), np.float32), id="one_silent_sample"),
        pytest.param(np.zeros((2, 0), np.float32), id="empty"),
        pytest.param(hits() * np.float32(10 ** (-50.5 / 20) / np.abs(hits()).max()), id="peaks_under_50_db"),
        pytest.param(np.pad(np.full((1, 1), 0.004, np.float32), ((0, 0), (0, 3 * RATE))), id="too_quiet_for_loudness"),
    ],
)
@pytest.mark.parametrize("target_lu", [0.0, 100.0])
def test_silent_and_nearly_silent_stems_stay_as_they_are(audio, target_lu):
    out, record = match_dynamics(audio, RATE, target_lu, 1.0, DRUMS, expand=True)
    assert out is audio and record["action"] == "none" and record["onset_peak_lu"] == [None, None] and not record["reached"]


@pytest.mark.parametrize("rate", [8000, 48000, 96000, 192000])
@pytest.mark.parametrize("channels", [1, 2])
def test_other_rates_mono_and_short_audio(rate, channels):
    audio = np.ascontiguousarray(hits()[:channels, :: 4 if rate == 8000 else 1][:, : rate * 2])
    out, record, edge = changed(audio, -1.5, rate=rate)
    assert out.dtype == np.float32 and record["reached"] and feature(out, rate) == pytest.approx(edge, abs=0.11)
    short = np.ascontiguousarray(audio[:, -50:])
    out, record = match_dynamics(short, rate, -50.0, 1.0, DRUMS)
    assert out.shape == short.shape and np.isfinite(out).all()


def test_float64_stays_and_the_input_is_not_changed():
    audio = hits().astype(np.float64)
    before = audio.copy()
    out, record, _ = changed(audio, -2)
    assert out.dtype == np.float64 and record["action"] == "compress" and np.array_equal(audio, before)


def test_nan_and_wrong_shapes_are_refused():
    audio = hits().copy()
    audio[0, 100] = np.nan
    with pytest.raises(AudioError, match="NaN"):
        match_dynamics(audio, RATE, 16.0, 1.0, DRUMS)
    with pytest.raises(UsageError, match="shape"):
        match_dynamics(audio[0], RATE, 16.0, 1.0, DRUMS)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("times", [(10.0, 180.0, 0.0), (0.1, 50.0, 1.0)])
@pytest.mark.parametrize("name", ["hits", "drums", "vocals"])
def test_the_model_foretells_what_the_effect_does(name, times, up):
    """Of the change of the feature at the onsets from before, against the effect itself."""
    audio = hits() if name == "hits" else stem(name)
    onsets = onset_frames(audio, RATE)
    attack, release, ahead = times
    ahead = 0.0 if up else ahead
    highest = onset_peaks(audio, RATE, onsets).max()
    thresholds, slopes = np.array([highest, highest - 8, highest - 25]), np.full(3, 0.75)
    got = LevelModel(audio, RATE, onsets).onset_peak_lu(
        thresholds, slopes, Ballistics(attack, release, ahead, 24.0 if up else math.inf, up)
    )
    for threshold, change in zip(thresholds[1:], got[1:] - got[0], strict=True):
        if up:
            effect = UpwardExpander(float(threshold), 1.75, 24, attack, release)
        else:
            effect = Compressor(float(threshold), 4, attack, release, 0, lookahead_ms=ahead, ballistics="smooth_branching")
        wet = effect(audio, RATE)
        real = higher_quarter(onset_peaks(wet, RATE, onsets)) - integrated_loudness(wet, RATE) - feature(audio)
        assert change == pytest.approx(real, abs=0.05 + 0.15 * abs(real))
