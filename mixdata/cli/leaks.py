"""`mixdata leaks`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mixdata.cli.options import Json, Quiet


def leaks(
    sets: Annotated[list[str], typer.Argument(help="NAME:ROOT, a manifest of `mixdata index`, or a dataset's folder.", metavar="A B…")],
    no_audio: Annotated[bool, typer.Option("--no-audio", help="Compare names only; decode nothing.")] = False,
    between: Annotated[
        Literal["splits", "corpora"] | None, typer.Option(help="Show only what crosses splits, or only what several sets share.")
    ] = None,
    separator: Annotated[list[str] | None, typer.Option(help="Also say which songs this separator was trained on. Repeatable.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where fingerprints are kept [default: the user's cache folder].")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find songs, artists and recordings that corpora or splits share. Exit code 1 if any is in two splits.

    Names are folded (case, accents, "The", "feat."), known overlaps are in manifests/overlaps.csv, and recordings are told by fingerprints
    of every track, whatever name, gain or coding they have. A dataset's folder is compared by name; dataset:FOLDER is listened to as well.

    Examples: `mixdata leaks musdb18hq:/data/musdb18hq medleydb:/data/MedleyDB`, `mixdata leaks my-set --separator demucs:htdemucs`
    """
    from mixdata.builder.run import fingerprint_folder
    from mixdata.leaks.find import find_leaks, separated_leaks
    from mixdata.leaks.sources import load_sets

    entries = load_sets(sets, listen=not no_audio)
    found = find_leaks(entries, audio=not no_audio, cache=fingerprint_folder(cache_dir), quiet=quiet or as_json)
    every = [*found.leaks, *(leak for name in separator or () for leak in separated_leaks([e for songs in entries for e in songs], name))]
    crossing = [leak for leak in every if leak.crosses]
    shown = [leak for leak in every if between is None or (leak.crosses if between == "splits" else not leak.within)]
    if as_json:
        rows = [asdict(leak) | {"crosses": leak.crosses} for leak in shown]
        heard = {"heard": found.heard, "silent": found.silent, "unread": list(found.unread)}
        print(json.dumps({"leaks": len(crossing), "shared": rows, **heard}, indent=1, ensure_ascii=False))
    else:
        _print(shown, sum(len(songs) for songs in entries), len(crossing), found)
    if crossing:
        raise typer.Exit(1)


def _print(shown: list[Any], songs: int, crossing: int, found: Any) -> None:
    for leak in shown:
        print(f"{'LEAK' if leak.crosses else 'shared':7} {leak.name}")
        print(f"{'':7}   {leak.split_a:7} {leak.song_a}\n{'':7}   {leak.split_b:7} {leak.song_b}\n{'':7}   {leak.evidence}")
    print(f"{songs} songs: {crossing} leaks between splits, {sum(not leak.crosses for leak in shown)} shared inside a split")
    if found.heard or found.silent:
        print(f"listened to {found.heard} tracks; {found.silent} are silent, too short (under 2 s) or bare, and have no fingerprint")
    for name in found.unread:
        print(f"could not be read: {name}", file=sys.stderr)
