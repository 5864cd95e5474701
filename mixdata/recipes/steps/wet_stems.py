"""`wet_stems`: the song's own stems as what a model hears, and with their mix as what it should make."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import AfterValidator, Field

from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.steps.stems import MIXTURE, take
from mixdata.recipes.work import Work
from mixdata.separation.base import FOUR_STEMS, checked_stems


class WetStems(Params):
    """`take` names the stems, as in `stems`. `mixture`: the target's mix is their sum, or the song's `published` mix as it is.

    A published mix may differ from the sum (mastering, lossy coding): then nothing promises that the target's stems sum to it.
    """

    instead: ClassVar[str] = ""

    take: Annotated[list[str], Field(min_length=1, default_factory=lambda: [*FOUR_STEMS]), AfterValidator(checked_stems)]
    mixture: Literal["sum", "published"] = "sum"
    relative_lu: Annotated[float, Field(gt=0, le=120)] = 35.0
    floor_lufs: Annotated[float, Field(ge=-120, le=0)] = -55.0


@step(
    "wet_stems",
    WetStems,
    version=2,
    makes=("input", "input.active", "target", "target.active", "target.mixture"),
    roles=lambda params, made: made | {"input": list(params.take), "target": [MIXTURE, *params.take]},
    sums=lambda params: ["target"] if params.mixture == "sum" else [],
)
def wet_stems(work: Work, params: WetStems, label: str) -> None:
    """Take the song's own stems as role `input`, and the mix with the same stems as role `target`."""
    taken, found = take(work, params)
    summed = np.asarray(sum(audio.astype(np.float64) for audio in taken.values()), np.float32)
    work.roles["input"] = dict(taken)
    work.roles["target"] = {MIXTURE: summed if params.mixture == "sum" else work.mixture, **taken}
    exists = {name: bool(mask.any()) for name, mask in work.activity.items()}
    work.active["input"] = exists
    work.active["target"] = {MIXTURE: True, **exists}
    difference = np.square(work.mixture - summed, dtype=np.float64).sum() / np.square(work.mixture, dtype=np.float64).sum()
    work.measures["sum_difference_db"] = 10 * np.log10(difference) if difference > 0 else None
    work.note(label, made_of=found, source=work.song.wet)
