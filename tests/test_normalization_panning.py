"""Panning per frequency, over the whole song."""

import warnings
from functools import cache

import numpy as np
import pytest
from scipy import signal

import trees
from mixdata import audio as files
from mixdata.corpora import load_corpus
from mixdata.effects import Pan
from mixdata.errors import AudioError, UsageError
from mixdata.measures.long_term import long_term
from mixdata.normalization.panning import CURVES, invert_panning, match_panning

RATE = 44_100
CENTRES = 1000 * 2.0 ** (np.arange(-32, 26) / 6)
HEARD = (CENTRES >= 50) & (CENTRES <= 16_000)


@cache
def mono(seed: int = 0) -> np.ndarray:
    return trees.noise(seed, 12.0, 1)[0]


@cache
def wide(side: float = 0.4) -> np.ndarray:
    """Noise in the middle, and less of it in the side."""
    return np.stack([mono() + np.float32(side) * mono(1), mono() - np.float32(side) * mono(1)])


def split_by_frequency() -> np.ndarray:
    """Low notes at the left, high ones at the right."""
    low = signal.sosfiltfilt(signal.butter(2, 500, fs=RATE, output="sos"), mono().astype(float))
    high = mono() - low
    return np.stack([low + 0.1 * high, 0.1 * low + high]).astype(np.float32)


def similarity(audio: np.ndarray, rate: int = RATE) -> np.ndarray:
    """2|L||R| / (|L|² + |R|²), from the formula: mean over Hann windows, then over a third of an octave."""
    at_hz, _, spectra = signal.stft(audio.astype(float), rate, "hann", rate, boundary=None, padded=False)
    left, right = np.abs(spectra)
    values = np.mean(2 * left * right / np.maximum(left**2 + right**2, 1e-30), axis=1)
    octaves = np.abs(np.log2(np.maximum(at_hz, 1e-3)[:, None] / CENTRES))
    inside = [octaves[:, band] < 1 / 6 for band in range(58)]
    return np.array([values[each].mean() if each.any() else np.nan for each in inside])


def band_levels_db(audio: np.ndarray, rate: int = RATE) -> np.ndarray:
    at_hz, power = signal.welch(audio.astype(float), rate, nperseg=rate)
    octaves = np.abs(np.log2(np.maximum(at_hz, 1e-3)[:, None] / CENTRES))
    return 10 * np.log10([power[:, octaves[:, band] < 1 / 6].sum() for band in range(58)])


def thirds(audio: np.ndarray) -> list[np.ndarray]:
    third = audio.shape[1] // 3
    return [audio[:, start : start + third] for start in (0, third, 2 * third)]


def null_db(audio: np.ndarray, reference: np.ndarray) -> float:
    return float(10 * np.log10(np.sum((audio - reference) ** 2.0) / np.sum(reference**2.0) + 1e-20))


def synth(stem: str) -> np.ndarray:
    return next(iter(load_corpus("synth:songs=2,seconds=10"))).stems[stem].read()[0]


@pytest.mark.parametrize("mode", ["spectrum", "midside"])
@pytest.mark.parametrize("stem", ["noise", "vocals", "drums", "other"])
def test_a_stem_on_its_target_does_not_move(stem, mode):
    audio = wide() if stem == "noise" else synth(stem)
    target = np.round(long_term(audio, RATE).bands("similarity"), 3)
    out, record = match_panning(audio, RATE, target, mode)
    assert max(np.abs(record[name]).max() for name in CURVES) < 0.05
    assert null_db(out, audio) < -40


@pytest.mark.parametrize("mode", ["spectrum", "midside"])
@pytest.mark.parametrize("target", [0.84, 0.95])
@pytest.mark.parametrize("case", ["left only", "right only", "pan 0.9", "side", "unrelated"])
def test_what_is_too_wide_is_brought_back_over_every_third(case, target, mode):
    audio = {
        "left only": np.stack([mono(), 0 * mono()]),
        "right only": np.stack([0 * mono(), mono()]),
        "pan 0.9": Pan(position=0.8, law="constant_power")(np.stack([mono(), mono()]), RATE),  # p = 0.9
        "side": wide(1.5),
        "unrelated": np.stack([mono(), mono(1)]),
    }[case]
    out, _ = match_panning(audio, RATE, np.full(58, target), mode)
    for piece in thirds(out):
        error = np.abs(similarity(piece) - target)
        assert error[CENTRES > 200].max() < 0.03 and np.sqrt(np.mean(error[HEARD] ** 2)) < 0.02


def test_pans_that_differ_by_frequency_are_brought_back():
    target = np.full(58, 0.95)
    for mode in ("spectrum", "midside"):
        out, _ = match_panning(split_by_frequency(), RATE, target, mode)
        for piece in thirds(out):
            assert np.sqrt(np.mean((similarity(piece)[HEARD] - target[HEARD]) ** 2)) < 0.03


def test_a_target_that_differs_by_frequency_is_met():
    target = 0.9 + 0.06 * np.sin(np.arange(58) / 6)
    out, _ = match_panning(wide(0.8), RATE, target, "midside")
    assert np.sqrt(np.mean((similarity(out)[HEARD] - target[HEARD]) ** 2)) < 0.015


def test_closed_form_of_a_hard_pan():
    """L alone: middle and side are alike, so a gain g of the side gives (1 - g²) / (1 + g²)."""
    target = 0.9
    gain = np.sqrt((1 - target) / (1 + target))
    _, record = match_panning(np.stack([mono(), 0 * mono()]), RATE, np.full(58, target), "midside")
    middle = 10 * np.log10(2 / (1 + gain**2))  # keeps L² + R²
    assert record["mid_db"] == pytest.approx([middle] * 58, abs=0.1)
    assert record["side_db"] == pytest.approx([middle + 20 * np.log10(gain)] * 58, abs=0.3)
    assert not any(record["left_db"]) and not any(record["right_db"])


def test_midside_widens_by_six_db_at_most():
    out, record = match_panning(wide(0.3), RATE, np.full(58, 0.86), "midside")
    assert np.sqrt(np.mean((similarity(out)[HEARD] - 0.86) ** 2)) < 0.01
    _, record = match_panning(wide(0.1), RATE, np.full(58, 0.5), "midside")
    difference = np.array(record["side_db"]) - record["mid_db"]
    assert difference == pytest.approx(np.full(58, 6.0), abs=0.02)


@pytest.mark.parametrize("swap", [False, True])
def test_spectrum_pans_to_the_side_on_which_the_stem_lies(swap):
    """Two channels of one sound, ratio q: 2q / (1 + q²), so 0.8 is q = 2, 6.02 dB; 1 dB are there."""
    audio = np.stack([mono(), mono() * np.float32(10 ** (1.5 / 20))])[:: -1 if swap else 1]
    out, record = match_panning(audio, RATE, np.full(58, 0.8), "spectrum")
    assert record["side"] == ("left" if swap else "right")
    energies = 10 * np.log10(np.sum(out**2.0, axis=1))
    assert energies[0 if swap else 1] - energies[1 if swap else 0] == pytest.approx(6.02, abs=0.1)
    assert similarity(out)[HEARD] == pytest.approx(np.full(HEARD.sum(), 0.8), abs=0.01)
    assert not any(np.subtract(record["side_db"], record["mid_db"]))


def test_midside_widens_no_further_than_helps():
    """One sound in both channels: least alike where side and middle are equal, and more alike again beyond."""
    audio = np.stack([mono(), mono() * np.float32(3.0)])  # side / middle = 0.5: 6 dB more and similarity is 0
    out, record = match_panning(audio, RATE, np.full(58, 0.0), "midside")
    assert np.subtract(record["side_db"], record["mid_db"]) == pytest.approx(np.full(58, 6.0), abs=0.05)
    audio = np.stack([mono(), mono() * np.float32(6.0)])  # side / middle = 5 / 7, so 2.92 dB are enough
    out, record = match_panning(audio, RATE, np.full(58, 0.0), "midside")
    assert np.subtract(record["side_db"], record["mid_db"]) == pytest.approx(np.full(58, 3.0), abs=0.05)
    assert similarity(out)[HEARD].max() < 0.03


def test_spectrum_leaves_a_stem_without_a_side_where_it_is():
    for audio in (np.stack([mono(), mono()]), wide(0.2)):
        out, record = match_panning(audio, RATE, np.full(58, 0.7), "spectrum")
        assert record["side"] == "centre" and np.array_equal(out, audio)


@pytest.mark.parametrize("mode", ["spectrum", "midside", "mono"])
def test_equal_channels_stay_as_they_are(mode):
    audio = np.stack([mono(), mono()])
    assert np.array_equal(match_panning(audio, RATE, np.full(58, 0.8), mode)[0], audio)
    assert np.array_equal(match_panning(audio[:1], RATE, np.full(58, 0.8), mode)[0], audio[:1])


@pytest.mark.parametrize("mode", ["spectrum", "midside", "mono"])
@pytest.mark.parametrize("case", ["wide", "left only", "leaning", "unrelated", "synth"])
@pytest.mark.parametrize("target", [0.8, 0.95])
def test_the_power_of_each_band_stays(case, mode, target):
    audio = {
        "wide": wide(),
        "left only": np.stack([mono(), 0 * mono()]),
        "leaning": np.stack([mono(), mono() * np.float32(1.4)]),
        "unrelated": np.stack([mono(), mono(1)]),
        "synth": synth("other"),
    }[case]
    out, _ = match_panning(audio, RATE, np.full(58, target), mode)
    levels = 10 * np.log10(long_term(audio, RATE).bands("power"))
    sounds = HEARD & (levels > levels.max() - 30)
    change = 10 * np.log10(long_term(out, RATE).bands("power")) - levels
    assert np.abs(change[sounds]).max() < (0.4 if case == "synth" else 0.2)
    assert band_levels_db(out)[HEARD] == pytest.approx(band_levels_db(audio)[HEARD], abs=0.4) or case == "synth"


@pytest.mark.parametrize("mode", ["spectrum", "midside", "mono"])
@pytest.mark.parametrize("case", ["synth", "left", "split"])
def test_swapped_and_negative_channels_come_out_swapped_and_negative(case, mode):
    audio = {"synth": synth("other"), "left": wide() * np.array([[1], [0.7]], np.float32), "split": split_by_frequency()}[case]
    target = np.full(58, 0.88)
    out, record = match_panning(audio, RATE, target, mode)
    swapped, mirrored = match_panning(audio[::-1], RATE, target, mode)
    assert np.array_equal(swapped, out[::-1])
    assert (
        mirrored["left_db"] == record["right_db"] and mirrored["right_db"] == record["left_db"] and mirrored["mid_db"] == record["mid_db"]
    )
    negative, same = match_panning(-audio, RATE, target, mode)
    assert np.array_equal(negative, -out) and same == record


@pytest.mark.parametrize("mode", ["spectrum", "midside"])
def test_matching_twice_is_matching_once(mode):
    audio = wide() * np.array([[1.0], [0.8]], np.float32)
    out, _ = match_panning(audio, RATE, np.full(58, 0.9), mode)
    again, record = match_panning(out, RATE, np.full(58, 0.9), mode)
    assert max(np.abs(record[name]).max() for name in CURVES) < 0.6
    assert null_db(again, out) < -35
    assert band_levels_db(again)[HEARD] == pytest.approx(band_levels_db(out)[HEARD], abs=0.1)


def test_mono_puts_the_middle_on_both_channels():
    out, record = match_panning(wide(), RATE, np.full(58, np.nan), "mono")
    assert np.array_equal(out[0], out[1]) and record["side_db"] is None
    gain = 10 * np.log10(1 + 0.4**2)  # of middle and side, as much as the middle alone
    assert np.array(record["mid_db"])[HEARD] == pytest.approx(np.full(HEARD.sum(), gain), abs=0.25)
    assert np.median(record["mid_db"]) == pytest.approx(gain, abs=0.02)
    assert null_db(out[0], 10 ** (gain / 20) * mono().astype(float)) < -35


@pytest.mark.parametrize("louder", [0, 1])
def test_mono_of_a_stem_with_one_polarity_turned_over_does_not_cancel(louder):
    audio = np.stack([mono(), -0.9 * mono()])[:: 1 if louder == 0 else -1].astype(np.float32)
    out, record = match_panning(audio, RATE, np.ones(58), "mono")
    assert np.array_equal(out[0], out[1]) and record["mid_db"] is None
    assert np.sum(out**2.0) == pytest.approx(np.sum(audio**2.0), rel=0.01)
    assert np.corrcoef(out[0], audio[louder])[0, 1] > 0.999


@pytest.mark.parametrize("mode", ["spectrum", "midside"])
def test_a_stem_with_one_polarity_turned_over_is_brought_back_by_its_middle(mode):
    audio = np.stack([mono(), -0.5 * mono()])
    out, record = match_panning(audio, RATE, np.full(58, 0.95), mode)
    assert similarity(out)[HEARD] == pytest.approx(np.full(HEARD.sum(), 0.95), abs=0.01)
    assert np.mean(record["mid_db"]) < -1 and np.abs(record["side_db"]).max() < 0.6
    assert np.corrcoef(out)[0, 1] < -0.99


@pytest.mark.parametrize("mode", ["spectrum", "midside"])
def test_matching_can_be_undone(mode):
    for audio in (wide() * np.array([[1.0], [0.8]], np.float32), wide(0.2) * np.array([[0.8], [1.0]], np.float32), split_by_frequency()):
        out, record = match_panning(audio, RATE, np.full(58, 0.9), mode)
        back = invert_panning(out, RATE, record)
        assert null_db(out, audio) > -40 and null_db(back, audio) < -50  # the law asks for -35
        assert band_levels_db(back)[HEARD] == pytest.approx(band_levels_db(audio)[HEARD], abs=0.05)
    _, record = match_panning(wide(), RATE, np.full(58, 0.9), "mono")
    with pytest.raises(UsageError, match="mono cannot be undone"):
        invert_panning(wide(), RATE, record)


def test_the_order_of_pan_and_width_is_undone_too():
    """Left and right gains and middle and side gains do not commute: by hand, of constant curves."""
    curves = {"mode": "spectrum", "mid_db": [1.0] * 58, "side_db": [-4.0] * 58, "left_db": [0.0] * 58, "right_db": [5.0] * 58}
    mid, side, right = 10 ** (1 / 20), 10 ** (-4 / 20), 10 ** (5 / 20)
    left_in, right_in = wide().astype(float)
    middle, difference = mid * (left_in + right_in) / 2, side * (left_in - right_in) / 2
    processed = np.stack([middle + difference, right * (middle - difference)]).astype(np.float32)
    assert null_db(invert_panning(processed, RATE, curves), wide()) < -100


def test_a_picture_taken_before_eq_will_do():
    """What normalization does: EQ and dynamics do the same to both channels."""
    sections = signal.butter(1, 300, "highpass", fs=RATE, output="sos")
    filtered = (3 * signal.sosfilt(sections, wide(0.9))).astype(np.float32)
    for mode in ("spectrum", "midside"):
        out, record = match_panning(filtered, RATE, np.full(58, 0.9), mode, picture=long_term(wide(0.9), RATE))
        assert np.sqrt(np.mean((similarity(out)[HEARD] - 0.9) ** 2)) < 0.01
        assert band_levels_db(out)[HEARD] == pytest.approx(band_levels_db(filtered)[HEARD], abs=0.4)
        assert record == match_panning(filtered, RATE, np.full(58, 0.9), mode, picture=long_term(wide(0.9), RATE))[1]


@pytest.mark.parametrize("stem", ["vocals", "bass"])
def test_a_hard_panned_real_stem_is_brought_back(stem):
    folder = trees.shared("multitrack_cc0", "Software-Entwicklungskit - Lithium", "grouped")
    audio, rate = files.read(folder / f"{stem}.flac", frames=48_000 * 24)
    panned = Pan(position=0.8)(audio, rate)
    picture = long_term(audio, rate)
    target = picture.bands("similarity")
    out, _ = match_panning(panned, rate, target, "midside")
    levels = 20 * np.log10(picture.bands("magnitude"))
    heard = HEARD & (levels > levels.max() - 50)
    after = long_term(out, rate).bands("similarity")
    assert np.sqrt(np.mean((long_term(panned, rate).bands("similarity") - target)[heard] ** 2)) > 0.3
    assert np.sqrt(np.mean((after - target)[heard] ** 2)) < 0.03


def test_bands_without_a_target_follow_their_neighbours():
    target = np.full(58, 0.95)
    target[20:30] = np.nan
    _, gaps = match_panning(wide(), RATE, target, "midside")
    _, whole = match_panning(wide(), RATE, np.full(58, 0.95), "midside")
    assert not np.array_equal(gaps["side_db"], whole["side_db"])
    assert gaps["side_db"] == pytest.approx(whole["side_db"], abs=0.8)


def test_matching_is_deterministic_and_leaves_its_input_alone():
    audio = synth("other").copy()
    results = [match_panning(audio, RATE, np.full(58, 0.9), "midside") for _ in range(2)]
    assert np.array_equal(results[0][0], results[1][0]) and results[0][1] == results[1][1]
    assert np.array_equal(audio, synth("other")) and results[0][0].dtype == np.float32


@pytest.mark.parametrize("mode", ["spectrum", "midside", "mono"])
@pytest.mark.parametrize("rate", [8000, 44_100, 192_000])
@pytest.mark.parametrize("frames", [0, 1, 500])
def test_the_shortest_and_the_silent_are_no_trouble(frames, rate, mode):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silence = np.zeros((2, frames), np.float32)
        assert np.array_equal(match_panning(silence, rate, np.full(58, 0.9), mode)[0], silence)
        audio = np.stack([np.full(frames, 0.1), np.full(frames, 0.01)]).astype(np.float32)
        out, record = match_panning(audio, rate, np.full(58, 0.9), mode)
        assert out.shape == audio.shape and np.isfinite(out).all() and out.dtype == np.float32
        assert all(np.isfinite(record[name]).all() for name in CURVES if record[name] is not None)


def test_other_rates_are_matched_too():
    for rate in (8000, 96_000):
        audio = np.stack([trees.noise(0, 6.0, 1, rate)[0], 0.5 * trees.noise(1, 6.0, 1, rate)[0]])
        out, _ = match_panning(audio, rate, np.full(58, 0.9), "midside")
        inside = HEARD & (rate / 2 > CENTRES * 1.2)
        assert similarity(out, rate)[inside].mean() == pytest.approx(0.9, abs=0.01)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(AudioError):
        match_panning(np.full((2, 1000), np.nan, np.float32), RATE, np.ones(58), "midside")
    with pytest.raises(UsageError, match="spectrum, midside, mono"):
        match_panning(wide(), RATE, np.ones(58), "wide")
    with pytest.raises(UsageError, match="58"):
        match_panning(wide(), RATE, np.ones(57), "midside")
