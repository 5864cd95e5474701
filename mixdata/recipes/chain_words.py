"""The words of a recipe that say how effect chains are drawn: which effects, how many, in which order, with which parameters.

    keep: {from: [eq], count: 1}
    remove: {from: [distortion, compressor, reverb], count: {integers: [1, 3]}, order: drawn}
    position: any
    compressor: {threshold_db: {relative: {uniform: [-20, 0]}}, ratio: {uniform: [1.5, 6]}}
    aliases: {plate: {send: {effects: [{high_pass: {frequency_hz: 300}}, {reverb: {mix: 1}}], send_db: {uniform: [-20, -8]}}}}

An effect goes by its name. What its parameters are drawn from is written under that name; what is not written is drawn from the effect's
own default laws. An alias is a second name with laws of its own.
"""

from collections.abc import Iterator
from dataclasses import Field as Parameter
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    create_model,
    model_serializer,
    model_validator,
)

from mixdata.effects import EFFECTS, Effect
from mixdata.effects.base import effect_class, parameters
from mixdata.effects.pairs import Link
from mixdata.errors import EffectError, RecipeError
from mixdata.params import Params
from mixdata.recipes.distributions import Distribution, Number, bounded, draw, whole
from mixdata.recipes.priors import Prior, load_prior
from mixdata.text import nearest

Count = Annotated[Number, bounded(0, 100), AfterValidator(whole)]


class Pick(Params):
    """One of the listed words, each as likely."""

    choice: Annotated[list[str | bool], Field(min_length=1)]


class Relative(Params):
    """A threshold relative to the level at which the chain works: {relative: -10} is 10 dB under that loudness."""

    relative: Annotated[Number, bounded(-200, 200)]


@dataclass(frozen=True)
class Setting:
    """What draws depend on besides the recipe: the loudness at which the chain works, and the impulse responses (SHA-256) of the split."""

    level_lufs: float
    responses: tuple[str, ...] = ()

    def response(self, rng: np.random.Generator) -> str:
        """Draw an impulse response."""
        if not self.responses:
            raise RecipeError("convolution draws from a folder of impulse responses: set impulse_responses to one")
        return self.responses[int(rng.integers(len(self.responses)))]


class Words(Params):
    """The laws that one effect's parameters are drawn from; what is null is the effect's own default."""

    effect: ClassVar[str]
    prior: Annotated[Prior | None, BeforeValidator(load_prior)] = None

    @model_validator(mode="after")
    def _prior_fits(self) -> "Words":
        if self.prior is not None:
            numbers = [each.name for each in parameters(effect_class(self.effect)) if each.type in (float, "float")]
            if self.prior.effect != self.effect:
                raise ValueError(f"the prior is one of {self.prior.effect}, not of {self.effect}")
            for name in self.prior.parameters:
                if name not in numbers:
                    raise ValueError(f"the prior names {name!r}, which is no number of {self.effect}: {', '.join(numbers)}")
        return self

    @model_serializer
    def _said(self) -> dict[str, Any]:
        """Leave out what is not said: a null is no word."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}

    def draw(self, rng: np.random.Generator, setting: Setting) -> Effect:
        """Draw an effect. Raises `RecipeError` for a convolution without responses to draw from."""
        cls = effect_class(self.effect)
        jointly = self.prior.draw(rng) if self.prior is not None else {}
        drawn: dict[str, Any] = {}
        for each in parameters(cls):
            value = getattr(self, each.name)
            if each.name in jointly:
                drawn[each.name] = float(np.clip(jointly[each.name], each.metadata["low"], each.metadata["high"]))
            elif each.name == "impulse_response" and value is None:
                drawn[each.name] = setting.response(rng)
            elif value is not None:
                drawn[each.name] = _drawn(each, value, rng, setting)
        return cls(**drawn)


def _drawn(each: "Parameter[Any]", value: Any, rng: np.random.Generator, setting: Setting) -> Any:
    if isinstance(value, Relative):
        return float(np.clip(setting.level_lufs + draw(value.relative, rng), each.metadata["low"], each.metadata["high"]))
    if isinstance(value, Pick):
        return value.choice[int(rng.integers(len(value.choice)))]
    if isinstance(value, list):
        return tuple(item for words in value for item in words.items(rng, setting))
    if isinstance(value, str | bool):
        return value
    number = draw(value, rng)
    return int(number) if each.type in (int, "int") else number


class ItemWords(Params):
    """The laws of one item of a list, such as a band of an equalizer; `count` makes several of it, each drawn anew."""

    item: ClassVar[type]
    count: Count = 1

    def items(self, rng: np.random.Generator, setting: Setting) -> list[Any]:
        made = []
        for _ in range(int(draw(self.count, rng))):
            values = {each.name: getattr(self, each.name) for each in parameters(self.item)}
            drawn = {each.name: _drawn(each, values[each.name], rng, setting) for each in parameters(self.item)}
            made.append(self.item(**drawn))
        return made


class NestedWords(Params):
    """One effect inside another: `{reverb: {mix: 1}}`."""

    words: SerializeAsAny[Words]

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {value: {}}
        if isinstance(value, dict) and len(value) == 1 and not isinstance(value.get("words"), Words):
            return {"words": named_words(*next(iter(value.items())))}
        return value

    @model_serializer
    def _named(self) -> dict[str, Any]:
        return {self.words.effect: self.words}

    def items(self, rng: np.random.Generator, setting: Setting) -> list[Effect]:
        return [self.words.draw(rng, setting)]


def named_words(name: str, laws: Any) -> Words:
    """Return the checked laws of an effect's parameters. Raises `ValueError` that names the nearest effect."""
    try:
        effect_class(name)
    except EffectError as error:
        raise ValueError(str(error)) from None
    return WORDS[name].model_validate({} if laws is None else laws)


def _law(each: "Parameter[Any]") -> Any:
    """Return the pydantic type of a parameter's law."""
    facts = each.metadata
    kind = each.type if isinstance(each.type, str) else each.type.__name__
    if facts["items"] is not None:
        return list[NestedWords] if issubclass(facts["items"], Effect) else list[_item_words(facts["items"])]  # type: ignore[misc]
    if kind == "bool":
        return bool | Pick
    if kind == "str":
        return Literal[facts["choices"]] | Pick if facts["choices"] else str
    number = Annotated[Number, bounded(facts["low"], facts["high"])]
    if kind == "int":
        return Annotated[number, AfterValidator(whole)]
    if not each.name.endswith(("threshold_db", "ceiling_db")):
        return number
    return Annotated[Annotated[Relative, Tag("relative")] | Annotated[number, Tag("absolute")], Discriminator(_relative)]


def _relative(value: Any) -> str:
    return "relative" if isinstance(value, Relative) or (isinstance(value, dict) and "relative" in value) else "absolute"


def _item_words(item: type) -> type[ItemWords]:
    fields: dict[str, Any] = {each.name: (_law(each), _default(each)) for each in parameters(item)}
    words = create_model(f"{item.__name__}Words", __base__=ItemWords, **fields)
    words.item = item
    return words


def _default(each: "Parameter[Any]") -> Any:
    return Field(
        default_factory=lambda: each.metadata["draw"] if each.metadata["draw"] is not None else each.default, validate_default=True
    )


def _effect_words(name: str, cls: type[Effect]) -> type[Words]:
    fields: dict[str, Any] = {}
    for each in parameters(cls):
        law = each.metadata["draw"]
        default = None if law is None else Field(default_factory=lambda law=law: law, validate_default=True)
        fields[each.name] = (_law(each) | None, default)
    words = create_model(f"{cls.__name__}Words", __base__=Words, **fields)
    words.effect = name
    return words


WORDS: dict[str, type[Words]] = {}
WORDS |= {name: _effect_words(name, cls) for name, cls in sorted(EFFECTS.items())}


class Group(Params):
    """Effects to draw from.

    Either `count` of them (a law over whole numbers, drawn without replacement, by `weights` where given) or each by its `probability`
    (0 where none is given). `order` is `drawn`, `fixed` (as listed), or a list of names and lists of names: the lists' names
    come in a drawn order.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Annotated[list[str], Field(alias="from", default_factory=list)]
    count: Count | None = None
    weights: dict[str, Annotated[float, Field(ge=0)]] | None = None
    probability: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    order: Literal["drawn", "fixed"] | list[str | list[str]] = "drawn"

    @model_validator(mode="after")
    def _one_law(self) -> "Group":
        if len(set(self.from_)) != len(self.from_):
            raise ValueError("`from` names an effect twice; give the second an alias")
        if self.count is not None and self.probability is not None:
            raise ValueError("give either `count` or `probability`, not both")
        if self.from_ and self.count is None and self.probability is None:
            raise ValueError("say how many: `count` (such as {integers: [1, 3]}), or a `probability` for each")
        named = [*(self.weights or ()), *(self.probability or ()), *_flat(self.order)]
        for name in named:
            if name not in self.from_:
                raise ValueError(f"{name!r} is not in `from`")
        if isinstance(self.order, list) and sorted(_flat(self.order)) != sorted(self.from_):
            raise ValueError("a listed `order` names every effect of `from` once")
        if self.count is not None:
            most = self.count.ends()[1] if isinstance(self.count, Distribution) else self.count
            possible = sum(1 for name in self.from_ if self.weights is None or self.weights.get(name, 0) > 0)
            if most > possible:
                raise ValueError(f"count can be {most:g}, but there are only {possible} effects to draw from")
        return self

    def draw(self, rng: np.random.Generator) -> list[str]:
        """Draw names in their order."""
        if self.probability is not None:
            chosen = {name for name in self.from_ if rng.random() < self.probability.get(name, 0.0)}
        elif self.from_:
            count = int(draw(self.count or 0.0, rng))
            weights = np.array([1.0 if self.weights is None else self.weights.get(name, 0.0) for name in self.from_])
            chosen = set(rng.choice(self.from_, count, replace=False, p=weights / weights.sum()).tolist()) if count else set()
        else:
            return []
        groups: list[list[str]] = (
            [[name] for name in self.from_]
            if self.order == "fixed"
            else [self.from_]
            if self.order == "drawn"
            else [[entry] if isinstance(entry, str) else entry for entry in self.order]
        )
        picked = [[name for name in group if name in chosen] for group in groups]
        return [group[place] for group in picked for place in rng.permutation(len(group))]


def _flat(order: Any) -> list[str]:
    return [name for entry in order for name in ([entry] if isinstance(entry, str) else entry)] if isinstance(order, list) else []


NO_GROUP = Group.model_validate({})


class ChainLaws(Params):
    """How a chain is drawn: what is kept, what is removed, where the removed ones stand, and the laws of the effects' parameters.

    `position` of the removed effects among the kept: `last`, `first`, or `any` (every way of merging the two is as likely).
    """

    keep: Group = NO_GROUP
    remove: Group = NO_GROUP
    position: Literal["any", "last", "first"] = "any"
    aliases: Annotated[dict[str, NestedWords], Field(default_factory=dict)]

    @model_validator(mode="after")
    def _known(self) -> "ChainLaws":
        for alias in self.aliases:
            if alias in EFFECTS:
                raise ValueError(f"alias {alias!r} is the name of an effect; choose another")
        for name in (*self.keep.from_, *self.remove.from_):
            if name not in EFFECTS and name not in self.aliases:
                known = [*EFFECTS, *self.aliases]
                close = nearest(name, known)
                raise ValueError(f"unknown effect {name!r}; " + (f"did you mean {close!r}?" if close else f"known: {', '.join(known)}"))
        return self

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Put the default laws of every effect that is drawn from in the place of what is not said."""
        if not isinstance(data, dict):
            return data
        groups = [data[name].get("from") for name in ("keep", "remove") if isinstance(data.get(name), dict)]
        named = [name for group in groups if isinstance(group, list) for name in group if isinstance(name, str) and name in EFFECTS]
        return {**{name: {} for name in named}, **{key: value for key, value in data.items() if value is not None or key not in named}}

    @model_serializer(mode="wrap")
    def _said(self, handler: Any) -> dict[str, Any]:
        """Write out the laws of the effects that are drawn from, and of no others."""
        used = {*self.keep.from_, *self.remove.from_}
        return {key: value for key, value in handler(self).items() if key not in EFFECTS or key in used}

    def words(self, name: str) -> Words:
        """Return the laws of the effect that goes by this name."""
        if name in self.aliases:
            return self.aliases[name].words
        words: Words = getattr(self, name)
        return words

    def used(self) -> Iterator[str]:
        """Yield the name of every effect that can be drawn, also of those inside sends."""
        for name in dict.fromkeys((*self.keep.from_, *self.remove.from_)):
            yield from _effects_of(self.words(name))

    def draw(self, rng: np.random.Generator, setting: Setting) -> tuple[Link, ...]:
        """Draw a chain's links in their order."""
        kept, removed = self.keep.draw(rng), self.remove.draw(rng)
        flags = [False] * len(kept) + [True] * len(removed)
        if self.position == "first":
            flags.reverse()
        elif self.position == "any":
            flags = [flags[place] for place in rng.permutation(len(flags))]
        names = {False: iter(kept), True: iter(removed)}
        drawn = [(next(names[flag]), flag) for flag in flags]
        return tuple(Link(self.words(name).draw(rng, setting), name, flag) for name, flag in drawn)


def _effects_of(words: Words) -> Iterator[str]:
    yield words.effect
    for each in parameters(effect_class(words.effect)):
        value = getattr(words, each.name)
        for inner in value if isinstance(value, list) else ():
            if isinstance(inner, NestedWords):
                yield from _effects_of(inner.words)


LAWS: dict[str, Any] = {name: (words | None, None) for name, words in WORDS.items()}
ChainWords: Any = create_model("ChainWords", __base__=ChainLaws, **LAWS)
