"""Chains in the loader: pairs are made of stored dry stems while a model trains, by the same words as in a recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mixdata import rng
from mixdata.errors import RecipeError, UsageError
from mixdata.example import Audio, Roles
from mixdata.measures import integrated_loudness
from mixdata.recipes.model import load_recipe
from mixdata.recipes.pair_maker import MIXTURE, Maker, Source, assemble
from mixdata.recipes.pair_words import Effects
from mixdata.shards.index import complaints


@dataclass(frozen=True)
class Dry:
    """A dry stem `(channels, pre_roll + frames)`; all stems of an item have the same frames.

    `source` says whether it carries effects already, for the records.
    """

    audio: Audio
    pre_roll: int = 0
    source: str = "unknown"

    @property
    def block(self) -> Audio:
        """The audio without what is before it."""
        return self.audio[:, self.pre_roll :]


class OnTheFly:
    """Makes a pair of every crop of dry stems.

    `words` is a recipe with an `effects` step (its name or file), or that step's words as a mapping. Whatever is drawn depends on nothing
    but the seed and the item, so it is the same in every worker and after every restart. A crop is a block of its own: levels are
    measured over it, and every stem that is not silent in it takes part (`min_activity` says nothing here). Raises `UsageError` for
    words that only a build can follow: `per: song`, several `variants`, convolution.
    """

    def __init__(self, words: str | Path | Mapping[str, Any], sample_rate: int, seed: int):
        self.maker = Maker(_params(words), sample_rate)
        if self.maker.params.impulse_responses is not None:
            raise UsageError("convolution is not offered in the loader: its rooms are split by the builder; build the pairs instead")
        if self.maker.params.per != "block" or self.maker.params.variants != 1:
            raise UsageError("in the loader every crop has a chain of its own: leave out `per: song` and `variants`, or build the pairs")
        self.seed = seed

    def __getstate__(self) -> dict[str, Any]:
        """Return what workers that are spawned need: the words as data, because their classes are made at import."""
        return {"words": self.maker.params.model_dump(mode="json"), "sample_rate": self.maker.sample_rate, "seed": self.seed}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def pre_roll(self) -> int:
        """How many frames before a crop are wanted."""
        return self.maker.pre_roll()

    def roles(self, dry: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """Return the roles and stems that pairs of these dry stems have."""
        stems = (MIXTURE, *dry) if self.maker.params.mixture else tuple(dry)
        return {"input": stems, "target": stems}

    def __call__(self, dry: dict[str, Dry], epoch: int, item: int) -> tuple[Roles, dict[str, Any]]:
        """Return input and target of the stems, and the records of the pairs by stem.

        A stem that is silent, or of which no good pair can be drawn, is silent in both and has no record.
        """
        rate = self.maker.sample_rate
        sources = {
            stem: Source(given.audio, given.pre_roll, integrated_loudness(given.block, rate))
            for stem, given in dry.items()
            if given.block.any()
        }
        made = self.maker.make(sources, lambda attempt, stem: rng.stream(self.seed, "on the fly", epoch, item, attempt, stem))
        like = next(iter(dry.values())).block
        roles = assemble({stem: each.rendered for stem, each in made.items()}, list(dry), like, bool(self.maker.params.mixture))
        declared = self.maker.params.source
        return roles, {stem: each.record | {"source": declared or dry[stem].source} for stem, each in made.items()}


def _params(words: str | Path | Mapping[str, Any]) -> Any:
    if isinstance(words, Mapping):
        try:
            return Effects.model_validate(dict(words))
        except ValidationError as error:
            raise RecipeError(f"effects: {'; '.join(complaints(error))}") from None
    recipe = load_recipe(words)
    found = [call.params for call in recipe.steps if call.step.name == "effects"]
    if len(found) != 1:
        raise UsageError(f"{words}: has {len(found)} `effects` steps; the loader takes its chains from a recipe with one")
    return found[0]
