"""`separate`: a finished mix becomes estimated stems (inputs) and stems that sum to it (targets)."""

import json
from functools import lru_cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from mixdata.recipes.registry import step
from mixdata.recipes.work import Work
from mixdata.separation import SEPARATORS, Separator, load
from mixdata.separation.base import REST
from mixdata.separation.cache import separate_cached
from mixdata.separation.consistency import make_consistent


def _which(value: Any) -> Any:
    """Tell the separator from the settings; `builtin` is the default because it needs no download."""
    name = value.get("separator", "builtin") if isinstance(value, dict) else getattr(value, "separator", None)
    return name if isinstance(name, str) else None


Separate: Any = Annotated[
    reduce(or_, [Annotated[settings, Tag(name)] for name, settings in sorted(SEPARATORS.items())]),
    Discriminator(
        _which,
        custom_error_type="separator",
        custom_error_message=f"unknown separator: use one of {', '.join(sorted(SEPARATORS))}",
    ),
]


@lru_cache(maxsize=2)
def _loaded(settings: str) -> Separator:
    return load(json.loads(settings))


def loaded(params: Any) -> Separator:
    """Return the separator of these settings; its weights are loaded once per process."""
    return _loaded(params.model_dump_json())


def _roles(params: Any, made: dict[str, list[str]]) -> dict[str, list[str]]:
    stems = list(loaded(params).stems)
    return made | {"input": stems, "target": ["mixture", *stems]}


def _licences(params: Any) -> dict[str, str]:
    separator = loaded(params)
    model = getattr(params, "model", None)
    return {} if separator.licence is None else {f"{params.separator}:{model}" if model else params.separator: separator.licence}


@step(
    "separate",
    Separate,
    makes=("input", "target", "target.mixture"),
    fingerprint=lambda params: loaded(params).fingerprint,
    song_fingerprint=lambda params, song: loaded(params).song_fingerprint(song),
    pin=lambda params: params.pinned(loaded(params)),
    roles=_roles,
    sums=lambda params: ["target"],
    licences=_licences,
)
def separate(work: Work, params: Any, label: str) -> None:
    """Separate the mixture: role `input` gets the raw estimates, role `target` the mixture and stems that sum to it."""
    separator = loaded(params)
    estimates, notes = separate_cached(separator, work.mixture, work.sample_rate, work.song, params.cache, work.cache_dir)
    stems, residual_db = make_consistent(estimates, work.mixture, rest=REST)
    work.roles["input"] = estimates
    work.roles["target"] = {"mixture": work.mixture, **stems}
    work.measures["residual_db"] = residual_db
    if notes:
        work.warnings.append("separator_notes")
    work.note(label, residual_db=residual_db, separator=separator.describe(), notes=notes)
