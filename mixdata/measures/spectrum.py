"""The shape of a piece's long-term spectrum. Audio is `(channels, frames)`; nothing but `average_spectrum_db` depends on its level.

All but the effective bandwidth are taken of `LongTerm.power`, the mean power of all windows that sound (mono or stereo), so a loud passage
counts for more than a quiet one; hand in `picture` where it is at hand. NaN for silence.
"""

import itertools
import math
from functools import cache

import numpy as np
from scipy import fft, signal

from mixdata.measures.bands import CENTRES_HZ
from mixdata.measures.levels import check, to_db
from mixdata.measures.long_term import SOUNDING_DB, LongTerm, long_term, window_frames

BAND_SHARE = 3 / math.log(2) * (2 ** (1 / 3) + 2 ** (-1 / 3) - 2)  # a band's width over its centre: the area under its triangle
FLAT_LOW_HZ, FLAT_HIGH_HZ, FLAT_STEP_HZ = 20.0, 16_000.0, 10.0
FLOOR_DB = -94.6  # all bands together: above rounding to 16 bits (1/12 of a step squared: -101.1), with triangular dither (3/12: -96.3)
EDGES_PER_OCTAVE = 24
SKIRT_DB = 7.0  # over a sixth of an octave: what falls faster (42 dB per octave) is a filter's skirt
KNEE_DB = 6.0  # down: where a skirt counts as begun
CLIFF_DB = 12.0  # over a sixth of an octave
LOWEST_CLIFF_HZ = 3_500.0  # cut-offs of codecs and resamplers lie above; music may break off so steeply below
SPREAD_DB = 6.0  # a floor's highest band over its median
LOWEST_HZ = 40.0
SHORTEST = 512  # frames of a window


def average_spectrum_db(audio: np.ndarray, sample_rate: int, *, picture: LongTerm | None = None) -> np.ndarray:
    """Return the level of each third of an octave around `bands.CENTRES_HZ`, dBFS (RMS), mean of the channels.

    A sine on a band's centre reads its RMS level, white noise rises by 3 dB per octave, pink noise is level. -inf for silence,
    NaN for bands that the rate is too low for.
    """
    picture = picture or long_term(audio, sample_rate)
    bin_hz = math.pi**2 / 8 * picture.spacing_hz  # the noise bandwidth of the root of a Hann window
    density = picture.bands("power") / (2 * bin_hz)  # a sine that reads 1 has a power of a half
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(density * CENTRES_HZ * BAND_SHARE))


def spectral_centroid_hz(audio: np.ndarray, sample_rate: int, *, picture: LongTerm | None = None) -> float:
    """Mean frequency, weighted by power: a sine's own, of white noise a quarter of the rate."""
    picture = picture or long_term(audio, sample_rate)
    total = picture.power.sum()
    return float(np.dot(_frequencies(picture), picture.power) / total) if total > 0 else math.nan


def spectral_bandwidth_hz(audio: np.ndarray, sample_rate: int, *, picture: LongTerm | None = None) -> float:
    """Standard deviation of the frequency around the centroid, weighted by power: near 0 for a sine, rate/√48 for white noise."""
    picture = picture or long_term(audio, sample_rate)
    total = picture.power.sum()
    if total <= 0:
        return math.nan
    centroid = spectral_centroid_hz(audio, sample_rate, picture=picture)
    return math.sqrt(float(np.dot((_frequencies(picture) - centroid) ** 2, picture.power) / total))


def rolloff_hz(audio: np.ndarray, sample_rate: int, share: float = 0.85, *, picture: LongTerm | None = None) -> float:
    """Frequency below which `share` of the power lies: 0.85 of half the rate for white noise."""
    picture = picture or long_term(audio, sample_rate)
    power = np.cumsum(picture.power)
    return float(np.searchsorted(power, share * power[-1]) * picture.spacing_hz) if power[-1] > 0 else math.nan


def spectral_flatness(audio: np.ndarray, sample_rate: int, *, picture: LongTerm | None = None) -> float:
    """Geometric over arithmetic mean of the power, 1 for white noise, 0 for a sine.

    Taken in steps of 10 Hz from 20 Hz to 16 kHz (or half the rate), so that it is the same at 44.1 and 96 kHz.
    """
    picture = picture or long_term(audio, sample_rate)
    step = round(FLAT_STEP_HZ / picture.spacing_hz)
    first, last = (round(frequency / picture.spacing_hz) for frequency in (FLAT_LOW_HZ, FLAT_HIGH_HZ))
    power = picture.power[first : min(last, len(picture.power) - 1)]
    power = power[: len(power) // step * step].reshape(-1, step).mean(axis=1)
    mean = power.mean()
    if mean <= 0:
        return math.nan
    return float(np.exp(np.mean(np.log(np.maximum(power / mean, 1e-30)))))


def effective_bandwidth_hz(audio: np.ndarray, sample_rate: int) -> float:
    """The highest frequency at which the piece has content, any number of channels; half the rate where nothing is cut off, 0 for silence.

    Content ends where the mean power sinks for good to what rounding to 16 bits leaves (at 44.1 kHz -138 dBFS per Hz), however slowly: a
    bass without highs ends there, and very quiet audio sooner. It also ends at a cliff onto a level floor above that, of 12 dB within a
    sixth of an octave, as codecs, resamplers and band-limited separators leave; single tones on the floor are not content. A steep
    filter's skirt does not count. Within about 3 % for steep edges. 16-bit audio that was amplified has its rounding on a higher floor, so
    content that sinks into that slowly reads half the rate. Hard cuts to digital silence are clicks, which have every frequency.
    """
    mean, median, edges = _fine_bands(audio, sample_rate)
    lowest = FLOOR_DB - 10 * math.log10(sample_rate / 2)
    above = np.flatnonzero(mean > lowest)
    if not above.size:
        return 0.0
    last = _corner(_to_come(np.maximum(mean, lowest)), int(above[-1]))
    floor = np.maximum(median[: last + 1], lowest)
    to_come = _to_come(floor)
    gap = EDGES_PER_OCTAVE // 6
    for band in range(last - gap - 2, 0, -1):  # of a floor three bands must be seen, the last may be the foot of a skirt
        if edges[band] < LOWEST_CLIFF_HZ:
            break
        level = np.median(floor[band + gap :])
        if to_come[band] - to_come[band + gap] >= CLIFF_DB and to_come[band + gap] - level <= SPREAD_DB:
            last = _corner(to_come, band)
            break
    return float(math.sqrt(edges[last] * edges[last + 1]) if last + 1 < len(mean) else edges[-1])


def _fine_bands(audio: np.ndarray, sample_rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and median density of bands up to half the rate, dBFS per Hz, and the bands' edges, one more."""
    power = _power(audio, sample_rate)
    count = math.floor(math.log2(sample_rate / 2 / LOWEST_HZ) * EDGES_PER_OCTAVE)
    edges = 2.0 ** (np.arange(-count, 1) / EDGES_PER_OCTAVE)
    bins = np.round(edges * (len(power) - 1)).astype(int)
    pieces = [power[low : max(high, low + 1)] for low, high in itertools.pairwise(bins)]
    with np.errstate(divide="ignore"):
        mean, median = (10 * np.log10([function(piece) for piece in pieces]) for function in (np.mean, np.median))
    return mean, median, edges * sample_rate / 2


def _power(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Mean power per bin, full scale squared per Hz, of the windows that sound.

    All windows lie inside the audio, shorter ones if need be: an excerpt's hard ends would sound like a click, which has every frequency.
    """
    check(audio)
    size = max(min(window_frames(sample_rate), 1 << max(audio.shape[1], 1).bit_length() - 1), SHORTEST)
    audio = np.pad(audio, ((0, 0), (0, max(size - audio.shape[1], 0))))
    pieces = np.lib.stride_tricks.sliding_window_view(audio, size, axis=1)[:, :: size // 2]
    energies = np.array([float(np.sum(np.square(pieces[:, k], dtype=np.float64))) for k in range(pieces.shape[1])])
    to_db(float(energies.sum()))  # refuses NaN
    sounding = np.flatnonzero(energies > energies.max() * 10 ** (-SOUNDING_DB / 10))
    power = np.zeros(size // 2 + 1)
    for k in sounding:
        spectra = fft.rfft(pieces[:, k].astype(np.float32, copy=False) * _steep_window(size), overwrite_x=True)
        power += np.mean(np.square(spectra.real) + np.square(spectra.imag), axis=0)
    return power * (2 / (max(len(sounding), 1) * sample_rate))


@cache
def _steep_window(size: int) -> np.ndarray:
    """A window of unit power whose side lobes are 100 dB down, so that loud lows do not pass for highs."""
    window = signal.windows.kaiser(size, 14, sym=False)
    return np.asarray(window / np.sqrt(np.sum(window**2)), np.float32)


def _to_come(levels: np.ndarray) -> np.ndarray:
    """Return the highest level at or above each band."""
    return np.maximum.accumulate(levels[::-1])[::-1]


def _corner(to_come: np.ndarray, band: int) -> int:
    """Return the band where a filter's skirt begins, 6 dB down, that ends at this one: the same band if there is none."""
    gap = EDGES_PER_OCTAVE // 6
    steepest = max(to_come[band] - to_come[min(band + gap, len(to_come) - 1)], to_come[max(band - gap, 0)] - to_come[band])
    if steepest < SKIRT_DB:
        return band
    gentle = 0
    while band > gap and gentle <= gap:
        rise = to_come[band - gap] - to_come[band]
        steepest = max(steepest, rise)
        if rise < steepest / 2:
            break
        gentle = gentle + 1 if rise < SKIRT_DB else 0
        band -= 1
    level = to_come[max(band - gap, 0)] - KNEE_DB
    while to_come[band] < level:
        band -= 1
    return band


def _frequencies(picture: LongTerm) -> np.ndarray:
    return np.arange(len(picture.power)) * picture.spacing_hz
