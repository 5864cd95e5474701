"""Levels in dB relative to full scale (peak 1.0 = 0 dB): peaks, RMS, crest, spread, clipping, offset. Silence is -inf."""

import math

import numpy as np
import soxr

from mixdata.errors import AudioError, UsageError

FULL_SCALE_16 = 32767 / 32768  # the largest positive sample of a 16-bit file
TRUE_PEAK_RATE = 192_000  # BS.1770-5 Annex 2: oversample to at least this
CHUNK = 1 << 16
SPREAD_SECONDS = 0.2
SPREAD_RANGE_DB = 40.0  # windows that lie further under the loudest are pauses


def check(audio: np.ndarray) -> None:
    """Refuse what is not float audio of shape `(channels, frames)`. Raises `UsageError`."""
    if audio.ndim != 2:
        raise UsageError(f"audio must have shape (channels, frames), got {audio.shape}: write audio[None] for a mono signal")
    if not np.issubdtype(audio.dtype, np.floating):
        raise UsageError(f"audio must be floating point with full scale 1.0, got {audio.dtype}: divide integers by their full scale")


def to_db(power: float) -> float:
    """Return 10 log10 of a power, -inf for zero. Raises `AudioError` for NaN or infinity, which are no level at all."""
    if not math.isfinite(power):
        raise AudioError("nonfinite", "the audio holds NaN or infinite samples, so its level is undefined: repair or leave out the file")
    return 10 * math.log10(power) if power > 0 else -math.inf


def sample_peak_db(audio: np.ndarray) -> float:
    """Largest magnitude of any sample of any channel, dBFS."""
    return to_db(_peak(audio) ** 2)


def rms_db(audio: np.ndarray) -> float:
    """Root mean square over all samples of all channels, dBFS: a full-scale sine reads -3.01, a full-scale square 0."""
    check(audio)
    return to_db(float(np.mean(np.square(audio, dtype=np.float64))) if audio.size else 0.0)


def crest_db(audio: np.ndarray) -> float:
    """Sample peak over RMS in dB: 3.01 for a sine, 0 for a square wave, NaN for silence, which has none."""
    peak = sample_peak_db(audio)
    return peak - rms_db(audio) if peak > -math.inf else math.nan


def dynamic_spread_db(audio: np.ndarray, sample_rate: int) -> float:
    """Mean absolute deviation of the RMS levels of windows of 200 ms from their mean, dB: 0 for a steady sound.

    The dynamic spread of Vickers ("Automatic long-term loudness and dynamics matching", AES 111, 2001) with exponent 1, in the windows of
    Streich's dynamic complexity ("Music complexity", UPF, 2006), which do not overlap. All channels count together; windows more than
    40 dB under the loudest are pauses and do not count, nor does a last, incomplete one. NaN for silence and for audio without a window.
    """
    check(audio)
    size = max(1, round(SPREAD_SECONDS * sample_rate))
    count = audio.shape[1] // size if audio.shape[0] else 0
    powers = np.array([np.mean(np.square(audio[:, n * size : (n + 1) * size], dtype=np.float64)) for n in range(count)])
    to_db(float(np.sum(powers)))  # refuses NaN
    kept = powers[(powers > 0) & (powers >= np.max(powers, initial=0.0) * 10 ** (-SPREAD_RANGE_DB / 10))]
    if not kept.size:
        return math.nan
    levels = 10 * np.log10(kept)
    return float(np.mean(np.abs(levels - levels.mean())))


def dc_offset(audio: np.ndarray) -> np.ndarray:
    """Mean of each channel, float64 `(channels,)`, full scale 1.0: what a converter adds and no ear hears. 0 for audio without frames."""
    check(audio)
    means = np.sum(audio, axis=1, dtype=np.float64) / max(audio.shape[1], 1)
    to_db(float(np.sum(np.square(means))))  # refuses NaN
    return np.asarray(means)


def clipped_samples(audio: np.ndarray) -> int:
    """How many samples of all channels lie at or beyond 16-bit full scale (32767/32768), where converters stop."""
    check(audio)
    return int(np.count_nonzero(np.abs(audio) >= FULL_SCALE_16))


def true_peak(audio: np.ndarray, sample_rate: int) -> float:
    """Highest peak of the band-limited signal between the samples, dBTP (ITU-R BS.1770-5 Annex 2).

    Oversampled to at least 192 kHz and at least fourfold by soxr's linear-phase filter, which is flat where the standard's
    own example filter is not (that one reads 0.2 to 0.3 dB low at a quarter and a sixth of the rate). Before its start
    and after its end the audio counts as silence, so an excerpt cut out in mid-sound may read higher than the whole.
    """
    peak = _peak(audio)
    to_db(peak)  # refuses NaN before the resampler smears it
    factor = max(4, math.ceil(TRUE_PEAK_RATE / sample_rate))
    resampler = soxr.ResampleStream(sample_rate, sample_rate * factor, audio.shape[0], dtype="float64", quality="HQ")
    for start in range(0, audio.shape[1], CHUNK):
        chunk = np.ascontiguousarray(audio[:, start : start + CHUNK].T, dtype=np.float64)
        upsampled = resampler.resample_chunk(chunk, last=start + CHUNK >= audio.shape[1])
        peak = max(peak, float(np.max(np.abs(upsampled), initial=0.0)))
    return to_db(peak**2)


def _peak(audio: np.ndarray) -> float:
    check(audio)
    return float(np.max(np.abs(audio), initial=0.0))
