"""Loudness by ITU-R BS.1770-5 and EBU Tech 3341/3342, and from it: where does a stem sound?

Channels are weighted by their number: 1 to 3 as L R C, 5 as L R C Ls Rs, 6 as L R C LFE Ls Rs. Windows have their
length to the nearest sample; a last, incomplete window is not used. Audio shorter than one window counts as if
silence followed it, which is what a meter would show; so nothing here raises for being short. Silence is -inf.
Everything is computed in float64, in one pass that keeps nothing but the energy at the windows' ends. Several stems
are filtered side by side in the processor's vectors, with the same operations in the same order, so to the same bits.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar

import numpy as np

from mixdata.errors import UsageError
from mixdata.kernels import kernel
from mixdata.measures.levels import check, to_db

WEIGHTS = {1: (1.0,), 2: (1.0, 1.0), 3: (1.0, 1.0, 1.0), 5: (1.0, 1.0, 1.0, 1.41, 1.41), 6: (1.0, 1.0, 1.0, 0.0, 1.41, 1.41)}
OFFSET = -0.691  # cancels the K-weighting's gain at 997 Hz
ABSOLUTE_GATE = -70.0
MOMENTARY, SHORT_TERM, HOP = 0.4, 3.0, 0.1
LOWEST_RATE = 4000  # the shelf's corner, 1682 Hz, must lie below half the rate
PAIRS = 4  # of channels, filtered side by side: eight numbers of 64 bits are two vectors of AVX2, or one of AVX-512
CHUNK = 128  # frames interleaved at a time: small enough to stay in the processor's nearest memory

Key = TypeVar("Key")


def integrated_loudness(audio: np.ndarray, sample_rate: int) -> float:
    """Gated loudness of the whole, LUFS (BS.1770-5 Annex 1): windows of 400 ms, 75 % overlap, gates at -70 LUFS and -10 LU.

    >>> tone = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)[None]
    >>> round(integrated_loudness(tone, 48000), 2)
    -3.01
    """
    return gated_mean(_window_powers([audio], sample_rate, MOMENTARY, HOP)[0], relative_gate=-10.0)[0]


def integrated_loudness_of(stems: Mapping[Key, np.ndarray], sample_rate: int) -> dict[Key, float]:
    """Integrated loudness of several stems, LUFS: what `integrated_loudness` returns for each, bit for bit, in half the time.

    Stems of one length are measured side by side; those of other lengths apart, so nothing is padded or cut.
    """
    by_length: dict[int, list[Key]] = {}
    for name, audio in stems.items():
        by_length.setdefault(audio.shape[-1] if audio.ndim else 0, []).append(name)
    found: dict[Key, float] = {}
    for names in by_length.values():
        powers = _window_powers([stems[name] for name in names], sample_rate, MOMENTARY, HOP)
        found |= {name: gated_mean(power, relative_gate=-10.0)[0] for name, power in zip(names, powers, strict=True)}
    return {name: found[name] for name in stems}


def momentary_loudness(audio: np.ndarray, sample_rate: int, hop_seconds: float = HOP) -> np.ndarray:
    """Ungated loudness of 400 ms windows, LUFS, one value per hop: value i covers [i·hop, i·hop + 0.4) seconds."""
    return _to_lufs(_window_powers([audio], sample_rate, MOMENTARY, hop_seconds)[0])


def short_term_loudness(audio: np.ndarray, sample_rate: int, hop_seconds: float = HOP) -> np.ndarray:
    """Ungated loudness of 3 s windows, LUFS, one value per hop: value i covers [i·hop, i·hop + 3) seconds."""
    return _to_lufs(_window_powers([audio], sample_rate, SHORT_TERM, hop_seconds)[0])


def loudness_range(audio: np.ndarray, sample_rate: int) -> float:
    """Loudness range, LU (EBU Tech 3342): 10th to 95th percentile of the short-term loudness, gates at -70 LUFS and -20 LU.

    NaN where it is undefined: silence, or audio shorter than one window of 3 s. Not meant for music under a minute.
    """
    if audio.shape[-1] < round(SHORT_TERM * sample_rate):
        return math.nan
    kept = np.sort(gated_mean(_window_powers([audio], sample_rate, SHORT_TERM, HOP)[0], relative_gate=-20.0)[1])
    if kept.size == 0:
        return math.nan
    low, high = (_to_lufs(kept)[int((kept.size - 1) * share + 0.5)] for share in (0.10, 0.95))
    return float(high - low)


def activity_mask(
    audio: np.ndarray,
    sample_rate: int,
    reference_lufs: float | None = None,
    relative_lu: float = 35.0,
    floor_lufs: float = -55.0,
) -> np.ndarray:
    """In which momentary windows (400 ms, every 100 ms) does the audio sound? Returns bool, one per window.

    It sounds where its momentary loudness is above `floor_lufs` and, with `reference_lufs` (the integrated loudness
    of the mix), not more than `relative_lu` below that.
    """
    threshold = floor_lufs if reference_lufs is None else max(floor_lufs, reference_lufs - relative_lu)
    return momentary_loudness(audio, sample_rate) > threshold


def activity(
    audio: np.ndarray,
    sample_rate: int,
    reference_lufs: float | None = None,
    relative_lu: float = 35.0,
    floor_lufs: float = -55.0,
) -> float:
    """Share of the time, 0 to 1, in which the audio sounds: the mean of `activity_mask`."""
    return float(np.mean(activity_mask(audio, sample_rate, reference_lufs, relative_lu, floor_lufs)))


@cache
def k_weighting(sample_rate: int) -> np.ndarray:
    """Second-order sections of the K weighting at this rate: shelf, then high-pass.

    The standard tabulates 48 kHz and asks for the same frequency response at other rates. Both filters are the bilinear
    transform of one analogue prototype, whose constants (as in libebur128) reproduce that table to 1e-15. The table's
    high-pass has b = 1, -2, 1, a gain of its own that belongs to 48 kHz; it is carried over to other rates, so that
    the same sound reads the same (left out, as most meters do, 96 kHz would read 0.02 LU low and 8 kHz 0.2 LU high).
    """
    if sample_rate < LOWEST_RATE:
        raise UsageError(f"loudness needs a sample rate of at least {LOWEST_RATE} Hz, got {sample_rate}: resample first")
    k, q = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [(high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0]
    shelf += [1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]

    def pass_a0(rate: int) -> tuple[float, float]:
        k = math.tan(math.pi * 38.13547087602444 / rate)
        return k, 1 + k / 0.5003270373238773 + k * k

    k, a0 = pass_a0(sample_rate)
    gain = pass_a0(48_000)[1] / a0
    high_pass = [gain, -2 * gain, gain, 1.0, 2 * (k * k - 1) / a0, (1 - k / 0.5003270373238773 + k * k) / a0]
    return np.array([shelf, high_pass])


def _window_powers(stems: Sequence[np.ndarray], sample_rate: int, window_seconds: float, hop_seconds: float) -> list[np.ndarray]:
    """Channel-weighted mean power of each K-weighted stem in each complete window, float64. The stems have one length."""
    for audio in stems:
        check(audio)
        if audio.shape[0] not in WEIGHTS:
            message = "loudness is defined for 1, 2, 3, 5 or 6 channels, got audio of shape"
            raise UsageError(f"{message} {audio.shape}, read as (channels, frames)")
    if hop_seconds * sample_rate < 1:
        raise UsageError(f"hop_seconds must be at least one sample, got {hop_seconds} at {sample_rate} Hz")
    window = math.floor(window_seconds * sample_rate + 0.5)
    frames = max(stems[0].shape[1], window)
    if stems[0].shape[1] < window:
        stems = [np.pad(audio, ((0, 0), (0, window - audio.shape[1]))) for audio in stems]
    count = math.floor((frames - window) / (hop_seconds * sample_rate) + 1e-9) + 1
    starts = np.floor(np.arange(count) * (hop_seconds * sample_rate) + 0.5).astype(np.int64)
    starts = starts[starts + window <= frames]
    powers = []
    for energy in cumulative_energies(stems, sample_rate, np.concatenate([starts, starts + window])):
        to_db(float(energy[-1]))  # refuses NaN
        powers.append(np.maximum(energy[len(starts) :] - energy[: len(starts)], 0.0) / window)
    return powers


def cumulative_energies(stems: Sequence[np.ndarray], sample_rate: int, frames: np.ndarray) -> list[np.ndarray]:
    """Channel-weighted energy of each K-weighted stem, of all its samples before each of `frames`, float64. The stems have one length."""
    edges, places = np.unique(frames, return_inverse=True)
    dtype = np.float32 if all(audio.dtype == np.float32 for audio in stems) else np.float64
    pairs = [(number, *pair) for number, audio in enumerate(stems) for pair in _pairs(np.ascontiguousarray(audio, dtype))]
    sections = k_weighting(sample_rate)
    energies = np.zeros((len(stems), len(edges)))
    for first in range(0, len(pairs), PAIRS):
        numbers, left, right, left_weights, right_weights = zip(*pairs[first : first + PAIRS], strict=True)
        if len(numbers) == 1:
            energies[numbers[0]] += _pair_energy(left[0], right[0], sections, left_weights[0], right_weights[0], edges)
            continue
        spare = PAIRS - len(numbers)  # vectors are always full
        rows = (*left, *left[:1] * spare, *right, *right[:1] * spare)
        weights = np.array([*left_weights, *[0.0] * spare, *right_weights, *[0.0] * spare])
        for number, energy in zip(numbers, _pairs_energy(rows, weights, sections, edges, PAIRS), strict=False):
            energies[number] += energy
    return [energy[places] for energy in energies]


def _pairs(audio: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float, float]]:
    """Channels two by two, with their weights; a last one is paired with itself, of no weight."""
    weights = (*WEIGHTS[audio.shape[0]], 0.0)
    last = audio.shape[0] - 1
    return [(audio[n], audio[min(n + 1, last)], weights[n], weights[n + 1]) for n in range(0, audio.shape[0], 2)]


@kernel
def _pair_energy(left, right, sections, left_weight, right_weight, edges):  # type: ignore[no-untyped-def]
    """K-weight two channels and return their weighted energy before each of the edges. Filters in transposed direct form II."""
    b0, b1, b2, _, a1, a2 = sections[0]
    d0, d1, d2, _, c1, c2 = sections[1]
    energy = np.zeros(len(edges))
    p1 = p2 = q1 = q2 = r1 = r2 = s1 = s2 = total = 0.0
    start = 0
    for number in range(len(edges)):
        stop = edges[number]
        for n in range(start, stop):
            x, u = float(left[n]), float(right[n])
            y, v = b0 * x + p1, b0 * u + q1
            p1, q1 = b1 * x - a1 * y + p2, b1 * u - a1 * v + q2
            p2, q2 = b2 * x - a2 * y, b2 * u - a2 * v
            z, w = d0 * y + r1, d0 * v + s1
            r1, s1 = d1 * y - c1 * z + r2, d1 * v - c1 * w + s2
            r2, s2 = d2 * y - c2 * z, d2 * v - c2 * w
            total += left_weight * z * z + right_weight * w * w
        if abs(p1) + abs(p2) + abs(q1) + abs(q2) + abs(r1) + abs(r2) + abs(s1) + abs(s2) < 1e-30:
            p1 = p2 = q1 = q2 = r1 = r2 = s1 = s2 = 0.0  # in silence the tail would become subnormal, twenty times slower
        start = stop
        energy[number] = total
    return energy


@kernel
def _pairs_energy(rows, weights, sections, edges, pairs):  # type: ignore[no-untyped-def]
    """As `_pair_energy`, for four pairs: their left channels, then their right ones; energy is `(pairs, edges)`.

    The inner loop becomes vectors only where its length is not known to the compiler (so `pairs`, which is 4) and all that it writes lies
    in one array, at distances of four.
    """
    b0, b1, b2, _, a1, a2 = sections[0]
    d0, d1, d2, _, c1, c2 = sections[1]
    energy = np.zeros((4, len(edges)))
    state = np.zeros(44)  # 0: p1, q1; 8: p2, q2; 16: r1, s1; 24: r2, s2; 32: totals; 36: weights
    state[36:] = weights
    lanes = np.zeros(CHUNK * 8)
    start = 0
    for number in range(len(edges)):
        stop = edges[number]
        while start < stop:
            count = min(CHUNK, stop - start)
            for lane in range(8):
                row = rows[lane][start : start + count]
                for n in range(count):
                    lanes[8 * n + lane] = row[n]
            for n in range(count):
                for k in range(pairs):
                    x, u = lanes[8 * n + k], lanes[8 * n + 4 + k]
                    y, v = b0 * x + state[k], b0 * u + state[4 + k]
                    state[k], state[4 + k] = b1 * x - a1 * y + state[8 + k], b1 * u - a1 * v + state[12 + k]
                    state[8 + k], state[12 + k] = b2 * x - a2 * y, b2 * u - a2 * v
                    z, w = d0 * y + state[16 + k], d0 * v + state[20 + k]
                    state[16 + k], state[20 + k] = d1 * y - c1 * z + state[24 + k], d1 * v - c1 * w + state[28 + k]
                    state[24 + k], state[28 + k] = d2 * y - c2 * z, d2 * v - c2 * w
                    state[32 + k] += state[36 + k] * z * z + state[40 + k] * w * w
            start += count
        for k in range(4):
            size = 0.0
            for place in range(k, 32, 4):
                size += abs(state[place])
            if size < 1e-30:
                for place in range(k, 32, 4):
                    state[place] = 0.0
            energy[k, number] = state[32 + k]
    return energy


def gated_mean(powers: np.ndarray, relative_gate: float) -> tuple[float, np.ndarray]:
    """Loudness, LUFS, of the windows that pass both gates (-70 LUFS, and `relative_gate` LU over the mean of those), and their powers."""
    kept = powers[_to_lufs(powers) > ABSOLUTE_GATE]
    if kept.size:
        threshold = OFFSET + to_db(float(kept.mean())) + relative_gate
        kept = kept[_to_lufs(kept) > threshold]
    return (OFFSET + to_db(float(kept.mean())) if kept.size else -math.inf), kept


def _to_lufs(powers: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return OFFSET + 10 * np.log10(powers)
