"""`mixdata corpora list|show|download`."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mixdata.cli import corpora_download
from mixdata.cli.options import Json

if TYPE_CHECKING:
    from mixdata.corpora.base import CorpusFacts

corpora_app = typer.Typer(no_args_is_help=True, help="List, look at and fetch corpora.")


@corpora_app.command("list")
def corpora_list(
    as_json: Json = False, markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of docs/corpora.md.")] = False
) -> None:
    """List the corpora that mixdata can read."""
    if markdown:
        from mixdata.report.corpora import corpora_table

        print(corpora_table(), end="")
        return
    from mixdata.corpora import corpus_facts, corpus_names

    facts = [corpus_facts(name) for name in corpus_names()]
    if as_json:
        print(json.dumps([asdict(fact) for fact in facts], indent=1, ensure_ascii=False))
        return
    width = max(len(fact.name) for fact in facts)
    for fact in facts:
        songs = [f"{fact.songs} songs"] if fact.songs is not None else []
        get = ["mixdata corpora download"] if fact.downloads else []
        about = [*songs, f"stems: {', '.join(fact.stems) or 'as found'}", f"licence: {fact.licence}", *get]
        print(f"{fact.name:{width}} {fact.title}\n{'':{width}} {'; '.join(about)}")


@corpora_app.command("show")
def corpora_show(
    corpus: Annotated[str, typer.Argument(help="NAME[:ROOT]; with a root, its songs are listed too.", metavar="NAME[:ROOT]")],
    as_json: Json = False,
) -> None:
    """Print a corpus's facts (licence, citation, size, how to get it, layout) and, where a root is given or none is needed, its songs.

    Examples: `mixdata corpora show demo`, `mixdata corpora show musdb18hq:/data/musdb18hq`
    """
    from mixdata.corpora import corpus_facts, load_corpus
    from mixdata.licences import licence

    facts = corpus_facts(corpus.partition(":")[0])
    songs = list(load_corpus(corpus)) if ":" in corpus or not facts.needs_root else []
    rows = [
        {"title": song.title, "split": song.split, "licence": song.licence, "groups": dict(song.groups)}
        | {"mixture": song.mixture is not None, "stems": list(song.stems), "raw": list(song.raw)}
        | {"published": song.published is not None, "pair": {role: list(tracks) for role, tracks in song.pair.items()}}
        for song in songs
    ]
    if as_json:
        allowed = None if facts.licence == "per song" else asdict(licence(facts.licence))
        print(json.dumps({**asdict(facts), "terms": allowed, "songs": rows, "expected_songs": facts.songs}, indent=1, ensure_ascii=False))
        return
    print("\n".join(_about(facts)))
    for song, row in zip(songs, rows, strict=True):
        parts = [*(name for name in ("mixture", "published") if row[name]), *song.stems]
        parts += [*([f"{len(song.raw)} raw"] if song.raw else []), *(f"{role} {', '.join(tracks)}" for role, tracks in song.pair.items())]
        print(f"  {row['title']} ({row['split'] or 'split by hash'}): {', '.join(parts)}")
    if rows:
        print(f"{len(rows)} songs")


def _about(facts: "CorpusFacts") -> Iterator[str]:
    """Yield what is known of a corpus, one fact a line; what goes on in a second line is indented."""
    from mixdata.downloads import shown_url
    from mixdata.text import size

    written = {"licence", "licence_note", "citation", "bytes", "downloads", "name"}
    yield f"name       {facts.name}"
    for name, value in asdict(facts).items():
        if name in written or value in (None, "", (), {}) or (name == "free_lengths" and not value):
            continue
        if isinstance(value, dict):
            value = tuple(f"{key} {count}" for key, count in value.items())
        if isinstance(value, tuple):
            value = ("; " if name == "sources" else ", ").join(map(str, value))
        text = f"{value:g}" if isinstance(value, float) else str(value)
        yield f"{name:10} {' '.join(text.split())}"
    yield from corpora_download.terms(facts)
    for part in facts.downloads:
        known = f" ({size(part.bytes)})" if part.bytes is not None else ""
        yield f"download   {shown_url(part.url)}{known}"


corpora_app.command("download")(corpora_download.download)
