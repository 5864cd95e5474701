"""`mixdata corpora check`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mixdata.cli.options import Json, Quiet

SHOWN = 10  # faults of each kind


def check(
    corpus: Annotated[str, typer.Argument(help="The corpus and where it lies.", metavar="NAME:ROOT")],
    manifest: Annotated[Path | None, typer.Option("--manifest", "-m", help="Compare the files with what `mixdata index` saw.")] = None,
    index: Annotated[Path | None, typer.Option("--index", help="Compare with this index file of mirdata.")] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether a corpus is whole: count its songs, open every file, compare checksums. Ends with 1 if something is wrong.

    Examples:

    `mixdata corpora check musdb18hq:/data/musdb18hq`

    `mixdata corpora check musdb18hq:/data/musdb18hq --manifest musdb18hq.parquet`  (made by `mixdata index` when all was well)

    `mixdata corpora check slakh2100:/data/slakh2100_flac_redux --index slakh_index_2100-redux.json`
    """
    from mixdata.corpora import load_corpus
    from mixdata.index import check_corpus

    opened = load_corpus(corpus)
    found = check_corpus(opened, _checksums(opened, manifest, index), quiet=quiet or as_json)
    if as_json:
        print(json.dumps(asdict(found) | {"whole": found.whole}, indent=1, ensure_ascii=False))
    else:
        _print(found, "mixdata verify reads all of it" if opened.facts.name == "dataset" else "--manifest, --index")
    if not found.whole:
        raise typer.Exit(1)


def _checksums(corpus: Any, manifest: Path | None, index: Path | None) -> dict[str, str]:
    from mixdata.errors import UsageError
    from mixdata.index import checksums_of, folder_of, from_root, read_manifest

    sums: dict[str, str] = {}
    if manifest is not None:
        sums |= checksums_of(read_manifest(manifest, folder_of(corpus)))
    if index is not None:
        from mixdata.corpora._mirdata import checksums

        dataset = corpus.options.get("dataset") or corpus.facts.mirdata
        if not dataset:
            raise UsageError(f"corpus {corpus.facts.name!r} is none of mirdata's, so it has no index there; compare with --manifest")
        sums |= from_root(checksums(dataset, index), folder_of(corpus))
    return sums


def _print(found: Any, how: str) -> None:
    expected = "" if found.expected is None else f" of {found.expected}"
    splits = ", ".join(
        f"{name} {count}" + (f" of {found.expected_splits.get(name, 0)}" if found.expected_splits else "")
        for name, count in (dict.fromkeys(found.expected_splits or (), 0) | found.splits).items()
    )
    print(f"songs      {found.songs}{expected} ({splits})")
    print(f"tracks     {found.tracks}")
    print(f"checksums  {f'{found.compared} compared' if found.compared else f'none compared ({how})'}")
    for kind, count in found.by_kind().items():
        print(f"{kind}: {count}")
        for fault in [fault for fault in found.faults if fault.kind == kind][:SHOWN]:
            print(f"  {fault.message}")
        if count > SHOWN:
            print(f"  … and {count - SHOWN} more; --json lists all")
    print("whole" if found.whole else "not whole")
