"""A classical separator that needs no weights: for trying things out, and a floor that a network must beat.

Median-filter harmonic/percussive separation, centre extraction, a low band, soft masks. **Not a neural network**: expect drums
and bass that are recognisable, and vocals and other that leak into each other.

- Harmonic/percussive: FitzGerald, "Harmonic/Percussive Separation Using Median Filtering" (DAFx 2010): the median of the
  magnitudes along time keeps what lasts, along frequency what is broad; squared and set in proportion (his equations 3 and 4)
  they are soft masks in the form of a Wiener filter's.
- Centre: the similarity 2 Re(L R*) / (|L|² + |R|²) of Avendano, "Frequency-Domain Source Identification and Manipulation in Stereo Mixes"
  (WASPAA 2003), which is 1 for what is equal in both channels and 0 for what is in one of them.
"""

from typing import Any, ClassVar, Literal

import numpy as np

from mixdata.separation.base import Separator, SeparatorSettings, checked_audio, fingerprint_of, register
from mixdata.separation.stft import chunks, cut, istft, stft
from mixdata.song import Song

VERSION = 1
WINDOW_SECONDS = 0.093
LASTING_SECONDS = 0.4  # the median along time
BROAD_HZ = 190.0  # the median along frequency
BASS_HZ, VOICE_HZ = 170.0, (200.0, 5000.0)
NO_CENTRE = 0.5  # mono has no sides: the harmonic middle is shared equally
SHARPNESS = 3  # exponent of the similarity: how strictly "centre" is meant


@register
class BuiltinSettings(SeparatorSettings):
    """Classical separation (median filters, centre extraction, low band): no network, no download."""

    separator: Literal["builtin"] = "builtin"
    main: ClassVar[str | None] = None

    def load(self) -> "Builtin":
        return Builtin()


class Builtin(Separator):
    """Classical separator; its four estimates sum to the mixture. Any rate, any number of channels, any length."""

    stems = ("vocals", "drums", "bass", "other")
    fingerprint = fingerprint_of("builtin", VERSION)
    licence = None

    def __call__(
        self, audio: np.ndarray, sample_rate: int, *, song: Song | None = None, notes: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        audio = checked_audio(audio, sample_rate)
        size = max(64, 2 ** round(np.log2(WINDOW_SECONDS * sample_rate)))
        hop, frames = size // 4, audio.shape[-1]
        lasting = _odd(LASTING_SECONDS * sample_rate / hop)
        broad = _odd(BROAD_HZ * size / sample_rate)
        bands = _bands(size, sample_rate)
        found = np.zeros((3, *audio.shape), np.float32)
        for start, stop, margin in chunks(frames, size, hop, times=256, context=lasting // 2):
            piece = cut(audio, start - margin, stop + margin)
            if not piece.any():
                continue
            spectra = stft(piece, size, hop)
            masks = _masks(spectra, lasting, broad, *bands)
            kept = min(stop, frames) - start
            for name, mask in zip(found, masks, strict=True):
                name[:, start : start + kept] = istft(mask * spectra, size, hop)[:, margin : margin + kept]
        vocals, drums, bass = found
        return {"vocals": vocals, "drums": drums, "bass": bass, "other": audio - vocals - drums - bass}

    def describe(self) -> dict[str, Any]:
        return {
            "separator": "builtin",
            "kind": "classical: median-filter harmonic/percussive, centre extraction, low band, soft masks; not a neural network",
            "version": VERSION,
            "stems": list(self.stems),
            "licence": "none needed (no weights)",
            "warnings": ["builtin is a classical separator for trying things out; use a network for sets that models are trained on"],
        }


def _odd(value: float) -> int:
    return 2 * max(1, round(value / 2)) + 1


def _bands(size: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each bin is bass and how far it lies in the voice's range, `(bins,)` in 0 … 1, soft at the edges."""
    frequency = np.fft.rfftfreq(size, 1 / sample_rate) + 1e-9
    low, high = VOICE_HZ
    bass = 1 / (1 + (frequency / BASS_HZ) ** 8)
    voice = 1 / (1 + (low / frequency) ** 4) / (1 + (frequency / high) ** 4)
    return bass.astype(np.float32), voice.astype(np.float32)


def _masks(spectra: np.ndarray, lasting: int, broad: int, bass: np.ndarray, voice: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the masks `(times, bins)` of vocals, drums and bass for spectra `(channels, times, bins)`; what is left to 1 is other.

    Each splits what the one before left over, so that they are in 0 … 1 and never sum to more than 1.
    """
    power = np.square(spectra.real) + np.square(spectra.imag)
    magnitude = np.sqrt(power.mean(axis=0))
    held = _median_along_rows(np.ascontiguousarray(magnitude.T), lasting).T
    # A kick is too narrow for the median along frequency: down there what does not last is taken for percussive.
    struck = (1 - bass) * _median_along_rows(magnitude, broad) + bass * np.maximum(magnitude - held, 0)
    harmonic, percussive = np.square(held), np.square(struck)
    both = harmonic + percussive
    drums = np.divide(percussive, both, out=np.zeros_like(both), where=both > 0)
    centre: np.ndarray | float = NO_CENTRE
    if len(spectra) == 2:
        left, right = spectra
        common = 2 * (left.real * right.real + left.imag * right.imag)
        total = power.sum(axis=0)
        centre = np.clip(np.divide(common, total, out=np.zeros_like(total), where=total > 0), 0, 1) ** SHARPNESS
    lasting_part = 1 - drums
    return lasting_part * (1 - bass) * voice * centre, drums, lasting_part * bass


def _median_along_rows(values: np.ndarray, width: int) -> np.ndarray:
    """Return the running median of each row, mirrored at its ends.

    The rows are laid end to end, because SciPy's one-dimensional median filter is many times faster than its general one.
    """
    from scipy.ndimage import median_filter  # loads slowly; importing this module must not

    half = width // 2
    padded = np.pad(values, ((0, 0), (half, half)), mode="symmetric")
    return median_filter(padded.ravel(), size=width, mode="nearest").reshape(padded.shape)[:, half:-half]
