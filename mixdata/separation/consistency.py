"""Mixture consistency: make separated stems sum to their mixture.

What the estimates leave over (the residual) is given back to them, bin by bin, in proportion to their power there. The idea
of projecting estimates onto the mixture with weights is from Wisdom et al., "Differentiable Consistency Constraints for Improved Deep
Speech Enhancement" (ICASSP 2019); sharing per time-frequency bin keeps a cymbal's residual out of the bass.
"""

import math
from collections.abc import Collection, Mapping

import numpy as np

from mixdata.errors import SongError, UsageError
from mixdata.separation.stft import chunks, cut, istft, stft

SIZE, HOP = 2048, 1024
UNOWNED = 1e-4  # a bin in which all estimates together lie 40 dB under the mixture has no owner
LOWEST_DB = -200.0


def make_consistent(
    estimates: Mapping[str, np.ndarray], mixture: np.ndarray, rest: str = "other"
) -> tuple[dict[str, np.ndarray], float | None]:
    """Return stems that sum to `mixture`, and how far the estimates were from that.

    `estimates` and `mixture` are float32 `(channels, frames)`, all of one shape. The residual `mixture - sum(estimates)`
    is shared per channel and time-frequency bin in proportion to the estimates' power. A bin without an owner (their power
    together is 40 dB or more under the mixture's) goes to `rest`; where there is no estimate of that name, to the one with
    the most energy (of equals, the first). A silent estimate stays silent, unless it is the one that takes those bins.
    The stems sum to the mixture within float32 rounding of the stems (under 1e-6 where no estimate is far above 0 dBFS).

    The second value is the residual's energy before, in dB relative to the mixture's: about -140 for estimates that
    were consistent, never under -200 (nothing left at all). It is None where the mixture is silent: there is no ratio then.
    """
    names = list(estimates)
    if not names:
        raise UsageError("no estimates to make consistent")
    for name in names:
        if mixture.ndim != 2 or estimates[name].shape != mixture.shape:
            raise UsageError(f"the estimate of {name!r} has the shape {estimates[name].shape}, the mixture has {mixture.shape}")
    parts = [np.asarray(estimates[name], np.float32) for name in names]
    energies = [float(np.vdot(part, part)) for part in parts]
    home = names.index(rest) if rest in names else int(np.argmax(energies))
    loudest = int(np.argmax(energies)) if any(energies) else home
    stems = [part.copy() for part in parts]
    energy = residual_energy = 0.0
    for start, stop, margin in chunks(mixture.shape[-1], SIZE, HOP, times=32):
        span = slice(start, stop)
        whole = cut(mixture, start - margin, stop + margin).astype(np.float32)
        shown = np.stack([cut(part, start - margin, stop + margin) for part in parts])
        residual = whole - shown.sum(axis=0, dtype=np.float64)
        middle = slice(margin, margin + min(stop, mixture.shape[-1]) - start)
        energy += float(np.square(whole[:, middle], dtype=np.float64).sum())
        residual_energy += float(np.square(residual[:, middle]).sum())
        if residual.any():
            shares = _shares(shown, residual.astype(np.float32), home)
            for stem, share in zip(stems, shares, strict=True):
                stem[:, span] += share[:, middle]
        # Rounding of the transforms is left, some 1e-7: put right where it is heard least.
        error = mixture[:, span] - sum(stem[:, span].astype(np.float64) for stem in stems)
        stems[loudest][:, span] += error.astype(np.float32)
    return dict(zip(names, stems, strict=True)), _ratio_db(residual_energy, energy)


def _shares(parts: np.ndarray, residual: np.ndarray, home: int) -> np.ndarray:
    """Split `residual` `(channels, frames)` over `parts` `(stems, channels, frames)`; ownerless bins go to number `home`."""
    spectra, left = stft(parts, SIZE, HOP), stft(residual, SIZE, HOP)
    powers, mixture = _power(spectra), _power(spectra.sum(axis=0) + left)
    total = powers.sum(axis=0)
    owned = (total > UNOWNED * mixture) & (total >= np.finfo(np.float32).tiny)
    shares = powers * np.divide(left, total, out=np.zeros_like(left), where=owned)
    shares[home] += np.where(owned, 0, left)
    return istft(shares, SIZE, HOP)


def _power(spectra: np.ndarray) -> np.ndarray:
    return np.square(spectra.real) + np.square(spectra.imag)


def _ratio_db(part: float, whole: float) -> float | None:
    if whole <= 0:
        return None
    return max(10 * math.log10(part / whole), LOWEST_DB) if part > 0 else LOWEST_DB


def merge_into_rest(stems: Mapping[str, np.ndarray], gated: Collection[str], rest: str = "other") -> dict[str, np.ndarray]:
    """Return the stems with every gated one silent and its audio added to `rest`: the sum stays what it was.

    Where `rest` is gated itself or is not among the stems, the audio goes to the kept stem with the most energy.
    Raises `UsageError` for a gated name that is no stem, and `SongError("no_active_stem")` where all are gated.
    """
    unknown = sorted(set(gated) - set(stems))
    if unknown:
        raise UsageError(f"gated stems that do not exist: {', '.join(unknown)}; there are {', '.join(stems)}")
    kept = [name for name in stems if name not in gated]
    if not kept:
        raise SongError("no_active_stem", "every stem is gated: nothing is left to merge them into")
    if not gated:
        return dict(stems)
    home = rest if rest in kept else max(kept, key=lambda name: float(np.vdot(stems[name], stems[name])))
    merged = sum((stems[name].astype(np.float64) for name in stems if name in gated), stems[home].astype(np.float64))
    silent = {name: np.zeros_like(stems[name]) for name in gated}
    return {**stems, **silent, home: merged.astype(np.float32)}
