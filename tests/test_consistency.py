"""Mixture consistency: the stems sum to the mixture, and what is shared goes where it belongs."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixdata.errors import SongError, UsageError
from mixdata.separation.consistency import make_consistent, merge_into_rest
from mixdata.separation.stft import chunks, cut, istft, stft

NAMES = ("vocals", "drums", "bass", "other")
RATE = 44100


def noise(seed, channels, frames, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal((channels, frames))).astype(np.float32)


def total(stems):
    return sum(stem.astype(np.float64) for stem in stems.values())


def energy(audio):
    return float(np.square(audio, dtype=np.float64).sum())


@st.composite
def songs(draw):
    """A mixture and estimates of it that do not sum to it: any length, mono or stereo, some of them silent."""
    channels, frames, seed = draw(st.integers(1, 2)), draw(st.integers(1, 5000)), draw(st.integers(0, 1000))
    names = NAMES[: draw(st.integers(1, 4))]
    levels = [draw(st.sampled_from([0.0, 1e-4, 0.03, 0.2])) for _ in names]
    estimates = {name: noise([seed, i], channels, frames, level) for i, (name, level) in enumerate(zip(names, levels, strict=True))}
    mixture = total(estimates) + noise([seed, 9], channels, frames, draw(st.sampled_from([0.0, 1e-6, 0.01, 0.2])))
    return estimates, mixture.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(songs())
def test_stems_sum_to_the_mixture(song):
    estimates, mixture = song
    stems, _ = make_consistent(estimates, mixture)
    assert list(stems) == list(estimates)
    assert all(stem.dtype == np.float32 and stem.shape == mixture.shape for stem in stems.values())
    assert np.abs(total(stems) - mixture).max() <= 1e-6
    assert np.abs(sum(stems.values()) - mixture).max() <= 1e-6


def test_only_the_rounding_of_float32_is_left_of_the_difference():
    mixture = noise(9, 2, 100_000)
    stems, _ = make_consistent({name: noise(i, 2, 100_000) for i, name in enumerate(NAMES)}, mixture)
    assert np.abs(total(stems) - mixture).max() < 4e-8  # half a step of float32 between 0.5 and 1 is 3e-8


@settings(max_examples=30, deadline=None)
@given(songs())
def test_what_is_consistent_stays(song):
    once, _ = make_consistent(*song)
    twice, level = make_consistent(once, song[1])
    assert all(np.abs(twice[name] - once[name]).max() <= 1e-6 for name in once)
    assert level is None or level < -100


@settings(max_examples=30, deadline=None)
@given(songs(), st.integers(-8, 8))
def test_scale_passes_through(song, power):
    estimates, mixture = song
    factor = np.float32(2.0**power)
    stems, level = make_consistent(estimates, mixture)
    scaled, scaled_level = make_consistent({name: stem * factor for name, stem in estimates.items()}, mixture * factor)
    assert all(np.abs(scaled[name] / factor - stems[name]).max() <= 1e-6 for name in stems)
    assert level == scaled_level or level == pytest.approx(scaled_level, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(songs())
def test_polarity_passes_through(song):
    estimates, mixture = song
    stems, _ = make_consistent(estimates, mixture)
    turned, _ = make_consistent({name: -stem for name, stem in estimates.items()}, -mixture)
    assert all(np.array_equal(turned[name], -stems[name]) for name in stems)


@settings(max_examples=20, deadline=None)
@given(songs())
def test_order_of_the_stems_does_not_matter(song):
    estimates, mixture = song
    stems, _ = make_consistent({"other": noise(1, *mixture.shape), **estimates}, mixture)
    turned, _ = make_consistent(dict(reversed({"other": noise(1, *mixture.shape), **estimates}.items())), mixture)
    assert all(np.abs(turned[name] - stems[name]).max() <= 1e-6 for name in stems)


def test_a_silent_stem_gets_nothing():
    estimates = {"vocals": noise(0, 2, 9000), "drums": np.zeros((2, 9000), np.float32), "other": noise(1, 2, 9000)}
    stems, _ = make_consistent(estimates, noise(2, 2, 9000, 0.3))
    assert not stems["drums"].any()


def test_residual_goes_to_the_stem_with_the_power_there():
    time_ = np.arange(RATE) / RATE
    low, high = (np.sin(2 * np.pi * f * time_, dtype=np.float64)[None].astype(np.float32) for f in (100, 5000))
    estimates = {"bass": 0.4 * low, "drums": 0.5 * high, "other": np.zeros_like(low)}
    stems, _ = make_consistent(estimates, 0.5 * low + 0.5 * high)
    assert energy(stems["bass"] - 0.5 * low) < 1e-3 * energy(0.1 * low)
    assert energy(stems["drums"] - 0.5 * high) < 1e-3 * energy(0.1 * low)


def test_shares_are_in_proportion_to_power_not_equal():
    whole = noise(0, 1, RATE)
    stems, _ = make_consistent({"vocals": 0.6 * whole, "drums": 0.3 * whole}, whole)
    inner = slice(3000, -3000)
    np.testing.assert_allclose(stems["vocals"][:, inner], (0.6 + 0.1 * 0.8) * whole[:, inner], atol=1e-5)
    np.testing.assert_allclose(stems["drums"][:, inner], (0.3 + 0.1 * 0.2) * whole[:, inner], atol=1e-5)


def test_channels_are_shared_on_their_own():
    left, right = noise(0, 1, RATE), noise(1, 1, RATE)
    silent = np.zeros_like(left)
    estimates = {"vocals": np.concatenate([0.5 * left, silent]), "other": np.concatenate([silent, 0.5 * right])}
    stems, _ = make_consistent(estimates, np.concatenate([left, right]))
    assert energy(stems["vocals"][1]) < 1e-9 * energy(right) and energy(stems["other"][0]) < 1e-9 * energy(left)


@pytest.mark.parametrize(("names", "home"), [(("vocals", "other"), "other"), (("drums", "vocals"), "drums")])
def test_what_has_no_owner_goes_to_the_rest_else_to_the_loudest(names, home):
    time_ = np.arange(RATE) / RATE
    fade = np.minimum(1, np.minimum(time_, 1 - time_) * 20)
    low, lower, high = ((fade * np.sin(2 * np.pi * f * time_))[None].astype(np.float32) for f in (300, 500, 9000))
    estimates = dict(zip(names, (0.4 * lower, 0.2 * low), strict=True))
    stems, _ = make_consistent(estimates, 0.2 * low + 0.4 * lower + 0.3 * high)
    for name in names:
        expected = estimates[name] + (0.3 * high if name == home else 0)
        assert energy(stems[name] - expected) < 1e-4 * energy(0.3 * high)


def test_level_of_the_residual_is_the_ratio_of_energies():
    whole = noise(0, 2, 30_000)
    for share in (0.5, 0.9, 1.1):
        _, level = make_consistent({"vocals": share * whole, "other": np.zeros_like(whole)}, whole)
        assert level == pytest.approx(20 * np.log10(abs(1 - share)), abs=1e-3)


def test_silence_has_no_level_and_a_perfect_sum_the_lowest():
    silent = np.zeros((2, 3000), np.float32)
    stems, level = make_consistent({"vocals": silent, "other": silent}, silent)
    assert level is None and not any(stem.any() for stem in stems.values())
    stems, level = make_consistent({"vocals": noise(0, 2, 3000), "other": silent}, silent)
    assert level is None and np.abs(total(stems)).max() <= 1e-6
    assert make_consistent({"other": noise(0, 2, 3000)}, noise(0, 2, 3000))[1] == -200.0


@pytest.mark.parametrize("channels", [1, 2])
def test_one_sample_works(channels):
    mixture = np.full((channels, 1), 0.5, np.float32)
    stems, level = make_consistent({"vocals": mixture * 0.5, "other": mixture * 0.25}, mixture)
    assert np.abs(total(stems) - mixture).max() <= 1e-6
    assert level == pytest.approx(20 * np.log10(0.25), abs=1e-3)


def test_inputs_stay_as_they_are():
    estimates = {"vocals": noise(0, 2, 3000), "other": noise(1, 2, 3000)}
    before = {name: stem.copy() for name, stem in estimates.items()}
    make_consistent(estimates, noise(2, 2, 3000))
    assert all(np.array_equal(estimates[name], before[name]) for name in before)


def test_other_shapes_are_usage_errors():
    for estimates in ({}, {"vocals": np.zeros((1, 100), np.float32)}, {"vocals": np.zeros((2, 99), np.float32)}):
        with pytest.raises(UsageError):
            make_consistent(estimates, np.zeros((2, 100), np.float32))


def test_long_songs_are_worked_on_in_pieces():
    """Where the song is cut into pieces makes no difference: each piece sees the windows that reach into it."""
    mixture, estimates = noise(0, 1, 200_000), {"vocals": noise(1, 1, 200_000), "other": noise(2, 1, 200_000)}
    stems, _ = make_consistent(estimates, mixture)
    later, _ = make_consistent(
        {n: np.pad(s, ((0, 0), (1024 * 5, 0))) for n, s in estimates.items()}, np.pad(mixture, ((0, 0), (1024 * 5, 0)))
    )
    assert all(np.abs(later[name][:, 1024 * 5 :] - stems[name]).max() < 1e-6 for name in stems)


def test_speed_is_far_above_real_time():
    mixture = noise(0, 2, 20 * RATE)
    estimates = {name: noise(i, 2, 20 * RATE) for i, name in enumerate(NAMES)}
    start = time.process_time()
    make_consistent(estimates, mixture)
    assert 20 / (time.process_time() - start) > 10  # about 60 on one core that is free


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9000), st.sampled_from([(64, 16), (2048, 1024), (1024, 256)]), st.integers(1, 40), st.integers(0, 5))
def test_transform_in_pieces_gives_back_the_audio(frames, form, times, context):
    size, hop = form
    audio, out = noise(0, 2, frames), np.zeros((2, frames), np.float32)
    for start, stop, margin in chunks(frames, size, hop, times, context):
        piece = istft(stft(cut(audio, start - margin, stop + margin), size, hop), size, hop)
        kept = min(stop, frames) - start
        out[:, start : start + kept] += piece[:, margin : margin + kept]
    assert np.abs(out - audio).max() < 1e-6


# Gated stems


def test_merging_keeps_the_sum_and_silences_what_is_gated():
    stems = {name: noise(i, 2, 1000) for i, name in enumerate(NAMES)}
    merged = merge_into_rest(stems, {"vocals", "bass"})
    assert list(merged) == list(stems)
    assert not merged["vocals"].any() and not merged["bass"].any() and np.array_equal(merged["drums"], stems["drums"])
    assert np.abs(total(merged) - total(stems)).max() <= 1e-6
    assert np.abs(merged["other"] - (stems["other"] + stems["vocals"] + stems["bass"])).max() <= 1e-6


def test_a_gated_rest_goes_to_the_loudest_that_is_kept():
    stems = {name: noise(i, 2, 1000, level) for i, (name, level) in enumerate(zip(NAMES, (0.1, 0.3, 0.2, 0.001), strict=True))}
    merged = merge_into_rest(stems, {"other", "vocals"})
    assert not merged["other"].any() and np.array_equal(merged["bass"], stems["bass"])
    assert np.abs(total(merged) - total(stems)).max() <= 1e-6


def test_nothing_gated_changes_nothing_and_all_gated_is_refused():
    stems = {name: noise(i, 2, 100) for i, name in enumerate(NAMES)}
    assert all(np.array_equal(merge_into_rest(stems, set())[name], stems[name]) for name in stems)
    with pytest.raises(SongError, match="every stem"):
        merge_into_rest(stems, set(NAMES))
    with pytest.raises(UsageError, match="piano"):
        merge_into_rest(stems, {"piano"})
