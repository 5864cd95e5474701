"""How a piece lies between its channels, against closed forms."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mixdata.errors import AudioError, UsageError
from mixdata.measures import bands, long_term, stereo

RATE = 44100
SCALARS: dict[str, Callable[[np.ndarray], float]] = {
    "side_share": stereo.side_share,
    "correlation": stereo.correlation,
    "width_db": stereo.width_db,
    "balance_db": stereo.balance_db,
}
each_scalar = pytest.mark.parametrize("name", SCALARS)


def noise(seed: int = 0, seconds: float = 6.0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def panned(source: np.ndarray, angle: float) -> np.ndarray:
    """Constant power: angle 0 is left, π/4 the middle, π/2 right."""
    return np.stack([math.cos(angle) * source, math.sin(angle) * source]).astype(np.float32)


def mixture() -> np.ndarray:
    """Something in the middle, something to the left, something wide."""
    return panned(noise(1), 0.3) + panned(noise(2), math.pi / 4) + 0.05 * np.stack([noise(3), -noise(4)]).astype(np.float32)


@pytest.mark.parametrize("angle", [0.05, 0.3, 0.6, math.pi / 4, 1.0, 1.5])
def test_panned_noise_has_its_closed_forms(angle: float) -> None:
    left, right = math.cos(angle), math.sin(angle)
    audio = panned(noise(), angle)
    similarity = 2 * left * right / (left**2 + right**2)
    measured = stereo.panning_spectrum(audio, RATE)
    np.testing.assert_allclose(measured.similarity, similarity, atol=1e-3)
    np.testing.assert_allclose(measured.position, (1 - similarity) * np.sign(round(right - left, 9)), atol=1e-3)
    assert stereo.correlation(audio) == pytest.approx(1.0, abs=1e-6)
    assert stereo.balance_db(audio) == pytest.approx(20 * math.log10(right / left), abs=1e-3)
    assert stereo.side_share(audio) == pytest.approx((left - right) ** 2 / 2, abs=1e-6)  # of ((l − r)/2)² + ((l + r)/2)² = 1/2
    width = 20 * math.log10(max(abs(left - right), 1e-12) / (left + right))
    assert stereo.width_db(audio) == pytest.approx(width, abs=0.01) if width > -100 else stereo.width_db(audio) < -100


def test_independent_channels_have_their_closed_forms() -> None:
    """|L|²/(|L|²+|R|²) of two complex Gaussians is uniform, u; the mean of 2√(u(1−u)) is 2 B(3/2, 3/2) = π/4."""
    audio = np.stack([noise(1, 20.0), noise(2, 20.0)]).astype(np.float32)
    measured = stereo.panning_spectrum(audio, RATE)
    np.testing.assert_allclose(measured.similarity[24:], math.pi / 4, atol=0.03)
    np.testing.assert_allclose(measured.position[24:], 0.0, atol=0.03)
    assert stereo.correlation(audio) == pytest.approx(0.0, abs=0.01)
    assert stereo.side_share(audio) == pytest.approx(0.5, abs=0.01)
    assert stereo.width_db(audio) == pytest.approx(0.0, abs=0.1)
    assert stereo.balance_db(audio) == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("channels", [1, 2])
def test_mono_is_in_the_middle(channels: int) -> None:
    audio = np.tile(noise().astype(np.float32), (channels, 1))
    measured = stereo.panning_spectrum(audio, RATE)
    np.testing.assert_allclose(measured.similarity, 1.0, atol=1e-9)
    np.testing.assert_array_equal(measured.position, 0.0)
    assert stereo.correlation(audio) == 1.0
    assert stereo.side_share(audio) == 0.0
    assert stereo.width_db(audio) == -math.inf
    assert stereo.balance_db(audio) == 0.0


@pytest.mark.parametrize(("side", "sign"), [(0, -1.0), (1, 1.0)])
def test_one_channel_alone_is_at_its_end(side: int, sign: float) -> None:
    audio = np.zeros((2, 4 * RATE), np.float32)
    audio[side] = noise(seconds=4.0)
    measured = stereo.panning_spectrum(audio, RATE)
    np.testing.assert_array_equal(measured.similarity, 0.0)
    np.testing.assert_allclose(measured.position, sign, rtol=1e-9)
    assert stereo.correlation(audio) == 0.0
    assert stereo.side_share(audio) == 0.5
    assert stereo.balance_db(audio) == sign * math.inf


def test_opposite_polarity_is_all_side_but_similar() -> None:
    audio = panned(noise(), math.pi / 4) * np.array([[1], [-1]], np.float32)
    assert stereo.correlation(audio) == pytest.approx(-1.0)
    assert stereo.side_share(audio) == pytest.approx(1.0, abs=1e-9)
    assert stereo.width_db(audio) > 60
    np.testing.assert_allclose(stereo.panning_spectrum(audio, RATE).similarity, 1.0, atol=1e-6)
    exact = np.stack([noise(), -noise()])
    assert stereo.width_db(exact) == math.inf


def test_two_frequencies_on_two_sides_are_told_apart() -> None:
    time = np.arange(6 * RATE) / RATE
    audio = panned(0.1 * np.sin(2 * np.pi * 500 * time), 0.3) + panned(0.1 * np.sin(2 * np.pi * 4000 * time), 1.2)
    picture = long_term.long_term(audio, RATE)
    for frequency, angle in ((500.0, 0.3), (4000.0, 1.2)):
        bin_ = round(frequency / picture.spacing_hz)
        assert picture.similarity[bin_] == pytest.approx(math.sin(2 * angle), abs=0.01)
        assert picture.position[bin_] == pytest.approx((1 - math.sin(2 * angle)) * math.copysign(1, angle - math.pi / 4), abs=0.01)
    low, high = np.random.default_rng(0).standard_normal((2, 6 * RATE))
    split = np.fft.rfftfreq(6 * RATE, 1 / RATE) < 1000
    low, high = np.fft.irfft(np.fft.rfft(low) * split), np.fft.irfft(np.fft.rfft(high) * ~split)
    measured = stereo.panning_spectrum(0.1 * panned(low, 0.3) + 0.1 * panned(high, 1.2), RATE)
    below, above = bands.CENTRES_HZ < 700, bands.CENTRES_HZ > 1400
    np.testing.assert_allclose(measured.position[below], math.sin(0.6) - 1, atol=0.01)
    np.testing.assert_allclose(measured.position[above], 1 - math.sin(2.4), atol=0.01)


def test_swapping_the_channels_turns_position_and_balance_and_nothing_else() -> None:
    audio = mixture()
    plain, swapped = stereo.panning_spectrum(audio, RATE), stereo.panning_spectrum(audio[::-1], RATE)
    assert np.abs(plain.position).max() > 0.05
    np.testing.assert_allclose(swapped.position, -plain.position, atol=1e-9)
    np.testing.assert_allclose(swapped.similarity, plain.similarity, atol=1e-9)
    assert stereo.balance_db(audio) < -1
    assert stereo.balance_db(audio[::-1]) == pytest.approx(-stereo.balance_db(audio))
    for name in ("side_share", "correlation", "width_db"):
        assert SCALARS[name](audio[::-1]) == pytest.approx(SCALARS[name](audio))


def test_level_and_polarity_of_both_channels_change_nothing() -> None:
    audio = mixture()
    plain = stereo.panning_spectrum(audio, RATE)
    for other in (-audio, 0.01 * audio, 5 * audio):
        measured = stereo.panning_spectrum(other, RATE)
        np.testing.assert_allclose(measured.position, plain.position, atol=1e-4)
        np.testing.assert_allclose(measured.similarity, plain.similarity, atol=1e-4)
        for function in SCALARS.values():
            assert function(other) == pytest.approx(function(audio), abs=1e-4)


def test_the_scalars_are_those_of_plain_numpy() -> None:
    audio = mixture()
    left, right = audio.astype(np.float64)
    middle, side = (left + right) / 2, (left - right) / 2
    assert stereo.side_share(audio) == pytest.approx(np.sum(side**2) / np.sum(middle**2 + side**2), rel=1e-9)
    assert stereo.width_db(audio) == pytest.approx(20 * math.log10(side.std() / middle.std()), abs=1e-3)
    assert stereo.correlation(audio) == pytest.approx(np.corrcoef(left, right)[0, 1], abs=1e-4)
    assert stereo.balance_db(audio) == pytest.approx(20 * math.log10(right.std() / left.std()), abs=1e-3)
    picture = long_term.long_term(audio, RATE)
    np.testing.assert_allclose(picture.mid + picture.side, picture.power, rtol=1e-6)
    assert picture.side.sum() / picture.power.sum() == pytest.approx(stereo.side_share(audio), abs=1e-3)
    assert stereo.panning_spectrum(np.zeros((2, 5)), RATE, picture=picture).position[30] == picture.bands("position")[30]


@each_scalar
def test_scalars_of_silence_and_scraps(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for channels in (1, 2):
            for frames in (0, 1, 500):
                assert math.isnan(SCALARS[name](np.zeros((channels, frames), np.float32)))
            for frames in (1, 2, 37):
                assert not math.isnan(SCALARS[name](np.full((channels, frames), 0.5, np.float32)))
        with pytest.raises(AudioError, match="NaN or infinite"):
            SCALARS[name](np.full((2, 5), np.nan))
        for shape in ((3, 5), (0, 5)):
            with pytest.raises(UsageError, match="mono or stereo"):
                SCALARS[name](np.zeros(shape))


@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_the_panning_spectrum_of_silence_and_scraps(rate: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for frames in (0, 1, 500):
            silent = stereo.panning_spectrum(np.zeros((2, frames), np.float32), rate)
            assert np.isnan(silent.position).all()
            assert np.isnan(silent.similarity).all()
        for frames in (1, 2, 37, 5000):
            audio: Any = np.full((2, frames), 0.5, np.float32) * np.array([[1], [0.5]], np.float32)
            measured = stereo.panning_spectrum(audio, rate)
            finite = np.less_equal(bands.CENTRES_HZ * 2 ** (1 / 6), rate / 2)
            np.testing.assert_allclose(measured.similarity[finite], 0.8, atol=1e-3)
            assert np.isnan(measured.similarity[~finite]).all()
        with pytest.raises(AudioError, match="NaN or infinite"):
            stereo.panning_spectrum(np.full((2, 5), np.nan), rate)
        with pytest.raises(UsageError, match="mono or stereo"):
            stereo.panning_spectrum(np.zeros((3, 5)), rate)
