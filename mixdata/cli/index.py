"""`mixdata index`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mixdata.cli.options import Json, Quiet, Workers


def index(
    corpus: Annotated[str, typer.Argument(help="The corpus and where it lies.", metavar="NAME:ROOT")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of the manifest [default: NAME.parquet].")] = None,
    workers: Workers = None,
    no_measures: Annotated[bool, typer.Option("--no-measures", help="Hash files and read headers only; decode nothing.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Look at every file again, also at those that have not changed.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Look at every file of a corpus once and write a manifest, from which builds start at once.

    A manifest is a Parquet table with a row per track: song, split, licence, file, frames, rate, channels, SHA-256, peak and level. Run it
    again after changes: only new and changed files are read. A run that was interrupted goes on where it was.

    Examples:

    `mixdata index musdb18hq:/data/musdb18hq --out musdb18hq.parquet`

    `mixdata build --recipe effect_normalization --manifest musdb18hq.parquet`

    `duckdb -c "select split, count(distinct song), sum(frames / sample_rate) / 3600 from 'musdb18hq.parquet' group by split"`
    """
    from mixdata.corpora import load_corpus
    from mixdata.index import index_corpus

    opened = load_corpus(corpus)
    path = out or Path(f"{opened.facts.name}.parquet")
    outcome = index_corpus(opened, path, workers=workers, measure=not no_measures, fresh=fresh, quiet=quiet or as_json)
    if as_json:
        print(json.dumps(asdict(outcome) | {"path": str(outcome.path)}, indent=1))
        return
    known = f"{outcome.read} read, {outcome.kept} known"
    print(f"{outcome.path}: {outcome.songs} songs, {outcome.tracks} tracks in {outcome.files} files ({known})")
    if outcome.refused:
        reasons = ", ".join(f"{reason} {count}" for reason, count in outcome.refused.items())
        print(f"tracks that cannot be used: {sum(outcome.refused.values())} ({reasons}); their rows say why (column message)")
