"""`mixdata targets fit|show|plot`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mixdata.cli.options import Corpora, Json, Limit, Quiet, Settings, Workers, recipe_overrides

targets_app = typer.Typer(no_args_is_help=True, help="Fit, show and plot what normalization brings stems to.")


@targets_app.command("fit")
def targets_fit(
    corpus: Corpora = None,
    recipe: Annotated[str, typer.Option("--recipe", "-r", help="What makes the stems.")] = "effect_normalization",
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write.")] = Path("targets.npz"),
    separator: Annotated[str | None, typer.Option(help="NAME[:MODEL], for recipes that separate.")] = None,
    set_: Settings = None,
    name: Annotated[str, typer.Option(help="What to call them.")] = "fitted",
    limit: Limit = None,
    workers: Workers = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where separated stems are kept [default: the user's cache folder].")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Average the features of a corpus's stems, train split only, into a small file that builds normalize to.

    Examples:

    `mixdata targets fit -c musdb18hq:/data/musdb18hq -o targets.npz`

    `mixdata targets fit -r separated_pseudo -c folder:~/music --separator demucs:htdemucs -o targets.npz`

    and then `mixdata build -r separated_pseudo --set normalize.targets=targets.npz …`
    """
    from mixdata.builder.fit import fit_recipe_targets
    from mixdata.recipes import load_recipe
    from mixdata.report.normalization import render_targets

    chosen = load_recipe(recipe, set_ or (), recipe_overrides(separator, None, None))
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
