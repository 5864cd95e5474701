"""Long-term spectra against closed forms and SciPy, the band grid, and where content ends."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soxr
from scipy import signal

from mixdata import audio as files
from mixdata.effects import LossyCodec
from mixdata.errors import AudioError, UsageError
from mixdata.measures import bands, long_term, spectrum
from trees import shared

RATE = 44100
SHAPES: dict[str, Callable[..., float]] = {
    "centroid": spectrum.spectral_centroid_hz,
    "bandwidth": spectrum.spectral_bandwidth_hz,
    "flatness": spectrum.spectral_flatness,
    "rolloff": spectrum.rolloff_hz,
}
each_shape = pytest.mark.parametrize("shape", SHAPES)


def sine(frequency: float, seconds: float = 6.0, rate: int = RATE, amplitude: float = 1.0) -> np.ndarray:
    wave = amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave, wave]).astype(np.float32)


def noise(level_db: float = -20.0, slope_db: float = 0.0, seconds: float = 6.0, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Stereo noise of this RMS level, its density falling by so many dB per octave above 100 Hz."""
    draw = np.random.default_rng(seed).standard_normal((2, round(seconds * rate)))
    frequencies = np.maximum(np.fft.rfftfreq(draw.shape[1], 1 / rate), 100.0)
    draw = np.fft.irfft(np.fft.rfft(draw) * 10 ** (slope_db * np.log2(frequencies / 100) / 20), n=draw.shape[1])
    return (draw / draw.std() * 10 ** (level_db / 20)).astype(np.float32)


def low_passed(audio: np.ndarray, cut_hz: float, rate: int = RATE) -> np.ndarray:
    sections = signal.butter(16, cut_hz, fs=rate, output="sos")  # 96 dB per octave
    return signal.sosfilt(sections, audio.astype(np.float64)).astype(np.float32)


def sixteen_bits(audio: np.ndarray) -> np.ndarray:
    return (np.rint(audio * 32768) / 32768).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 44100, 48000, 96000, 192000])
def test_a_sine_reads_its_amplitude_at_its_own_frequency(rate: int) -> None:
    picture = long_term.long_term(sine(1000.0, 6.0, rate, 0.5), rate)
    peak = int(np.argmax(picture.magnitude))
    assert abs(peak * picture.spacing_hz - 1000.0) <= picture.spacing_hz
    # between two bins the root of a Hann window reads cos(π/2 · d) / (1 − 4d²), d = 1/2 bin: π/4 of the amplitude
    assert 0.5 * math.pi / 4 - 0.005 < picture.magnitude[peak] < 0.505


def test_a_sine_on_a_bin_reads_its_amplitude_and_power() -> None:
    spacing = RATE / 65536
    picture = long_term.long_term(sine(1500 * spacing, 10.0, amplitude=0.5), RATE)
    assert picture.magnitude[1500] == pytest.approx(0.5, rel=0.01)
    assert picture.power[1500] == pytest.approx(0.25, rel=0.05)  # in the halves of windows at both ends it is spread over more bins
    assert picture.mid[1500] == pytest.approx(picture.power[1500], rel=1e-6)
    assert picture.side.max() < 1e-12


def test_means_are_those_of_a_plain_stft_of_the_inner_windows() -> None:
    audio = noise(seconds=12.0)
    picture = long_term.long_term(audio, RATE)
    window = np.sqrt(signal.windows.hann(65536, sym=False))
    frames = np.stack([audio[:, k : k + 65536] for k in range(0, audio.shape[1] - 65535, 32768)])
    spectra = np.fft.rfft(frames * window * 2 / window.sum())
    level = 10 * np.log10(picture.bands("power") / bands.to_bands(np.mean(np.abs(spectra) ** 2, axis=(0, 1)), RATE / 65536))
    assert np.abs(level[20:]).max() < 0.5  # these are means of few windows, the edges are others
    similarity = 2 * np.abs(spectra[:, 0] * spectra[:, 1]) / np.sum(np.abs(spectra) ** 2, axis=1)
    expected = bands.to_bands(similarity.mean(axis=0), RATE / 65536)
    np.testing.assert_allclose(picture.bands("similarity")[20:], expected[20:], atol=0.02)


def test_the_magnitude_is_the_mean_of_both_channels_magnitudes() -> None:
    audio = noise(seconds=3.0)[:1] * np.array([[1.0], [0.25]], np.float32)
    pictures = [long_term.long_term(each, RATE) for each in (audio[:1], audio)]
    np.testing.assert_allclose(pictures[1].magnitude, pictures[0].magnitude * (1 + 0.25) / 2, rtol=1e-3)
    np.testing.assert_allclose(pictures[1].power, pictures[0].power * (1 + 0.25**2) / 2, rtol=1e-3)


@pytest.mark.parametrize(("rate", "frames"), [(44100, 65536), (48000, 71332), (88200, 131072), (192000, 285326)])
def test_windows_are_as_long_at_each_rate(rate: int, frames: int) -> None:
    size = long_term.window_frames(rate)
    assert size % 2 == 0
    assert size == pytest.approx(frames, rel=0.02)


def test_silence_behind_the_audio_changes_no_shape() -> None:
    audio = noise(slope_db=-3.0, seconds=5.3)
    plain = long_term.long_term(audio, RATE)
    padded = long_term.long_term(np.pad(audio, ((0, 0), (0, 400_000))), RATE)
    assert padded.windows == plain.windows
    np.testing.assert_allclose(padded.similarity, plain.similarity, rtol=1e-6)
    np.testing.assert_allclose(padded.position, plain.position, atol=1e-6)
    np.testing.assert_allclose(padded.power / padded.power.sum(), plain.power / plain.power.sum(), rtol=1e-6)
    assert 10 * math.log10(padded.power.sum() / plain.power.sum()) == pytest.approx(0.0, abs=0.8)  # the last window is whole now


def test_pauses_do_not_lower_the_mean() -> None:
    tone, pause = noise(seconds=20.0), np.zeros((2, 20 * RATE), np.float32)
    plain, paused = (long_term.long_term(x, RATE) for x in (tone, np.hstack([tone, pause, tone, pause])))
    assert 10 * math.log10(paused.power.sum() / plain.power.sum()) == pytest.approx(0.0, abs=0.4)
    quiet = np.hstack([tone, 0.003 * tone])  # 50 dB down does not sound, 30 dB down does
    assert long_term.long_term(quiet, RATE).windows <= plain.windows + 1
    assert long_term.long_term(np.hstack([tone, 0.03 * tone]), RATE).windows > 1.9 * plain.windows


def test_every_sample_weighs_the_same() -> None:
    """The power of all windows is that of the audio (Parseval), wherever in it an impulse lies, the first frame and the last included."""
    totals = []
    for place in (0, 777, 20_000, 43_210, 65_535):
        audio = np.zeros((1, 65_536))
        audio[0, place] = 1.0
        picture = long_term.long_term(audio, RATE)
        both = sum(float(np.sum(np.abs(x) ** 2)) for x in long_term.windows(audio, RATE))
        totals.append(both)
        assert picture.windows <= 2
    np.testing.assert_allclose(totals, totals[0], rtol=1e-3)


def test_short_audio_reads_the_level_it_has() -> None:
    whole, short = (long_term.long_term(noise(seconds=seconds), RATE) for seconds in (20.0, 0.3))
    assert 10 * math.log10(short.power.sum() / whole.power.sum()) == pytest.approx(0.0, abs=0.5)


def test_bands_of_a_constant_are_the_constant() -> None:
    for bins, spacing in ((32769, RATE / 65536), (1025, RATE / 2048)):
        np.testing.assert_allclose(bands.to_bands(np.full((3, bins), 2.5), spacing), 2.5, rtol=1e-12)


def test_the_grid_is_a_sixth_of_an_octave_and_reaches_18_khz() -> None:
    assert bands.CENTRES_HZ.shape == (58,)
    assert bands.CENTRES_HZ[32] == 1000.0
    np.testing.assert_allclose(np.diff(np.log2(bands.CENTRES_HZ)), 1 / 6)
    assert bands.CENTRES_HZ[[0, -1]] == pytest.approx([24.8, 17959.4], abs=0.05)


def test_a_band_is_a_triangle_a_third_of_an_octave_wide() -> None:
    spacing = 0.5
    for octaves, weight in ((0.0, 1.0), (1 / 6, 0.5), (-1 / 6, 0.5), (0.34, 0.0), (-0.34, 0.0)):
        values = np.zeros(44101)
        values[round(1000 * 2**octaves / spacing)] = 1.0
        area = 1000 * 0.23208 / spacing  # under the triangle over frequency, numerically below
        assert bands.to_bands(values, spacing)[32] * area == pytest.approx(weight, abs=0.01)
    fine = np.arange(700.0, 1400.0, 0.01)
    assert np.maximum(1 - 3 * np.abs(np.log2(fine / 1000)), 0).sum() * 0.01 / 1000 == pytest.approx(spectrum.BAND_SHARE, rel=1e-4)


def test_bands_above_the_rate_are_nan() -> None:
    curve = bands.to_bands(np.ones(513), 8000 / 1024)
    assert np.isfinite(curve[bands.CENTRES_HZ * 2 ** (1 / 6) < 4000]).all()
    assert np.isnan(curve[bands.CENTRES_HZ * 2 ** (1 / 6) > 4000]).all()


def test_a_smooth_curve_survives_the_grid() -> None:
    frequencies = np.arange(32769) * RATE / 65536
    smooth = 10 * np.cos(np.log2(np.maximum(frequencies, 1.0) / 1000))  # a period of 6.3 octaves
    back = bands.from_bands(bands.to_bands(smooth, RATE / 65536), frequencies)
    inside = (frequencies > 40) & (frequencies < 16_000)
    assert np.abs(back - smooth)[inside].max() < 0.4
    assert back[0] == back[1] == bands.to_bands(smooth, RATE / 65536)[0]
    assert np.isnan(bands.from_bands(np.full(58, np.nan), frequencies)).all()


@pytest.mark.parametrize("frequency", [200.0, 1000.0, 7000.0])
def test_of_a_sine_all_shapes_are_at_its_frequency(frequency: float) -> None:
    audio = sine(frequency)
    assert spectrum.spectral_centroid_hz(audio, RATE) == pytest.approx(frequency, abs=1.0)
    assert spectrum.rolloff_hz(audio, RATE) == pytest.approx(frequency, abs=2.0)
    assert spectrum.spectral_bandwidth_hz(audio, RATE) < 0.02 * frequency
    assert spectrum.spectral_flatness(audio, RATE) < 1e-3


@pytest.mark.parametrize("rate", [16000, 44100, 96000])
def test_white_noise_has_its_closed_forms(rate: int) -> None:
    audio = noise(seconds=20.0, rate=rate)
    assert spectrum.spectral_centroid_hz(audio, rate) == pytest.approx(rate / 4, rel=0.01)
    assert spectrum.spectral_bandwidth_hz(audio, rate) == pytest.approx(rate / math.sqrt(48), rel=0.01)  # of a uniform distribution
    assert spectrum.rolloff_hz(audio, rate) == pytest.approx(0.85 * rate / 2, rel=0.01)
    assert spectrum.rolloff_hz(audio, rate, share=0.5) == pytest.approx(rate / 4, rel=0.01)
    assert spectrum.spectral_flatness(audio, rate) == pytest.approx(1.0, abs=0.01)


def test_flatness_of_two_steps_has_its_closed_form() -> None:
    """Power 1 below 8 kHz and 1/100 above: the geometric mean over 20 Hz to 16 kHz is about 1/10, the arithmetic 0.505."""
    audio = noise(seconds=20.0)
    bins = np.fft.rfft(audio)
    bins[:, np.fft.rfftfreq(audio.shape[1], 1 / RATE) > 8000] *= 0.1
    assert spectrum.spectral_flatness(np.fft.irfft(bins).astype(np.float32), RATE) == pytest.approx(0.1 / 0.505, rel=0.02)


@each_shape
def test_no_shape_depends_on_level_or_on_the_order_of_channels(shape: str) -> None:
    audio = noise(slope_db=-4.0) * np.array([[1.0], [0.3]], np.float32)
    expected = SHAPES[shape](audio, RATE)
    for other in (0.001 * audio, 8 * audio, -audio, audio[::-1]):
        assert SHAPES[shape](other, RATE) == pytest.approx(expected, rel=1e-4)


@each_shape
def test_no_shape_depends_on_the_sample_rate(shape: str) -> None:
    audio = low_passed(noise(slope_db=-3.0, seconds=8.0), 18_000.0)
    faster = soxr.resample(audio.T, RATE, 96_000, quality="VHQ").T
    assert SHAPES[shape](faster, 96_000) == pytest.approx(SHAPES[shape](audio, RATE), rel=0.01)


@each_shape
def test_a_picture_at_hand_gives_the_same(shape: str) -> None:
    audio = noise(slope_db=-4.0)
    assert SHAPES[shape](np.zeros((2, 9)), RATE, picture=long_term.long_term(audio, RATE)) == SHAPES[shape](audio, RATE)


def test_a_sine_reads_its_rms_in_its_band() -> None:
    levels = spectrum.average_spectrum_db(sine(1000.0, 20.0, amplitude=0.5), RATE)
    assert levels[32] == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.1)
    assert np.nanargmax(levels) == 32


def test_noise_reads_its_level_per_third_of_an_octave() -> None:
    """White noise of -20 dBFS: -20 + 10 lg(bandwidth / (rate/2)), a band being 0.2321 of its centre wide."""
    white = spectrum.average_spectrum_db(noise(-20.0, seconds=20.0), RATE)
    np.testing.assert_allclose(white[20:], -20 + 10 * np.log10(0.2321 * bands.CENTRES_HZ[20:] / 22050), atol=0.3)
    pink = spectrum.average_spectrum_db(noise(-20.0, -3.0103, seconds=20.0), RATE)
    assert np.ptp(pink[20:]) < 0.6


@pytest.mark.parametrize("cut_hz", [4000.0, 8000.0, 11_000.0, 16_000.0, 18_000.0])
@pytest.mark.parametrize("slope_db", [0.0, -3.0, -6.0])
@pytest.mark.parametrize("bits", ["float", "16 bits", "16 bits louder"])
def test_a_steep_low_pass_is_found(cut_hz: float, slope_db: float, bits: str) -> None:
    audio = low_passed(noise(-30.0, slope_db), cut_hz)
    if bits != "float":
        audio = sixteen_bits(audio) * np.float32(4.0 if bits == "16 bits louder" else 1.0)
    assert spectrum.effective_bandwidth_hz(audio, RATE) == pytest.approx(cut_hz, rel=0.05)


@pytest.mark.parametrize("source_rate", [8000, 16_000, 22_050, 24_000, 32_000])
def test_upsampled_material_ends_at_half_its_old_rate(source_rate: int) -> None:
    audio = soxr.resample(noise(-25.0, -3.0, rate=source_rate).T, source_rate, RATE, quality="HQ").T
    assert 0.88 * source_rate / 2 < spectrum.effective_bandwidth_hz(audio, RATE) < 1.03 * source_rate / 2


@pytest.mark.parametrize(("slope_db", "level_db"), [(0, -20), (0, -60), (-3, -20), (-3, -50), (-6, -20), (-12, -3)])
@pytest.mark.parametrize("bits", ["float", "16 bits"])
def test_natural_fall_off_and_quiet_highs_are_not_cut(slope_db: float, level_db: float, bits: str) -> None:
    audio = noise(level_db, slope_db)
    if slope_db == -12:
        audio = noise(-30, 0.0) + audio  # a hiss under it
    audio = sixteen_bits(audio) if bits == "16 bits" else audio
    assert spectrum.effective_bandwidth_hz(audio, RATE) == 22050.0


def test_slopes_of_18_db_per_octave_are_not_taken_for_an_edge() -> None:
    audio = noise(-12.0, seconds=6.0)
    frequencies = np.maximum(np.fft.rfftfreq(audio.shape[1], 1 / RATE), 1000.0)
    audio = np.fft.irfft(np.fft.rfft(audio) * (1000 / frequencies) ** 3).astype(np.float32)
    assert spectrum.effective_bandwidth_hz(audio, RATE) == 22050.0


@pytest.mark.parametrize("bits", ["float", "16 bits"])
def test_content_that_sinks_into_16_bits_ends_there(bits: str) -> None:
    """Density -47 dB per Hz at 100 Hz, falling by 12 dB per octave: -138 is reached after 91/12 octaves less the noise below 100 Hz."""
    audio = noise(-40.0, -12.0)
    density = signal.welch(audio.astype(np.float64), RATE, nperseg=8192, window=("kaiser", 20), axis=1)
    expected = density[0][np.flatnonzero(10 * np.log10(density[1].mean(axis=0)) > -138.0)[-1]]
    measured = spectrum.effective_bandwidth_hz(sixteen_bits(audio) if bits == "16 bits" else audio, RATE)
    assert expected == pytest.approx(measured, rel=0.1)
    assert expected < 10_000


def test_a_low_or_sloping_edge_is_music_and_no_cut() -> None:
    """Below 3.5 kHz music may break off steeply, and above an edge that goes on falling there is content."""
    low = low_passed(noise(-25.0), 1500.0) + noise(-75.0)
    assert spectrum.effective_bandwidth_hz(low, RATE) == 22050.0
    falling = low_passed(noise(-20.0), 5000.0) + noise(-45.0, -9.0)
    assert spectrum.effective_bandwidth_hz(falling, RATE) == 22050.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_skirt_that_reaches_half_the_rate_shows_no_floor_and_is_no_earlier_cut(seed: int) -> None:
    """Of a floor three bands must be seen: with fewer, the foot of the skirt passes for one beside a tone, and content ends too low."""
    random = np.random.default_rng(seed)
    skirt = signal.sosfilt(signal.butter(13, 20_760.0, fs=RATE, output="sos"), random.standard_normal((1, 2 * RATE)))
    hiss = 10 ** (-83.7 / 20) * random.standard_normal(skirt.shape)
    audio = 10 ** (-56.8 / 20) * skirt / skirt.std() + hiss + sine(21_600.0, 2.0, amplitude=0.01)[:1]
    assert spectrum.effective_bandwidth_hz(audio.astype(np.float32), RATE) > 0.97 * 20_760


def test_a_tone_above_the_cut_is_not_content_but_a_tone_alone_is() -> None:
    hiss = noise(-75.0)
    whistle = low_passed(noise(-25.0), 11_000.0) + hiss + sine(15_734.0, amplitude=0.003)
    assert spectrum.effective_bandwidth_hz(whistle, RATE) == pytest.approx(11_000, rel=0.05)
    assert spectrum.effective_bandwidth_hz(sine(5000.0), RATE) == pytest.approx(5000, rel=0.05)
    assert spectrum.effective_bandwidth_hz(sine(5000.0) + hiss, RATE) == 22050.0


@pytest.mark.parametrize(
    ("kbps", "low", "high"),
    [
        (64, 10_000, 11_500),
        (96, 14_500, 15_600),
        (128, 16_000, 17_100),
        (160, 16_800, 17_700),
        (192, 18_000, 19_200),
        (320, 19_500, 20_600),
    ],
)
def test_the_cut_of_mp3_is_found(kbps: int, low: float, high: float) -> None:
    """LAME 3.100's low-passes at constant bit rate: 11, 15.1, 17, 17.5, 18.6 and 20.1 kHz, where the fall is done."""
    coded = LossyCodec(bitrate_kbps=kbps)(noise(-25.0, -3.0), RATE)
    assert low < spectrum.effective_bandwidth_hz(coded, RATE) < high


@pytest.mark.parametrize("rate", [8000, 22050, 48000, 96000, 192000])
def test_the_cut_is_found_at_any_rate(rate: int) -> None:
    cut = 0.3 * rate
    audio = sixteen_bits(low_passed(noise(-25.0, rate=rate, seconds=4.0), cut, rate))
    assert spectrum.effective_bandwidth_hz(audio, rate) == pytest.approx(cut, rel=0.06)
    assert spectrum.effective_bandwidth_hz(noise(-25.0, rate=rate, seconds=4.0), rate) == rate / 2


@pytest.mark.parametrize("gain", [0.1, 0.5, 3.0, 30.0])
def test_the_cut_does_not_depend_on_level(gain: float) -> None:
    audio = LossyCodec(bitrate_kbps=128)(noise(-30.0, -3.0), RATE)
    measured = spectrum.effective_bandwidth_hz(audio * np.float32(gain), RATE)
    assert measured == pytest.approx(spectrum.effective_bandwidth_hz(audio, RATE), rel=0.03)


def test_a_short_excerpt_shows_its_cut_too() -> None:
    audio = low_passed(noise(-25.0), 8000.0)[:, RATE:]
    for frames in (2000, 10_000, 70_000):
        assert spectrum.effective_bandwidth_hz(audio[:, :frames], RATE) == pytest.approx(8000, rel=0.08)


def test_published_stems_at_24_khz_end_below_12_khz() -> None:
    folder = shared("multitrack_cc0")
    stems = sorted(folder.glob("*/stems/MINILOGUE_SYNTH.flac"))
    stems = [stem for stem in stems if "Francium" not in str(stem)]  # SOURCES.md: the other three songs' were published at 24 kHz
    assert stems
    for stem in stems:
        audio, rate = files.read(stem)
        assert 6000 < spectrum.effective_bandwidth_hz(audio, rate) < 12_000


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("Joshua Morin - On the run.ogg", 14_500, 16_000),
        ("spleeter_audio_example.mp3", 18_000, 19_500),
        ("Kevin_MacLeod_-_Vibe_Ace.ogg", 10_000, 11_025),
    ],
)
def test_real_mixes_end_where_their_codec_cut_them(name: str, low: float, high: float) -> None:
    audio, rate = files.read(shared("mixes") / name)
    assert low < spectrum.effective_bandwidth_hz(audio[:, : 30 * rate], rate) <= high


ALL: dict[str, Callable[..., Any]] = {**SHAPES, "average": spectrum.average_spectrum_db, "end": spectrum.effective_bandwidth_hz}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("rate", [8000, 44100, 192000])
def test_silence_and_scraps_have_a_clear_outcome(name: str, rate: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for channels in (1, 2):
            for frames in (0, 1, 1000):
                silent = ALL[name](np.zeros((channels, frames), np.float32), rate)
                if name == "average":
                    assert (np.isneginf(silent) | np.isnan(silent)).all()
                else:
                    assert silent == 0.0 if name == "end" else math.isnan(silent)
            for frames in (1, 2, 37, 700):
                assert np.isfinite(ALL[name](np.full((channels, frames), 0.25), rate)).any()
        for bad in (math.nan, math.inf):
            with pytest.raises(AudioError, match="NaN or infinite"):
                ALL[name](np.full((2, 500), bad, np.float32), rate)
        with pytest.raises(UsageError, match="shape"):
            ALL[name](np.zeros(500), rate)


def test_the_input_is_not_changed() -> None:
    audio = noise()
    before = audio.copy()
    audio.flags.writeable = False
    for function in ALL.values():
        function(audio, RATE)
    np.testing.assert_array_equal(audio, before)
