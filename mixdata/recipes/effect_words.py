"""The words of a recipe for single effects: what each parameter of an effect is drawn from.

    compressor: {threshold_db: {relative: {uniform: [-20, 0]}}, ratio: {uniform: [1.5, 6]}}
    eq: {bands: [{kind: peak, count: 8, frequency_hz: {loguniform: [30, 15000]}, gain_db: {uniform: [-6, 6]}}]}

What is not written is drawn from the effect's own default laws, and null is the effect's own default value. Infinity is written `inf`. The
models are made from the effects' classes (`WORDS`), so a new effect has its words by itself.
"""

import math
from collections.abc import Iterable
from dataclasses import MISSING, dataclass
from dataclasses import Field as Parameter
from functools import reduce
from operator import or_
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
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
from mixdata.errors import RecipeError
from mixdata.params import Params
from mixdata.recipes.distributions import Number, bounded, draw, whole
from mixdata.recipes.priors import Prior, load_prior
from mixdata.text import nearest

Count = Annotated[Number, bounded(0, 100), AfterValidator(whole)]
INFINITIES = ("inf", "-inf")


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
