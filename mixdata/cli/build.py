"""`mixdata build`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mixdata.cli.options import Corpora, Json, Limit, Manifests, Quiet, Settings, Workers, recipe_overrides
from mixdata.text import duration, size

OWN_MUSIC = "your own music with a neural separator: mixdata build --corpus folder:PATH --separator demucs:htdemucs --out my-set"


def build(
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="Name of a recipe, or path of a YAML file.")] = "separated_pseudo",
    corpus: Corpora = None,
    manifest: Manifests = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the dataset [default: the recipe's name].")] = None,
    separator: Annotated[str | None, typer.Option(help="NAME[:MODEL], such as builtin, demucs:htdemucs, files:PATTERN.")] = None,
    set_: Settings = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw [default: the recipe's].")] = None,
    limit: Limit = None,
    workers: Workers = None,
    cache: Annotated[str | None, typer.Option(help="How separated stems are kept: flac24, float32 or off.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where they are kept [default: the user's cache folder].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, what it would take, and stop.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 3 if any song was left out.")] = False,
    allow_leak: Annotated[
        list[str] | None, typer.Option("--allow-leak", help="Name of a leak between splits that shall be no obstacle. Repeatable.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build a dataset from a recipe; run it again to resume.

    Examples:

    `mixdata build --recipe separated_pseudo`  (the embedded demo, no download)

    `mixdata build -c folder:~/music --separator demucs:htdemucs -o my-set`

    `mixdata build -c musdb18hq:/data/musdb18hq --set output.codec=npy16 --limit 20 --dry-run`
    """
    from mixdata.builder import build as run
    from mixdata.builder.run import plan_build, summary
    from mixdata.index import load_manifest
    from mixdata.recipes import load_recipe

    chosen = load_recipe(recipe, set_ or (), recipe_overrides(separator, cache, seed)).allowing(allow_leak or [])
    chosen_corpora = [*(corpus or ()), *(load_manifest(path) for path in manifest or ())]
    if not chosen_corpora and not separator and recipe == "separated_pseudo" and not (as_json or quiet):
        print(f"using the embedded demo corpus and the built-in classical separator; {OWN_MUSIC}", file=sys.stderr)
    if dry_run:
        _print_plan(plan_build(chosen, chosen_corpora, limit, quiet or as_json, cache_dir), workers, cache_dir, out, as_json)
        return
    dataset = run(chosen, out, chosen_corpora, workers=workers, limit=limit, cache_dir=cache_dir, quiet=quiet or as_json)
    outcome = summary(dataset.songs.to_dict("records"))
    if as_json:
        print(json.dumps({"path": str(dataset.path), "identity": dataset.meta["identity"], **outcome}, indent=1))
    else:
        _print_outcome(dataset, outcome)
    if strict and outcome["skipped"]:
        raise typer.Exit(3)


def _print_plan(plan: Any, workers: int | None, cache_dir: Path | None, out: Path | None, as_json: bool) -> None:
    from mixdata import files
    from mixdata.builder.run import cache_folder, default_workers, estimate, summary

    out = out or Path(plan.recipe.name)
    cache = cache_folder(cache_dir, out)
    count = workers if workers is not None else default_workers(plan)
    guess = estimate(plan, count)
    facts = {
        "songs": len(plan.songs),
        "rejected": [{"title": row["title"], "reason": row["reason"], "message": row["message"]} for row in plan.rejected],
        "hours": plan.seconds / 3600,
        "splits": {name: sum(1 for song in plan.songs if song.split == name) for name in dict.fromkeys(s.split for s in plan.shards)},
        "shards": len(plan.shards),
        "dataset_bytes": guess.dataset_bytes,
        "dataset_free_bytes": files.free_space(out),
        "cache_bytes": guess.cache_bytes,
        "cache_free_bytes": files.free_space(cache),
        "seconds": guess.seconds,
        "identity": plan.identity,
    }
    if as_json:
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    splits = ", ".join(f"{name} {count}" for name, count in facts["splits"].items())
    print(f"songs     {facts['songs']} ({splits}), {plan.seconds / 3600:.2f} hours, in {facts['shards']} shards")
    if plan.rejected:
        _print_rejected(plan.rejected, summary(plan.rejected)["reasons"])
    print(f"dataset   about {size(guess.dataset_bytes)} into {out} ({size(facts['dataset_free_bytes'])} free)")
    if guess.cache_bytes:
        print(f"cache     up to {size(guess.cache_bytes)} into {cache} ({size(facts['cache_free_bytes'])} free)")
    if guess.seconds is None:
        print("time      unknown: none of the first songs passes the recipe's steps")
    else:
        print(f"time      about {duration(guess.seconds)} with {count} workers (measured on some seconds of {guess.measured_on})")


def _print_outcome(dataset: Any, outcome: dict[str, Any]) -> None:
    splits = ", ".join(f"{name} {facts['examples']}" for name, facts in dataset.meta["splits"].items())
    print(f"{dataset.path}: {len(dataset)} examples ({splits}) from {outcome['used']} songs")
    if outcome["warned"]:
        kinds = ", ".join(f"{kind} {count}" for kind, count in outcome["warnings"].items())
        print(f"used with a warning: {outcome['warned']} songs ({kinds})")
    if outcome["skipped"]:
        _print_rejected(dataset.songs[dataset.songs["status"] == "rejected"].to_dict("records"), outcome["reasons"])


def _print_rejected(rows: list[dict[str, Any]], reasons: dict[str, int], most: int = 10) -> None:
    print(f"left out: {len(rows)} songs ({', '.join(f'{reason} {count}' for reason, count in reasons.items())})")
    for row in rows[:most]:
        print(f"  {row['reason']}: {row['file'] if isinstance(row['file'], str) else row['title']}: {row['message']}")
    if len(rows) > most:
        print(f"  … and {len(rows) - most} more, all in songs.parquet")
