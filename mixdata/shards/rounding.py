"""Rounding audio to integers, in one pass."""

import numpy as np

from mixdata.kernels import kernel


@kernel
def round_to_integers(audio, full, out):  # type: ignore[no-untyped-def]
    """Round `(channels, frames)` audio times `full` into `out`, half to even.

    Returns whether all of it lies within [-full, full - 1], which NaN does not.
    """
    fine = True
    for channel in range(audio.shape[0]):
        for n in range(audio.shape[1]):
            rounded = np.rint(float(audio[channel, n]) * full)
            inside = -full <= rounded <= full - 1
            fine &= inside
            out[channel, n] = rounded if inside else 0
    return fine
