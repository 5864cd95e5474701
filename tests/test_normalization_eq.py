"""Static filters over the bands, and spectral matching."""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy import signal

import trees
from mixdata import audio as files
from mixdata.corpora import load_corpus
from mixdata.effects import Eq
from mixdata.effects.eq import Band
from mixdata.errors import AudioError, UsageError
from mixdata.measures import integrated_loudness
from mixdata.measures.long_term import long_term
from mixdata.normalization.eq import band_power, guarded_bands, invert_spectrum, match_spectrum
from mixdata.normalization.features import shape_db, spectral_distance_db
from mixdata.normalization.filters import frequencies, mix_channels, zero_phase

RATE = 44_100
CENTRES = 1000 * 2.0 ** (np.arange(-32, 26) / 6)
ZIGZAG = np.where(np.arange(58) % 2, 3.0, -3.0)
STEPS = np.where(np.arange(58) // 3 % 2, 3.0, -3.0)
BELL = 6 * np.exp(-(np.log2(CENTRES / 1000) ** 2))
PLANTED = {
    "high shelf": Band("high_shelf", 4000.0, 6.0),
    "low shelf": Band("low_shelf", 200.0, 6.0),
    "bell": Band("peak", 1000.0, 6.0, 1.0),
}


@cache
def noise(seconds: float = 9.0, channels: int = 2) -> np.ndarray:
    return trees.noise(7, seconds, channels)


@cache
def synth(stem: str) -> np.ndarray:
    song = next(iter(load_corpus("synth:songs=2,seconds=10")))
    return song.stems[stem].read()[0]


def shape(audio: np.ndarray, rate: int = RATE) -> np.ndarray:
    return shape_db(long_term(audio, rate).bands("magnitude"))


def transfer_db(before: np.ndarray, after: np.ndarray, rate: int = RATE) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and the gain in dB between two pieces of noise, by Welch's cross spectrum."""
    at_hz, cross = signal.csd(before[0].astype(float), after[0].astype(float), rate, nperseg=16_384)
    gain = np.abs(cross) / signal.welch(before[0].astype(float), rate, nperseg=16_384)[1]
    return at_hz, 20 * np.log10(gain)


def impulse_response(curve: np.ndarray, rate: int) -> np.ndarray:
    audio = np.zeros((1, 2 * rate), np.float32)
    audio[0, rate] = 1
    return zero_phase(audio, rate, curve)[0].astype(np.float64)


# Filters


def test_a_level_curve_of_zeros_and_the_identity_change_no_bit():
    identity = np.broadcast_to(np.eye(2)[:, :, None], (2, 2, len(frequencies(RATE))))
    assert np.array_equal(zero_phase(noise(), RATE, np.zeros(58)), noise())
    assert np.array_equal(mix_channels(noise(), RATE, identity), noise())


@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
@pytest.mark.parametrize("curve", [ZIGZAG, STEPS, BELL], ids=["zigzag", "steps", "bell"])
def test_the_filter_follows_bands_six_db_apart_within_half_a_db(rate, curve):
    response = 20 * np.log10(np.abs(np.fft.rfft(impulse_response(curve, rate), 4 * rate)))
    at_hz = np.arange(len(response)) / 4
    inside = (at_hz >= 50) & (at_hz < 20_000)
    wanted = np.interp(np.log(at_hz[inside]), np.log(CENTRES), curve)
    assert np.abs(response[inside] - wanted).max() < (0.55 if curve is ZIGZAG else 0.3)


def test_the_filter_has_zero_phase_and_rings_little_before():
    response = impulse_response(BELL, RATE)
    early, late = response[:RATE][::-1], response[RATE + 1 :][: RATE - 1]
    assert np.allclose(early[: RATE - 1], late, atol=1e-6)
    assert np.sum(early[RATE // 20 :] ** 2) < 1e-6 * np.sum(response**2)
    assert np.sum(early[RATE // 3 :] ** 2) < 1e-12 * np.sum(response**2)  # the response is 0.6 s long


def test_blocks_join_without_a_seam():
    """The same as a direct convolution in float64, over several blocks."""
    audio = noise(13.0)
    response = impulse_response(STEPS, RATE)[RATE // 2 : RATE // 2 + RATE + 1]
    wanted = np.array([signal.fftconvolve(channel.astype(float), response, mode="same") for channel in audio])
    assert np.abs(zero_phase(audio, RATE, STEPS) - wanted).max() < 3e-6


def test_a_matrix_adds_up_what_single_filters_do():
    curves = np.array([[BELL, STEPS], [-BELL, ZIGZAG]])
    gains = 10 ** (
        np.array([[np.interp(np.log(np.maximum(frequencies(RATE), 1)), np.log(CENTRES), c) for c in row] for row in curves]) / 20
    )
    gains[0, 1] *= -1
    left, right = noise(13.0)[:1], noise(13.0)[1:]
    out = mix_channels(noise(13.0), RATE, gains)
    assert np.allclose(out[0], zero_phase(left, RATE, BELL) - zero_phase(right, RATE, STEPS), atol=3e-6)
    assert np.allclose(out[1], zero_phase(left, RATE, -BELL) + zero_phase(right, RATE, ZIGZAG), atol=3e-6)


@pytest.mark.parametrize("frames", [0, 1, 2, 1000, 39_075, 39_076, 39_077, 156_304, 156_305])
def test_filters_keep_length_and_type(frames):
    audio = np.resize(noise(), (2, frames))
    before = audio.copy()
    out = zero_phase(audio, RATE, BELL)
    assert out.shape == audio.shape and out.dtype == np.float32 and np.isfinite(out).all()
    assert np.array_equal(audio, before)
    assert zero_phase(audio.astype(np.float64), RATE, BELL).dtype == np.float64


def test_filters_refuse_what_they_cannot_do():
    with pytest.raises(UsageError, match="58"):
        zero_phase(noise(), RATE, np.zeros(57))
    with pytest.raises(UsageError, match="finite"):
        zero_phase(noise(), RATE, np.full(58, np.nan))
    with pytest.raises(UsageError, match="stereo"):
        mix_channels(noise(1.0, 1), RATE, np.zeros((2, 2, len(frequencies(RATE)))))
    with pytest.raises(AudioError):
        zero_phase(np.full((2, 100), np.nan, np.float32), RATE, BELL)


# Matching


@pytest.mark.parametrize("stem", ["noise", "vocals", "drums", "bass", "other"])
def test_a_stem_on_its_target_does_not_move(stem):
    audio = noise() if stem == "noise" else synth(stem)
    out, record = match_spectrum(audio, RATE, shape(audio))
    assert np.abs(record["correction_db"]).max() < 0.02
    assert np.sum((out - audio) ** 2.0) < 1e-4 * np.sum(audio**2.0)


def brought_back(audio: np.ndarray, rate: int, band: Band) -> None:
    processed = Eq(bands=(band,))(audio, rate)
    out, record = match_spectrum(processed, rate, shape(audio, rate))
    assert record["capped_bands"] == 0
    third = audio.shape[1] // 3
    for start in (0, third, 2 * third):
        piece = slice(start, start + third)
        if audio[:, piece].any():
            was, planted, now = (shape(each[:, piece], rate) for each in (audio, processed, out))
            assert spectral_distance_db(planted, was) > 0.5
            assert spectral_distance_db(now, was) < 0.35  # the law allows 0.5


@pytest.mark.parametrize("stem", ["noise", "vocals", "drums"])
@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_filter_is_brought_back_over_every_third(stem, planted):
    brought_back(noise() if stem == "noise" else synth(stem), RATE, PLANTED[planted])


@pytest.mark.parametrize(("stem", "planted"), [("vocals", "high shelf"), ("vocals", "bell"), ("bass", "low shelf")])
def test_a_planted_filter_on_a_real_stem_is_brought_back(stem, planted):
    folder = trees.shared("multitrack_cc0", "Software-Entwicklungskit - Lithium", "grouped")
    audio, rate = files.read(folder / f"{stem}.flac", frames=48_000 * 30)
    brought_back(audio, rate, PLANTED[planted])


@pytest.mark.parametrize("rate", [8000, 48_000, 96_000])
def test_other_rates_are_matched_too(rate):
    audio = trees.noise(1, 6.0, 2, rate)
    processed = Eq(bands=(Band("low_shelf", 200.0, 6.0),))(audio, rate)
    out, _ = match_spectrum(processed, rate, shape(audio, rate))
    assert spectral_distance_db(shape(out, rate), shape(audio, rate)) < 0.1


def test_the_correction_is_what_was_planted_turned_over():
    """RBJ's bell has its whole gain at its centre; both ends are left."""
    processed = Eq(bands=(Band("peak", 1000.0, 6.0, 2.0),))(noise(), RATE)
    out, record = match_spectrum(processed, RATE, shape(noise()))
    correction = np.array(record["correction_db"])
    assert correction[32] - correction[:10].mean() == pytest.approx(-5.5, abs=0.6)  # a mean over a third of an octave is lower
    at_hz, gain = transfer_db(processed, out)
    assert np.allclose(gain[10:6000], np.interp(np.log(at_hz[10:6000]), np.log(CENTRES), correction), atol=0.1)


def test_the_balance_of_the_channels_stays():
    rng = np.random.default_rng(3)
    audio = (rng.standard_normal((2, 9 * RATE)) * [[0.1], [0.02]]).astype(np.float32)
    out, _ = match_spectrum(audio, RATE, shape(audio) + BELL)
    energies = [10 * np.log10(np.sum(each**2.0, axis=1)) for each in (audio, out)]
    assert np.diff(energies[0]) == pytest.approx(np.diff(energies[1]), abs=0.05)
    double = np.stack([audio[0], audio[0] / 4])
    out, _ = match_spectrum(double, RATE, shape(audio) + BELL)
    assert np.array_equal(out[0], 4 * out[1])


def test_polarity_and_order_of_channels_play_no_part():
    audio, target = synth("other"), shape(noise())
    out, record = match_spectrum(audio, RATE, target)
    negative, same = match_spectrum(-audio, RATE, target)
    assert np.array_equal(negative, -out) and same == record
    swapped, same = match_spectrum(audio[::-1], RATE, target)
    assert np.array_equal(swapped, out[::-1]) and same == record


def test_matching_twice_is_matching_once():
    target = shape(noise()) + BELL + np.linspace(-4, 4, 58)
    out, first = match_spectrum(noise(), RATE, target)
    _, second = match_spectrum(out, RATE, target)
    assert first["capped_bands"] == 0 and np.ptp(first["correction_db"]) > 6
    assert np.abs(second["correction_db"])[CENTRES <= 14_500].max() < 0.2


@pytest.mark.parametrize(("settings", "most_db", "least_db"), [({}, 12, -24), ({"most_db": 3.0, "least_db": -2.0}, 3, -2)])
def test_caps_hold_at_the_realised_response(settings, most_db, least_db):
    dip, hill = (CENTRES > 1000) & (CENTRES < 2000), (CENTRES > 50) & (CENTRES < 110)  # the hill counts little for loudness
    out, record = match_spectrum(noise(), RATE, shape(noise()) + np.where(dip, -50.0, np.where(hill, 50.0, 0.0)), **settings)
    assert max(record["correction_db"]) == most_db and min(record["correction_db"]) == least_db
    assert record["capped_bands"] >= 9
    gain = transfer_db(noise(), out)[1][10:]
    assert most_db - 1 < np.max(gain) < most_db + 0.3 and least_db - 0.5 < np.min(gain) < least_db + 1


def test_no_boost_in_guarded_bands_and_smooth_beside_them():
    guarded = (CENTRES > 900) & (CENTRES < 2100)
    target = shape(noise()) + np.where((CENTRES > 500) & (CENTRES < 4000), 10.0, 0.0)
    free, _ = match_spectrum(noise(), RATE, target)
    out, record = match_spectrum(noise(), RATE, target, no_boost=guarded)
    inside = slice(round(1000 / RATE * 16_384), round(2000 / RATE * 16_384))
    assert np.median(transfer_db(noise(), free)[1][inside]) > 5
    assert np.max(transfer_db(noise(), out)[1][inside]) < 0.1
    correction = np.array(record["correction_db"])
    assert np.all(correction[guarded] <= 0) and np.max(correction) > 4
    assert np.abs(np.diff(np.maximum(correction, 0)))[27:43].max() <= 6
    assert record["guarded_bands"] == 9  # one on either side has to make way


def test_guards_do_not_forbid_cuts():
    target = shape(noise()) - BELL
    _, record = match_spectrum(noise(), RATE, target, no_boost=CENTRES > 500)
    assert record["correction_db"][32] < -2


@pytest.mark.parametrize("settings", [{"flat_above_hz": 4000.0}, {"bandwidth_hz": 4000.0}])
def test_above_the_limit_the_correction_is_level_and_no_boost(settings):
    rise = np.clip(np.arange(58) - 38.0, 0, 12)  # from 2 kHz on
    out, record = match_spectrum(noise(), RATE, shape(noise()) + rise, **settings)
    assert record["limit_hz"] == 4000 and record["correction_db"][44] > 1
    assert set(record["correction_db"][45:]) == {0.0}
    at_hz, gain = transfer_db(noise(), out)
    assert np.max(gain[(at_hz > 4500) & (at_hz < 21_000)]) < 0.1
    out, record = match_spectrum(noise(), RATE, shape(noise()) - rise, **settings)
    assert set(record["correction_db"][45:]) == {record["correction_db"][44]} and record["correction_db"][44] <= -1


def test_the_lower_of_both_limits_counts():
    _, record = match_spectrum(noise(), RATE, shape(noise()), flat_above_hz=9000.0, bandwidth_hz=5000.0)
    assert record["limit_hz"] == 5000


def test_bands_in_which_the_stem_has_nothing_are_not_boosted():
    sections = signal.butter(12, 2000, fs=RATE, output="sos")
    audio = (signal.sosfiltfilt(sections, noise()) * signal.windows.hann(noise().shape[1])).astype(np.float32)
    _, record = match_spectrum(audio, RATE, shape(noise()))
    own = shape(audio)
    empty = own < own.max() - 80
    assert np.count_nonzero(empty) > 5 and max(record["correction_db"]) > 3
    assert np.all(np.array(record["correction_db"])[empty] <= 0)


def test_loudness_is_kept_with_and_without_caps():
    for audio, target in (
        (noise(), shape(noise()) + 3 * BELL),
        (noise(), shape(noise()) + np.linspace(40, -40, 58)),
        (synth("vocals"), shape(noise())),
    ):
        out, _ = match_spectrum(audio, RATE, target, no_boost=CENTRES < 100)
        assert integrated_loudness(out, RATE) == pytest.approx(integrated_loudness(audio, RATE), abs=0.3)


def test_the_level_of_a_target_plays_no_part_and_its_gaps_are_bridged():
    target = shape(noise()) + BELL
    _, record = match_spectrum(noise(), RATE, target)
    _, louder = match_spectrum(noise(), RATE, target + 20)
    assert np.allclose(louder["correction_db"], record["correction_db"], atol=0.011)
    target[[3, 12, 57]] = np.nan
    _, gaps = match_spectrum(noise(), RATE, target)
    assert np.allclose(gaps["correction_db"], record["correction_db"], atol=0.3)


def test_matching_can_be_undone():
    target = shape(noise()) + BELL - np.linspace(0, 5, 58)
    out, record = match_spectrum(noise(), RATE, target)
    back = invert_spectrum(out, RATE, record)
    error = 10 * np.log10(np.sum((back - noise()) ** 2.0) / np.sum(noise() ** 2.0))
    assert error < -50  # the law asks for -35
    assert np.nanmax(np.abs(shape(back) - shape(noise()))) < 0.05
    assert np.sum((out - noise()) ** 2.0) > 0.01 * np.sum(noise() ** 2.0)


def test_matching_is_deterministic_and_leaves_its_input_alone():
    audio = synth("drums").copy()
    results = [match_spectrum(audio, RATE, shape(noise())) for _ in range(2)]
    assert np.array_equal(results[0][0], results[1][0]) and results[0][1] == results[1][1]
    assert np.array_equal(audio, synth("drums"))


def test_a_given_picture_is_used():
    picture = long_term(synth("other"), RATE)
    assert np.array_equal(
        match_spectrum(synth("other"), RATE, shape(noise()), picture=picture)[0], match_spectrum(synth("other"), RATE, shape(noise()))[0]
    )


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 192_000])
@pytest.mark.parametrize("frames", [0, 1, 500])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_shortest_and_the_silent_are_no_trouble(rate, frames, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for audio in (np.zeros((channels, frames), np.float32), np.full((channels, frames), 0.1, np.float32)):
            out, record = match_spectrum(audio, rate, np.linspace(0, -40, 58), bandwidth_hz=3000.0)
            assert out.shape == audio.shape and np.isfinite(out).all()
            assert np.isfinite(record["correction_db"]).all()
            if not audio.any():
                assert np.array_equal(out, audio) and not any(record["correction_db"])


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(AudioError):
        match_spectrum(np.full((2, 1000), np.nan, np.float32), RATE, np.zeros(58))
    for target in (np.zeros(57), np.full(58, np.nan)):
        with pytest.raises(UsageError, match="target"):
            match_spectrum(noise(), RATE, target)
    with pytest.raises(UsageError, match="most_db"):
        match_spectrum(noise(), RATE, np.zeros(58), most_db=-1.0)


# Guards


def test_band_power_is_what_welch_says():
    """Between two kinds of noise, summed over both channels; 20 dB are 20 dB."""
    coloured = signal.lfilter([1.0], [1.0, -0.9], noise()).astype(np.float32)
    ratio = 10 * np.log10(band_power(coloured, RATE) / band_power(noise(), RATE))
    at_hz, power = signal.welch(coloured.astype(float), RATE, nperseg=16_384)
    plain = signal.welch(noise().astype(float), RATE, nperseg=16_384)[1]
    for band in range(12, 54, 6):
        inside = np.abs(np.log2(np.maximum(at_hz, 1) / CENTRES[band])) < 1 / 6
        assert ratio[band] == pytest.approx(10 * np.log10(power[:, inside].sum() / plain[:, inside].sum()), abs=0.3)
    quiet = 10 * np.log10(band_power(noise(), RATE) / band_power(np.float32(0.1) * noise(), RATE))
    assert quiet == pytest.approx(np.full(58, 20.0), abs=1e-3)
    assert band_power(noise(), RATE) == pytest.approx(band_power(noise()[:1], RATE) + band_power(noise()[1:], RATE))
    longer = np.concatenate([noise(), np.zeros_like(noise())], axis=1)
    assert 10 * np.log10(band_power(noise(), RATE) / band_power(longer, RATE)) == pytest.approx(np.full(58, 3.01), abs=0.05)


def test_bands_thirty_db_under_the_mix_are_guarded():
    sections = signal.butter(8, 2000, fs=RATE, output="sos")  # 48 dB per octave: -30 dB at 3.1 kHz
    stem = signal.sosfilt(sections, noise()).astype(np.float32)
    guarded = guarded_bands(stem, noise(), RATE)
    assert not guarded[CENTRES < 2900].any() and guarded[CENTRES > 3400].all()
    assert np.array_equal(guarded, guarded_bands(band_power(stem, RATE), band_power(noise(), RATE), RATE))
    assert not guarded_bands(stem, noise(), RATE, 20.0)[CENTRES < 2400].any()
    assert guarded_bands(stem, noise(), RATE, 20.0)[CENTRES > 2700].all()
    assert guarded_bands(np.float32(10 ** (-29.5 / 20)) * noise(), noise(), RATE).sum() == 0
    assert guarded_bands(np.float32(10 ** (-30.5 / 20)) * noise(), noise(), RATE).all()


def test_guards_of_silence_and_of_nan():
    silence = np.zeros((2, 1000), np.float32)
    assert not guarded_bands(silence, silence, RATE).any()
    assert guarded_bands(silence, noise(), RATE).all()
    with pytest.raises(AudioError):
        band_power(np.full((2, 1000), np.nan, np.float32), RATE)
