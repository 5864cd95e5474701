"""`bleed_jitter`: hide the balance that bleed betrays."""

from typing import Annotated

import numpy as np
from pydantic import AfterValidator

from mixdata import measures
from mixdata.params import Params
from mixdata.recipes.distributions import Number, Uniform, bounded, draw
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work, not_summing


class BleedJitter(Params):
    """`level_db`: loudness of the added bleed relative to the stem, drawn once per song and pair of stems."""

    role: Annotated[str, AfterValidator(not_summing)] = "input"
    level_db: Annotated[Number, bounded(-120, 120)] = Uniform(uniform=[-30.0, -10.0])


@step("bleed_jitter", BleedJitter, needs=lambda params: {params.role, f"{params.role}.active"})
def bleed_jitter(work: Work, params: BleedJitter, label: str) -> None:
    """Add to every stem each of the others at a random level, the same for the whole song.

    A separated stem carries a little of the others, and the louder they were the more: a model could read from that the balance that
    it should learn. So every pair (stem, other) gets a level of its own, relative to the stem's loudness: what bleeds then says
    little of how loud the other was. (One level for the whole rest of the mix would not do: within the rest the others keep
    their balance.) It hides bleed that is not much louder than itself.
    """
    stems = work.roles[params.role]
    loudness = {stem: measures.integrated_loudness(audio, work.sample_rate) for stem, audio in stems.items()}
    heard = [stem for stem in stems if work.active[params.role][stem] and np.isfinite(loudness[stem])]
    drawn: dict[str, dict[str, float]] = {stem: {} for stem in heard}
    bled = dict(stems)
    for stem in heard:
        total = stems[stem].copy()
        for other in heard:
            if other != stem:
                drawn[stem][other] = draw(params.level_db, work.rng(label, stem, other))
                gain = 10 ** ((loudness[stem] - loudness[other] + drawn[stem][other]) / 20)
                total += np.float32(gain) * stems[other]
        bled[stem] = total
    work.roles[params.role] = bled
    work.note(label, level_db=drawn)
