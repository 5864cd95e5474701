"""How a piece lies between its two channels. Audio is `(channels, frames)`, mono (as if both channels held it) or stereo."""

import math
from typing import NamedTuple

import numpy as np

from mixdata.errors import UsageError
from mixdata.measures.levels import check, to_db
from mixdata.measures.long_term import LongTerm, long_term


class PanningSpectrum(NamedTuple):
    """Position and similarity per band of `bands.CENTRES_HZ`; NaN where the rate is too low for a band, or nothing sounds.

    `position`: −1 left, 0 in the middle (or spread evenly), 1 right. `similarity`: 1 where both channels are equally strong,
    0 where one is silent.
    """

    position: np.ndarray
    similarity: np.ndarray


def panning_spectrum(audio: np.ndarray, sample_rate: int, *, picture: LongTerm | None = None) -> PanningSpectrum:
    """Return where each band lies, mean over the windows that sound; `picture` is the long-term picture, where that is at hand.

    Avendano's panning index ("Frequency-domain source identification and manipulation in stereo mixes", WASPAA 2003) of magnitudes
    only: see `LongTerm`. A sound panned with gains l and r has similarity 2lr / (l² + r²), equal independent noises have π/4.
    """
    picture = picture or long_term(audio, sample_rate)
    return PanningSpectrum(picture.bands("position"), picture.bands("similarity"))


def side_share(audio: np.ndarray) -> float:
    """Share of the energy that is in the side (L − R)/2, the rest being in the middle (L + R)/2.

    0 for mono, 1 for channels of opposite polarity, 0.5 for independent channels and for one alone. NaN for silence.
    """
    left, right, cross = _energies(audio)
    return _between(0.0, 0.5 - cross / (left + right), 1.0) if left + right > 0 else math.nan


def correlation(audio: np.ndarray) -> float:
    """Correlation of the channels, −1 to 1: the sum of L·R over the root of both energies, as a phase meter shows it.

    0 where one channel is silent, NaN for silence.
    """
    left, right, cross = _energies(audio)
    if left + right == 0:
        return math.nan
    both = math.sqrt(left) * math.sqrt(right)
    return _between(-1.0, cross / both, 1.0) if both > 0 else 0.0


def width_db(audio: np.ndarray) -> float:
    """Level of the side over that of the middle, dB: −inf for mono, 0 for independent channels, inf for opposite ones, NaN for silence."""
    share = side_share(audio)
    return math.inf if share == 1 else to_db(share / (1 - share)) if math.isfinite(share) else share


def balance_db(audio: np.ndarray) -> float:
    """Energy of the right channel over that of the left, dB: 0 for mono, ±inf for one channel alone, NaN for silence."""
    left, right, _ = _energies(audio)
    if left + right == 0:
        return math.nan
    return to_db(right / left) if left > 0 else math.inf


def _energies(audio: np.ndarray) -> tuple[float, float, float]:
    """Sums of L², R² and L·R."""
    check(audio)
    if audio.shape[0] not in (1, 2):
        raise UsageError(f"stereo measures are taken of mono or stereo, got {audio.shape[0]} channels")
    left, right = audio[0], audio[-1]
    energies = [float(np.sum(np.multiply(a, b, dtype=np.float64))) for a, b in ((left, left), (right, right), (left, right))]
    to_db(energies[0] + energies[1])  # refuses NaN
    return energies[0], energies[1], energies[2]


def _between(low: float, value: float, high: float) -> float:
    return min(max(value, low), high)
