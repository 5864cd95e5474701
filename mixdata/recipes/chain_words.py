"""The words of a recipe that say how effect chains are drawn: which effects, how many, in which order.

    keep: {from: [eq], count: 1}
    remove: {from: [distortion, compressor, reverb], count: {integers: [1, 3]}, order: drawn}
    position: any
    compressor: {threshold_db: {relative: {uniform: [-20, 0]}}, ratio: {uniform: [1.5, 6]}}
    aliases: {plate: {send: {effects: [{high_pass: {frequency_hz: 300}}, {reverb: {mix: 1}}], send_db: {uniform: [-20, -8]}}}}

An effect goes by its name; what its parameters are drawn from is written under that name (`mixdata.recipes.effect_words`). An alias is a
second name with laws of its own.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    ConfigDict,
    Field,
    create_model,
    model_serializer,
    model_validator,
)

from mixdata.effects import EFFECTS
from mixdata.effects.base import effect_class, parameters
from mixdata.effects.pairs import Link
from mixdata.errors import EffectError
from mixdata.params import Params
from mixdata.recipes.distributions import LEAST_WEIGHT, MOST_WEIGHT, Distribution, draw
from mixdata.recipes.effect_words import WORDS, Count, NestedWords, Setting, Words, mistakes, unknown_effect

ALIAS = re.compile(r"[a-z0-9][a-z0-9_]{0,39}")
TRIES = 20  # draws by which laws are tried when a recipe is checked


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
