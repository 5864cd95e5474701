"""`mixdata corpora download`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mixdata.cli.options import Json, Quiet

if TYPE_CHECKING:
    from mixdata.corpora.base import CorpusFacts


def download(
    corpus: Annotated[str, typer.Argument(help="Name of the corpus.", metavar="NAME")],
    into: Annotated[Path, typer.Option("--into", "-o", help="Folder for the corpus; made where it is missing.")],
    file: Annotated[list[str] | None, typer.Option("--file", help="Only this file, or those that fit a pattern such as '*.zip'.")] = None,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep archives after they are unpacked.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the licence and do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched, and fetch nothing.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a corpus whose licence lets anyone fetch it; for others, say how to get them (and end with 2).

    A run that was cut short is gone on from by the same command. Checksums are compared, archives unpacked inside the folder only.

    Examples:

    `mixdata corpora download slakh2100 --into /data/slakh2100 --dry-run`

    `mixdata corpora download slakh2100 --into /data/slakh2100 --yes`
    """
    from mixdata.corpora._download import chosen, download_corpus, is_here
    from mixdata.corpora.base import corpus_facts
    from mixdata.downloads import shown_url
    from mixdata.errors import UsageError
    from mixdata.text import size

    facts = corpus_facts(corpus.partition(":")[0])
    files = chosen(facts, file)
    here = {name: is_here(into, name, part) for name, part in files.items()}
    if dry_run and as_json:
        rows = [{**asdict(part), "url": shown_url(part.url), "file": name, "here": here[name]} for name, part in files.items()]
        print(json.dumps({"corpus": facts.name, "licence": facts.licence, "citation": facts.citation, "files": rows}, indent=1))
        return
    screen = sys.stderr if as_json else sys.stdout
    print("\n".join(terms(facts)), file=screen)
    for name, part in files.items():
        known = size(part.bytes) if part.bytes is not None else "size not known"
        sums = "" if part.md5 or part.sha256 else ", no checksum known"
        print(f"file       {name} ({'here already' if here[name] else known + sums}) {shown_url(part.url)}", file=screen)
    if dry_run:
        return
    if not (yes or all(here.values())):
        print("Who goes on accepts this licence.", file=screen)
        if not _somebody_is_there():
            raise UsageError("nobody can be asked here: --yes accepts the licence; nothing was fetched")
        typer.confirm("Go on?", abort=True, err=as_json)
    done = download_corpus(facts.name, into, file, keep_archives=keep_archives, quiet=quiet)
    if as_json:
        print(json.dumps(asdict(done), indent=1))
    else:
        if not done.recognized:
            print(f"no songs are found yet: {facts.title} is expected as {facts.layout}")
        print(f"corpus     {done.spec}")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def terms(facts: "CorpusFacts") -> Iterator[str]:
    """Yield lines that say under which licence a corpus is, what that allows, and whom to cite."""
    from mixdata.licences import licence
    from mixdata.text import size

    terms, note = licence(facts.licence), facts.licence_note
    if facts.licence == "per song":
        yield f"licence    per song{f': {note}' if note else ''}"
    else:
        yield f"licence    {terms.id}{f' ({terms.name})' if terms.name != terms.id else ''}{f'; {note}' if note else ''}"
        asked = {"commercial use": terms.commercial, "research": terms.research, "passing on": terms.redistribute}
        asked["passing on what is made from it"] = terms.derivatives
        yield f"{'':10} {', '.join(f'{use}: {answer}' for use, answer in asked.items())}"
        duties = [*(["name its authors"] if terms.attribution else []), *(["pass on under the same licence"] if terms.share_alike else [])]
        if duties and terms.known and terms.id != "unknown":
            yield f"{'':10} to do: {'; '.join(duties)}"
        if terms.url:
            yield f"{'':10} {terms.url}"
    if facts.citation:
        first, *rest = facts.citation.strip().splitlines()
        yield f"citation   {first}"
        yield from (f"{'':10} {line}" for line in rest)
    if facts.bytes is not None:
        yield f"size       {size(facts.bytes)}"
