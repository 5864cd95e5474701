"""Levels: true peak against EBU Tech 3341 at three rates, peaks, RMS, crest, spread, offset, clipping, and where silence is."""

import math

import numpy as np
import pytest
from scipy.signal import firwin, resample_poly, upfirdn

from mixdata import measures
from mixdata.corpora import load_corpus
from mixdata.errors import AudioError, UsageError

at_each_rate = pytest.mark.parametrize("rate", [44100, 48000, 96000])


def sine(rate: int, seconds: float, level_db: float = 0.0, frequency: float = 1000.0) -> np.ndarray:
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return wave[None].astype(np.float32)


def faded_sine(rate: int, period: float, amplitude: float, degrees: float) -> np.ndarray:
    wave = amplitude * np.sin(2 * np.pi * np.arange(rate) / period + math.radians(degrees))
    fade = np.minimum(1, np.arange(rate) / (0.01 * rate))
    return np.tile(wave * fade * fade[::-1], (2, 1)).astype(np.float32)


@at_each_rate
@pytest.mark.parametrize(
    ("period", "amplitude", "degrees", "expected"),
    [(4, 0.5, 0, -6.0), (4, 0.5, 45, -6.0), (6, 0.5, 60, -6.0), (8, 0.5, 67.5, -6.0), (4, 1.41, 45, 3.0)],
)
def test_true_peak_finds_what_lies_between_the_samples(period: int, amplitude: float, degrees: float, expected: float, rate: int) -> None:
    assert -0.4 <= measures.true_peak(faded_sine(rate, period, amplitude, degrees), rate) - expected <= 0.2


@at_each_rate
@pytest.mark.parametrize("offset", range(4))
def test_true_peak_finds_a_short_burst(offset: int, rate: int) -> None:
    """EBU 3341 cases 20 to 23: one period of fs/4 at 1.0 within fs/6 at 0.5, made at four times the rate and decimated."""
    quiet, burst = 0.5 * np.sin(2 * np.pi * np.arange(24 * 200) / 24), np.sin(2 * np.pi * np.arange(16) / 16)
    wave = np.concatenate([quiet, burst, quiet])
    fade = np.minimum(1, np.arange(len(wave)) / 480)
    low_pass = firwin(511, 0.25, window=("kaiser", 10))
    decimated = upfirdn(low_pass, wave * fade * fade[::-1])[offset::4]
    assert -0.4 <= measures.true_peak(decimated[None], rate) <= 0.2


@pytest.mark.parametrize(
    ("period", "amplitude", "degrees", "expected", "reading"),
    [(4, 0.5, 45, -6.0, -9.03), (6, 0.5, 60, -6.0, -7.27), (8, 0.5, 67.5, -6.0, -6.71), (4, 1.41, 45, 3.0, -0.03)],
)
def test_a_meter_of_samples_or_of_straight_lines_between_them_is_no_true_peak_meter(
    period: int, amplitude: float, degrees: float, expected: float, reading: float
) -> None:
    """EBU 3341 cases 16 to 19 see both mistakes: they read alike, and out of tolerance."""
    wave = faded_sine(48000, period, amplitude, degrees)
    lines = np.interp(np.arange(0, 48000, 0.25), np.arange(48000), wave[0])
    for wrong in (measures.sample_peak_db(wave), measures.sample_peak_db(lines[None])):
        assert not -0.4 <= wrong - expected <= 0.2
        assert wrong == pytest.approx(reading, abs=0.01)


def test_true_peak_is_the_peak_of_the_oversampled_signal() -> None:
    audio = 0.1 * np.random.default_rng(3).standard_normal((2, 96000)).cumsum(axis=1).astype(np.float32)
    expected = 20 * np.log10(np.abs(resample_poly(audio.astype(float), 16, 1, axis=1, window=("kaiser", 12))).max())
    assert measures.true_peak(audio, 48000) == pytest.approx(expected, abs=0.1)
    assert measures.true_peak(audio, 48000) >= measures.sample_peak_db(audio)


def test_true_peak_does_not_depend_on_where_chunks_end() -> None:
    burst = faded_sine(48000, 4, 0.5, 45)
    for silence in (0, (1 << 16) - 24000, 1 << 16):
        late = np.pad(burst, ((0, 0), (silence, 0)))
        assert measures.true_peak(late, 48000) == pytest.approx(-6.02, abs=0.02)


@pytest.mark.parametrize("start", [0, 1000, 3998])
def test_true_peak_sees_the_first_and_the_last_samples(start: int) -> None:
    audio = np.zeros((1, 4000), np.float32)
    audio[0, start : start + 2] = 0.5  # two equal samples: the band-limited curve rises to 4/pi of them in between
    assert measures.true_peak(audio, 48000) == pytest.approx(20 * math.log10(0.5 * 4 / math.pi), abs=0.3)


def test_levels_of_known_waves() -> None:
    wave, square = sine(48000, 1, -6), np.array([[0.5, -0.5] * 100], np.float32)
    assert measures.sample_peak_db(wave) == pytest.approx(-6.0, abs=1e-3)
    assert measures.rms_db(wave) == pytest.approx(-9.01, abs=1e-2)
    assert measures.crest_db(wave) == pytest.approx(3.01, abs=1e-2)
    assert measures.crest_db(square) == pytest.approx(0.0, abs=1e-9)


def test_clipped_samples_are_counted_in_all_channels() -> None:
    audio = np.array([[0.0, 1.0, -1.2, 0.9999], [32767 / 32768, 32766 / 32768, -1.0, 0.5]], np.float32)
    assert measures.clipped_samples(audio) == 4


def test_dynamic_spread_is_the_mean_deviation_of_the_windows_levels() -> None:
    """Windows of 200 ms, half of them 12 dB under the others: each lies 6 dB from the mean; a quarter of them: 3/8 x 12 dB."""
    loud, quiet = sine(48000, 2), sine(48000, 2, -12)
    assert measures.dynamic_spread_db(loud, 48000) == pytest.approx(0.0, abs=1e-4)
    assert measures.dynamic_spread_db(np.concatenate([loud, quiet], axis=1), 48000) == pytest.approx(6.0, abs=1e-3)
    assert measures.dynamic_spread_db(np.concatenate([loud, loud, loud, quiet], axis=1), 48000) == pytest.approx(4.5, abs=1e-3)


@at_each_rate
def test_dynamic_spread_does_not_count_pauses_nor_the_last_piece(rate: int) -> None:
    sound = np.concatenate([sine(rate, 1), sine(rate, 1, -39)], axis=1)
    pauses = np.concatenate([np.zeros((1, rate), np.float32), sound, sine(rate, 3, -41), sine(rate, 0.19, -20)], axis=1)
    assert measures.dynamic_spread_db(sound, rate) == pytest.approx(19.5, abs=1e-3)
    assert measures.dynamic_spread_db(pauses, rate) == pytest.approx(19.5, abs=1e-3)


def test_dynamic_spread_of_music_is_that_of_its_definition_and_does_not_depend_on_its_level() -> None:
    song = next(iter(load_corpus("synth:songs=1,seconds=10")))
    audio, rate = song.stems["drums"].read()[:2]
    windows = audio[:, : audio.shape[1] // 8820 * 8820].reshape(2, -1, 8820).astype(np.float64)
    levels = 10 * np.log10(np.maximum(np.square(windows).mean(axis=(0, 2)), 1e-30))
    levels = levels[levels > levels.max() - 40]
    found = measures.dynamic_spread_db(audio, rate)
    assert rate == 44100 and found == pytest.approx(np.abs(levels - levels.mean()).mean(), abs=1e-9) and found > 1
    assert measures.dynamic_spread_db(audio[::-1].astype(np.float64) / 8, rate) == pytest.approx(found, abs=1e-9)


def test_dc_offset_is_the_mean_of_each_channel() -> None:
    audio = np.concatenate([sine(48000, 1, -6) + np.float32(0.25), sine(48000, 1) - np.float32(0.01)])
    np.testing.assert_allclose(measures.dc_offset(audio), [0.25, -0.01], atol=1e-7)
    assert measures.dc_offset(np.zeros((2, 0), np.float32)).tolist() == [0, 0]


@pytest.mark.parametrize("frames", [0, 1, 100, 48000])
def test_silence_has_no_spread_no_offset_and_no_bounds(frames: int) -> None:
    silence = np.zeros((2, frames), np.float32)
    assert math.isnan(measures.dynamic_spread_db(silence, 48000))
    assert measures.dc_offset(silence).tolist() == [0, 0]
    assert measures.silence_boundaries(silence, 48000) == (0, 0)
    assert measures.silent_stretches(silence, 48000, min_seconds=0) == ([(0, frames)] if frames else [])


def test_sound_shorter_than_a_window_has_no_spread() -> None:
    assert math.isnan(measures.dynamic_spread_db(sine(48000, 0.19), 48000))
    assert measures.dynamic_spread_db(sine(48000, 0.2), 48000) == 0.0


def with_gaps() -> np.ndarray:
    """Stereo: 1000 frames of silence, 500 of sound on the right, 4800 of silence, 100 of sound on the left, 2000 of silence."""
    audio = np.zeros((2, 8400), np.float32)
    audio[1, 1000:1500], audio[0, 6300:6400] = -0.1, 0.1
    return audio


def test_silence_boundaries_are_the_first_frame_that_sounds_and_the_one_after_the_last() -> None:
    audio = with_gaps()
    assert measures.silence_boundaries(audio, 48000) == (1000, 6400)
    assert measures.silence_boundaries(audio[:, 1000:6400], 48000) == (0, 5400)
    assert measures.silence_boundaries(audio[:, :1001], 48000) == (1000, 1001)


def test_silence_ends_above_the_floor() -> None:
    audio = with_gaps()  # at -20 dBFS
    audio[:, :900] = 10 ** (-60.1 / 20)
    assert measures.silence_boundaries(audio, 48000) == (1000, 6400)
    assert measures.silence_boundaries(audio, 48000, floor_db=-60.2) == (0, 6400)
    assert measures.silence_boundaries(audio, 48000, floor_db=-19.9) == (0, 0)
    assert measures.silence_boundaries(audio, 48000, floor_db=-20.1) == (1000, 6400)


def test_short_silence_around_the_sound_is_left_on() -> None:
    audio = with_gaps()
    assert measures.silence_boundaries(audio, 1000, min_seconds=1.0) == (1000, 6400)
    assert measures.silence_boundaries(audio, 1000, min_seconds=1.5) == (0, 6400)
    assert measures.silence_boundaries(audio, 1000, min_seconds=2.1) == (0, 8400)


def test_silent_stretches_are_those_that_last_long_enough() -> None:
    audio = with_gaps()
    assert measures.silent_stretches(audio, 48000, min_seconds=0.0) == [(0, 1000), (1500, 6300), (6400, 8400)]
    assert measures.silent_stretches(audio, 48000) == [(1500, 6300)]  # 4800 frames are 0.1 s
    assert measures.silent_stretches(audio[:, 1000:1500], 48000, min_seconds=0.0) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_levels_of_what_is_not_finite_are_refused(bad: float) -> None:
    audio = sine(48000, 1)
    audio[0, 100] = bad
    for call in (
        lambda: measures.dynamic_spread_db(audio, 48000),
        lambda: measures.dc_offset(audio),
        lambda: measures.silence_boundaries(audio, 48000),
    ):
        with pytest.raises(AudioError, match="NaN or infinite"):
            call()


def test_a_negative_duration_of_silence_is_refused() -> None:
    with pytest.raises(UsageError, match="min_seconds"):
        measures.silence_boundaries(sine(48000, 1), 48000, min_seconds=-1)
