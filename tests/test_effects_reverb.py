"""Freeverb and noise reverb: delays, gains, decay times, against a plain loop and against pedalboard."""

import dataclasses

import numpy as np
import pytest
from scipy.signal import lfilter, stft

from mixdata.effects.noise_reverb import NoiseReverb
from mixdata.effects.reverb import Reverb, reverberated

RATE = 44100


def noise(frames: int, channels: int = 2, seed: int = 0, dtype=np.float64) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(channels, frames)) * 0.1).astype(dtype)


def impulse(frames: int, channels: int = 2, dtype=np.float64) -> np.ndarray:
    audio = np.zeros((channels, frames), dtype)
    audio[:, 0] = 1
    return audio


def decay_s(energy: np.ndarray, rate: int, low_db: float, high_db: float) -> float:
    """ISO 3382: the line fitted to Schroeder's integral between two levels, extrapolated to 60 dB. `energy` is the squared response."""
    curve = np.cumsum(np.asarray(energy, float)[::-1])[::-1]
    level = 10 * np.log10(curve[curve > 0] / curve[0])
    chosen = np.flatnonzero((level <= low_db) & (level >= high_db))
    return -60 / np.polyfit(chosen / rate, level[chosen], 1)[0]


def band_energy(response: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Jot's energy decay relief (1992) before its integral: the energy of a band for every 512 frames."""
    frequencies, _, spectra = stft(response.astype(float), rate, nperseg=2048, noverlap=1536)
    chosen = (frequencies >= low) & (frequencies <= high)
    return (np.abs(spectra[..., chosen, :]) ** 2).reshape(-1, chosen.sum(), spectra.shape[-1]).sum(axis=(0, 1))


def plain_freeverb(source: np.ndarray, rate: int, room: float, damping: float, spread: int) -> np.ndarray:
    """Comb: o = buf[i]; st = o (1 - d) + st d; buf[i] = in + st fb. All-pass: b = buf[i]; out = b - in; buf[i] = in + 0.5 b."""
    feedback, damp = room * 0.28 + 0.7, damping * 0.4
    total = np.zeros(len(source))
    for delay in (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617):
        line, state = [0.0] * int((delay + spread) * rate / 44100), 0.0
        for n, value in enumerate(source):
            out = line[n % len(line)]
            state = out * (1 - damp) + state * damp
            line[n % len(line)] = value + state * feedback
            total[n] += out
    for delay in (556, 441, 341, 225):
        line = [0.0] * int((delay + spread) * rate / 44100)
        for n, value in enumerate(total):
            kept = line[n % len(line)]
            line[n % len(line)] = value + 0.5 * kept
            total[n] = kept - value
    return total


@pytest.mark.parametrize("rate, frames", [(44100, 7000), (8000, 5000), (1000, 3000)])
@pytest.mark.parametrize("dtype, error", [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_reverb_is_freeverb_sample_by_sample(rate, frames, dtype, error):
    audio = noise(frames, dtype=dtype)
    out = reverberated(audio, rate, 0.7, 0.6)
    source = (audio[0].astype(float) + audio[1]) * 0.015
    for channel, spread in ((0, 0), (1, 23)):
        expected = plain_freeverb(source, rate, 0.7, 0.6, spread)
        assert np.abs(expected).max() > 0.003
        assert np.abs(out[channel] - expected).max() < error


def test_the_first_echo_of_a_mono_impulse_comes_after_1116_frames_with_0_015():  # standards: Freeverb, damp 0
    out = reverberated(impulse(1200, 1), RATE, 0.5, 0.0)[0]
    assert np.flatnonzero(out)[0] == 1116
    assert out[1116] == pytest.approx(0.015)
    left, right = reverberated(impulse(1200), RATE, 0.5, 0.0)
    assert left[1116] == pytest.approx(0.03)  # it hears the sum of both channels
    assert np.flatnonzero(right)[0] == 1116 + 23


@pytest.mark.parametrize("rate, first", [(48000, 1214), (96000, 2429), (22050, 558), (8000, 202)])
def test_delays_are_scaled_to_the_rate_and_rounded_down(rate, first):
    out = reverberated(impulse(3000), rate, 0.5, 0.5)
    assert np.flatnonzero(out[0])[0] == first
    assert np.flatnonzero(out[1])[0] == (1116 + 23) * rate // 44100
    assert Reverb(mix=1).arrival_frames(rate) == first
    assert Reverb(mix=0.99).arrival_frames(rate) == 0


@pytest.mark.parametrize("room, t20, t30", [(0.0, 0.632, 0.639), (0.5, 1.285, 1.301), (0.8, 2.830, 2.865)])
def test_reverb_decays_as_measured_elsewhere(room, t20, t30):  # a Freeverb in double precision, damp 0, feedback 0.7, 0.84, 0.924
    energy = reverberated(impulse(RATE * 5, 1), RATE, room, 0.0)[0] ** 2
    assert decay_s(energy, RATE, -5, -25) == pytest.approx(t20, rel=0.05)
    assert decay_s(energy, RATE, -5, -35) == pytest.approx(t30, rel=0.05)


@pytest.mark.parametrize("rate", [22050, 96000])
def test_the_decay_does_not_depend_on_the_sample_rate(rate):
    energy = reverberated(impulse(rate * 3, 1), rate, 0.5, 0.0)[0] ** 2
    assert decay_s(energy, rate, -5, -35) == pytest.approx(1.301, rel=0.05)


def test_damping_shortens_the_decay_of_high_frequencies_only():
    def of_band(damping, low, high):
        response = reverberated(impulse(RATE * 4, 1), RATE, 0.7, damping)[0]
        return decay_s(band_energy(response, RATE, low, high), RATE / 512, -5, -35)

    assert of_band(0.8, 50, 300) == pytest.approx(of_band(0.0, 50, 300), rel=0.05)
    # the low-pass (1 - d) / (1 - d z^-1) at 8 kHz with d = 0.32 takes part in each round: T is log(fb) / log(fb |H|) as long
    gain = 0.68 / abs(1 - 0.32 * np.exp(-2j * np.pi * 8000 / RATE))
    expected = np.log(0.896) / np.log(0.896 * gain)
    assert of_band(0.8, 7500, 8500) / of_band(0.0, 7500, 8500) == pytest.approx(expected, rel=0.15)


@pytest.mark.parametrize("rate", [44100, 48000, 22050])
@pytest.mark.parametrize("room, damping, width, mix", [(0.3, 0.2, 1.0, 0.2), (0.9, 0.7, 0.3, 0.5), (0.6, 1.0, 0.0, 1.0)])
def test_reverb_is_half_of_pedalboards(rate, room, damping, width, mix):
    pedalboard = pytest.importorskip("pedalboard")
    audio = noise(rate, dtype=np.float32)
    audio[:, : rate // 10] = 0  # there pedalboard's parameters are still on their way
    theirs = pedalboard.Reverb(room, damping, mix, 1 - mix, width)(audio, rate)
    ours = Reverb(room=room, damping=damping, width=width, mix=mix)(audio, rate)
    assert np.abs(theirs).max() > 0.1
    assert np.abs(2 * ours - theirs).max() < 5e-6


def test_mono_reverb_is_half_of_pedalboards_at_full_width():
    pedalboard = pytest.importorskip("pedalboard")
    audio = noise(RATE, 1, dtype=np.float32)
    audio[:, :4410] = 0
    assert np.abs(2 * Reverb(mix=0.4, width=0.2)(audio, RATE) - pedalboard.Reverb(0.5, 0.5, 0.4, 0.6, 1.0)(audio, RATE)).max() < 5e-6


def test_width_mixes_the_channels_of_the_reverb_only():
    audio = noise(9000)
    bare = reverberated(audio, RATE, 0.5, 0.5)
    for width in (0.0, 0.25, 1.0):
        out = Reverb(width=width, mix=0.4)(audio, RATE)
        for own, other in ((0, 1), (1, 0)):
            wet = bare[own] * (0.5 + width / 2) + bare[other] * (0.5 - width / 2)
            assert np.abs(out[own] - (0.6 * audio[own] + 0.4 * 1.5 * wet)).max() < 1e-12


def test_pairs_of_channels_are_rooms_of_their_own():
    audio = noise(6000, 5)
    reverb = Reverb(mix=0.5)
    out = reverb(audio, RATE)
    for channels in (slice(0, 2), slice(2, 4), slice(4, 5)):
        assert np.array_equal(out[channels], reverb(audio[channels], RATE))


def test_a_tail_ends_in_exact_silence():
    out = reverberated(impulse(8000 * 12, dtype=np.float32), 8000, 0.0, 0.5)
    assert out[:, 8000 * 2].any()
    assert not out[:, -4000:].any()
    assert np.count_nonzero((np.abs(out) > 0) & (np.abs(out) < 1e-37)) < 4000  # slow numbers


# noise reverb

BANDS = [("low", 90, 320), ("500", 380, 670), ("mid", 760, 1320), ("2k", 1520, 2640), ("high", 3000, 16000)]
SHAPED = NoiseReverb(low_decay_s=2.0, mid_decay_s=1.0, high_decay_s=0.5, low_gain_db=-6, high_gain_db=4, mix=1, noise_seed=3)


@pytest.mark.parametrize("rate", [44100, 48000])
@pytest.mark.parametrize(
    "band, expected", list(zip(BANDS, (2.0, 2.0**0.5, 1.0, 0.5**0.5, 0.5), strict=True)), ids=[name for name, _, _ in BANDS]
)
def test_each_band_of_noise_decays_in_its_own_time(band, expected, rate):
    """T30 within 5 %, the just noticeable difference (ISO 3382-1); over 24 channels, as narrow noise has few degrees of freedom."""
    energy = band_energy(SHAPED.impulse_response(rate, 24), rate, band[1], band[2])
    assert decay_s(energy, rate / 512, -5, -35) == pytest.approx(expected, rel=0.05)


def test_bands_of_noise_begin_as_loud_as_their_gains_say():
    even = dataclasses.replace(SHAPED, low_decay_s=1.0, high_decay_s=1.0)
    response = even.impulse_response(RATE, 24)
    density = [band_energy(response, RATE, low, high).sum() / (high - low) for _, low, high in BANDS]
    levels = 10 * np.log10(np.array(density) / density[2])
    assert levels == pytest.approx([-6, -3, 0, 2, 4], abs=0.5)


def test_noise_reverb_has_unit_energy_and_nothing_below_20_hz():
    response = SHAPED.impulse_response(RATE, 2)
    assert np.square(response, dtype=float).sum(axis=1) == pytest.approx([1, 1], rel=1e-5)
    spectrum = np.square(np.abs(np.fft.rfft(response, 10 * RATE))).mean(axis=0)  # bins of 0.1 Hz
    assert spectrum[:100].mean() < 0.02 * spectrum[300:400].mean()


def test_noise_depends_on_the_seed_and_the_channel_only():
    one = SHAPED.impulse_response(RATE, 2)
    assert np.array_equal(one, dataclasses.replace(SHAPED, mix=0.2, predelay_ms=30).impulse_response(RATE, 2))
    assert np.array_equal(one[:1], SHAPED.impulse_response(RATE, 1))
    other = dataclasses.replace(SHAPED, noise_seed=4).impulse_response(RATE, 2)
    for a, b in ((one[0], one[1]), (one[0], other[0]), (one[0], other[1])):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.1


def test_noise_reverb_is_convolution_with_its_response_after_the_predelay():
    effect = dataclasses.replace(SHAPED, low_decay_s=0.3, mid_decay_s=0.3, high_decay_s=0.2, mix=0.4, predelay_ms=12.5)
    audio = noise(12000)
    response = effect.impulse_response(8000, 2)
    for channel, out in enumerate(effect(audio, 8000)):
        late = np.concatenate([np.zeros(100), response[channel]])
        expected = 0.6 * audio[channel] + 0.4 * lfilter(late, [1.0], audio[channel])
        assert np.abs(out - expected).max() < 1e-9
    assert dataclasses.replace(effect, mix=1).arrival_frames(8000) == 100
    assert effect.arrival_frames(8000) == 0
    wet = np.abs(dataclasses.replace(effect, mix=1)(impulse(4000), 8000)).max(axis=0)
    assert np.flatnonzero(wet > 1e-9 * wet.max())[0] == 100
