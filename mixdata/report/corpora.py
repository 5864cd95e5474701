"""The table of corpora in the docs, made of their facts."""

from mixdata.corpora import CorpusFacts, corpus_facts, corpus_names
from mixdata.taxonomy import GROUPS
from mixdata.text import size

COLUMNS = ("corpus", "what", "songs", "hours", "size", "stems", "rates", "licence", "how to get it")


def corpora_table() -> str:
    """Return a Markdown table with a row per corpus; an empty cell is what is not known, or differs from folder to folder."""
    rows = [_row(corpus_facts(name)) for name in corpus_names()]
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _row(facts: CorpusFacts) -> tuple[str, ...]:
    rates = ", ".join(f"{rate / 1000:g} kHz" for rate in facts.sample_rates)
    bits = f" {'/'.join(map(str, facts.bits))} bit" if facts.bits else ""
    licence = facts.licence + (f" ({facts.licence_note})" if facts.licence_note else "")
    home = f"[{_plain(facts.title)}]({facts.home})" if facts.home else _plain(facts.title)
    got = f"`mixdata corpora download {facts.name}`" if facts.downloads else _plain(facts.get)
    return (
        f"`{facts.name}`",
        home,
        _songs(facts),
        "" if facts.hours is None else f"{facts.hours:g}",
        _size(facts),
        "the eleven groups" if set(facts.stems) == set(GROUPS) else ", ".join(facts.stems) or "as found",
        rates + bits,
        _plain(licence),
        got if facts.needs_root else "comes with mixdata",
    )


def _songs(facts: CorpusFacts) -> str:
    splits = ", ".join(f"{name} {count}" for name, count in (facts.splits or {}).items())
    return ("" if facts.songs is None else str(facts.songs)) + (f" ({splits})" if splits else "")


def _size(facts: CorpusFacts) -> str:
    """Return the size of the whole, else of its archives where all of them are known."""
    archives = [part.bytes for part in facts.downloads]
    if facts.bytes is None and archives and None not in archives:
        return f"{size(sum(filter(None, archives)))} to fetch"
    return "" if facts.bytes is None else size(facts.bytes)


def _plain(text: str) -> str:
    """Return text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())
