"""`stem_loudness` and `mix_loudness`: gains, one per song, never per block."""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

from mixdata import measures
from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work, not_summing


class StemLoudness(Params):
    """`loudness`: LUFS that every stem is brought to; `cap_db`: most gain up or down."""

    role: Annotated[str, AfterValidator(not_summing)] = "input"
    loudness: Annotated[float, Field(ge=-70, le=0)] = -25.0
    cap_db: Annotated[float, Field(ge=0, le=120)] = 24.0


@step("stem_loudness", StemLoudness, needs=lambda params: {params.role, f"{params.role}.active"})
def stem_loudness(work: Work, params: StemLoudness, label: str) -> None:
    """Bring each stem to one loudness with one gain for the whole song, so that levels tell nothing of the balance."""
    gains: dict[str, float] = {}
    for stem, audio in work.roles[params.role].items():
        loudness = measures.integrated_loudness(audio, work.sample_rate)
        if not work.active[params.role][stem] or not np.isfinite(loudness):
            continue
        gains[stem] = float(np.clip(params.loudness - loudness, -params.cap_db, params.cap_db))
        work.roles[params.role][stem] = audio * np.float32(10 ** (gains[stem] / 20))
        work.measures[f"gain_{stem}_db"] = gains[stem]
    work.note(label, gain_db=gains)


class MixLoudness(Params):
    """`loudness`: LUFS that the role's mixture is brought to, its stems with it; null keeps the master's level."""

    role: str = "target"
    loudness: Annotated[float, Field(ge=-70, le=0)] | None = -18.0


@step("mix_loudness", MixLoudness, needs=lambda params: {params.role, f"{params.role}.mixture"})
def mix_loudness(work: Work, params: MixLoudness, label: str) -> None:
    """Bring mixture and stems to one loudness with one shared gain, so that the stems still sum to the mixture."""
    stems = work.roles[params.role]
    loudness = measures.integrated_loudness(stems["mixture"], work.sample_rate)
    gain_db = params.loudness - loudness if params.loudness is not None and np.isfinite(loudness) else 0.0
    for stem, audio in stems.items():
        stems[stem] = audio * np.float32(10 ** (gain_db / 20))
    work.measures["gain_mixture_db"] = gain_db
    work.note(label, gain_db=gain_db)
