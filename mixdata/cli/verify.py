"""`mixdata verify`."""

import json
from typing import Annotated

import typer

from mixdata.cli.options import DatasetPath, Json, Quiet


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
