"""The words of a recipe that say how effect chains are drawn: which effects, how many, in which order, with which parameters.

    keep: {from: [eq], count: 1}
    remove: {from: [distortion, compressor, reverb], count: {integers: [1, 3]}, order: drawn}
    position: any
    compressor: {threshold_db: {relative: {uniform: [-20, 0]}}, ratio: {uniform: [1.5, 6]}}
    aliases: {plate: {send: {effects: [{high_pass: {frequency_hz: 300}}, {reverb: {mix: 1}}], send_db: {uniform: [-20, -8]}}}}

An effect goes by its name. What its parameters are drawn from is written under that name; what is not written is drawn from the effect's
own default laws, and null is the effect's own default value. Infinity is written `inf`. An alias is a second name with laws of its own.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass
from dataclasses import Field as Parameter
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    ValidationError,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from mixdata.effects import EFFECTS, Effect
from mixdata.effects.base import describe, effect_class, parameters
from mixdata.effects.pairs import Link
from mixdata.errors import EffectError, RecipeError
from mixdata.params import Params
from mixdata.recipes.distributions import LEAST_WEIGHT, MOST_WEIGHT, Distribution, Number, bounded, draw, whole
from mixdata.recipes.priors import Prior, load_prior
from mixdata.text import nearest

Count = Annotated[Number, bounded(0, 100), AfterValidator(whole)]
INFINITIES = ("inf", "-inf")
ALIAS = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
TRIES = 20  # draws by which laws are tried when a recipe is checked

T = TypeVar("T")


def mistakes(*found: tuple[tuple[str | int, ...], str]) -> ValidationError:
    """Return an error of these mistakes, each with its path from the model that raises it."""
    lines = [InitErrorDetails(type=PydanticCustomError("recipe", "{said}", {"said": said}), loc=loc, input=None) for loc, said in found]
    return ValidationError.from_exception_data("recipe", lines)


def mistakes_under(error: ValidationError, *path: str | int) -> ValidationError:
    """Return an error's mistakes with their paths put under another."""
    lines = []
    for each in error.errors():
        kind: Any = each["type"]
        if kind not in ("missing", "extra_forbidden"):
            kind = PydanticCustomError("recipe", "{said}", {"said": each["msg"].removeprefix("Value error, ")})
        lines.append(InitErrorDetails(type=kind, loc=(*path, *each["loc"]), input=each["input"]))
    return ValidationError.from_exception_data("recipe", lines)


class Pick(Params, Generic[T]):
    """One of the listed words, each as likely."""

    choice: Annotated[list[T], Field(min_length=1)]


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
    """The laws that one effect's parameters are drawn from. What a prior names is drawn from it and has no law beside it."""

    effect: ClassVar[str]
    prior: Annotated[Prior | None, BeforeValidator(load_prior)] = None

    @model_validator(mode="after")
    def _prior_fits(self) -> "Words":
        if self.prior is not None:
            numbers = [each.name for each in parameters(effect_class(self.effect)) if each.type in (float, "float")]
            if self.prior.effect != self.effect:
                raise mistakes((("prior",), f"the prior is one of {self.prior.effect}, not of {self.effect}"))
            for name in self.prior.parameters:
                if name not in numbers:
                    said = f"the prior names {name!r}, which is no number of {self.effect}: {', '.join(numbers)}"
                    raise mistakes((("prior",), said))
            twice = [name for name in self.prior.parameters if name in self.model_fields_set]
            if twice:
                raise mistakes(*(((name,), "is drawn from the prior: leave it out, or set `prior: null`") for name in twice))
        return self

    @model_serializer
    def _said(self) -> dict[str, Any]:
        """Write out every law, but none of what the prior draws, and no null that is the default."""
        drawn = self.prior.parameters if self.prior is not None else []
        laws = {name: getattr(self, name) for name in type(self).model_fields if name not in drawn}
        return {name: law for name, law in laws.items() if law is not None or (name == "prior" and name in self.model_fields_set)}

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
        effect = cls(**drawn)
        effect.refuse_distrusted()
        return effect


def _drawn(each: "Parameter[Any]", value: Any, rng: np.random.Generator, setting: Setting) -> Any:
    if isinstance(value, Relative):
        return float(np.clip(setting.level_lufs + draw(value.relative, rng), each.metadata["low"], each.metadata["high"]))
    if isinstance(value, Pick):
        return value.choice[int(rng.integers(len(value.choice)))]
    if isinstance(value, list):
        return tuple(item for words in value for item in words.items(rng, setting))
    if isinstance(value, str | bool):
        return float(value) if each.type in (float, "float") else value
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
    """One effect inside another: `{reverb: {mix: 1}}`, or `reverb` alone with its default laws."""

    words: SerializeAsAny[Words]

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {value: {}}
        if not isinstance(value, dict) or len(value) != 1:
            raise ValueError("write one effect, as `reverb` or `reverb: {mix: 1}`")
        return {"words": named_words(*next(iter(value.items())))}

    @model_serializer
    def _named(self) -> dict[str, Any]:
        return {self.words.effect: self.words}

    def items(self, rng: np.random.Generator, setting: Setting) -> list[Effect]:
        return [self.words.draw(rng, setting)]


def named_words(name: str, laws: Any) -> Words:
    """Return the checked laws of an effect's parameters. Raises `ValueError` that names the nearest effect."""
    if name not in EFFECTS:
        raise ValueError(unknown_effect(name, EFFECTS))
    try:
        return WORDS[name].model_validate({} if laws is None else laws)
    except ValidationError as error:
        raise mistakes_under(error, name) from None


def unknown_effect(name: str, known: Iterable[str]) -> str:
    """Say that there is no such effect, and which was probably meant."""
    close = nearest(name, list(known))
    return f"unknown effect {name!r}: " + (f"did you mean {close!r}?" if close else f"there are {', '.join(sorted(known))}")


def _law(each: "Parameter[Any]") -> Any:
    """Return the pydantic type of a parameter's law; null is the parameter's default."""
    law = _plain_law(each)
    return Annotated[law, BeforeValidator(lambda value: _default(each) if value is None else value)]


def _plain_law(each: "Parameter[Any]") -> Any:
    facts = each.metadata
    kind = each.type if isinstance(each.type, str) else each.type.__name__
    if facts["items"] is not None:
        return list[NestedWords] if issubclass(facts["items"], Effect) else list[_item_words(facts["items"])]  # type: ignore[misc]
    if kind == "bool":
        return _one_or_pick(bool, "true, false")
    if kind == "str":
        return _one_or_pick(Literal[facts["choices"]], ", ".join(facts["choices"])) if facts["choices"] else str
    low, high = (-math.inf if facts["low"] is None else facts["low"]), (math.inf if facts["high"] is None else facts["high"])
    number = Annotated[Number, bounded(low, high)]
    if kind == "int":
        return Annotated[number, AfterValidator(whole)]
    laws: dict[str, Any] = {"finite": number}
    endless = tuple(word for word in INFINITIES if float(word) in (facts["low"], facts["high"]))
    if endless:
        laws["infinite"] = Literal[endless]
    if each.name.endswith(("threshold_db", "ceiling_db")):
        laws["relative"] = Relative
    return number if len(laws) == 1 else _told_apart(laws, lambda value: _form(value) if _form(value) in laws else "finite")


def _form(value: Any) -> str:
    if value in INFINITIES:
        return "infinite"
    return "relative" if isinstance(value, Relative) or (isinstance(value, dict) and "relative" in value) else "finite"


def _one_or_pick(one: Any, words: str) -> Any:
    def form(value: Any) -> str | None:
        if isinstance(value, Pick) or (isinstance(value, dict) and "choice" in value):
            return "pick"
        return None if isinstance(value, dict | list) else "one"

    return _told_apart({"one": one, "pick": Pick[one]}, form, f"use one of {words}, or {{choice: [...]}} of them")


def _told_apart(laws: dict[str, Any], form: Any, otherwise: str | None = None) -> Any:
    """Return the union of laws that are told apart by their form, so that one typo is one mistake."""
    tagged = tuple(Annotated[law, Tag(name)] for name, law in laws.items())
    said: dict[str, Any] = {} if otherwise is None else {"custom_error_type": "recipe", "custom_error_message": otherwise}
    return Annotated[reduce(or_, tagged), Discriminator(form, **said)]


def _item_words(item: type) -> type[ItemWords]:
    fields: dict[str, Any] = {}
    for each in parameters(item):
        fields[each.name] = (_law(each), ... if each.default is MISSING and each.metadata["draw"] is None else _field(each))
    words = create_model(f"{item.__name__}Words", __base__=ItemWords, **fields)
    words.item = item
    return words


def _effect_words(name: str, cls: type[Effect]) -> type[Words]:
    fields: dict[str, Any] = {}
    for each in parameters(cls):
        own = each.name == "impulse_response"  # drawn from a folder, where nothing is said
        fields[each.name] = (str | None, None) if own else (_law(each), _field(each))
    words = create_model(f"{cls.__name__}Words", __base__=Words, **fields)
    words.effect = name
    return words


def _field(each: "Parameter[Any]") -> Any:
    law = each.metadata["draw"]
    return Field(default_factory=lambda: law if law is not None else _default(each), validate_default=True)


def _default(each: "Parameter[Any]") -> Any:
    """Return a parameter's default in the words of recipes."""
    if isinstance(each.default, tuple):
        return [{item.name: describe(item)} if isinstance(item, Effect) else describe(item) for item in each.default]
    if isinstance(each.default, float) and math.isinf(each.default):
        return "inf" if each.default > 0 else "-inf"
    return None if each.default is MISSING else each.default


WORDS: dict[str, type[Words]] = {}
WORDS |= {name: _effect_words(name, cls) for name, cls in sorted(EFFECTS.items())}


class Group(Params):
    """Effects to draw from.

    Either `count` of them (a law over whole numbers, drawn one after the other without replacement, by `weights` where given) or each by
    its `probability` (0 where none is given). A list inside `from` is a family: at most one of it is drawn. `order` is `drawn`, `fixed`
    (as listed), or a list of names and lists of names: the lists' names come in a drawn order.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Annotated[list[str | list[str]], Field(alias="from", default_factory=list)]
    count: Count | None = None
    weights: dict[str, Annotated[float, Field(ge=0, le=MOST_WEIGHT)]] | None = None
    probability: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    order: Literal["drawn", "fixed"] | list[str | list[str]] = "drawn"

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, data: Any) -> Any:
        """Refuse what the unions of names and lists would name twice."""
        if isinstance(data, dict):
            for key in ("from", "order"):
                value = data.get(key)
                words = ("drawn", "fixed") if key == "order" else ()
                if value is not None and value not in words and not (isinstance(value, list) and all(_is_entry(entry) for entry in value)):
                    also = "`drawn`, `fixed` or " if words else ""
                    raise mistakes(((key,), f"write {also}a list of names, or of lists of names"))
        return data

    @model_validator(mode="after")
    def _one_law(self) -> "Group":
        names = self.names()
        if len(set(names)) != len(names):
            raise mistakes((("from",), "an effect is named twice; give the second an alias"))
        if self.count is not None and self.probability is not None:
            raise ValueError("give either `count` or `probability`, not both")
        if names and self.count is None and self.probability is None:
            raise ValueError("say how many: `count` (such as {integers: [1, 3]}), or a `probability` for each")
        if self.weights is not None and self.count is None:
            raise mistakes((("weights",), "weights go with a `count`"))
        if self.probability is not None and any(isinstance(entry, list) for entry in self.from_):
            raise mistakes((("from",), "families (lists of names) go with a `count`, not with `probability`"))
        for key, named in (("weights", self.weights or ()), ("probability", self.probability or ()), ("order", flat(self.order))):
            for name in named:
                if name not in names:
                    raise mistakes(((key,), f"{name!r} is not in `from`"))
        if isinstance(self.order, list) and sorted(flat(self.order)) != sorted(names):
            raise mistakes((("order",), "a listed `order` names every effect of `from` once"))
        if any(0 < weight < LEAST_WEIGHT for weight in (self.weights or {}).values()):
            raise mistakes((("weights",), f"weights are 0, or between {LEAST_WEIGHT:g} and {MOST_WEIGHT:g}"))
        return self

    def too_many(self) -> str | None:
        """Say where more are asked for than there are to draw from."""
        most = self.count.ends()[1] if isinstance(self.count, Distribution) else self.count or 0
        possible = sum(1 for family in self._families() if any(self._weight(name) for name in family))
        return f"it can be {most:g}, but at most {possible} can be drawn from what `from` and `weights` say" if most > possible else None

    def names(self) -> list[str]:
        """Return the names that can be drawn, as listed."""
        return flat(self.from_)

    def _families(self) -> list[list[str]]:
        return [[entry] if isinstance(entry, str) else entry for entry in self.from_]

    def _weight(self, name: str) -> float:
        return 1.0 if self.weights is None else self.weights.get(name, 0.0)

    def draw(self, rng: np.random.Generator) -> list[str]:
        """Draw names in their order."""
        if self.probability is not None:
            chosen = {name for name in self.names() if rng.random() < self.probability.get(name, 0.0)}
        else:
            chosen = self._counted(int(draw(self.count or 0.0, rng)), rng)
        groups: list[list[str]] = (
            [[name] for name in self.names()]
            if self.order == "fixed"
            else [self.names()]
            if self.order == "drawn"
            else [[entry] if isinstance(entry, str) else entry for entry in self.order]
        )
        picked = [[name for name in group if name in chosen] for group in groups]
        return [group[place] for group in picked for place in rng.permutation(len(group))]

    def _counted(self, count: int, rng: np.random.Generator) -> set[str]:
        """Draw so many names one after the other, each by its weight among those of the families that are left."""
        left = [(name, self._weight(name), number) for number, family in enumerate(self._families()) for name in family]
        chosen: set[str] = set()
        for _ in range(count):
            shares = np.cumsum([weight for _, weight, _ in left])
            name, _, family = left[int(np.searchsorted(shares, rng.random() * shares[-1], side="right"))]
            chosen.add(name)
            left = [entry for entry in left if entry[2] != family]
        return chosen


def flat(names: Any) -> list[str]:
    """Return the names in a list of names and of lists of names; none where it is no list."""
    return [name for entry in names for name in (entry if isinstance(entry, list) else [entry])] if isinstance(names, list) else []


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, str) or (isinstance(entry, list) and all(isinstance(name, str) for name in entry))


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
        found: list[tuple[tuple[str | int, ...], str]] = []
        for alias in self.aliases:
            if alias in EFFECTS:
                found.append((("aliases", alias), "this is the name of an effect; choose another"))
            elif not ALIAS.fullmatch(alias):
                found.append((("aliases", alias), "an alias is made of up to 40 of a-z, 0-9 and _"))
        for key, group in (("keep", self.keep), ("remove", self.remove)):
            for number, entry in enumerate(group.from_):
                for name in flat([entry]):
                    if name not in EFFECTS and name not in self.aliases:
                        found.append(((key, "from", number), unknown_effect(name, [*EFFECTS, *self.aliases])))
                    elif (wrong := _tried(self.words(name))) is not None:
                        found.append(((key, "from", number), f"{name}: {wrong}"))
            if not found and (problem := group.too_many()) is not None:
                found.append(((key, "count"), problem))
        if found:
            raise mistakes(*found)
        return self

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Put the default laws of every effect that is drawn from in the place of what is not said."""
        if not isinstance(data, dict):
            return data
        groups = [data[name].get("from") for name in ("keep", "remove") if isinstance(data.get(name), dict)]
        named = [name for group in groups for name in flat(group) if isinstance(name, str) and name in EFFECTS]
        return {**{name: {} for name in named}, **{key: value for key, value in data.items() if value is not None or key not in named}}

    @model_serializer(mode="wrap")
    def _said(self, handler: Any) -> dict[str, Any]:
        """Write out the laws of the effects that are drawn from, and of no others."""
        used = {*self.keep.names(), *self.remove.names()}
        return {key: value for key, value in handler(self).items() if key not in EFFECTS or key in used}

    def words(self, name: str) -> Words:
        """Return the laws of the effect that goes by this name."""
        if name in self.aliases:
            return self.aliases[name].words
        words: Words = getattr(self, name)
        return words

    def used(self) -> Iterator[str]:
        """Yield the name of every effect that can be drawn, also of those inside sends."""
        for name in dict.fromkeys((*self.keep.names(), *self.remove.names())):
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


def _tried(words: Words) -> str | None:
    """Draw a few times. Returns what is wrong with the laws: values that the effect refuses, or that it never does anything."""
    rng, setting = np.random.Generator(np.random.Philox(0)), Setting(-20.0, ("0" * 64,))
    try:
        drawn = [words.draw(rng, setting) for _ in range(TRIES)]
    except EffectError as error:
        return f"these laws can draw what the effect refuses: {error}"
    return "with these laws it never does anything" if all(effect.is_identity() for effect in drawn) else None


def _effects_of(words: Words) -> Iterator[str]:
    yield words.effect
    for each in parameters(effect_class(words.effect)):
        value = getattr(words, each.name)
        for inner in value if isinstance(value, list) else ():
            if isinstance(inner, NestedWords):
                yield from _effects_of(inner.words)


LAWS: dict[str, Any] = {name: (words | None, None) for name, words in WORDS.items()}
ChainWords: Any = create_model("ChainWords", __base__=ChainLaws, **LAWS)
