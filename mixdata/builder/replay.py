"""Replay: are examples of a finished dataset what their records (or the recipe) make of the songs, byte for byte?"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from mixdata import rng
from mixdata.builder.shard import cut_song, run_song
from mixdata.builder.survey import Place, PlannedSong
from mixdata.corpora import Corpus, load_corpus
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.example import Example
from mixdata.progress import Progress
from mixdata.recipes.model import Recipe, load_recipe
from mixdata.recipes.pair_maker import MIXTURE, assemble
from mixdata.recipes.steps.effects import opened_responses, replay
from mixdata.shards.format import encode
from mixdata.shards.reader import Dataset, open_dataset
from mixdata.shards.verify import Problem
from mixdata.song import Song, slug


def replay_examples(
    path: str | Path,
    count: int,
    corpora: Iterable[Corpus | str] | None = None,
    settings: Iterable[str] = (),
    seed: int = 0,
    cache_dir: Path | None = None,
    quiet: bool = True,
) -> list[Problem]:
    """Make `count` examples again, drawn by `seed`, and compare every member with what the dataset holds.

    An example with effects is made from its record and the song's dry stems; any other by the recipe. `corpora` say where the songs
    lie where the recipe's own corpora need a folder; `settings` (as for `--set`) what the recipe needs of this machine, such as a
    folder of impulse responses. Without `cache_dir` stems are separated anew. Raises `UsageError` where the songs cannot be found.
    """
    if count < 1:
        raise UsageError(f"the number of examples to replay must be at least 1, got {count}")
    dataset = open_dataset(path)
    examples = dataset.examples
    places = np.sort(rng.stream(seed, "replay").permutation(len(examples))[:count])
    chosen = examples.iloc[places]
    recipe = _recipe(dataset, list(settings), chosen)
    songs = _find(dataset, corpora or recipe.header.corpora, set(chosen["song"]))
    problems: list[Problem] = []
    progress = Progress("replaying", total=len(chosen), unit="example", quiet=quiet)
    with progress, TemporaryDirectory() as own_cache:  # what is separated is used as a cache returns it, in the build and here
        for name, rows in chosen.groupby("song", sort=False):
            problems += _replay_song(dataset, recipe, songs[str(name)], rows, cache_dir or Path(own_cache))
            progress.update(len(rows))
    return problems


def _recipe(dataset: Dataset, settings: list[str], chosen: pd.DataFrame) -> Recipe:
    """Load the dataset's recipe and the impulse responses that the chosen examples were made with."""
    applied = [link for links in chosen.get("effects", ()) for link in (links if links is not None else ())]
    wanted = {word for link in applied for name, word in link["choices"] if name.endswith("impulse_response") and word}
    if wanted and not any("impulse_responses=" in setting for setting in settings):
        raise UsageError(f"{dataset.path}: its effects need their impulse responses; add --set effects.impulse_responses=FOLDER")
    recipe = load_recipe(dataset.path / "recipe.yaml", settings)
    known: set[str] = set()
    for call in recipe.steps:
        folder = getattr(call.params, "impulse_responses", None)
        known |= {response.sha256 for response in opened_responses(folder).responses} if folder is not None else set()
    if wanted - known:
        raise UsageError(
            f"{dataset.path}: the folder lacks {len(wanted - known)} of its {len(wanted)} impulse responses; give the one it was built with"
        )
    return recipe


def _find(dataset: Dataset, corpora: Iterable[Corpus | str], wanted: set[str]) -> dict[str, Song]:
    """Return the songs with these ids. Only files whose titles fit are read."""
    slugs = {name[:-9] for name in wanted}
    found: dict[str, Song] = {}
    for corpus in [each if isinstance(each, Corpus) else load_corpus(each) for each in corpora]:
        for song in corpus:
            if slug(song.title) in slugs and len(found) < len(wanted):
                try:
                    name = song.id
                except (SongError, OSError):
                    continue
                if name in wanted:
                    found[name] = song
    missing = sorted(wanted - found.keys())
    if missing:
        raise UsageError(
            f"{dataset.path}: {len(missing)} of the songs to replay are not in the corpora, or their files changed: "
            f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}; say where they lie with --corpus NAME:ROOT"
        )
    return found


def _replay_song(dataset: Dataset, recipe: Recipe, song: Song, rows: pd.DataFrame, cache_dir: Path) -> list[Problem]:
    planned = PlannedSong(song, str(rows["split"].iloc[0]), 0, (), Place.of(song, None))
    stored = {str(key): dataset.load(str(key)) for key in rows["key"]}
    try:
        if all("effects" in example.record for example in stored.values()):
            work = cut_song(planned, recipe, cache_dir)
            made = {key: _from_record(work, example) for key, example in stored.items()}
        else:
            made = {example.key: example for example in run_song(planned, recipe, cache_dir).examples}
    except SongError as error:
        return [Problem(song.id, f"cannot be replayed: {error}")]
    except (LookupError, TypeError, ValueError, AttributeError, MixdataError) as error:  # a record may hold anything
        return [Problem(song.id, f"its records cannot be replayed: {type(error).__name__}: {error}")]
    return [problem for key in stored for problem in _compare(dataset, stored[key], made.get(key))]


def _from_record(work: Any, example: Example) -> Example:
    """Return an example with its audio made anew from its record."""
    record = example.record["effects"]
    pairs = {stem: replay(work, stem, record[stem], example.start, example.frames) for stem in record}
    stored = example.roles["input"]
    summed = MIXTURE in stored and MIXTURE not in record  # else the mixture is itself the stem that was processed
    stems = [stem for stem in stored if not (summed and stem == MIXTURE)]
    return replace(example, roles=assemble(pairs, stems, next(iter(stored.values())), summed))


def _compare(dataset: Dataset, stored: Example, made: Example | None) -> list[Problem]:
    where = f"replay of {stored.key}"
    if made is None:
        return [Problem(where, "the recipe makes no such example of the song")]
    problems = []
    if (names := [place[:2] for place in made.members()]) != (held := [place[:2] for place in stored.members()]):
        other = ", ".join(f"{role}.{stem}" for role, stem in sorted({*names} ^ {*held})) or "another order"
        return [Problem(where, f"the recipe makes other members than are stored: {other}")]
    shard = dataset.shard(str(dataset.examples.loc[dataset.examples["key"] == stored.key, "shard"].iloc[0]))
    for role, stem, audio in made.members():
        try:
            data = encode(audio * np.float32(stored.scale), stored.sample_rate, dataset.codec)
        except MixdataError:
            data = b""
        if data != shard.member_bytes(stored.key, f"{role}.{stem}"):
            problems.append(Problem(where, f"{role}.{stem} comes out with other bytes than are stored"))
    return problems
