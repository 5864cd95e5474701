"""Panning per frequency, one static matrix of filters for the whole song.

FxNorm matches how alike the channels' magnitudes are (2|L||R| / (|L|² + |R|²), Martínez-Ramírez et al., ISMIR 2022); so does this, but by
filters of middle and side, or of left and right, found from what they will do to each window's bins, and not frame by frame.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from mixdata.errors import UsageError
from mixdata.kernels import kernel
from mixdata.measures.bands import CENTRES_HZ, from_bands, to_bands
from mixdata.measures.levels import check
from mixdata.measures.long_term import LongTerm, long_term, windows
from mixdata.normalization.filters import amplitudes, mix_channels, zero_phase

MODES = ("spectrum", "midside", "mono")
CURVES = ("mid_db", "side_db", "left_db", "right_db")
NARROWER_DB = -np.array([0.0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 17, 20, 25, 30, 40])
WIDER_DB = np.arange(0.0, 7.0)  # more would bring up what separation left in the side
TO_ONE_SIDE_DB = np.array([0.0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20])
SIDE_HZ = (50.0, 2500.0)  # where FxNorm looks for the side a stem lies on
CLEAR = 0.01  # a mean position nearer to the middle is no side
INVERTED = 2.0  # times more energy in the side than in the middle: one channel's polarity is turned over
CLOSE = 0.002  # similarities this near are left alone
MOST_DB = 6.0  # for keeping a band's power
GONE_DB = 400.0
BINS_PER_BAND = 24


def match_panning(
    audio: np.ndarray, sample_rate: int, target_similarity: np.ndarray, mode: str, *, picture: LongTerm | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a stem whose channels are as alike, per band, as the target says, each band as loud as it was, and the curves applied.

    Where the stem is wider than the target, its side is turned down. Where it is narrower, `midside` turns the side up, by 6 dB at most;
    `spectrum` pans to the side on which the stem lies anyway. `mono` puts the middle on both channels. Where the side is by far stronger
    than the middle (one channel's polarity is turned over), the two change places. Mono audio and silence come back as they are.
    `target_similarity`: one value per band, 0 to 1, NaN where unknown. `picture`: the stem's, where it is at hand.
    """
    check(audio)
    target = np.asarray(target_similarity, np.float64)
    if mode not in MODES:
        raise UsageError(f"a mode of panning is one of {', '.join(MODES)}, got {mode!r}")
    if target.shape != CENTRES_HZ.shape:
        raise UsageError(f"a target for panning is {len(CENTRES_HZ)} similarities, one per band of mixdata.measures.bands")
    picture = picture or long_term(audio, sample_rate)
    curves = {name: np.zeros(len(CENTRES_HZ)) for name in CURVES}
    if len(audio) == 1 or not np.any(picture.power):
        return audio.copy(), _record(mode, "centre", curves)
    side = _side(picture)
    inverted = bool(picture.side.sum() > INVERTED * picture.mid.sum())
    if mode == "mono":
        return _mono(audio, sample_rate, picture, inverted, curves, side)

    own = picture.bands("similarity")
    widths, pans, products = _effects_of_gains(audio, sample_rate, picture, inverted, side)
    narrower, wider = widths[: len(NARROWER_DB)], np.concatenate([widths[:1], widths[len(NARROWER_DB) :]])
    changed = curves["mid_db" if inverted else "side_db"]
    known = np.isfinite(own + target)
    for band in np.flatnonzero(known):
        if own[band] < target[band] - CLOSE:
            changed[band] = _reach(NARROWER_DB, -narrower[:, band], -target[band])
        elif own[band] > target[band] + CLOSE and mode == "midside":
            changed[band] = _reach(WIDER_DB, wider[:, band], target[band])
        elif own[band] > target[band] + CLOSE and side != "centre":
            curves[f"{side}_db"][band] = _reach(TO_ONE_SIDE_DB, pans[:, band], target[band])
    curves = {name: _filled(np.where(known, curve, np.nan)) for name, curve in curves.items()}
    _keep_power(curves, products, picture.spacing_hz)
    record = _record(mode, side, curves)
    return mix_channels(audio, sample_rate, _matrix(record, sample_rate)), record


def invert_panning(audio: np.ndarray, sample_rate: int, record: Mapping[str, Any]) -> np.ndarray:
    """Undo `match_panning` by its record. Raises `UsageError` for `mono`, whose side is gone."""
    if record["mode"] == "mono":
        raise UsageError("panning to mono cannot be undone: the difference between the channels is gone")
    if len(audio) == 1 or not any(np.any(record[name]) for name in CURVES):
        return audio.copy()
    turned = {name: -np.asarray(record[name], np.float64) for name in CURVES}
    return mix_channels(audio, sample_rate, _matrix(turned, sample_rate).swapaxes(0, 1))


def _matrix(curves: Mapping[str, Any], sample_rate: int) -> np.ndarray:
    """Return the matrix of middle and side gains, then of left and right gains. The transpose has them in the other order."""
    mid, side, left, right = (amplitudes(curves[name], sample_rate) for name in CURVES)
    same, other = (mid + side) / 2, (mid - side) / 2
    return np.array([[left * same, left * other], [right * other, right * same]])


def _mono(
    audio: np.ndarray, sample_rate: int, picture: LongTerm, inverted: bool, curves: dict[str, np.ndarray], side: str
) -> tuple[np.ndarray, dict[str, Any]]:
    half = audio.dtype.type(0.5)
    if inverted:  # in the polarity of the louder channel
        energies = np.sum(np.square(audio, dtype=np.float64), axis=1)
        louder, other = audio if energies[0] >= energies[1] else audio[::-1]
        one = half * louder - half * other
    else:
        one = half * audio[0] + half * audio[1]
    kept, gone = ("side_db", "mid_db") if inverted else ("mid_db", "side_db")
    curves[gone][:] = -GONE_DB
    _keep_power(curves, np.array([picture.mid, picture.side, np.zeros_like(picture.mid)]), picture.spacing_hz)
    record = _record("mono", side, curves)
    one = zero_phase(one[None], sample_rate, np.array(record[kept]))
    return np.repeat(one, 2, axis=0), {**record, gone: None}


def _side(picture: LongTerm) -> str:
    frequencies = np.arange(len(picture.position)) * picture.spacing_hz
    inside = (frequencies >= SIDE_HZ[0]) & (frequencies <= SIDE_HZ[1]) & np.isfinite(picture.position)
    position = float(np.mean(picture.position[inside])) if inside.any() else 0.0
    return "centre" if abs(position) < CLEAR else "left" if position < 0 else "right"


def _effects_of_gains(
    audio: np.ndarray, sample_rate: int, picture: LongTerm, inverted: bool, side: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return similarities `(gains, bands)` for each gain of the side and for each pan, and the products of middle and side per bin."""
    weak, strong = (1, 0) if side == "left" else (0, 1)
    bins = _sample(len(picture.power), picture.spacing_hz)
    side_gains, pan_gains = (10 ** (levels / 20) for levels in (np.concatenate([NARROWER_DB, WIDER_DB[1:]]), TO_ONE_SIDE_DB))
    widths, pans = np.zeros((len(side_gains), len(bins))), np.zeros((len(pan_gains), len(bins)))
    products = np.zeros((3, len(picture.power)))
    count = 0
    for spectra in windows(audio, sample_rate):
        _add_widths(spectra[weak], spectra[strong], bins, side_gains, inverted, widths)
        _add_pans(spectra[weak], spectra[strong], bins, pan_gains, pans)
        _add_products(spectra[0], spectra[1], products)
        count += 1
    own = picture.bands("similarity")
    widths, pans = (_in_bands(sums / max(count, 1), bins, picture, own) for sums in (widths, pans))
    return widths, pans, products


def _sample(bins: int, spacing_hz: float) -> np.ndarray:
    """Return which bins to look at: all where bands are narrow, then so many per band, first and last included."""
    log_spaced = np.geomspace(1, bins - 1, round(6 * np.log2(bins) * BINS_PER_BAND))
    return np.unique(np.concatenate([[0], np.round(log_spaced).astype(np.int64)]))


def _in_bands(similarities: np.ndarray, bins: np.ndarray, picture: LongTerm, own: np.ndarray) -> np.ndarray:
    """Return similarities `(gains, sampled bins)` per band, so scaled that the first, no gain, is what the whole picture says."""
    everywhere = np.arange(len(picture.power))
    curves = to_bands(np.array([np.interp(everywhere, bins, row) for row in similarities]), picture.spacing_hz)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(curves[0] < 1, (1 - own) / (1 - curves[0]), 1.0)
    return 1 - (1 - curves) * scale


def _reach(levels_db: np.ndarray, values: np.ndarray, target: float) -> float:
    """Return at which level the values, from the first on, come down to the target; the level of the lowest where none does."""
    reached = np.flatnonzero(values <= target)
    if reached.size == 0:
        return float(levels_db[np.argmin(values)])
    place = max(int(reached[0]), 1)
    high, low = values[place - 1], values[place]
    share = (high - target) / (high - low) if high > low else 0.0
    return float(levels_db[place - 1] + share * (levels_db[place] - levels_db[place - 1]))


def _keep_power(curves: dict[str, np.ndarray], products: np.ndarray, spacing_hz: float) -> None:
    """Add to middle and side what keeps each band's power. `products`: of middle and middle, side and side, middle and side, per bin."""
    frequencies = np.arange(products.shape[1]) * spacing_hz
    before = to_bands(products[0] + products[1], spacing_hz)
    mid, side, left, right = (10 ** (from_bands(curves[name], frequencies) / 20) for name in CURVES)
    changed = (left**2 + right**2) / 2 * (mid**2 * products[0] + side**2 * products[1])
    changed += (left**2 - right**2) * mid * side * products[2]
    common = np.zeros(len(CENTRES_HZ))
    for _ in range(3):  # bands overlap, and slopes within them are steep at times
        after = to_bands(changed * 10 ** (from_bands(common, frequencies) / 10), spacing_hz)
        with np.errstate(divide="ignore", invalid="ignore"):
            missing = 10 * np.log10(before / after)
        common = np.clip(common + _filled(missing), -MOST_DB, MOST_DB)
    curves["mid_db"] += common
    curves["side_db"] += common


def _filled(curve: np.ndarray) -> np.ndarray:
    """Return the curve with a value in every band: from its neighbours where there was none."""
    return from_bands(curve, CENTRES_HZ) if np.isfinite(curve).any() else np.zeros(len(CENTRES_HZ))


def _record(mode: str, side: str, curves: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {"mode": mode, "side": side, **{name: [round(float(value), 2) + 0.0 for value in curves[name]] for name in CURVES}}


@kernel
def _add_widths(weak, strong, bins, gains, inverted, sums):  # type: ignore[no-untyped-def]
    """Add one window's similarities, per gain of the side (of the middle where `inverted`), at some of its bins."""
    for place in range(len(bins)):
        k = bins[place]
        wr, wi, sr, si = float(weak[k].real), float(weak[k].imag), float(strong[k].real), float(strong[k].imag)
        a, b, cross = wr * wr + wi * wi, sr * sr + si * si, wr * sr + wi * si
        mid, side = 0.25 * (a + b) + 0.5 * cross, 0.25 * (a + b) - 0.5 * cross
        if inverted:
            mid, side = side, mid
        if a + b > 1e-30:
            for number in range(len(gains)):
                gain = gains[number]
                share = 0.5 * gain * (b - a) / (mid + gain * gain * side)
                sums[number, place] += math.sqrt(max(1 - share * share, 0.0))


@kernel
def _add_pans(weak, strong, bins, ratios, sums):  # type: ignore[no-untyped-def]
    """Add one window's similarities, per ratio by which the stronger channel is turned up over the other."""
    for place in range(len(bins)):
        k = bins[place]
        wr, wi, sr, si = float(weak[k].real), float(weak[k].imag), float(strong[k].real), float(strong[k].imag)
        a, b = wr * wr + wi * wi, sr * sr + si * si
        if a + b > 1e-30:
            both = 2 * math.sqrt(a * b)
            for number in range(len(ratios)):
                ratio = ratios[number]
                sums[number, place] += ratio * both / (a + ratio * ratio * b)


@kernel
def _add_products(left, right, sums):  # type: ignore[no-untyped-def]
    """Add one window's products of middle and middle, side and side, middle and side."""
    for k in range(len(left)):
        lr, li, rr, ri = float(left[k].real), float(left[k].imag), float(right[k].real), float(right[k].imag)
        a, b, both = lr * lr + li * li, rr * rr + ri * ri, 2 * (lr * rr + li * ri)
        sums[0, k] += 0.25 * (a + b + both)
        sums[1, k] += 0.25 * (a + b - both)
        sums[2, k] += 0.25 * (a - b)
