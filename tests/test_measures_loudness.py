"""Loudness against ITU-R BS.1770-5, BS.2217 and EBU Tech 3341/3342: every case that can be synthesised, at three rates."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import soxr
from scipy.signal import butter, sosfilt, sosfiltfilt

from mixdata import measures
from mixdata.errors import AudioError, UsageError
from mixdata.measures import loudness
from mixdata.measures.loudness import k_weighting

RATES = [44100, 48000, 96000]
at_each_rate = pytest.mark.parametrize("rate", RATES)


@cache
def tones(rate: int, *parts: tuple[float, float], channels: int = 2, frequency: float = 1000.0) -> np.ndarray:
    """Sines of (seconds, peak dBFS) one after the other, the phase running on."""
    envelope = np.concatenate([np.full(round(seconds * rate), 10 ** (level / 20)) for seconds, level in parts])
    wave = envelope * np.sin(2 * np.pi * frequency * np.arange(len(envelope)) / rate)
    audio = np.tile(wave.astype(np.float32), (channels, 1))
    audio.flags.writeable = False
    return audio


def music(rate: int, seconds: float = 12.0, seed: int = 3) -> np.ndarray:
    """Stereo noise that swells and fades, with different channels."""
    frames = round(seconds * rate)
    noise = np.random.default_rng(seed).standard_normal((2, frames)).cumsum(axis=1)
    noise -= np.stack([np.convolve(channel, np.full(200, 1 / 200), mode="same") for channel in noise])
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 0.3 * np.arange(frames) / rate)
    return (0.05 * swell * noise / noise.std()).astype(np.float32)


SILENCE = -math.inf

INTEGRATED = {
    "3341-1": (((20, -23),), -23.0),
    "3341-2": (((20, -33),), -33.0),
    "3341-3": (((10, -36), (60, -23), (10, -36)), -23.0),
    "3341-4": (((10, -72), (10, -36), (60, -23), (10, -36), (10, -72)), -23.0),
    "3341-5": (((20, -26), (20.1, -20), (20, -26)), -23.0),
    "BS.2217 RelGate": (((0.5, SILENCE), (0.9, -19.9), (1.3, -7.1), (0.8, -19.9), (0.5, SILENCE)), -10.0),
    "BS.2217 AbsGate": (((0.8, SILENCE), *((0.5, -69.47), (0.5, SILENCE)) * 3, (0.2, SILENCE)), -69.5),
}


@at_each_rate
@pytest.mark.parametrize("case", INTEGRATED)
def test_integrated_loudness_meets_the_standard(case: str, rate: int) -> None:
    parts, expected = INTEGRATED[case]
    assert measures.integrated_loudness(tones(rate, *parts), rate) == pytest.approx(expected, abs=0.1)


@at_each_rate
@pytest.mark.parametrize("level", [-23.0, -33.0])
def test_all_windows_agree_on_a_steady_tone(level: float, rate: int) -> None:
    tone = tones(rate, (20, level))
    np.testing.assert_allclose(measures.momentary_loudness(tone, rate)[5:], level, atol=0.1)
    np.testing.assert_allclose(measures.short_term_loudness(tone, rate)[5:], level, atol=0.1)


@at_each_rate
@pytest.mark.parametrize("lfe", [False, True])
def test_surround_channels_have_their_weights(lfe: bool, rate: int) -> None:
    levels = [-28, -28, -24, -30, -30]
    channels = [tones(rate, (20, level), channels=1) for level in levels]
    if lfe:
        channels.insert(3, tones(rate, (20, 0), channels=1, frequency=50))
    assert measures.integrated_loudness(np.concatenate(channels), rate) == pytest.approx(-23.0, abs=0.1)


@at_each_rate
@pytest.mark.parametrize("level", [-24.0, -23.0])
@pytest.mark.parametrize(("channel", "weight_db"), [(0, 0.0), (1, 0.0), (2, 0.0), (4, 1.492), (5, 1.492)])
def test_each_channel_counts_by_its_weight(channel: int, weight_db: float, level: float, rate: int) -> None:
    audio = np.zeros((6, 2 * rate), np.float32)
    audio[channel] = tones(rate, (2, level + 3.01 - weight_db), channels=1, frequency=997)[0]
    assert measures.integrated_loudness(audio, rate) == pytest.approx(level, abs=0.02)


@at_each_rate
@pytest.mark.parametrize("seed", range(3))
def test_channels_sum_as_their_weighted_powers(seed: int, rate: int) -> None:
    """BS.2217 SummingTest: L = -0.691 + 10 log10 (sum of G A^2 / 2) + K(f), where K(997 Hz) = 0.691 dB (BS.1770-5, Annex 1)."""
    levels = np.random.default_rng(seed).uniform(-40, -15, 6)
    audio = np.concatenate([tones(rate, (2, level), channels=1, frequency=997) for level in levels])
    expected = 10 * math.log10(np.dot([1, 1, 1, 0, 1.41, 1.41], 10 ** (levels / 10) / 2))
    assert measures.integrated_loudness(audio, rate) == pytest.approx(expected, abs=0.01)


def test_low_frequency_effects_have_no_loudness() -> None:
    audio = np.zeros((6, 2 * 48000), np.float32)
    audio[3] = tones(48000, (2, -3), channels=1)
    assert measures.integrated_loudness(audio, 48000) == -math.inf


TONES_AT_24_LUFS = {25: -12.916, 100: -22.176, 500: -23.351, 1000: -24.007, 2000: -26.380, 10000: -27.351}


@at_each_rate
@pytest.mark.parametrize("frequency", TONES_AT_24_LUFS)
def test_k_weighting_is_the_same_at_every_rate(frequency: int, rate: int) -> None:
    tone = tones(rate, (5, TONES_AT_24_LUFS[frequency]), frequency=frequency)
    assert measures.integrated_loudness(tone, rate) == pytest.approx(-24.0, abs=0.02)
    assert measures.integrated_loudness(tone * 10 ** (1 / 20), rate) == pytest.approx(-23.0, abs=0.02)


@at_each_rate
def test_a_full_scale_tone_in_one_channel_reads_minus_3_01(rate: int) -> None:
    tone = tones(rate, (5, 0), frequency=997).copy()
    tone[1] = 0
    assert measures.integrated_loudness(tone, rate) == pytest.approx(-3.01, abs=0.005)


def test_the_48_khz_filter_is_the_table_of_the_standard() -> None:
    table = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585],
        [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621],
    ]
    np.testing.assert_allclose(k_weighting(48000), table, atol=1e-13)


def test_the_44_1_khz_filter_is_the_one_in_use() -> None:
    shelf, high_pass = k_weighting(44100)
    np.testing.assert_allclose(shelf[:3], [1.53084123005035, -2.65097999515473, 1.16907907992159], atol=1e-13)
    np.testing.assert_allclose(shelf[4:], [-1.66365511325602, 0.71259542807323], atol=1e-13)
    np.testing.assert_allclose(high_pass[4:], [-1.9891696736298, 0.98919903578704], atol=1e-13)


@at_each_rate
def test_short_term_is_constant_where_three_seconds_hold_the_same(rate: int) -> None:
    audio = tones(rate, *((1.34, -20), (1.66, -30)) * 5)
    np.testing.assert_allclose(measures.short_term_loudness(audio, rate), -23.0, atol=0.1)


@at_each_rate
def test_momentary_is_constant_where_400_ms_hold_the_same(rate: int) -> None:
    audio = tones(rate, *((0.18, -20), (0.22, -30)) * 25)
    np.testing.assert_allclose(measures.momentary_loudness(audio, rate)[6:], -23.0, atol=0.1)


@at_each_rate
@pytest.mark.parametrize("i", range(20))
def test_a_tone_of_three_seconds_shows_in_short_term_wherever_it_starts(i: int, rate: int) -> None:
    audio = tones(rate, (i * 0.15, SILENCE), (3, -23), (1, SILENCE))
    assert measures.short_term_loudness(audio, rate).max() == pytest.approx(-23.0, abs=0.1)


@at_each_rate
@pytest.mark.parametrize("i", range(20))
def test_a_tone_of_400_ms_shows_in_momentary_wherever_it_starts(i: int, rate: int) -> None:
    audio = tones(rate, (i * 0.02, SILENCE), (0.4, -23), (1, SILENCE))
    assert measures.momentary_loudness(audio, rate, hop_seconds=0.01).max() == pytest.approx(-23.0, abs=0.1)


@at_each_rate
def test_short_term_follows_a_stream_of_tones(rate: int) -> None:
    parts = [part for i in range(20) for part in ((i * 0.15, SILENCE), (3, -38 + i), (3 - i * 0.15, SILENCE))]
    values = measures.short_term_loudness(tones(rate, *parts), rate, hop_seconds=0.05)
    found = [values[120 * i : 120 * i + 61].max() for i in range(20)]  # windows that lie inside the i-th six seconds
    np.testing.assert_allclose(found, np.arange(-38, -18), atol=0.1)


@at_each_rate
def test_momentary_follows_a_stream_of_tones(rate: int) -> None:
    parts = [part for i in range(20) for part in ((i * 0.02, SILENCE), (0.4, -38 + i), (0.4 - i * 0.02, SILENCE))]
    values = measures.momentary_loudness(tones(rate, *parts), rate, hop_seconds=0.01)
    found = [values[80 * i : 80 * i + 41].max() for i in range(20)]
    np.testing.assert_allclose(found, np.arange(-38, -18), atol=0.1)


RANGES = {
    "3342-1": (((20, -20), (20, -30)), 10.0),
    "3342-2": (((20, -20), (20, -15)), 5.0),
    "3342-3": (((20, -40), (20, -20)), 20.0),
    "3342-4": (((20, -50), (20, -35), (20, -20), (20, -35), (20, -50)), 15.0),
}


@at_each_rate
@pytest.mark.parametrize("case", RANGES)
def test_loudness_range_meets_the_standard(case: str, rate: int) -> None:
    parts, expected = RANGES[case]
    assert measures.loudness_range(tones(rate, *parts), rate) == pytest.approx(expected, abs=0.1)


# What wrong meters read: each mistake leaves the tolerance of a case above, by as much as a meter built wrong on purpose does

GatedMean = Callable[[np.ndarray, float], tuple[float, np.ndarray]]


def with_relative_gate(right: GatedMean, gate: float) -> GatedMean:
    return lambda powers, relative_gate: right(powers, gate)


def without_gates(powers: np.ndarray, relative_gate: float) -> tuple[float, np.ndarray]:
    return -0.691 + 10 * math.log10(powers.mean()), powers


ABSOLUTE_ONLY = with_relative_gate(loudness.gated_mean, -math.inf)
WRONG_METERS: list[tuple[str, str, Any, dict[str, float]]] = [
    ("no gates", "gated_mean", without_gates, {"3341-3": -24.16, "3341-4": -25.13, "BS.2217 RelGate": -11.35, "BS.2217 AbsGate": -73.38}),
    ("no relative gate", "gated_mean", ABSOLUTE_ONLY, {"3341-3": -24.16, "3341-4": -24.19, "BS.2217 RelGate": -10.98}),
    ("relative gate -8", "gated_mean", with_relative_gate(loudness.gated_mean, -8.0), {"BS.2217 RelGate": -7.94}),
    ("relative gate -20", "gated_mean", with_relative_gate(loudness.gated_mean, -20.0), {"3341-3": -24.16, "BS.2217 RelGate": -10.85}),
    ("no overlap", "HOP", 0.4, {"BS.2217 RelGate": -9.57}),
    ("channels averaged", "WEIGHTS", {2: (0.5, 0.5)}, {"3341-1": -26.0}),
    ("no K weighting", "k_weighting", lambda rate: np.array([[1.0, 0, 0, 1, 0, 0]] * 2), {"3341-1": -23.69}),
]


@pytest.mark.parametrize(("name", "part", "mistake", "readings"), WRONG_METERS, ids=[row[0] for row in WRONG_METERS])
def test_a_wrong_meter_leaves_the_tolerance(
    name: str, part: str, mistake: Any, readings: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loudness, part, mistake)
    for case, reading in readings.items():
        parts, expected = INTEGRATED[case]
        wrong = measures.integrated_loudness(tones(48000, *parts), 48000)
        assert abs(wrong - expected) > 0.1, case
        assert wrong == pytest.approx(reading, abs=0.02), case


def test_a_meter_that_gives_surrounds_no_more_weight_leaves_the_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loudness.WEIGHTS, 5, (1.0,) * 5)
    audio = np.concatenate([tones(48000, (20, level), channels=1) for level in (-28, -28, -24, -30, -30)])
    assert measures.integrated_loudness(audio, 48000) == pytest.approx(-23.39, abs=0.02)  # case 6 asks for -23.0


@pytest.mark.parametrize(
    ("rate", "filters", "readings"),
    [
        (48000, np.array([[1.0, 0, 0, 1, 0, 0]] * 2), {25: -13.61, 100: -22.87, 2000: -27.07, 10000: -28.04}),
        (44100, k_weighting(48000), {100: -23.83, 2000: -23.77}),
    ],
    ids=["no K weighting", "48 kHz coefficients at 44.1 kHz"],
)
def test_a_meter_with_wrong_filters_leaves_the_tolerance(
    rate: int, filters: np.ndarray, readings: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loudness, "k_weighting", lambda _: filters)
    for frequency, reading in readings.items():
        wrong = measures.integrated_loudness(tones(rate, (5, TONES_AT_24_LUFS[frequency]), frequency=frequency), rate)
        assert abs(wrong + 24.0) > 0.1
        assert wrong == pytest.approx(reading, abs=0.02)


def test_a_wrong_loudness_range_leaves_the_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    values = measures.short_term_loudness(tones(48000, *RANGES["3342-4"][0]), 48000)
    assert values.max() - values.min() == pytest.approx(30.0, abs=0.1)  # the case asks for 15
    monkeypatch.setattr(loudness, "gated_mean", with_relative_gate(loudness.gated_mean, -10.0))
    wrong = measures.loudness_range(tones(48000, *RANGES["3342-3"][0]), 48000)
    assert wrong == pytest.approx(1.55, abs=0.3)  # and this one for 20; one window more or less on the slope between the tones makes 0.2


# Laws


@pytest.mark.parametrize("gain_db", [-20.0, -3.0, 6.0])
def test_gain_moves_every_level_by_exactly_itself(gain_db: float) -> None:
    audio = music(44100).astype(np.float64)
    louder = audio * 10 ** (gain_db / 20)
    for measure, tolerance in ((measures.integrated_loudness, 1e-9), (measures.true_peak, 1e-5)):  # soxr computes in float32
        assert measure(louder, 44100) - measure(audio, 44100) == pytest.approx(gain_db, abs=tolerance)
    for level in (measures.sample_peak_db, measures.rms_db):
        assert level(louder) - level(audio) == pytest.approx(gain_db, abs=1e-9)
    assert measures.crest_db(louder) == pytest.approx(measures.crest_db(audio), abs=1e-9)
    assert measures.loudness_range(louder, 44100) == pytest.approx(measures.loudness_range(audio, 44100), abs=1e-6)


def test_swapped_channels_and_turned_polarity_sound_as_loud() -> None:
    audio = music(44100)
    for other in (audio[::-1], -audio):
        assert measures.integrated_loudness(other, 44100) == pytest.approx(measures.integrated_loudness(audio, 44100), abs=1e-9)
        assert measures.true_peak(other, 44100) == pytest.approx(measures.true_peak(audio, 44100), abs=1e-9)


def test_silence_around_music_does_not_change_its_loudness() -> None:
    audio = music(48000)
    padded = np.pad(audio, ((0, 0), (10 * 48000, 10 * 48000)))
    assert measures.integrated_loudness(padded, 48000) == pytest.approx(measures.integrated_loudness(audio, 48000), abs=0.15)


@pytest.mark.parametrize(
    ("rate", "tolerance"), [(8000, 0.02), (16000, 0.01), (44100, 0.002), (88200, 0.002), (96000, 0.002), (192000, 0.002)]
)
def test_resampled_audio_is_as_loud(rate: int, tolerance: float) -> None:
    audio = sosfiltfilt(butter(8, 3000, fs=48000, output="sos"), music(48000, 6))  # nothing that 8 kHz cannot carry
    resampled = soxr.resample(audio.T, 48000, rate, quality="VHQ").T
    assert measures.integrated_loudness(resampled, rate) == pytest.approx(measures.integrated_loudness(audio, 48000), abs=tolerance)


def test_memory_layout_and_precision_do_not_matter() -> None:
    audio = music(44100)
    expected = measures.integrated_loudness(audio, 44100)
    assert measures.integrated_loudness(np.asfortranarray(audio), 44100) == expected
    assert measures.integrated_loudness(audio.astype(np.float64), 44100) == pytest.approx(expected, abs=1e-9)


def test_windows_do_not_depend_on_where_chunks_end() -> None:
    """The audio is filtered in chunks: each window must equal the power of the audio filtered as a whole."""
    audio = music(44100, 8).astype(np.float64)
    weighted = sosfilt(k_weighting(44100), audio)
    expected = [
        -0.691 + 10 * math.log10(np.square(weighted[:, start : start + 17640]).mean(axis=1).sum())
        for start in range(0, audio.shape[1] - 17640 + 1, 4410)
    ]
    np.testing.assert_allclose(measures.momentary_loudness(audio, 44100), expected, atol=1e-9)


def stems_of_all_kinds(rate: int) -> dict[str, np.ndarray]:
    """Stems of 1 to 6 channels, of several lengths, levels and precisions, one of them silent, one shorter than a window."""
    stems = {f"stem {n}": music(rate, 3, seed=n) * (n + 1) / 4 for n in range(4)}
    stems |= {f"of {n} channels": np.tile(music(rate, 3, seed=7 + n), (3, 1))[:n] for n in (1, 3, 5, 6)}
    stems |= {"double": music(rate, 3, seed=20).astype(np.float64) / 3, "silent": np.zeros((2, 3 * rate), np.float32)}
    stems |= {"quiet": music(rate, 3, seed=21) * np.float32(0.01), "none": np.zeros((2, 0), np.float32)}
    return {"short": music(rate, 0.1), **stems, "longer": music(rate, 5), "last": music(rate, 3, seed=22)}


@pytest.mark.parametrize("rate", [8000, 44100])
def test_several_stems_at_once_read_the_same_bits_as_each_alone(rate: int) -> None:
    stems = stems_of_all_kinds(rate)
    found = measures.integrated_loudness_of(stems, rate)
    assert list(found) == list(stems)
    assert found == {name: measures.integrated_loudness(audio, rate) for name, audio in stems.items()}
    assert found["silent"] == found["none"] == -math.inf and len(set(found.values())) == len(stems) - 1


@pytest.mark.parametrize("count", range(6))
def test_any_number_of_stems_can_be_measured_at_once(count: int) -> None:
    stems = {n: music(16000, 2, seed=n) for n in range(count)}
    weighted = {n: sosfilt(k_weighting(16000), audio.astype(np.float64)) for n, audio in stems.items()}
    found = measures.integrated_loudness_of(stems, 16000)
    for n, audio in weighted.items():  # BS.1770-5 by hand: no window of this music lies under the gates
        powers = np.array([np.square(audio[:, start : start + 6400]).mean(axis=1).sum() for start in range(0, 32000 - 6400 + 1, 1600)])
        kept = powers[powers > powers[powers > 10**-6.9309].mean() / 10]
        assert found[n] == pytest.approx(-0.691 + 10 * math.log10(kept.mean()), abs=1e-9)
    assert len(found) == count


def test_a_double_beside_floats_keeps_its_precision() -> None:
    audio = music(16000, 2)
    found = measures.integrated_loudness_of({"float": audio, "double": audio.astype(np.float64) * 1e42}, 16000)  # beyond what a float holds
    assert found["double"] - found["float"] == pytest.approx(840.0, abs=1e-9)


def test_several_stems_are_refused_for_what_one_is_refused_for() -> None:
    good, bad = music(16000, 2), music(16000, 2)
    bad[1, 20] = np.nan
    with pytest.raises(AudioError, match="NaN or infinite"):
        measures.integrated_loudness_of({"good": good, "bad": bad}, 16000)
    with pytest.raises(UsageError, match=r"\(channels, frames\)"):
        measures.integrated_loudness_of({"good": good, "flat": good[0]}, 16000)
    with pytest.raises(UsageError, match="channels"):
        measures.integrated_loudness_of({"good": good, "four": np.tile(good, (2, 1))}, 16000)


def test_values_come_once_per_hop_from_complete_windows() -> None:
    assert len(measures.momentary_loudness(np.zeros((1, 48000), np.float32), 48000)) == 7
    assert len(measures.momentary_loudness(np.zeros((1, 48000), np.float32), 48000, hop_seconds=0.01)) == 61
    assert len(measures.short_term_loudness(np.zeros((1, 48000 * 4 - 1), np.float32), 48000)) == 10
    assert len(measures.momentary_loudness(np.zeros((1, 11025), np.float32), 11025)) == 7  # 100 ms is no whole number of samples


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("frames", [0, 1, 1000, 48000])
def test_silence_reads_minus_infinity_and_raises_nothing(channels: int, frames: int) -> None:
    silence = np.zeros((channels, frames), np.float32)
    assert measures.integrated_loudness(silence, 48000) == -math.inf
    assert np.all(measures.momentary_loudness(silence, 48000) == -math.inf)
    assert measures.true_peak(silence, 48000) == measures.sample_peak_db(silence) == measures.rms_db(silence) == -math.inf
    assert math.isnan(measures.loudness_range(silence, 48000)) and math.isnan(measures.crest_db(silence))
    assert measures.activity(silence, 48000) == 0 and measures.clipped_samples(silence) == 0


def test_silence_after_sound_is_silent_again() -> None:
    values = measures.momentary_loudness(tones(48000, (3, 0), (20, SILENCE)), 48000)
    assert values[20] > -4 and values[60:].max() < -100


def test_short_audio_reads_as_if_silence_followed() -> None:
    short = tones(48000, (0.2, -20))
    padded = np.pad(short, ((0, 0), (0, 9600)))
    assert measures.integrated_loudness(short, 48000) == measures.integrated_loudness(padded, 48000)
    assert measures.integrated_loudness(short, 48000) == pytest.approx(-23.0, abs=0.1)
    assert measures.activity(short, 48000) == 1.0
    assert math.isnan(measures.loudness_range(short, 48000))


def test_activity_is_the_share_of_windows_that_sound() -> None:
    audio = tones(48000, (4, -20), (6, SILENCE))
    mask = measures.activity_mask(audio, 48000)
    assert mask.dtype == bool and len(mask) == 97
    assert mask[:40].all() and not mask[40:].any()  # the 40th window is the last to hold 100 ms of tone
    assert measures.activity(audio, 48000) == pytest.approx(40 / 97)


def test_activity_is_relative_to_the_mix_and_never_below_the_floor() -> None:
    quiet = tones(48000, (2, -45))
    assert measures.activity(quiet, 48000, reference_lufs=-11) == 1.0
    assert measures.activity(quiet, 48000, reference_lufs=-9) == 0.0
    assert measures.activity(quiet, 48000, reference_lufs=-9, relative_lu=40) == 1.0
    assert measures.activity(tones(48000, (2, -56)), 48000, reference_lufs=-40) == 0.0
    assert measures.activity(tones(48000, (2, -56)), 48000, reference_lufs=-math.inf) == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    audio = tones(48000, (1, -20)).copy()
    audio[1, 100] = bad
    for measure in (measures.integrated_loudness, measures.momentary_loudness, measures.loudness_range, measures.true_peak):
        with pytest.raises(AudioError, match="NaN or infinite") as error:
            measure(np.tile(audio, 4), 48000)
        assert error.value.reason == "nonfinite"


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (np.zeros(48000, np.float32), r"\(channels, frames\)"),
        (np.zeros((48000, 2), np.float32), r"\(48000, 2\)"),
        (np.zeros((4, 48000), np.float32), "channels"),
        (np.zeros((2, 48000), np.int16), "floating point"),
    ],
)
def test_audio_of_another_shape_or_type_is_refused(audio: np.ndarray, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        measures.integrated_loudness(audio, 48000)


def test_impossible_rates_and_hops_are_refused() -> None:
    with pytest.raises(UsageError, match="sample rate"):
        measures.integrated_loudness(np.zeros((1, 1000), np.float32), 1000)
    with pytest.raises(UsageError, match="hop"):
        measures.momentary_loudness(np.zeros((1, 48000), np.float32), 48000, hop_seconds=0)
