"""Alignment of a mix with its tracks: found to the frame under what mastering does, refused where it is not sure."""

import numpy as np
import pytest
from scipy import signal

import mixdata.effects as fx
from mixdata import audio, load_corpus
from mixdata.effects.eq import Band
from mixdata.measures.alignment import align
from trees import noise, shared

RATE = 22_050
CC0 = ("Francium", "Lithium", "Potassium", "Sodium")


@pytest.fixture(scope="module")
def songs() -> list[np.ndarray]:
    """Sums of the stems of four synthetic songs of 16 s."""
    return [song.mixture.read()[0] for song in load_corpus(f"synth:songs=4,seconds=16,sample_rate={RATE}")]


def moved(mix: np.ndarray, frames: int) -> np.ndarray:
    """Return the mix with its first frame at this one: silence in front, or its beginning cut off."""
    return mix[:, -frames:] if frames < 0 else np.pad(mix, ((0, 0), (frames, 0)))


def equalized(mix: np.ndarray, rate: int) -> np.ndarray:
    bands = (Band("low_shelf", 120, 5), Band("peak", 900, -5, 1), Band("high_shelf", 6000, 6))
    return fx.Eq(bands=bands)(mix, rate)


def crushed(mix: np.ndarray, rate: int) -> np.ndarray:
    mix = fx.Compressor(threshold_db=-30, ratio=4, attack_ms=10, makeup_db=6)(mix, rate)
    return fx.Limiter(gain_db=10, ceiling_db=-0.5)(mix, rate)


def in_a_hall(mix: np.ndarray, rate: int) -> np.ndarray:
    """Add what decaying noise of 1.2 s from 12 ms on makes of the mix, as loud as the mix."""
    times = np.arange(round(1.2 * rate)) / rate
    response = np.random.default_rng(1).normal(size=(2, len(times))) * 10 ** (-3 * times / 1.2) * (times > 0.012)
    response /= np.sqrt(np.square(response).sum(axis=1, keepdims=True))
    return (mix + signal.fftconvolve(mix, response, axes=1)[:, : mix.shape[1]]).astype(np.float32)


def coded(mix: np.ndarray, rate: int) -> np.ndarray:
    return fx.LossyCodec(bitrate_kbps=64)(mix, rate)


def in_noise(mix: np.ndarray, rate: int) -> np.ndarray:
    """Add white noise of half the mix's power."""
    return mix + noise(3, mix.shape[1] / rate, sample_rate=rate)[:, : mix.shape[1]] * np.std(mix) / np.std(noise(3)) * np.float32(0.7)


DISTORTIONS = {
    "nothing": lambda mix, rate: mix,
    "polarity": lambda mix, rate: -mix,
    "one channel": lambda mix, rate: mix * np.array([[1], [0]], np.float32),
    "channels that cancel": lambda mix, rate: mix[:1] * np.array([[1], [-1]], np.float32),
    "eq": equalized,
    "dynamics": crushed,
    "reverb": in_a_hall,
    "mp3": coded,
    "noise": in_noise,
    "all": lambda mix, rate: -coded(in_a_hall(crushed(equalized(mix, rate), rate), rate), rate),
}


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_mix_is_found_under_what_mastering_does(songs, name):
    exact = 0 if name not in ("eq", "all") else 1  # a shelf's own group delay
    for number, offset in enumerate((0, 7321, -40_007, 20 * RATE + 17)):
        found = align(moved(DISTORTIONS[name](songs[number], RATE), offset), songs[number], RATE)
        assert (found.reason, abs(found.lag_frames - offset) <= exact) == ("", True), (offset, found)
        assert found.confidence > 0.85 and abs(found.drift_ppm) < 20


@pytest.mark.parametrize("name", CC0)
def test_a_real_song_is_found_with_another_balance_and_a_master(name):
    folder = shared("multitrack_cc0", f"Software-Entwicklungskit - {name}", "grouped")
    stems = [audio.resample(*audio.read(path), RATE) for path in sorted(folder.glob("*.flac"))]
    gains = 10 ** (np.random.default_rng(len(name)).normal(0, 6, len(stems)) / 20)
    mix = sum(np.float32(gain) * stem for gain, stem in zip(gains, stems, strict=True))
    mix = DISTORTIONS["all"](np.asarray(0.5 * mix / np.abs(mix).max(), np.float32), RATE)
    for offset in (-3 * RATE - 11, 12_345):
        found = align(moved(mix, offset), sum(stems), RATE)
        assert not found.reason and abs(found.lag_frames - offset) <= 1 and found.confidence > 0.85, found


def test_where_nothing_is_changed_it_is_the_lag_of_the_plain_cross_correlation(songs):
    mix, tracks = songs[0][:, 30_000:250_000], songs[0][:, 20_500:]
    plain = signal.correlate(mix[0], tracks[0], method="fft")
    lag = signal.correlation_lags(mix.shape[1], tracks.shape[1])[np.argmax(plain)]
    assert align(mix, tracks, RATE).lag_frames == lag == -9500
    assert align(tracks, mix, RATE).lag_frames == 9500


def test_an_excerpt_is_found_in_its_song_and_the_song_over_its_excerpt(songs):
    found = align(songs[1][:, 5 * RATE : 13 * RATE], songs[1], RATE)
    assert (found.lag_frames, found.reason) == (-5 * RATE, "") and found.confidence > 0.9
    found = align(songs[1], songs[1][:, 5 * RATE : 13 * RATE], RATE)
    assert (found.lag_frames, found.reason) == (5 * RATE, "") and found.confidence > 0.9


def test_other_songs_are_refused_as_unsure(songs):
    for mine in range(4):
        found = align(songs[mine], songs[mine - 1], RATE)
        assert found.reason == "unsure" and found.confidence < 0.4, found
    found = align(0.1 * noise(1, 16, sample_rate=RATE), 0.1 * noise(2, 16, sample_rate=RATE), RATE)
    assert found.reason == "unsure" and found.confidence < 0.2


def test_half_a_song_is_not_its_other_half():
    # of music that does not repeat itself sample for sample; docs/automix.md tells of music that does
    folder = shared("multitrack_cc0")
    for name in ("Francium", "Lithium", "Sodium"):
        mix, rate = audio.read(folder / f"Software-Entwicklungskit - {name}" / "mixture.flac")
        half = mix.shape[1] // 2
        assert align(mix[:, :half], mix[:, half:], rate).reason == "unsure"


@pytest.mark.parametrize(("played", "ppm"), [(48_000, 88_435), (44_056, -998)])  # 44.1 kHz called 48 kHz by its file; a pull-down of 0.1 %
def test_a_wrong_rate_is_refused_as_drift(songs, played, ppm):
    mix = audio.resample(songs[2], 44_100, played)
    found = align(mix, songs[2], RATE)
    assert found.reason == "drift" and found.drift_ppm == pytest.approx(ppm, abs=25)


@pytest.mark.parametrize("ppm", [-200, 100])
def test_another_clock_is_refused_as_drift(songs, ppm):
    mix = moved(audio.resample(songs[3], 1_000_000, 1_000_000 + ppm), 5000)
    found = align(mix, songs[3], RATE)
    assert found.reason == "drift" and found.drift_ppm == pytest.approx(ppm, rel=0.1) and found.confidence > 0.9


def test_a_clock_that_stays_within_a_millisecond_is_not_refused(songs):
    found = align(audio.resample(songs[3], 1_000_000, 1_000_030), songs[3], RATE)  # 0.5 ms in 16 s
    assert found.reason == "" and found.drift_ppm == pytest.approx(30, rel=0.2)


@pytest.mark.parametrize("kind", ["taken out", "put in"])
def test_an_edited_mix_is_refused(songs, kind):
    mix, at, some = songs[0], round(9.1 * RATE), round(0.437 * RATE)
    edited = np.delete(mix, slice(at, at + some), axis=1) if kind == "taken out" else np.insert(mix, [at], mix[:, :some], axis=1)
    found = align(edited, mix, RATE)
    assert found.reason == "edit" and 0.4 < found.confidence < 0.8, found


def test_music_that_repeats_itself_is_refused_as_ambiguous(songs):
    bar = songs[0][:, : 2 * RATE]
    found = align(np.tile(bar, 4), np.tile(bar, 8), RATE)
    assert found.reason == "ambiguous" and found.rival > 0.9


def test_silence_and_too_little_are_said(songs):
    assert align(np.zeros_like(songs[0]), songs[0], RATE).reason == "silent"
    assert align(songs[0], np.zeros_like(songs[0]), RATE).reason == "silent"
    assert align(songs[0][:, : 5 * RATE], songs[0], RATE).reason == "too_short"
    assert align(songs[0][:, 1000:1010], songs[0][:, 1000:1001], RATE).reason == "too_short"
    blip = np.zeros_like(songs[0])
    blip[:, RATE : RATE + 2000] = songs[0][:, RATE : RATE + 2000]
    assert align(blip, songs[0], RATE).reason in ("too_short", "unsure")


def test_silence_at_the_ends_does_not_count_against_the_confidence(songs):
    silence = np.zeros((2, 20 * RATE), np.float32)
    found = align(np.concatenate([silence, songs[2]], axis=1), np.concatenate([songs[2], silence], axis=1), RATE)
    assert (found.lag_frames, found.reason) == (20 * RATE, "") and found.confidence > 0.95


def test_the_same_audio_gives_the_same_alignment_at_any_level(songs):
    once, quiet = align(songs[0], songs[0], RATE), align(songs[0] * np.float32(2**-12), songs[0], RATE)
    assert once.lag_frames == quiet.lag_frames == 0 and once.confidence == quiet.confidence == 1.0
    assert once.coherence == pytest.approx(quiet.coherence, rel=1e-3)
    assert once.lag_seconds == 0.0 and align(moved(songs[0], RATE), songs[0], RATE).lag_seconds == 1.0


@pytest.mark.parametrize(("seconds", "reason"), [(6, "unsure"), (11, "")])
def test_more_than_half_of_the_windows_must_agree(seconds, reason):
    mix, tracks = 0.1 * noise(7, 16, sample_rate=RATE), 0.1 * noise(8, 16, sample_rate=RATE)  # what does not repeat itself
    mix[:, : seconds * RATE] = tracks[:, : seconds * RATE]
    found = align(mix, tracks, RATE)
    assert (found.reason, found.lag_frames) == (reason, 0) and abs(found.confidence - seconds / 16) < 0.12, found
