"""Build one shard: a pure function of its songs and the recipe."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import measures
from mixdata.builder.plan import PlannedShard
from mixdata.builder.survey import Place, PlannedSong, song_row
from mixdata.errors import MixdataError, SongError
from mixdata.example import Example
from mixdata.files import publish_bytes
from mixdata.recipes.model import Recipe, StepCall, recipe_from_data
from mixdata.recipes.work import Work, load_work
from mixdata.shards.format import headroom_scale
from mixdata.shards.writer import write_shard


@dataclass(frozen=True)
class Job:
    """What a worker needs to build a shard. The recipe travels as data; `excluded` are songs that workers died on."""

    folder: Path
    recipe: str
    shard: PlannedShard
    cache_dir: Path | None
    excluded: frozenset[str] = frozenset()


def outcome_path(folder: Path, shard: str) -> Path:
    """Where a shard's songs' outcomes are kept until the build is done."""
    return folder / ".build" / "outcomes" / f"{shard}.json"


def outcome_bytes(shard_id: str, rows: list[dict[str, Any]]) -> bytes:
    """Return what is kept of a shard's songs until the tables are put together."""
    return json.dumps({"shard_id": shard_id, "songs": rows}, ensure_ascii=False).encode()


def build_shard(job: Job, report: Callable[[str, str, float], None] = lambda event, song, seconds: None) -> None:
    """Build and publish one shard: outcomes of its songs, tar, member table (the commit), in this order.

    `report(event, song id, seconds)` is told when a song begins and ends.
    """
    recipe = _recipe(job.recipe)
    rows: list[dict[str, Any]] = []
    outcomes = outcome_path(job.folder, job.shard.name)

    def examples() -> Iterator[Example]:
        for planned in job.shard.songs:
            report("begin", planned.song.id, 0.0)
            yield from _attempt(planned, recipe, job, rows)
            report("end", planned.song.id, planned.frames / recipe.header.sample_rate)
        publish_bytes(outcomes, outcome_bytes(job.shard.id, rows))

    write_shard(job.folder, job.shard.name, job.shard.id, examples(), recipe.header.output.codec)


def run_song(planned: PlannedSong, recipe: Recipe, cache_dir: Path | None, seconds: float | None = None) -> Work:
    """Take one song (or `seconds` from its middle) through the recipe's steps. Raises `SongError`."""
    work = cut_song(planned, recipe, cache_dir, seconds)
    work.examples = list(finished_examples(work, planned, recipe))
    return work


def cut_song(planned: PlannedSong, recipe: Recipe, cache_dir: Path | None, seconds: float | None = None) -> Work:
    """Take one song (or `seconds` from its middle) through the steps up to the cut into examples. Raises `SongError`."""
    header = recipe.header
    work = load_work(planned.song, planned.split, header.sample_rate, header.seed, cache_dir)
    work.shares = header.splits
    if seconds is not None:
        frames = round(seconds * header.sample_rate)
        start = max(work.mixture.shape[1] - frames, 0) // 2
        work.mixture = np.ascontiguousarray(work.mixture[:, start : start + frames])
    for call in recipe.steps:
        if call.step.scope != "example":
            call.step.run(work, call.params, call.label)
    return work


def _measure(example: Example) -> None:
    """Complete the loudness of every member by what no step has measured yet."""
    for role, stem, audio in example.members():
        known = example.loudness.setdefault(role, {})
        if stem not in known:
            known[stem] = measures.integrated_loudness(audio, example.sample_rate) if audio.any() else -math.inf
    example.loudness = {role: {stem: example.loudness[role][stem] for stem in stems} for role, stems in example.roles.items()}


def finished_examples(work: Work, planned: PlannedSong, recipe: Recipe) -> Iterator[Example]:
    """Yield the examples of a song that is cut, with scale and record. Raises `SongError` where there are none.

    One after the other, so that a song of which many are made needs no more memory than one of few; but all at once in continuous
    sets, where they share a scale.
    """
    examples: Iterator[Example] = iter(work.examples)
    for call in recipe.steps:
        if call.step.scope == "example":
            examples = _through(call, work, examples)
    if recipe.continuous:
        examples = iter(_sharing_a_scale(list(examples), recipe))
    made = 0
    for example in examples:
        made += 1
        yield _finished(example, work, planned, recipe)
    if not made:
        redraws = ", ".join(f"{name.removeprefix('redraws_')} {n}" for name, n in work.counts.items() if name.startswith("redraws_"))
        why = f" (pairs that failed their check: {redraws})" if redraws else ""
        raise SongError("no_examples", f"{planned.song.title}: no block of it gives an example{why}", work.counts)


def _through(call: StepCall, work: Work, examples: Iterator[Example]) -> Iterator[Example]:
    for example in examples:
        yield from call.step.run(work, example, call.params, call.label)


def _sharing_a_scale(examples: list[Example], recipe: Recipe) -> list[Example]:
    scale = headroom_scale(max(map(_peak, examples), default=0.0), recipe.header.output.codec)
    return [replace(example, scale=scale) for example in examples]


def _attempt(planned: PlannedSong, recipe: Recipe, job: Job, rows: list[dict[str, Any]]) -> Iterator[Example]:
    """Yield the song's examples, none where it cannot be used, and append its row for songs.parquet."""
    song, place = planned.song, planned.place
    about: dict[str, Any] = {"seconds": planned.frames / recipe.header.sample_rate, "warnings": []}
    made = 0
    try:
        if song.id in job.excluded:
            raise SongError("failed", f"{song.title}: a worker process died while working on it (out of memory, or a decoder's crash)")
        if Place.of(song, None).files != place.files:
            raise SongError("changed", f"{song.title}: its files changed after the build began; run it again")
        work = cut_song(planned, recipe, job.cache_dir)
        for example in finished_examples(work, planned, recipe):
            made += 1
            yield example
    except (SongError, OSError) as error:
        if made:  # half a song is written already, and half a song is none
            raise MixdataError(f"{song.title}: failed after {made} of its examples were made: {error}") from error
        wrong = error if isinstance(error, SongError) else SongError("unreadable", f"{song.title}: {error.strerror or error}")
        rows.append(song_row(song, place, planned.split, wrong) | about | wrong.counts)
    else:
        measured = plain(work.measures | work.counts)
        rows.append(song_row(song, place, planned.split) | about | {"warnings": work.warnings} | measured)


def _peak(example: Example) -> float:
    return max(float(np.abs(audio).max(initial=0)) for _, _, audio in example.members())


def _finished(example: Example, work: Work, planned: PlannedSong, recipe: Recipe) -> Example:
    """Return the example with its loudness, scale and record."""
    _measure(example)
    codec = recipe.header.output.codec
    if not recipe.continuous:
        example.scale = headroom_scale(_peak(example), codec)
    record = {
        "key": example.key,
        "recipe": recipe.name,
        "song": planned.about() | {"measures": work.measures, "warnings": work.warnings},
        "split": example.split,
        "block": example.block,
        "start": example.start,
        "frames": example.frames,
        "sample_rate": example.sample_rate,
        "channels": next(audio.shape[0] for _, _, audio in example.members()),
        "codec": codec,
        "scale": example.scale,
        "active": example.active,
        "activity": example.activity,
        "loudness": example.loudness,
        "steps": work.history,
        **example.record,
    }
    example.record = plain(record)
    return example


def plain(value: Any) -> Any:
    """Return JSON-able data: NumPy scalars as Python's, non-finite numbers as null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, str):  # names of files that are no UTF-8 come with lone surrogates
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def _recipe(data: str) -> Recipe:
    return recipe_from_data(json.loads(data))
