"""`mixdata licence`."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mixdata.cli.options import DatasetPath, Json
from mixdata.text import duration, shown

if TYPE_CHECKING:
    from mixdata.licences import Licence


def licence(
    dataset: DatasetPath,
    use: Annotated[Literal["any", "research", "commercial"], typer.Option(help="Exit with 1 where this use is not allowed.")] = "any",
    as_json: Json = False,
) -> None:
    """Explain the licence of a dataset: what may be done with it, and which songs and weights decide that.

    It is computed from the licences of the songs and of what else is in them, such as a separator's weights. No legal advice.

    Examples: `mixdata licence my-set`, `mixdata licence my-set --use commercial`
    """
    from mixdata.licence_sets import explained, of_set
    from mixdata.shards.reader import open_dataset

    opened = open_dataset(dataset)
    songs = _songs(opened.songs.to_dict("records"))
    told = opened.meta.get("licences", {})
    facts = of_set([song["licence"] for song in songs], told.get("steps", {}), told.get("use", "any"))
    against = [] if use == "any" else [_against(song, use) for song in (*songs, *_steps(facts["steps"])) if _forbids(song, use)]
    if as_json:
        print(json.dumps({**facts, "explained": explained(facts["result"]), "tracks": songs, "against": against}, indent=1))
    else:
        print(f"{dataset}: {shown(facts['result']['id'])}\n")
        print("\n".join(f"  {shown(line)}" for line in explained(facts["result"])))
        print(*_text(songs, facts), sep="\n")
        if against:
            print(f"\nnot allowed for {use} use:\n" + "\n".join(f"  {shown(line)}" for line in against))
    if against:
        raise typer.Exit(1)


def _songs(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return title, artist, licence and length of every song that was used."""
    return [
        {
            "song": row["song"],
            "title": row["title"],
            "artist": json.loads(row["groups"] or "{}").get("artist"),
            "corpus": row["corpus"],
            "licence": row["licence"],
            "seconds": row["seconds"] if row["seconds"] == row["seconds"] else None,
        }
        for row in rows
        if row["status"] == "used"
    ]


def _steps(steps: dict[str, str]) -> Iterator[dict[str, Any]]:
    yield from ({"title": name, "licence": id} for name, id in steps.items())


def _forbids(thing: dict[str, Any], use: Literal["research", "commercial"]) -> bool:
    from mixdata.licences import allows, licences_in

    return not all(allows(terms, use) for terms in licences_in(thing["licence"]))


def _against(thing: dict[str, Any], use: Literal["research", "commercial"]) -> str:
    from mixdata.licences import allows, licences_in, refusal

    return f"{thing['title']}: {'; '.join(refusal(terms, use) for terms in licences_in(thing['licence']) if not allows(terms, use))}"


def _text(songs: list[dict[str, Any]], facts: dict[str, Any]) -> Iterator[str]:
    """Give every licence with its songs, then what the steps add."""
    from mixdata.licences import joined, licences_in

    groups: dict[str, list[dict[str, Any]]] = {}
    for song in songs:
        groups.setdefault(joined(terms.id for terms in licences_in(song["licence"])), []).append(song)
    for written, members in sorted(groups.items()):
        count = "1 song" if len(members) == 1 else f"{len(members)} songs"
        credit = "; their authors must be named" if any(terms.attribution for terms in licences_in(written)) else ""
        yield f"\n{shown(written)}: {count}, {duration(sum(song['seconds'] or 0 for song in members))}{credit}"
        for terms in licences_in(written):
            yield from _about(terms)
        yield from (f"    {shown(song['title'])}{', by ' + shown(song['artist']) if song['artist'] else ''}" for song in members)
    for name, id in facts["steps"].items():
        yield f"\nin every song: {shown(name)}: {shown(id)}"
        for terms in licences_in(id):
            yield from _about(terms)


def _about(terms: "Licence") -> Iterator[str]:
    yield "  " + shown(", ".join(part for part in (terms.name, terms.url, f"as of {terms.date}" if terms.date else None) if part))
    if terms.text:
        yield f"  {terms.text}"
