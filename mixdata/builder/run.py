"""Build a dataset: plan, check the folder, build what is missing, put the tables together, write dataset.json last."""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import files, measures
from mixdata.builder import folder, local
from mixdata.builder.finish import finish
from mixdata.builder.lock import exclusive
from mixdata.builder.plan import Plan, PlannedShard, make_plan
from mixdata.builder.shard import Job, run_song
from mixdata.corpora import Corpus, load_corpus
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.progress import Progress
from mixdata.recipes.model import Recipe, load_recipe
from mixdata.shards.format import encode
from mixdata.shards.reader import Dataset, open_dataset

COPIES = 17  # of a song's audio in memory at the worst moment; measured 8 to 16
COPIES_WHOLE = 40  # the same where chains are applied to whole songs; measured 36


@dataclass(frozen=True)
class Estimate:
    """What a build would take: bytes and seconds. `measured_on` names the song that was tried; both are None where none could be."""

    dataset_bytes: int
    cache_bytes: int
    seconds: float | None
    measured_on: str | None


def build(
    recipe: Recipe | str | Path = "separated_pseudo",
    out: str | Path | None = None,
    corpora: Iterable[Corpus | str] | None = None,
    workers: int | None = None,
    limit: int | None = None,
    cache_dir: str | Path | None = None,
    engine: str = "local",
    quiet: bool = False,
) -> Dataset:
    """Build a dataset and return it, opened.

    `corpora` replaces the recipe's own; `out` is the recipe's name by default; `workers` counts processes (default: the machine's cores,
    as far as memory allows; 0 works in this process). A folder that holds an unfinished build of the same recipe is finished; a finished
    one is returned as it is. Raises `UsageError` where the folder holds anything else, `MixdataError` where nothing can be built.
    """
    if engine != "local":
        raise UsageError(f"engine {engine!r}: only 'local' is there")
    if workers is not None and workers < 0:
        raise UsageError(f"workers must be at least 0, got {workers}")
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    out = Path(out if out is not None else recipe.name)
    folder.refuse_foreign(out)
    plan = plan_build(recipe, corpora, limit, quiet, cache_dir)
    if folder.is_finished(out, plan):
        return open_dataset(out)
    with exclusive(out):
        if not folder.is_finished(out, plan):  # somebody else may have finished it meanwhile
            _build(plan, out, cache_folder(cache_dir, out), workers if workers is not None else default_workers(plan), quiet)
        folder.release(out)
    return open_dataset(out)


def plan_build(
    recipe: Recipe,
    corpora: Iterable[Corpus | str] | None,
    limit: int | None = None,
    quiet: bool = False,
    cache_dir: str | Path | None = None,
) -> Plan:
    """Lay out a build from the given corpora, else from the recipe's own. What is costly to find out is kept in the cache."""
    chosen = list(corpora or recipe.header.corpora)
    opened = [corpus if isinstance(corpus, Corpus) else load_corpus(corpus) for corpus in chosen]
    return make_plan(recipe.with_corpora([corpus.spec for corpus in opened]), opened, limit, quiet, fingerprint_folder(cache_dir))


def default_workers(plan: Plan) -> int:
    """Return as many processes as there are cores, but no more than hold their longest songs in the memory that is free."""
    longest = sorted((planned.frames for planned in plan.songs), reverse=True)
    whole = plan.recipe.continuous and any(call.step.scope == "example" for call in plan.recipe.steps)
    need = max(longest[0] * 2 * 4 * (COPIES_WHOLE if whole else COPIES), 1)
    return max(1, min(os.cpu_count() or 1, files.free_memory() // need))


def cache_folder(given: str | Path | None, out: Path) -> Path:
    """Return where separated stems are kept: as given, $MIXDATA_CACHE, the user's cache folder, else inside the build."""
    if given is not None:
        return Path(given)
    if os.environ.get("MIXDATA_CACHE"):
        return Path(os.environ["MIXDATA_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    place = Path(base) / "mixdata" / "separated"
    existing = next((parent for parent in (place, *place.parents) if os.path.isdir(parent)), None)
    writable = existing is not None and os.access(existing, os.W_OK | os.X_OK)
    return place if os.path.isabs(base) and writable else out / ".build" / "cache"


def fingerprint_folder(given: str | Path | None) -> Path | None:
    """Return where fingerprints of tracks are kept: in the cache, where there is one outside the build."""
    place = cache_folder(given, Path())
    return None if place.is_relative_to(".build") else place / "fingerprints"


def estimate(plan: Plan, workers: int, seconds: float = 10.0) -> Estimate:
    """Try the steps on some seconds of one song, without writing anything, and reckon up."""
    for planned in plan.songs[:5]:
        # Stems from files fit whole songs only; so a short song is tried whole where an excerpt of it does not do.
        short = planned.frames < 60 * plan.recipe.header.sample_rate
        for part in (None,) if plan.recipe.variable() else (seconds, None) if short else (seconds,):
            began = time.perf_counter()
            try:
                work = run_song(planned, plan.recipe.single(), None, part)
            except SongError:
                continue
            rate = plan.recipe.variants * (time.perf_counter() - began) / (work.mixture.shape[1] / work.sample_rate)
            total = rate * plan.seconds / max(min(workers, len(plan.shards)), 1)
            return Estimate(plan.dataset_bytes(), plan.cache_bytes(), total, planned.song.title)
    return Estimate(plan.dataset_bytes(), plan.cache_bytes(), None, None)


def _build(plan: Plan, out: Path, cache: Path, workers: int, quiet: bool) -> None:
    folder.claim(out, plan)
    missing = [shard for shard in plan.shards if not folder.is_committed(out, shard)]
    _check_space(plan, missing, out)
    recipe = json.dumps(plan.recipe.resolved(local=True))
    jobs = [Job(out, recipe, shard, cache) for shard in missing]
    seconds = sum(shard.frames for shard in missing) / plan.recipe.header.sample_rate
    if len(missing) < len(plan.shards) and not quiet:
        print(f"resuming: {len(plan.shards) - len(missing)} of {len(plan.shards)} shards are there already", file=sys.stderr)
    if missing:
        _warm_up(plan)
    with Progress("building", total=seconds, quiet=quiet) as progress:
        local.run(jobs, workers, lambda event, song, done: progress.update(done, song))
    folder.sweep(out)  # where one worker dies, the pool stops the others wherever they are
    finish(plan, out)


def _warm_up(plan: Plan) -> None:
    """Compile in this process what every worker needs, so that each finds it done."""
    second = np.zeros((2, plan.recipe.header.sample_rate), np.float32)
    measures.integrated_loudness(second, plan.recipe.header.sample_rate)
    encode(second, plan.recipe.header.sample_rate, plan.recipe.header.output.codec)
    plan.recipe.warm_up()


def _check_space(plan: Plan, missing: list[PlannedShard], out: Path) -> None:
    wanted = plan.dataset_bytes() * sum(shard.frames for shard in missing) / max(sum(shard.frames for shard in plan.shards), 1)
    free = files.free_space(out)
    if wanted > free:
        raise MixdataError(
            f"{out}: the dataset will take about {wanted / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; "
            "free some space, or build less with --limit"
        )


def summary(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Count the outcomes of a build: used, warned and rejected songs, by reason."""
    rows = list(rows)
    used = [row for row in rows if row["status"] == "used"]
    return {
        "songs": len(rows),
        "used": len(used),
        "warned": sum(1 for row in used if len(row["warnings"])),
        "warnings": dict(sorted(Counter(kind for row in used for kind in row["warnings"]).items())),
        "skipped": len(rows) - len(used),
        "reasons": dict(sorted(Counter(row["reason"] for row in rows if row["status"] == "rejected").items())),
    }
