"""Undo a compressor of which everything is known.

    wet = compressor(dry, sample_rate)
    dry = invert_compressor(wet, sample_rate, compressor)

What comes back, what quantization and wrong parameters cost: `docs/drc_inversion.md`.
"""

import math

import numpy as np

from mixdata.effects.base import Audio, Effect, checked_audio
from mixdata.effects.model_compressor import ModelCompressor
from mixdata.errors import EffectError
from mixdata.measures.levels import FULL_SCALE_16, rms_db


def invert_compressor(
    audio: Audio, sample_rate: int, compressor: Effect, *, full_scale: float | None = None, allow_clipping: bool = False
) -> Audio:
    """Return the audio that this `model_compressor` made `audio` from; of the same shape and type, computed in float64.

    Gorlow and Reiss 2013 (see `ModelCompressor`). The audio must begin where it began when it was compressed. RMS errors over all that
    recipes draw: below -250 dBFS from float64, -120 from 24 bits, -72 from 16 bits (-75 but where 24 dB of gain are undone throughout).

    Raises `EffectError` where this cannot be: for a limiter (ratio inf), other effects, audio that is not finite or was clipped, that
    is, stands still at full scale for three samples. Single clipped samples are not seen so; give `full_scale` (1 for a PCM file), the
    level at which the audio would have been clipped, and not one sample may reach it. `allow_clipping` asks for neither.
    """
    if not isinstance(compressor, ModelCompressor):
        name = compressor.name if isinstance(compressor, Effect) else type(compressor).__name__
        raise EffectError(
            f"only a model_compressor can be inverted, not {name}: look-ahead and soft knees leave no way back sample by sample"
        )
    if math.isinf(compressor.ratio):
        raise EffectError("model_compressor.ratio is inf: a limiter has no inverse, all levels above the threshold come out as one")
    audio = checked_audio(audio)
    compressor(audio[..., :0], sample_rate)  # the same checks, nothing to do
    if not np.isfinite(audio).all():
        raise EffectError("audio holds values that are not finite (NaN or infinity): nothing after them could be restored")
    if not allow_clipping:
        _refuse_clipped(audio, sample_rate, full_scale)
    if compressor.is_identity() or not audio.size:
        return audio.copy()
    pieces = audio.reshape(-1, *audio.shape[-2:])
    return np.stack([compressor.undo(piece, sample_rate) for piece in pieces]).reshape(audio.shape)


def inversion_error_db(original: Audio, restored: Audio) -> float:
    """Return the RMS of the difference over all samples of all channels, dBFS; -inf where there is none."""
    if original.shape != restored.shape:
        raise EffectError(f"audio must have one shape to be compared, got {original.shape} and {restored.shape}")
    return rms_db(np.subtract(restored, original, dtype=np.float64).reshape(1, -1))


def _refuse_clipped(audio: Audio, sample_rate: int, full_scale: float | None) -> None:
    if full_scale is None:
        same = (np.abs(audio[..., 1:]) >= FULL_SCALE_16) & (audio[..., 1:] == audio[..., :-1])
        found, what = same[..., 1:] & same[..., :-1], "stands still at full scale"
    else:
        found, what = np.abs(audio) >= FULL_SCALE_16 * full_scale, f"reaches the full scale of {full_scale:g}"
    places = np.flatnonzero(found.any(axis=tuple(range(audio.ndim - 1))))
    if len(places):
        where = f"{what} at {places[0] / sample_rate:.3f} s"
        raise EffectError(f"audio was clipped: it {where}; what was cut off cannot be restored; allow_clipping=True inverts the rest")
