"""The command line. Every command is one public function call; this file only reads arguments and prints."""

import io
import json
import signal
import sys
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from mixdata.errors import MixdataError
from mixdata.text import duration, size
from mixdata.train import CROP_SECONDS


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


class Interrupted(MixdataError):
    """Ctrl-C."""

    exit_code = 130


class Commands(typer.core.TyperGroup):
    """Gives Ctrl-C its own message and exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            hint = {"build": "; what is finished is kept, and the same command goes on from there", "train": "; --resume goes on"}
            raise Interrupted(f"interrupted{hint.get(ctx.invoked_subcommand or '', '')}") from None


app = typer.Typer(
    name="mixdata",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Datasets and data generation for deep-learning automatic mixing.\n\nFirst steps: `mixdata build --recipe separated_pseudo`, "
    "then `mixdata stats separated_pseudo` and `mixdata listen separated_pseudo --static listen`.",
)
recipes_app = typer.Typer(no_args_is_help=True, help="List, show and check recipes.")
corpora_app = typer.Typer(no_args_is_help=True, help="List and look at corpora.")
effects_app = typer.Typer(no_args_is_help=True, help="List the effects that chains are drawn from, and their parameters.")
targets_app = typer.Typer(no_args_is_help=True, help="Fit, show and plot what normalization brings stems to.")
app.add_typer(recipes_app, name="recipes")
app.add_typer(corpora_app, name="corpora")
app.add_typer(effects_app, name="effects")
app.add_typer(targets_app, name="targets")

Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
DatasetPath = Annotated[Path, typer.Argument(help="Folder of a finished dataset.", metavar="DATASET")]
OWN_MUSIC = "your own music with a neural separator: mixdata build --corpus folder:PATH --separator demucs:htdemucs --out my-set"


def main() -> None:
    """Run the command line; a mistake that the user can mend is one clear message and an exit code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a letter shows its code
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _stop)
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"  # a user's, not a programmer's
    try:
        app()
    except MixdataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


@app.command()
def build(
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="Name of a recipe, or path of a YAML file.")] = "separated_pseudo",
    corpus: Annotated[list[str] | None, typer.Option("--corpus", "-c", help="NAME[:ROOT], repeatable; replaces the recipe's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the dataset [default: the recipe's name].")] = None,
    separator: Annotated[str | None, typer.Option(help="NAME[:MODEL], such as builtin, demucs:htdemucs, files:PATTERN.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value: sets any field of the recipe. Repeatable.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every random draw [default: the recipe's].")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Use a seeded sample of this many songs.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-j", min=0, help="Processes [default: all cores; 0: this one].")] = None,
    cache: Annotated[str | None, typer.Option(help="How separated stems are kept: flac24, float32 or off.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where they are kept [default: the user's cache folder].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, what it would take, and stop.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 3 if any song was left out.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build a dataset from a recipe; run it again to resume.

    Examples:

    `mixdata build --recipe separated_pseudo`  (the embedded demo, no download)

    `mixdata build -c folder:~/music --separator demucs:htdemucs -o my-set`

    `mixdata build -c musdb:/data/musdb18hq --set output.codec=npy16 --limit 20 --dry-run`
    """
    from mixdata.builder import build as run
    from mixdata.builder.run import plan_build, summary
    from mixdata.recipes import load_recipe

    chosen = load_recipe(recipe, set_ or (), _overrides(separator, cache, seed))
    if not corpus and not separator and recipe == "separated_pseudo" and not (as_json or quiet):
        print(f"using the embedded demo corpus and the built-in classical separator; {OWN_MUSIC}", file=sys.stderr)
    if dry_run:
        _print_plan(plan_build(chosen, corpus, limit, quiet or as_json), workers, cache_dir, out, as_json)
        return
    dataset = run(chosen, out, corpus, workers=workers, limit=limit, cache_dir=cache_dir, quiet=quiet or as_json)
    outcome = summary(dataset.songs.to_dict("records"))
    if as_json:
        print(json.dumps({"path": str(dataset.path), "identity": dataset.meta["identity"], **outcome}, indent=1))
    else:
        _print_outcome(dataset, outcome)
    if strict and outcome["skipped"]:
        raise typer.Exit(3)


def _overrides(separator: str | None, cache: str | None, seed: int | None) -> dict[str, Any]:
    from mixdata.separation import parse

    overrides: dict[str, Any] = {}
    if separator is not None:
        overrides["separate"] = parse(separator)
    if cache is not None:
        overrides["separate.cache"] = cache
    if seed is not None:
        overrides["seed"] = seed
    return overrides


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
        print(f"  {row['reason']}: {row['file'] or row['title']}: {row['message']}")
    if len(rows) > most:
        print(f"  … and {len(rows) - most} more, all in songs.parquet")


@app.command()
def stats(
    dataset: DatasetPath,
    html: Annotated[Path | None, typer.Option(help="Also write a page with the figures.", metavar="FILE")] = None,
    as_json: Json = False,
) -> None:
    """Print what is in a dataset: hours, stems, levels, activity, rejections, and how much balance bleed betrays.

    Examples: `mixdata stats my-set`, `mixdata stats my-set --html report.html`, `mixdata stats my-set --json | jq .hours`
    """
    from mixdata.files import publish_bytes
    from mixdata.report.html import render_html
    from mixdata.report.normalization import normalization_page
    from mixdata.report.stats import dataset_statistics, render_text
    from mixdata.shards.reader import open_dataset

    opened = open_dataset(dataset)
    found = dataset_statistics(opened)
    print(json.dumps(found, indent=1, ensure_ascii=False) if as_json else render_text(found))
    if html is not None:
        publish_bytes(html, render_html(found, normalization_page(opened)).encode())
        print(f"wrote {html}", file=sys.stderr)


@app.command()
def verify(
    dataset: DatasetPath,
    workers: Annotated[int, typer.Option("--workers", "-j", min=1, help="Processes.")] = 1,
    replay: Annotated[int, typer.Option(min=0, help="Also make this many examples again and compare the bytes.")] = 0,
    corpus: Annotated[
        list[str] | None, typer.Option("--corpus", "-c", help="NAME[:ROOT], repeatable: where the replay's songs lie.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value: folders that the replay needs.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the replay's sample.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check every byte, index entry, member and promise of a dataset. Exit code 1 if anything is wrong.

    Examples: `mixdata verify my-set --workers 4`, `mixdata verify my-pairs --replay 20 --corpus folder:~/multitracks`
    """
    from mixdata.shards.verify import verify as run

    problems = run(dataset, workers=workers, quiet=quiet or as_json)
    if replay and not problems:
        from mixdata.builder.replay import replay_examples

        problems = replay_examples(dataset, replay, corpus, set_ or (), seed, quiet=quiet or as_json)
    if as_json:
        print(json.dumps({"ok": not problems, "problems": [{"where": p.where, "what": p.what} for p in problems]}, indent=1))
    else:
        for problem in problems:
            print(problem)
        print(f"{dataset}: {'everything is as it should be' if not problems else f'{len(problems)} problems'}")
    if problems:
        raise typer.Exit(1)


@app.command()
def info(dataset: DatasetPath, as_json: Json = False) -> None:
    """Print what a dataset is: format, splits, roles, codec, licence, identity.

    Example: `mixdata info my-set`
    """
    from mixdata.shards.reader import open_dataset

    meta = open_dataset(dataset).meta
    if as_json:
        print(json.dumps(meta, indent=1, ensure_ascii=False))
        return
    print(f"{dataset}: {meta['title'] or meta['name']} (recipe {meta['recipe']}, identity {meta['identity'][:16]})")
    print(f"audio     {meta['sample_rate']} Hz, {meta['channels']} channels, {meta['codec']}, blocks of {meta['block_seconds']:g} s")
    print(f"crops     {'may run over block borders' if meta['continuous'] else 'stay inside a block'}")
    for role, stems in meta["roles"].items():
        print(f"{role:9} {', '.join(stems)}")
    for name, split in meta["splits"].items():
        total = size(sum(shard["bytes"] for shard in split["shards"]))
        counts = f"{split['songs']} songs, {split['examples']} examples, {split['seconds'] / 3600:.2f} h"
        print(f"{name:9} {counts}, {total} in {len(split['shards'])} shards")
    print(f"licence   {', '.join(meta['licence'])}")


@app.command()
def listen(
    dataset: DatasetPath,
    static: Annotated[Path, typer.Option(help="Folder for the page and its audio.", metavar="OUT")] = Path("listen"),
    number: Annotated[int, typer.Option("-n", min=1, help="How many examples, besides the worst and those at the gate.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the sample.")] = 0,
) -> None:
    """Write one HTML page with players for all roles and stems of a sample of the dataset.

    Example: `mixdata listen my-set --static listen -n 20`, then open listen/index.html in a browser.
    """
    from mixdata.report.listen import listen_page
    from mixdata.shards.reader import open_dataset

    print(f"wrote {listen_page(open_dataset(dataset), static, n=number, seed=seed)}")


@app.command()
def train(
    dataset: DatasetPath,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps in all.")] = 1000,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run [default: runs/DATASET].")] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 4,
    crop: Annotated[float, typer.Option(min=0.1, help="Seconds per crop.")] = CROP_SECONDS,
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option()] = 0,
    workers: Annotated[int, typer.Option("--workers", "-j", min=0, help="Loader processes.")] = 0,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run's last checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Train the reference model (stems in, mix out) on a dataset: the proof that the data can be learnt from.

    Examples: `mixdata train my-set --steps 2000`, `mixdata train my-set --steps 4000 --resume`
    """
    from mixdata.train.run import train as run

    out = out or Path("runs") / dataset.absolute().name
    result = run(
        dataset, steps, out, batch_size=batch_size, crop=crop, lr=lr, seed=seed, workers=workers, resume=resume, accelerator=accelerator
    )
    facts = {"checkpoint": str(result.checkpoint), "first_loss": result.first_loss, "last_loss": result.last_loss, "steps": steps}
    print(json.dumps(facts) if as_json else f"loss {result.first_loss:.4f} → {result.last_loss:.4f}; checkpoint {result.checkpoint}")


@app.command()
def normalize(
    stems: Annotated[list[str], typer.Argument(help="Audio files; STEM=FILE where the name does not say it.", metavar="FILES")],
    targets: Annotated[str, typer.Option("--targets", "-t", help="A dataset, a file of targets, or a name.")] = "musdb18",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")] = Path("normalized"),
    mixture: Annotated[
        Path | None, typer.Option(help="The mix that the files were separated from: bands that hold hiss are not boosted.")
    ] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value: sets any field of the step. Repeatable.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Even out the effects of your own stems, exactly as a dataset's inputs were: what a model trained on it wants to hear.

    Examples:

    `mixdata normalize vocals.wav drums.wav bass.wav other=synths.wav --targets my-set`

    `mixdata normalize vocals=lead.flac --targets musdb18 --set panning.mode=mono -o out`
    """
    from mixdata.normalization.files import normalize_files, parse_stem, summary_lines
    from mixdata.recipes.strict_yaml import parse_setting

    settings = dict(parse_setting(setting) for setting in set_ or ())
    records = normalize_files([parse_stem(stem) for stem in stems], out, targets, settings, mixture, quiet=quiet or as_json)
    print(json.dumps(records, indent=1, ensure_ascii=False) if as_json else "\n".join([*summary_lines(records), f"wrote {out}"]))


@targets_app.command("fit")
def targets_fit(
    corpus: Annotated[list[str] | None, typer.Option("--corpus", "-c", help="NAME[:ROOT], repeatable; replaces the recipe's.")] = None,
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="What makes the stems.")] = "effect_normalization",
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("targets.npz"),
    separator: Annotated[str | None, typer.Option(help="NAME[:MODEL], for recipes that separate.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value: sets any field of the recipe. Repeatable.")] = None,
    name: Annotated[str, typer.Option(help="What to call them.")] = "fitted",
    limit: Annotated[int | None, typer.Option(min=1, help="Use a seeded sample of this many songs.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", "-j", min=0, help="Processes [default: all cores; 0: this one].")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where separated stems are kept [default: the user's cache folder].")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Average the features of a corpus's stems, train split only, into a small file that builds normalize to.

    Examples:

    `mixdata targets fit -c musdb:/data/musdb18hq -o targets.npz`

    `mixdata targets fit -r separated_pseudo -c folder:~/music --separator demucs:htdemucs -o targets.npz`

    and then `mixdata build -r separated_pseudo --set normalize.targets=targets.npz …`
    """
    from mixdata.builder.fit import fit_recipe_targets
    from mixdata.recipes import load_recipe
    from mixdata.report.normalization import render_targets

    chosen = load_recipe(recipe, set_ or (), _overrides(separator, None, None))
    fitted = fit_recipe_targets(chosen, corpus, workers, limit, cache_dir, name, quiet=quiet or as_json)
    fitted.targets.save(out)
    if as_json:
        skipped = [{"title": title, "reason": reason, "message": message} for title, reason, message in fitted.skipped]
        print(json.dumps({"path": str(out), "sha256": fitted.targets.sha256, "songs": fitted.songs, "skipped": skipped}, indent=1))
        return
    print(render_targets(fitted.targets))
    for title, reason, message in fitted.skipped[:10]:
        print(f"left out: {title}: {reason}: {message}")
    if len(fitted.skipped) > 10:
        print(f"… and {len(fitted.skipped) - 10} more songs left out")
    print(f"wrote {out}")


@targets_app.command("show")
def targets_show(
    targets: Annotated[str, typer.Argument(help="A name, a file of targets, or a dataset.", metavar="TARGETS")] = "musdb18",
    as_json: Json = False,
) -> None:
    """Print what stems are brought to, and where that is from.

    Examples: `mixdata targets show musdb18`, `mixdata targets show my-set --json`
    """
    from mixdata.normalization import load_targets
    from mixdata.report.normalization import render_targets, targets_facts

    found = load_targets(targets)
    print(json.dumps(targets_facts(found), indent=1, ensure_ascii=False) if as_json else render_targets(found))


@targets_app.command("plot")
def targets_plot(
    targets: Annotated[str, typer.Argument(help="A name, a file of targets, or a dataset.", metavar="TARGETS")] = "musdb18",
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write: .png, .svg or .pdf.")] = Path("targets.png"),
) -> None:
    """Draw spectra and panning that stems are brought to.

    Example: `mixdata targets plot my-set -o targets.png`
    """
    from mixdata.normalization import load_targets
    from mixdata.report.normalization import plot_targets

    plot_targets(load_targets(targets), out)
    print(f"wrote {out}")


@recipes_app.command("list")
def recipes_list(as_json: Json = False) -> None:
    """List the recipes that come with mixdata."""
    from mixdata.recipes import load_recipe, recipe_names

    titles = {name: load_recipe(name).header.title for name in recipe_names()}
    print(json.dumps(titles, indent=1) if as_json else "\n".join(f"{name:24} {title}" for name, title in titles.items()))


@recipes_app.command("show")
def recipes_show(
    recipe: Annotated[str, typer.Argument(help="Name or path.")],
    set_: Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value")] = None,
) -> None:
    """Print a recipe with every default written out.

    Example: `mixdata recipes show separated_pseudo > mine.yaml` to start one of your own.
    """
    from mixdata.recipes import load_recipe

    print(load_recipe(recipe, set_ or ()).to_yaml(), end="")


@recipes_app.command("validate")
def recipes_validate(recipe: Annotated[str, typer.Argument(help="Name or path.")]) -> None:
    """Check a recipe and print every mistake with file, line and path. Exit code 2 if there is one.

    Example: `mixdata recipes validate mine.yaml`
    """
    from mixdata.recipes import load_recipe

    load_recipe(recipe)
    print(f"{recipe}: valid")


@effects_app.command("list")
def effects_list(as_json: Json = False) -> None:
    """List the effects by the names that recipes know them by."""
    from mixdata.effects.tables import effect_facts

    facts = effect_facts()
    print(json.dumps(facts, indent=1) if as_json else "\n".join(f"{fact['effect']:22} {fact['summary']}" for fact in facts))


@effects_app.command("show")
def effects_show(
    effect: Annotated[str, typer.Argument(help="Name, such as compressor.", metavar="NAME")],
    as_json: Json = False,
) -> None:
    """Print what an effect is and its parameters: range, default, and the law that recipes draw it from.

    Example: `mixdata effects show compressor`
    """
    from mixdata.effects.tables import describe_class, render_facts

    facts = describe_class(effect)
    print(json.dumps(facts, indent=1) if as_json else render_facts(facts))


@corpora_app.command("list")
def corpora_list(as_json: Json = False) -> None:
    """List the corpora that mixdata can read."""
    from mixdata.corpora import corpus_facts, corpus_names

    facts = [corpus_facts(name) for name in corpus_names()]
    if as_json:
        print(json.dumps([asdict(fact) for fact in facts], indent=1))
        return
    for fact in facts:
        print(f"{fact.name:8} {fact.title}\n{'':8} stems: {', '.join(fact.stems) or 'as found'}; licence: {fact.licence}")


@corpora_app.command("show")
def corpora_show(
    corpus: Annotated[str, typer.Argument(help="NAME[:ROOT]; with a root, its songs are listed too.", metavar="NAME[:ROOT]")],
    as_json: Json = False,
) -> None:
    """Print a corpus's facts and, where a root is given or none is needed, its songs.

    Examples: `mixdata corpora show demo`, `mixdata corpora show musdb:/data/musdb18hq`
    """
    from mixdata.corpora import corpus_facts, load_corpus

    facts = corpus_facts(corpus.partition(":")[0])
    songs = list(load_corpus(corpus)) if ":" in corpus or not facts.needs_root else []
    rows = [
        {"title": song.title, "split": song.split, "licence": song.licence, "groups": dict(song.groups)}
        | {"mixture": song.mixture is not None, "stems": list(song.stems)}
        for song in songs
    ]
    if as_json:
        print(json.dumps({**asdict(facts), "songs": rows}, indent=1, ensure_ascii=False))
        return
    for name, value in asdict(facts).items():
        shown = ", ".join(value) if isinstance(value, tuple) else str(value)
        if shown:
            print(f"{name:10} {shown}")
    for song, row in zip(songs, rows, strict=True):
        parts = [*(["mixture"] if song.mixture is not None else []), *song.stems]
        print(f"  {row['title']} ({row['split'] or 'split by hash'}): {', '.join(parts)}")
    if rows:
        print(f"{len(rows)} songs")


if __name__ == "__main__":
    main()
