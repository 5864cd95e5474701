"""`mixdata normalize`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from mixdata.cli.options import Json, Quiet


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
