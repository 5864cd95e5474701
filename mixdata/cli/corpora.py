"""`mixdata corpora list|show`."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mixdata.cli.options import Json

corpora_app = typer.Typer(no_args_is_help=True, help="List and look at corpora.")


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
