"""Decay times by ISO 3382-1 on decays of known time, and the blind estimate on sounds in rooms of known decay."""

import math

import numpy as np
import pytest
from scipy.signal import butter, fftconvolve, sosfiltfilt

from mixdata import audio as audio_files
from mixdata import measures
from mixdata.corpora import load_corpus
from mixdata.errors import AudioError, UsageError
from trees import shared

RATE = 44100
at_each_rate = pytest.mark.parametrize("rate", [16000, 44100, 96000])


def decay(seconds: float, length: float, rate: int = RATE) -> np.ndarray:
    """60 dB in so many seconds."""
    return 10 ** (-3 * np.arange(round(length * rate)) / rate / seconds)


def noisy(seconds: float, length: float, floor_db: float = -math.inf, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Decaying noise with a floor so far under its start."""
    random = np.random.default_rng(seed)
    envelope = decay(seconds, length, rate)
    return (envelope * random.standard_normal(len(envelope)) + 10 ** (floor_db / 20) * random.standard_normal(len(envelope)))[None]


@at_each_rate
@pytest.mark.parametrize("seconds", [0.1, 1.0, 4.0])
def test_a_pure_decay_has_its_time_however_long_it_is_recorded(seconds: float, rate: int) -> None:
    for length in (0.8, 1.0, 2.0):  # 48, 60 and 120 dB of it
        found = measures.decay_times(decay(seconds, length * seconds, rate)[None], rate)
        assert (found.t20, found.t30, found.edt) == pytest.approx((seconds,) * 3, rel=1e-3)


@at_each_rate
@pytest.mark.parametrize("floor_db", [-math.inf, -60.0, -50.0])
@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.5])
def test_decay_times_of_noise_are_within_5_percent_with_and_without_a_floor(seconds: float, floor_db: float, rate: int) -> None:
    for length, seed in ((1.2, 0), (2.0, 1), (4.0, 2)):
        found = measures.decay_times(noisy(seconds, length * seconds, floor_db, rate, seed), rate)
        assert (found.t20, found.t30) == pytest.approx((seconds, seconds), rel=0.05)  # the just noticeable difference
        assert found.edt == pytest.approx(seconds, rel=0.1)  # noise itself moves it by 4 % at 0.3 s


def test_a_floor_moves_no_mean_of_many_responses() -> None:
    """Not taken off, a floor of -46 dB would add 2 % to T30."""
    found = [measures.decay_times(noisy(1.0, 2.0, -46.0, seed=seed), RATE).t30 for seed in range(8)]
    assert np.mean(found) == pytest.approx(1.0, rel=0.006)


@pytest.mark.parametrize("length", [1.2, 2.0, 4.0])
def test_without_the_range_there_is_no_time(length: float) -> None:
    """ISO 3382-1: 35 dB between peak and noise for T20, 45 dB for T30."""
    forty, thirty = (measures.decay_times(noisy(1.0, length, floor), RATE) for floor in (-40.0, -30.0))
    assert math.isnan(forty.t30) and forty.t20 == pytest.approx(1.0, rel=0.05)
    assert math.isnan(thirty.t30) and math.isnan(thirty.t20) and thirty.edt == pytest.approx(1.0, rel=0.1)


def test_the_line_is_that_of_schroeders_integral_between_the_levels() -> None:
    """Two slopes, 0.5 s and then 2 s from -20 dB on: the lines of ISO 3382-1 through the integral, as written down."""
    energy = decay(0.5, 4.0) ** 2 + 0.01 * decay(2.0, 4.0) ** 2
    curve = 10 * np.log10(np.cumsum(energy[::-1])[::-1] / energy.sum())
    expected = []
    for top, bottom in ((-5, -25), (-5, -35), (0, -10)):
        part = np.flatnonzero((curve <= top) & (curve > bottom))
        expected.append(-60 / np.polyfit(part / RATE, curve[part], 1)[0])
    found = measures.decay_times(np.sqrt(energy)[None], RATE)
    assert (found.t20, found.t30, found.edt) == pytest.approx(expected, rel=2e-3)
    assert found.edt < 0.8 * found.t20 < 0.8 * found.t30


def test_what_lies_around_a_response_does_not_matter() -> None:
    response = noisy(0.6, 1.2)
    expected = measures.decay_times(response, RATE)
    for same in (np.pad(response, ((0, 0), (3000, 0))), np.pad(response, ((0, 0), (0, 30000))), response * 1e-4, -response):
        found = measures.decay_times(same, RATE)
        assert (found.t20, found.t30, found.edt) == pytest.approx((expected.t20, expected.t30, expected.edt), rel=1e-6)
    faint = np.pad(response, ((0, 0), (3000, 0)))
    faint[0, 100] = 0.01 * np.abs(response).max()  # 40 dB under the peak: not yet the sound
    assert measures.decay_times(faint, RATE).edt == pytest.approx(expected.edt, rel=1e-6)


def test_channels_count_together_by_their_energy() -> None:
    short, long = decay(0.3, 1.5), 0.5 * decay(1.2, 1.5)
    both = measures.decay_times(np.stack([short, long]), RATE)
    assert both == measures.decay_times(np.stack([long, short]), RATE)
    assert both.t30 == pytest.approx(measures.decay_times(np.sqrt(short**2 + long**2)[None], RATE).t30, rel=1e-9)


def test_octave_bands_have_their_own_times() -> None:
    """Low noise of 1.5 s, high noise of 0.5 s; the bands beside the crossover at 1 kHz hear some of both."""
    low, high = (butter(8, 1000, kind, fs=RATE, output="sos") for kind in ("lowpass", "highpass"))
    sound = np.random.default_rng(5).standard_normal((2, 3 * RATE))
    response = sosfiltfilt(low, sound) * decay(1.5, 3.0) + sosfiltfilt(high, sound[::-1]) * decay(0.5, 3.0)
    found = measures.decay_times_by_octave(response, RATE)
    assert list(found) == [125, 250, 500, 1000, 2000, 4000, 8000]
    assert [found[centre].t30 for centre in (250, 500)] == pytest.approx([1.5] * 2, rel=0.1)
    assert [found[centre].t30 for centre in (2000, 4000, 8000)] == pytest.approx([0.5] * 3, rel=0.1)
    assert list(measures.decay_times_by_octave(response[:, ::6], 8000)) == [125, 250, 500, 1000, 2000]


@pytest.mark.parametrize("seconds", [0.12, 0.3, 1.0])
def test_an_octave_band_adds_no_decay_of_its_own(seconds: float) -> None:
    response = np.random.default_rng(0).standard_normal((40, 2 * RATE)) * decay(seconds, 2.0)
    assert measures.decay_times_by_octave(response, RATE)[125].t30 == pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize(
    ("name", "band", "least", "most"),
    [("UndergroundCarPark.wav", None, 1.5, 3.0), ("emt_140_bright_1.wav", 1000, 1.0, 2.5), ("Basement.wav", 1000, 0.3, 0.9)],
)
def test_real_responses_have_plausible_times(name: str, band: int | None, least: float, most: float) -> None:
    response, rate = audio_files.read(shared("impulse_responses", name))
    found = measures.decay_times(response, rate) if band is None else measures.decay_times_by_octave(response, rate)[band]
    assert least < found.t30 < most and found.t20 == pytest.approx(found.t30, rel=0.15)


def test_real_responses_without_the_range_have_no_time() -> None:
    response, rate = audio_files.read(shared("impulse_responses", "emt_140_bright_1.wav"))
    assert math.isnan(measures.decay_times(response, rate).t30)  # it hums, 20 dB under the decay's start


@pytest.mark.parametrize("frames", [0, 1, 2, 100])
def test_silence_clicks_and_steady_sounds_have_no_decay(frames: int) -> None:
    steady = np.random.default_rng(0).standard_normal((1, RATE))
    for response in (np.zeros((2, frames)), np.ones((1, frames)), np.eye(1, frames) if frames else np.zeros((1, 0)), steady):
        assert all(math.isnan(value) for value in vars(measures.decay_times(response, RATE)).values())
        assert math.isnan(measures.blind_decay_seconds(response, RATE))
    assert all(math.isnan(found.t30) for found in measures.decay_times_by_octave(np.zeros((2, frames)), RATE).values())


@pytest.mark.parametrize("measure", [measures.decay_times, measures.decay_times_by_octave, measures.blind_decay_seconds])
def test_what_is_not_finite_and_what_is_no_audio_is_refused(measure) -> None:
    response = noisy(0.3, 0.6)
    with pytest.raises(UsageError, match=r"\(channels, frames\)"):
        measure(response[0], RATE)
    response[0, 40] = np.nan
    with pytest.raises(AudioError, match="NaN or infinite"):
        measure(response, RATE)


# The blind estimate

TIMES = (0.3, 0.5, 0.8, 1.2, 2.0)


def bursts(seed: int, least_gap: float, most_gap: float, seconds: int = 20) -> np.ndarray:
    """Bursts of noise that die away within 20 to 100 ms, as drums do, at irregular distances."""
    random = np.random.default_rng(seed)
    audio = np.zeros((1, seconds * RATE))
    at = 0.1
    while at < seconds - 0.6:
        start, own = int(at * RATE), random.uniform(0.06, 0.3)
        audio[0, start : start + RATE // 2] += random.uniform(0.3, 1) * random.standard_normal(RATE // 2) * decay(own, 0.5)
        at += random.uniform(least_gap, most_gap)
    return audio


def in_room(audio: np.ndarray, seconds: float, share: float = 1.0) -> np.ndarray:
    response = noisy(seconds, 1.2 * seconds, seed=1)
    wet = fftconvolve(audio, response / np.sqrt(np.sum(response**2)), axes=1)[:, : audio.shape[1]]
    return (1 - share) * audio + share * wet


@pytest.mark.parametrize(
    ("gaps", "share", "least", "most"),
    [((1.0, 2.5), 1.0, 0.95, 1.05), ((0.25, 0.9), 1.0, 0.95, 1.05), ((0.12, 0.3), 1.0, 0.85, 1.15), ((0.25, 0.9), 0.3, 0.75, 1.05)],
)
def test_the_room_of_bursts_is_heard(gaps: tuple[float, float], share: float, least: float, most: float) -> None:
    dry = bursts(0, *gaps)
    found = np.array([measures.blind_decay_seconds(in_room(dry, seconds, share), RATE) for seconds in TIMES])
    assert np.all(np.diff(found) > 0)
    assert np.all(found >= np.multiply(least, TIMES)) and np.all(found <= np.multiply(most, TIMES))


def test_the_room_of_singing_is_heard_within_40_percent() -> None:
    for song in load_corpus("synth:songs=2,seconds=15"):
        dry = song.stems["vocals"].read()[0].astype(np.float64)
        found = np.array([measures.blind_decay_seconds(in_room(dry, seconds), RATE) for seconds in TIMES])
        assert np.all(np.diff(found) > 0)
        np.testing.assert_allclose(found, TIMES, rtol=0.4)


def test_drums_are_heard_to_be_in_a_larger_room() -> None:
    for song in load_corpus("synth:songs=2,seconds=15"):
        dry = song.stems["drums"].read()[0].astype(np.float64)
        small, middle, large = (measures.blind_decay_seconds(in_room(dry, seconds), RATE) for seconds in (0.3, 0.8, 2.0))
        assert 0.29 < small < middle / 1.5 < large / 1.5**2 < 2.0 * 1.5 / 1.5**2  # their cymbals fill the decays, so no better


@pytest.mark.parametrize("rate", [8000, 192000])
def test_the_blind_estimate_does_not_depend_on_rate_level_or_channels(rate: int) -> None:
    random = np.random.default_rng(4)
    sound = np.concatenate([random.standard_normal(2 * rate) * decay(0.6, 2.0, rate) for _ in range(4)])
    found = measures.blind_decay_seconds(sound[None], rate)
    assert found == pytest.approx(0.6, rel=0.1)
    assert measures.blind_decay_seconds(np.stack([sound, sound]) * 1e-3, rate) == pytest.approx(found, rel=1e-6)


def test_fewer_than_three_decays_are_no_estimate() -> None:
    random = np.random.default_rng(4)
    hits = [random.standard_normal(RATE) * decay(0.6, 1.0) for _ in range(3)]
    assert math.isnan(measures.blind_decay_seconds(np.concatenate(hits[:2])[None], RATE))
    assert measures.blind_decay_seconds(np.concatenate(hits)[None], RATE) == pytest.approx(0.6, rel=0.1)


def test_a_sound_that_swells_has_no_decay() -> None:
    swell = 1 + 0.43 * np.sin(np.pi * np.arange(10 * RATE) / RATE)  # every two seconds by 8 dB: less than 10 dB is no decay
    assert math.isnan(measures.blind_decay_seconds((swell * np.random.default_rng(0).standard_normal(10 * RATE))[None], RATE))
