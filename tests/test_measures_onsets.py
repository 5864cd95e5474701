"""Onsets by high-frequency content against hits at known times and the formula written out, and the peaks after them."""

import numpy as np
import pytest

from mixdata.corpora import load_corpus
from mixdata.errors import AudioError, UsageError
from mixdata.measures.onsets import onset_frames, onset_peaks

RATE = 44100
WINDOW = 1024


def clicks(places, frames: int, channels: int = 2) -> np.ndarray:
    audio = np.zeros((channels, frames), np.float32)
    audio[:, places] = 0.5
    return audio


def kit(rate: int) -> list[np.ndarray]:
    """Kick with its beater's click, snare, hi-hat, 0.3 s each."""
    random = np.random.default_rng(0)
    t = np.arange(round(0.3 * rate)) / rate
    noise = random.standard_normal((3, len(t)))
    kick = np.sin(2 * np.pi * (50 * t + 4 * (1 - np.exp(-t / 0.03)))) * np.exp(-t / 0.09) + 0.3 * noise[0] * np.exp(-t / 0.003)
    snare = 0.6 * np.sin(2 * np.pi * 190 * t) * np.exp(-t / 0.05) + 0.3 * noise[1] * np.exp(-t / 0.03)
    return [kick, snare, 0.3 * np.diff(noise[2], prepend=0) * np.exp(-t / 0.02)]


def drums(seed: int, rate: int = RATE, count: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Hits of 10 dB of range, 110 to 500 ms apart, panned; and the frames at which they begin."""
    random, shots = np.random.default_rng(seed), kit(rate)
    starts = np.round(np.cumsum(random.uniform(0.11, 0.5, count)) * rate).astype(int)
    out = np.zeros((2, starts[-1] + rate))
    for start in starts:
        shot, side = shots[random.integers(3)] * random.uniform(0.3, 1), random.uniform(0.2, 0.8)
        out[:, start : start + len(shot)] += np.array([[1 - side], [side]]) * shot
    return (0.5 * out).astype(np.float32), starts


def matched(found: np.ndarray, true: np.ndarray, before: int, after: int) -> int:
    """How many true places have a found one of their own, up to `before` frames earlier or `after` later."""
    left, hits = list(found), 0
    for place in true:
        near = [each for each in left if place - before <= each <= place + after]
        if near:
            left.remove(near[0])
            hits += 1
    return hits


@pytest.mark.parametrize("offset", [0, 100, 256, 511, 512, 513, 800, 1023])
def test_a_click_is_found_up_to_a_window_early_wherever_it_falls(offset):
    places = np.array([5, 20, 41, 75]) * WINDOW + offset
    found = onset_frames(clicks(places, 100 * WINDOW), RATE)
    assert len(found) == 4 and (found <= places).all() and (places - found < WINDOW).all()


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000, 192000])
def test_clicks_are_found_at_the_same_seconds_at_every_rate(rate):
    times = np.array([0.4, 0.91, 1.3])
    found = onset_frames(clicks(np.round(times * rate).astype(int), 2 * rate), rate)
    assert len(found) == 3 and (np.abs(times - found / rate) < 1024 / 44100 + 1 / rate).all()


@pytest.mark.parametrize("seed", range(4))
def test_hits_of_drums_are_found_within_a_window_95_of_100_and_nothing_else(seed):
    audio, starts = drums(seed)
    found = onset_frames(audio, RATE)
    hits = matched(found, starts, before=WINDOW, after=WINDOW // 2)
    assert hits >= 0.95 * len(starts) and hits >= 0.95 * len(found)


@pytest.mark.parametrize("start, frames", [(0, 0), (30_000, 30_000 - WINDOW)])
def test_a_sustained_tone_has_one_onset(start, frames):
    audio = np.zeros((1, 4 * RATE), np.float32)
    t = np.arange(4 * RATE - start) / RATE
    audio[:, start:] = 0.3 * np.sin(2 * np.pi * 440 * t)
    found = onset_frames(audio, RATE)
    assert len(found) == 1 and frames <= found[0] <= start


def test_steady_noise_has_only_its_beginning():
    assert len(onset_frames(0.1 * np.random.default_rng(1).standard_normal((2, 10 * RATE)), RATE)) == 1


def test_a_loud_hit_does_not_hide_a_soft_one_but_one_60_db_below_is_silence():
    audio = clicks([20_000], 100_000)
    audio[:, 60_000] = 0.5 * 10 ** (-50 / 20)
    assert len(onset_frames(audio, RATE)) == 2
    audio[:, 60_000] = 0.5 * 10 ** (-70 / 20)
    assert len(onset_frames(audio, RATE)) == 1


def test_two_hits_within_50_ms_count_once():
    assert len(onset_frames(clicks([20_000, 20_000 + 1500], 60_000), RATE)) == 1
    assert len(onset_frames(clicks([20_000, 20_000 + 5000], 60_000), RATE)) == 2


@pytest.mark.parametrize("gain_db", [-20, -40, 12])
def test_gain_moves_no_onset_and_every_peak_by_itself(gain_db):
    audio, _ = drums(7)
    louder = audio * np.float32(10 ** (gain_db / 20))
    onsets = onset_frames(audio, RATE)
    assert np.array_equal(onset_frames(louder, RATE), onsets)
    assert onset_peaks(louder, RATE) == pytest.approx(onset_peaks(audio, RATE) + gain_db, abs=1e-4)


def test_swap_and_polarity_change_nothing_at_all():
    audio, _ = drums(3)
    for other in (audio[::-1], -audio, audio * np.float32([[1], [-1]])):
        assert np.array_equal(onset_frames(other, RATE), onset_frames(audio, RATE))
        assert np.array_equal(onset_peaks(other, RATE), onset_peaks(audio, RATE))


def test_what_cancels_between_the_channels_is_heard():
    audio, _ = drums(3)
    assert np.array_equal(onset_frames(np.stack([audio[0], -audio[0]]), RATE), onset_frames(audio[:1], RATE))


def formula(audio: np.ndarray) -> np.ndarray:
    """The docstring, window by window: Hann windows of 1024 half a window apart, sum of k |X_k|, threshold, 60 dB, 50 ms."""
    padded = np.pad(audio.astype(np.float64), ((0, 0), (512, 0)))
    window = np.sin(np.pi * (np.arange(1024) + 0.5) / 1024) ** 2
    content, power = [], []
    for start in range(0, padded.shape[1] - 1023, 512):
        spectrum = np.abs(np.fft.rfft(padded[:, start : start + 1024] * window)) ** 2
        content.append(np.sum(np.arange(513) * np.sqrt(spectrum.sum(axis=0))))
        power.append(spectrum.sum())
    found = []
    for n, value in enumerate(content):
        around = [content[m] if 0 <= m < len(content) else 0.0 for m in range(n - 12, n + 3)]
        threshold = np.median(around) + 0.5 * np.mean(around)
        highest = value > around[11] and value >= around[13]
        if highest and value > threshold and power[n] > 1e-6 * max(power) and (not found or (n - found[-1]) * 512 >= 0.05 * RATE):
            found.append(n)
    return np.maximum(np.array(found) - 1, 0) * 512


@pytest.mark.parametrize("stem", ["drums", "bass", "vocals", "other"])
def test_onsets_are_those_of_the_formula(stem):
    song = next(iter(load_corpus("synth:songs=1,seconds=10")))
    audio, _ = song.stems[stem].read()
    assert np.array_equal(onset_frames(audio, RATE), formula(audio)) and len(onset_frames(audio, RATE)) > 3


def test_peaks_are_the_highest_of_any_channel_from_onset_to_onset():
    audio = np.zeros((2, 1000))
    audio[0, 50], audio[1, 120], audio[0, 199], audio[0, 200], audio[1, 999] = 1.0, -0.5, 0.1, 0.25, -0.7
    peaks = onset_peaks(audio, RATE, np.array([100, 200]))
    assert peaks == pytest.approx([20 * np.log10(0.5), 20 * np.log10(0.7)], abs=1e-12)  # what lies before the first counts for none
    assert onset_peaks(audio, RATE, np.array([100, 130, 150])) == pytest.approx(
        [20 * np.log10(0.5), 20 * np.log10(0.7)]
    )  # silence left out


@pytest.mark.parametrize("audio", [np.zeros((2, RATE)), np.zeros((1, 1)), np.zeros((2, 0)), np.zeros((1, 700), np.float32)])
def test_silence_has_no_onsets_and_no_peaks(audio):
    assert onset_frames(audio, RATE).shape == (0,) and onset_frames(audio, RATE).dtype == np.int64
    assert onset_peaks(audio, RATE).shape == (0,)
    assert onset_peaks(np.zeros((2, 100)), RATE, np.array([0, 50])).shape == (0,)


@pytest.mark.parametrize("frames", [1, 2, 500, 1025])
@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_audio_shorter_than_a_window_has_one_onset_at_its_beginning(frames, rate):
    assert onset_frames(np.full((1, frames), 0.5), rate).tolist() == [0]
    assert onset_peaks(np.full((1, frames), 0.5), rate) == pytest.approx([20 * np.log10(0.5)])


def test_nan_and_wrong_shapes_are_refused():
    audio = np.zeros((2, RATE))
    audio[1, 7] = np.nan
    with pytest.raises(AudioError, match="NaN"):
        onset_frames(audio, RATE)
    with pytest.raises(AudioError, match="NaN"):
        onset_peaks(audio, RATE, np.array([0]))
    with pytest.raises(UsageError, match="shape"):
        onset_frames(np.zeros(RATE), RATE)


def test_the_input_is_not_changed():
    audio, _ = drums(1)
    before = audio.copy()
    onset_peaks(audio, RATE)
    assert np.array_equal(audio, before)
