"""Reverb: a send, so that every stem carries at least as much as a wet one might."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixdata.effects import Convolution, Eq, NoiseReverb, Send, describe
from mixdata.effects.eq import Band
from mixdata.example import Audio
from mixdata.normalization.settings import Reverb
from mixdata.recipes.distributions import draw

Q = 0.707
HIGH_DECAY = 0.5  # of the decay: rooms lose the highs sooner


def send_reverb(
    audio: Audio, sample_rate: int, settings: Reverb, generator: np.random.Generator, responses: Sequence[str] = ()
) -> tuple[Audio, dict[str, Any]]:
    """Add a reverb to `(channels, frames)` through a band-limited send; the dry part stays bit for bit what it was before the sum.

    FxNorm (Martínez-Ramírez et al. 2022): out = x + reverb(shelves(x)), known as the Abbey Road trick. `responses` are the hashes of opened
    impulse responses to draw from (see `mixdata.effects.Convolution`), whose direct sound is aligned to the input; without any the reverb
    is decaying noise of a drawn length. The record holds the effect as it was drawn.
    """
    nyquist = sample_rate / 2
    shelves = (
        Band("low_shelf", min(draw(settings.low_cut_hz, generator), 0.45 * nyquist), settings.cut_db, Q),
        Band("high_shelf", min(draw(settings.high_cut_hz, generator), 0.9 * nyquist), settings.cut_db, Q),
    )
    decay, send_db = draw(settings.decay_s, generator), draw(settings.send_db, generator)
    seed = int(generator.integers(2**31))
    reverb: Convolution | NoiseReverb
    if responses:
        reverb = Convolution(impulse_response=responses[seed % len(responses)], mix=1.0)
    else:
        reverb = NoiseReverb(low_decay_s=decay, mid_decay_s=decay, high_decay_s=max(decay * HIGH_DECAY, 0.05), mix=1.0, noise_seed=seed)
    send = Send((Eq(shelves), reverb), send_db=send_db)
    return send(audio, sample_rate), {"effect": describe(send)}
