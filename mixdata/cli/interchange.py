"""`mixdata export` and `mixdata import`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from mixdata.cli.options import Json, Quiet

MOST_LINES = 10  # of a list in a summary; --json has all


def export(
    dataset: Annotated[str, typer.Argument(help="Folder or URL of a finished dataset.", metavar="DATASET")],
    to: Annotated[str, typer.Option("--to", help="webdataset, hf, musdb or folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New or empty folder.")],
    role: Annotated[str | None, typer.Option(help="Export just this role [default: all; musdb: the one with its stems].")] = None,
    split: Annotated[str | None, typer.Option(help="Export just this split [default: all].")] = None,
    codec: Annotated[str | None, typer.Option(help="webdataset: as-is, wav, flac or npy; hf: flac or wav [default: the first].")] = None,
    crop: Annotated[float | None, typer.Option(help="webdataset: cut into crops of this many seconds.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a dataset as other tools want it: plain WebDataset tars, Hugging Face parquet, a musdb tree, or folders of WAV files.

    Examples:

    `mixdata export my-set --to folder -o my-set-wav`

    `mixdata export my-set --to musdb --role target -o my-set-musdb`

    `mixdata export my-set --to webdataset --codec flac --crop 6 -o my-set-crops`
    """
    from mixdata.interchange import export as run

    run(dataset, to, out, role=role, split=split, codec=codec, crop=crop, quiet=quiet or as_json)
    facts = json.loads((out / "export.json").read_text("utf-8"))
    if as_json:
        print(json.dumps({"path": str(out), **facts}, indent=1, ensure_ascii=False))
        return
    splits = ", ".join(f"{name} {counts['examples']}" for name, counts in facts["splits"].items())
    print(f"{out}: {_made(to, facts)} of {sum(counts['examples'] for counts in facts['splits'].values())} examples ({splits})")
    print(f"licence: {', '.join(facts['licences'])} (LICENCE.md)")


def import_(
    tars: Annotated[list[Path], typer.Argument(help="Plain tars with members KEY.STEM.{flac,wav,npy}.", metavar="TAR…")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New or empty folder for the dataset.")],
    split: Annotated[str | None, typer.Option(help="Split of all tars [default: as their names say, else train].")] = None,
    role: Annotated[str, typer.Option(help="Role of members whose names give none.")] = "input",
    sample_rate: Annotated[int | None, typer.Option(help="Rate of npy members in Hz, which do not tell it.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of samples whose JSON gives none.")] = "unknown",
    link: Annotated[str, typer.Option(help="How the tars come into the dataset: symlink, hardlink or copy.")] = "symlink",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Index plain WebDataset tars of audio as a dataset; the tars are not rewritten.

    Examples:

    `mixdata import data/train-*.tar data/valid-*.tar -o their-set --licence CC-BY-4.0`

    `mixdata import stems.tar -o their-set --role target --link copy`
    """
    from mixdata.interchange import import_webdataset

    dataset = import_webdataset(
        tars, out, split=split, role=role, sample_rate=sample_rate, licence=licence, link=link, quiet=quiet or as_json
    )
    about = dataset.meta["imported"]
    counts = {name: facts["examples"] for name, facts in dataset.splits.items()}
    if as_json:
        facts = {"path": str(out), "examples": len(dataset), "splits": counts, "roles": dataset.roles, "codec": dataset.codec}
        facts |= {"sample_rate": dataset.sample_rate, "channels": dataset.channels} | {name: about[name] for name in ("missing", "ignored")}
        print(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    print(f"{out}: {len(dataset)} examples ({', '.join(f'{name} {count}' for name, count in counts.items())}), {dataset.codec}")
    for role_name, stems in dataset.roles.items():
        print(f"{role_name:9} {', '.join(stems)}")
    _print_some([f"missing   {member} in {count} examples (masked)" for member, count in about["missing"].items()])
    _print_some([f"ignored   {count} x .{suffix}" for suffix, count in about["ignored"].items()])


def _made(to: str, facts: dict[str, Any]) -> str:
    if to == "webdataset":
        return f"{facts['samples']} samples ({facts['codec']}) in {facts['shards']} tars"
    if to == "hf":
        return f"{facts['files']} parquet files ({facts['codec']})"
    if to == "musdb":
        return f"{facts['tracks']} tracks ({facts['validation_tracks']} for validation)"
    return f"{facts['folders']} folders of WAV files"


def _print_some(lines: list[str]) -> None:
    for line in lines[:MOST_LINES]:
        print(line)
    if len(lines) > MOST_LINES:
        print(f"          and {len(lines) - MOST_LINES} more (--json lists them)")
