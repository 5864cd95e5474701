"""Options that several commands share."""

from pathlib import Path
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
DatasetPath = Annotated[Path, typer.Argument(help="Folder of a finished dataset.", metavar="DATASET")]
Corpora = Annotated[list[str] | None, typer.Option("--corpus", "-c", help="NAME[:ROOT], repeatable; replaces the recipe's.")]
Manifests = Annotated[
    list[Path] | None, typer.Option("--manifest", "-m", help="A manifest of `mixdata index`, in a corpus's place. Repeatable.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value: sets any field of the recipe. Repeatable.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Use a seeded sample of this many songs.")]
Workers = Annotated[int | None, typer.Option("--workers", "-j", min=0, help="Processes [default: all cores; 0: this one].")]


def recipe_overrides(separator: str | None, cache: str | None, seed: int | None) -> dict[str, Any]:
    """What these options set in a recipe: path to value."""
    from mixdata.separation import parse

    overrides: dict[str, Any] = {}
    if separator is not None:
        overrides["separate"] = parse(separator)
    if cache is not None:
        overrides["separate.cache"] = cache
    if seed is not None:
        overrides["seed"] = seed
    return overrides
