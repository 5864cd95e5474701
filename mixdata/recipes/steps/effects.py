"""`effects`: dry stems become pairs. The input went through a random chain, the target only through the effects that are kept."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import measures
from mixdata.effects import EFFECTS, pairs
from mixdata.effects.pairs import Pair, Rendered
from mixdata.errors import EffectError
from mixdata.example import Example
from mixdata.recipes.effect_words import WORDS, Setting
from mixdata.recipes.pair_maker import MIXTURE, Made, Maker, Source, assemble
from mixdata.recipes.pair_words import Effects
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work
from mixdata.text import cleaned


@lru_cache(maxsize=4)
def opened_responses(folder: str) -> Any:
    """Return a folder's impulse responses, which effects can then be made of."""
    from mixdata.effects.impulse_responses import ImpulseResponses

    return ImpulseResponses.open(folder)


def _fingerprint(params: Any) -> str:
    """Hash of the versions of the effects that can be drawn and, where there are any, of the impulse responses."""
    versions = {name: EFFECTS[name].version for name in params.used_anywhere()}
    opened_responses.cache_clear()  # the folder may have changed since another build in this process
    rooms = opened_responses(params.impulse_responses).fingerprint if params.impulse_responses is not None else None
    return hashlib.sha256(json.dumps([versions, rooms], sort_keys=True).encode()).hexdigest()


def responses_licence(folder: str | None) -> dict[str, str]:
    """Return the licence of a folder's impulse responses: the first line of `licence.txt` in it, else unknown."""
    if folder is None:
        return {}
    try:
        with (Path(folder) / "licence.txt").open(encoding="utf-8", errors="replace") as file:
            written = cleaned(file.readline(200))
    except OSError:
        written = ""
    return {"impulse responses (licence.txt in their folder tells their licence)": written or "unknown"}


def _warm_up(params: Any) -> None:
    """Compile every effect that can be drawn, for both kinds of floats, so that workers find the code where it is kept."""
    random = np.random.Generator(np.random.Philox(0))
    noise = random.normal(0, 0.1, (2, 4410))
    for name in params.used_anywhere():
        if name not in ("chain", "send", "convolution", "plugin"):
            for kind in (np.float32, np.float64):
                WORDS[name]().draw(random, Setting(-20.0))(noise.astype(kind), 44_100)


def _roles(params: Any, made: dict[str, list[str]]) -> dict[str, list[str]]:
    stems = [*([MIXTURE] if params.mixture else []), *made["dry"]]
    return {**{role: stems for role, stems in made.items() if role != "dry"}, "input": stems, "target": stems}


def _fits(params: Any, sample_rate: int, earlier: dict[str, Any]) -> Iterator[str]:
    """Say which stems are not there, and which effects can never be applied at this rate."""
    stems = list(earlier["stems"].take)
    for stem in params.per_stem:
        if stem not in stems:
            yield f"per_stem has laws for {stem!r}, which is not among the stems: {', '.join(stems)}"
    if params.mixture and MIXTURE in stems:
        yield "the mixture is taken as a stem already; leave out `mixture: true`"
    random = np.random.Generator(np.random.Philox(0))
    for laws in (params, *params.per_stem.values()):
        for name in dict.fromkeys((*laws.keep.names(), *laws.remove.names())):
            problem = _never_at(laws.words(name), sample_rate, random)
            if problem is not None:
                yield f"{name}: {problem}"


def _never_at(words: Any, sample_rate: int, random: np.random.Generator, draws: int = 20) -> str | None:
    """Return why none of some draws of an effect can be applied at this rate, None where one can."""
    problem = None
    for _ in range(draws):
        try:
            words.draw(random, Setting(-20.0, ("",))).check_rate(sample_rate)
            return None
        except EffectError as error:
            problem = str(error)
    return problem


@step(
    "effects",
    Effects,
    scope="example",
    needs=lambda params: {"dry", "dry.active"},
    makes=("input", "target", "input.active", "target.active"),
    fingerprint=_fingerprint,
    roles=_roles,
    continuous=lambda params: params.per == "song",
    warm_up=_warm_up,
    fits=_fits,
    sums=lambda params: ["input", "target"] if params.mixture else [],
    licences=lambda params: responses_licence(params.impulse_responses if "convolution" in params.used_anywhere() else None),
)
def effects(work: Work, example: Example, params: Any, label: str) -> Iterator[Example]:
    """Draw a chain for each stem, make input and target with it, verify the pair, and draw anew where it fails."""
    for variant in range(params.variants):
        if params.per == "song":
            if label not in work.scratch:
                whole = replace(example, start=0, roles=work.roles, activity=dict.fromkeys(work.roles["dry"], 1.0))
                work.scratch[label] = _make(work, whole, params, label, "song", variant)
            made = {stem: each.cut(example.start, example.start + example.frames) for stem, each in work.scratch[label].items()}
        else:
            made = _make(work, example, params, label, example.block, variant)
        if made:
            yield _example(work, example, params, made, variant)


def replay(work: Work, stem: str, record: dict[str, Any], start: int, frames: int) -> Rendered:
    """Make a stem's pair again from its record alone and the song's dry stems. `start` and `frames` are those of the example."""
    whole = record["per"] == "song"
    first = 0 if whole else start - record["pre_roll"]
    stop = work.roles["dry"][stem].shape[1] if whole else start + frames
    source = np.ascontiguousarray(work.roles["dry"][stem][:, first:stop])
    rendered = pairs.render(Pair.from_record(record), source, work.sample_rate, record["pre_roll"], record["gains"])
    return Made(rendered, {}).cut(start, start + frames).rendered if whole else rendered


def _make(work: Work, example: Example, params: Any, label: str, block: int | str, variant: int) -> dict[str, Made]:
    """Return the pairs of the stems that take part in this example."""
    maker = Maker(params, work.sample_rate, _drawable(work, params), work.song.wet)
    heard = [stem for stem in example.roles["dry"] if work.active["dry"][stem] and example.activity.get(stem, 1.0) >= params.min_activity]
    sources = {stem: _source(work, example, stem, maker.pre_roll()) for stem in heard}
    made = maker.make(sources, lambda attempt, unit: work.rng(label, block, variant, attempt, unit))
    for name, count in maker.counts.items():
        work.counts[name] = work.counts.get(name, 0) + count
    return made


def _source(work: Work, example: Example, stem: str, pre_roll: int) -> Source:
    """Return a stem's audio with the pre-roll in front: less at the beginning of the song."""
    pre_roll = min(pre_roll, example.start)
    whole = work.roles["dry"][stem]
    if ("loudness", stem) not in work.scratch:
        work.scratch["loudness", stem] = measures.integrated_loudness(whole, work.sample_rate)
    stop = example.start + example.roles["dry"][stem].shape[1]
    return Source(np.ascontiguousarray(whole[:, example.start - pre_roll : stop]), pre_roll, work.scratch["loudness", stem])


def _drawable(work: Work, params: Any) -> tuple[str, ...]:
    if params.impulse_responses is None:
        return ()
    return tuple(response.sha256 for response in opened_responses(params.impulse_responses).for_split(work.split, work.shares))


def _example(work: Work, example: Example, params: Any, made: dict[str, Made], variant: int) -> Example:
    stems = list(example.roles["dry"])
    rendered = {stem: each.rendered for stem, each in made.items()}
    roles = assemble(rendered, stems, next(iter(example.roles["dry"].values())), params.mixture)
    exists = {stem: stem in made for stem in stems} | ({MIXTURE: True} if params.mixture else {})
    loudness = {role: {stem: each.rendered.loudness[role] for stem, each in made.items() if each.rendered.loudness} for role in roles}
    return replace(
        example,
        key=example.key if params.variants == 1 else f"{example.key}_{variant}",
        roles=_without_dry(example.roles) | roles,
        active=_without_dry(example.active) | {"input": exists, "target": exists},
        activity={stem: share if stem in made else 0.0 for stem, share in example.activity.items()},
        loudness=loudness,
        record=example.record | {"variant": variant, "effects": {stem: each.record for stem, each in made.items()}},
    )


def _without_dry(of_roles: dict[str, Any]) -> dict[str, Any]:
    return {role: value for role, value in of_roles.items() if role != "dry"}
