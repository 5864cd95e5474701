"""Fit targets to the stems that a recipe makes, on its train split: what `mixdata targets fit` does."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mixdata.builder import local
from mixdata.builder.plan import Plan
from mixdata.builder.run import cache_folder, default_workers, plan_build
from mixdata.builder.shard import cut_song
from mixdata.builder.survey import PlannedSong
from mixdata.corpora import Corpus
from mixdata.errors import SongError, UsageError
from mixdata.normalization.features import Features
from mixdata.normalization.fit import stem_features
from mixdata.normalization.targets import Targets, mean_targets
from mixdata.progress import Progress
from mixdata.recipes.model import Recipe, load_recipe, recipe_from_data
from mixdata.recipes.steps.normalize import Normalize


@dataclass(frozen=True)
class Fitted:
    """Targets, over how many songs, and the songs that were left out: (title, reason, message)."""

    targets: Targets
    songs: int
    skipped: list[tuple[str, str, str]]


def fit_recipe_targets(
    recipe: Recipe | str | Path = "effect_normalization",
    corpora: Iterable[Corpus | str] | None = None,
    workers: int | None = None,
    limit: int | None = None,
    cache_dir: str | Path | None = None,
    name: str = "fitted",
    quiet: bool = False,
) -> Fitted:
    """Take the train split's songs through the recipe's steps up to `normalize`, and average the features of its role's stems.

    What is fitted on is what the build would normalize: separated stems for a recipe that separates, the song's own for one that does not.
    Raises `UsageError` for a recipe that does not normalize, and where no song is in the train split.
    """
    if workers is not None and workers < 0:
        raise UsageError(f"workers must be at least 0, got {workers}")
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    before, params = _before_normalize(recipe)
    plan = plan_build(before, corpora, limit, quiet)
    train = [planned for planned in plan.songs if planned.split == "train"]
    if not train:
        raise UsageError(f"none of the {len(plan.songs)} songs is in the train split, and targets are fitted on nothing else")
    cache = cache_folder(cache_dir, Path(recipe.name))
    work = partial(_features, json.dumps(before.resolved(local=True)), params.role, params.quiet_dbfs, cache)
    found: list[dict[str, Features]] = []
    skipped = [(row["title"], row["reason"], row["message"]) for row in plan.rejected]
    total = sum(planned.frames for planned in train) / recipe.header.sample_rate
    with Progress("measuring", total=total, quiet=quiet) as progress:
        for planned, outcome in zip(train, local.each(work, train, default_workers(plan) if workers is None else workers), strict=True):
            progress.update(planned.frames / recipe.header.sample_rate, planned.song.title)
            if isinstance(outcome, tuple):
                skipped.append((planned.song.title, *outcome))
            else:
                found.append(outcome)
    if not found:
        raise UsageError("no song of the train split can be used:\n" + "\n".join(f"  {message}" for _, _, message in skipped[:10]))
    return Fitted(mean_targets(found, _about(plan, recipe, train, len(found), name)), len(found), skipped)


def _before_normalize(recipe: Recipe) -> tuple[Recipe, Normalize]:
    """Return the recipe up to its first `normalize` step, and the parameters of that."""
    for number, call in enumerate(recipe.steps):
        if call.step.name == "normalize":
            cut = [later for later in recipe.steps if later.step.scope == "cut"]
            before = Recipe(recipe.header, [*recipe.steps[:number], *cut], recipe.source)
            if call.params.role in before.variable():
                raise UsageError(
                    f"the recipe {recipe.name!r} has tracks of each song's own as {call.params.role}; targets are for stems by name"
                )
            return before, call.params
    raise UsageError(f"the recipe {recipe.name!r} has no normalize step, so there is nothing to fit targets for; try effect_normalization")


def _features(data: str, role: str, quiet_dbfs: float, cache: Path, planned: PlannedSong) -> dict[str, Features] | tuple[str, str]:
    """Return the features of a song's stems, or why there are none: reason and message."""
    recipe = recipe_from_data(json.loads(data))
    try:
        work = cut_song(planned, recipe, cache)
    except SongError as error:
        return error.reason, error.message
    except OSError as error:
        return "unreadable", f"{planned.song.title}: {error.strerror or error}"
    stems = {stem: audio for stem, audio in work.roles[role].items() if work.active[role][stem]}
    return stem_features(stems, work.sample_rate, quiet_dbfs)


def _about(plan: Plan, recipe: Recipe, train: list[PlannedSong], used: int, name: str) -> dict[str, str]:
    corpora = Counter(planned.song.corpus for planned in train)
    songs = ", ".join(f"{corpus} ({count} songs)" for corpus, count in sorted(corpora.items()))
    return {
        "name": name,
        "source": f"means over the train split of {songs}; recipe {recipe.name}, {used} songs used",
        "licence": "; ".join(sorted({planned.song.licence for planned in train})),
        "note": "",
    }
