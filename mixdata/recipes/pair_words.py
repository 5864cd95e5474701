"""The words of a recipe that say how wet/dry pairs are made: the chains' words, and levels, checks and what is made of them."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, create_model, model_validator

from mixdata.effects import EFFECTS
from mixdata.params import Params
from mixdata.recipes.chain_words import LAWS, ChainLaws, ChainWords
from mixdata.recipes.distributions import Number, bounded
from mixdata.recipes.effect_words import mistakes
from mixdata.recipes.priors import load_prior


class Level(Params):
    """The loudness at which a chain works.

    The stem (measured over its whole `song`, or over the `block`) is brought to `lufs` before the `chain`, or before `each` effect, which
    is always measured over the block.
    """

    lufs: Annotated[Number, bounded(-70, 0)] = -20.0
    over: Literal["song", "block"] = "song"
    before: Literal["chain", "each"] = "chain"

    @model_validator(mode="before")
    @classmethod
    def _of_each(cls, data: Any) -> Any:
        return {"over": "block"} | data if isinstance(data, dict) and data.get("before") == "each" else data

    @model_validator(mode="after")
    def _measurable(self) -> "Level":
        if self.before == "each" and self.over == "song":
            raise mistakes((("over",), "a level before each effect is measured over the block: write `over: block`"))
        return self


class Check(Params):
    """When a pair is good (see `mixdata.effects.pairs.render_checked`), and how often it is drawn before it is given up."""

    difference_db: Annotated[float, Field(ge=-200, le=0)] = -40.0
    stft: Annotated[float, Field(ge=0, le=10)] = 1e-3
    attempts: Annotated[int, Field(ge=1, le=100)] = 8


class EffectsLaws(ChainLaws):
    """How wet/dry pairs are made of role `dry`.

    Every stem of every block (`per: block`) or song (`per: song`; then blocks join, and tails run on over them) gets a chain of its own,
    or all stems share one (`linked`). `pre_roll` is how many seconds of the song before the block go through the chain first. `level`
    (null: as it is) is where the chain works, `match` what is done to levels afterwards. A stem that sounds for less than `min_activity` of
    the block is left out of it (silent, not labelled). `variants` pairs are made of each block; with `mixture` each role also has the sum
    of its stems. `per_stem` gives single stems laws of their own: an effect's parameters, aliases and groups that are written there replace
    those that are said for all, and a group without `from` changes single words of the group for all. `source` declares whether the
    stems carry effects already (null: as the corpus says). `impulse_responses` is the folder that `convolution` draws from; its rooms are
    split like songs.
    """

    local: ClassVar[frozenset[str]] = frozenset({"impulse_responses"})

    per: Literal["block", "song"] = "block"
    variants: Annotated[int, Field(ge=1, le=10_000)] = 1
    linked: bool = False
    mixture: bool = False
    pre_roll: Annotated[float, Field(ge=0, le=60)] = 1.0
    min_activity: Annotated[float, Field(ge=0, le=1)] = 0.25
    level: Level | None = None
    match: Literal["none", "input_to_target", "both_to_lufs"] = "none"
    match_lufs: Annotated[float, Field(ge=-70, le=0)] = -20.0
    source: Literal["dry", "wet", "rendered", "unknown"] | None = None
    check: Check = Check()
    per_stem: Annotated[dict[str, ChainLaws], Field(default_factory=dict)]
    impulse_responses: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Complete what `per_stem` says by what is said for all stems."""
        if not isinstance(data, dict) or not isinstance(data.get("per_stem"), dict):
            return data
        shared = {key: value for key, value in data.items() if key in ChainWords.model_fields}
        try:
            ChainWords.model_validate(shared)
        except ValidationError:  # named once, where it is said, and not for every stem that inherits it
            return data | {"per_stem": {}}
        for stem, laws in data["per_stem"].items():
            for key in laws if isinstance(laws, dict) else ():
                if key in cls.model_fields and key not in ChainWords.model_fields:
                    raise mistakes((("per_stem", stem, key), "this holds for all stems alike; write it beside per_stem"))
        return data | {"per_stem": {stem: _over(shared, laws) for stem, laws in data["per_stem"].items()}}

    @model_validator(mode="after")
    def _fit(self) -> "EffectsLaws":
        if not any(laws.keep.from_ or laws.remove.from_ for laws in self._all()):
            raise ValueError("no effects to draw from: write for example `remove: {from: [reverb], count: 1}`")
        if self.per == "song" and self.variants > 1:
            said = "several variants are made of blocks only (`per: block`); for more of songs build again with another seed"
            raise mistakes((("variants",), said))
        if self.per == "song" and self.level is not None and self.level.over == "block":
            raise mistakes((("level",), "with `per: song` the level is measured over the song: write `over: song`"))
        if self.linked and self.per_stem:
            raise mistakes((("per_stem",), "stems that share one chain (`linked`) have no laws of their own: leave out per_stem"))
        if "convolution" in self.used_anywhere() and self.impulse_responses is None:
            raise ValueError("convolution draws from a folder of impulse responses: set impulse_responses to one")
        return self

    def _all(self) -> list[ChainLaws]:
        return [self, *self.per_stem.values()]

    def used_anywhere(self) -> list[str]:
        """Return the names of all effects that can be drawn for any stem, sorted."""
        return sorted({name for laws in self._all() for name in laws.used()})

    def laws_of(self, stem: str) -> ChainLaws:
        """Return the laws that this stem's chains are drawn from."""
        return self.per_stem.get(stem, self)


PER_STEM: dict[str, Any] = {"per_stem": (dict[str, ChainWords], Field(default_factory=dict))}
Effects: Any = create_model("Effects", __base__=EffectsLaws, **LAWS, **PER_STEM)


def _over(shared: dict[str, Any], laws: Any) -> Any:
    """Put a stem's laws over those for all: effects' parameters and aliases one by one, groups as a whole where they say `from`."""
    if not isinstance(laws, dict):
        return laws
    merged = dict(shared)
    for key, value in laws.items():
        old = shared.get(key)
        if not isinstance(value, dict) or not isinstance(old, dict):
            merged[key] = value
        elif key in ("keep", "remove"):
            merged[key] = value if "from" in value else _amended(old, value)
        elif key in EFFECTS:
            merged[key] = {name: law for name, law in old.items() if name not in _of_prior(value)} | value
        else:
            merged[key] = old | value if key == "aliases" else value
    return merged


def _amended(group: dict[str, Any], words: dict[str, Any]) -> dict[str, Any]:
    """Return a group with some of its words changed; `count` and `probability` take each other's place."""
    gone = ("probability",) if "count" in words else ("count", "weights") if "probability" in words else ()
    kept = {key: value for key, value in group.items() if key not in gone}
    by_name = {
        key: kept[key] | value
        for key, value in words.items()
        if isinstance(value, dict) and key in ("probability", "weights") and key in kept
    }
    return kept | words | by_name


def _of_prior(words: dict[str, Any]) -> list[str]:
    """Return the parameters that a prior of these words draws; none where it is wrong, which is said elsewhere."""
    try:
        prior = load_prior(words.get("prior"))
    except ValueError:
        return []
    names = prior.get("parameters") if isinstance(prior, dict) else None
    return names if isinstance(names, list) else []
