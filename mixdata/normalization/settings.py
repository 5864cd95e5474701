"""What can be set about normalization. Each step is a group of settings; null leaves the step out."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mixdata.params import Params
from mixdata.recipes.distributions import Number, Uniform, bounded

Decibels = Annotated[float, Field(ge=-120, le=120)]


class Reverb(Params):
    """A send into a reverb for some stems, so that all carry at least as much; a model then learns to take the excess away.

    As FxNorm has it: the send is cut below `low_cut_hz` and above `high_cut_hz` by shelves of `cut_db`, goes into a reverb of `decay_s`
    (time to -60 dB of generated noise, or a response drawn from the folder `impulse_responses` beside this group) and is added at
    `send_db`.
    """

    stems: Annotated[list[str], Field(min_length=1, default_factory=lambda: ["vocals", "other"])]
    decay_s: Annotated[Number, bounded(0.05, 15)] = Uniform(uniform=[2.0, 4.0])
    send_db: Annotated[Number, bounded(-60, 24)] = Uniform(uniform=[-18.0, -9.0])
    low_cut_hz: Annotated[Number, bounded(20, 20_000)] = Uniform(uniform=[500.0, 700.0])
    high_cut_hz: Annotated[Number, bounded(20, 20_000)] = Uniform(uniform=[7000.0, 10_000.0])
    cut_db: Annotated[float, Field(ge=-60, le=0)] = -30.0


class Equalizer(Params):
    """Spectral matching by one correction for all channels, between `least_db` and `most_db`.

    It is level above the stem's effective bandwidth and `flat_above_hz`. `guard_db`: a band in which the stem lies further under the mix
    than that is not boosted, as what is there is a separator's hiss (null: no such guard).
    """

    most_db: Annotated[float, Field(ge=0, le=60)] = 12.0
    least_db: Annotated[float, Field(ge=-120, le=0)] = -24.0
    flat_above_hz: Annotated[float, Field(ge=1000, le=96_000)] = 16_000.0
    guard_db: Annotated[float, Field(ge=0, le=120)] | None = None


class Dynamics(Params):
    """Bring the onsets' peaks over the loudness to within `tolerance` spreads of the target: by compression from above and, with `expand`,
    by upward expansion from below.
    """

    expand: bool = False
    tolerance: Annotated[float, Field(ge=0, le=10)] = 1.0


class Panning(Params):
    """Match the similarity of the channels per frequency, the same for the whole song.

    `midside` moves side against mid; `spectrum` narrows in the same way and spreads by panning to the stem's own side; `mono` puts the
    middle into both channels.
    """

    mode: Literal["spectrum", "midside", "mono"] = "spectrum"


class Loudness(Params):
    """One gain to the target's loudness; lowered where the sample peak would pass `ceiling_db` (null: it may)."""

    ceiling_db: Annotated[float, Field(ge=-60, le=60)] | None = 0.0


class Settings(Params):
    """All steps in their order. A stem whose sample peak is under `quiet_dbfs` is left as it is.

    `impulse_responses` is a folder of responses for the reverb, on this machine; without it the reverb is decaying noise.
    """

    reverb: Reverb | None = None
    eq: Equalizer | None = Equalizer()
    dynamics: Dynamics | None = Dynamics()
    panning: Panning | None = Panning()
    loudness: Loudness | None = Loudness()
    quiet_dbfs: Annotated[float, Field(ge=-200, le=0)] = -50.0
    impulse_responses: str | None = None

    @model_validator(mode="after")
    def _something(self) -> "Settings":
        if self.impulse_responses is not None and self.reverb is None:
            raise ValueError("impulse_responses serve the reverb, which is off: set reverb too, or leave them out")
        return self
