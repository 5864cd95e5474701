"""Licences: which one a text names, and what it allows. `mixdata.licence_sets` says what a set that is made from several allows.

The facts are in `manifests/licences.yaml`. Text that names none of them stands for a licence that is not known: it is kept as written,
and counts as not allowed for commercial use. This is arithmetic on published terms, no legal advice.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Literal

import yaml

from mixdata.resources import resource
from mixdata.text import cleaned

if TYPE_CHECKING:
    from mixdata.licence_sets import Combined

Use = Literal["any", "research", "commercial"]
Answer = Literal["yes", "no", "unknown"]

_SITE = r"(?:https?://)?(?:www\.)?creativecommons\.org/"
_URL = re.compile(_SITE + r"licen[sc]es/(by(?:-nc|-sa|-nd)*)/([0-9]\.[0-9])(?:/([a-z]{2}|igo))?/?(?:deed\S*|legalcode\S*)?", re.IGNORECASE)
_PUBLIC = re.compile(_SITE + r"publicdomain/(zero|mark)/1\.0/?(?:deed\S*|legalcode\S*)?", re.IGNORECASE)
_ID = re.compile(r"CC-(BY(?:-NC|-SA|-ND)*)-([0-9]\.[0-9])-([A-Z]{2}|IGO)")  # of a country
_WORDS = re.compile(r"cc (by(?: nc| sa| nd)*)(?: v?([0-9]\.[0-9]))?")
_TWICE = re.compile(r"(.+)\((.+)\)(?: licen[sc]e)?", re.IGNORECASE)
_SHORT = {
    "nc": "non ?commercial",
    "sa": "share ?alike",
    "nd": "no ?deriv(?:ative)?s?(?: works)?",
    "cc": "creative commons",
    "by": "attribution",
    "": "international|unported|generic|public|licen[sc]e",
}


@dataclass(frozen=True)
class Licence:
    """What may be done with audio under a licence; the fields are explained in `manifests/licences.yaml`.

    `id` is an id of that table, or the text as it was written where that names none; then `known` is False.
    """

    id: str
    name: str
    spdx: bool
    url: str | None
    date: str | None
    text: str | None
    commercial: Answer
    research: Answer
    derivatives: Answer
    redistribute: Answer
    attribution: bool
    share_alike: bool
    known: bool = True

    @property
    def permissive(self) -> bool:
        """Whether it asks for no more than to be named."""
        return not self.share_alike and {self.commercial, self.research, self.derivatives, self.redistribute} == {"yes"}


def licences() -> dict[str, Licence]:
    """Return every licence of the table by its id."""
    return dict(_table()[0])


@lru_cache(maxsize=4096)
def licence(text: str | None) -> Licence:
    """Return the licence that a text names: an id, a name as people and tags write it, or an address of Creative Commons.

    >>> licence("http://creativecommons.org/licenses/by-nc/4.0/").id
    'CC-BY-NC-4.0'
    >>> licence("ask my cousin").known
    False
    """
    written = cleaned(text or "")
    found = _named(written)
    if found is None and (twice := _TWICE.fullmatch(written.rstrip("."))):  # "Creative Commons Attribution 4.0 (CC BY 4.0)"
        first, second = _named(twice[1]), _named(twice[2])
        found = first if first == second else None
    return found or replace(_table()[0]["unknown"], id=written, name=f"{written!r}, which mixdata does not know", known=False)


def licences_in(text: str | None) -> tuple[Licence, ...]:
    """Return the licences of material that is under several at once, written `CC-BY-4.0 AND demucs-weights`."""
    return tuple(licence(part) for part in (text or "").split(" AND "))


def joined(texts: Iterable[str]) -> str:
    """Return the licence of material that is under all of these, as `licences_in` reads it."""
    return " AND ".join(dict.fromkeys(part for text in texts for part in text.split(" AND ")))


def allows(terms: "Licence | Combined", use: Use) -> bool:
    """Whether material may be used so. What is not known is allowed for research, never for commercial use."""
    if use == "commercial":
        return terms.commercial == "yes" and terms.derivatives == "yes"
    return use == "any" or terms.research != "no"


def refusal(terms: Licence, use: Use) -> str:
    """Return what a licence has against a use, as in `its licence, CC-BY-NC-4.0, forbids commercial use`."""
    if not terms.known:
        return f"its licence, {terms.id!r}, is not known to mixdata, which counts as not allowed for {use} use"
    if terms.id == "unknown":
        return f"its licence is unknown, which counts as not allowed for {use} use"
    answer = terms.commercial if use == "commercial" else terms.research
    if answer == "yes":
        return f"its licence, {terms.id}, does not allow what is made from it to be passed on"
    return f"its licence, {terms.id}, {'forbids' if answer == 'no' else 'is not known to allow'} {use} use"


def hugging_face(id: str) -> str:
    """Return Hugging Face's own id of a licence, `other` where it has none."""
    return str(_table()[1].get(id, "other"))


def elements(id: str) -> frozenset[str]:
    """Return the elements of a licence of Creative Commons, nothing for others: `BY` and `NC` for CC-BY-NC-4.0."""
    found = re.match(r"CC-(BY(?:-NC|-SA|-ND)*)", id)
    return frozenset(found[1].split("-")) if found else frozenset()


def creative_commons(elements: Iterable[str], version: str | None) -> str:
    """Return the id of Creative Commons' licence with these elements and version."""
    return "-".join(["CC", *(name for name in ("BY", "NC", "SA", "ND") if name in elements), *([version] if version else [])])


def _named(text: str) -> Licence | None:
    """Return the licence of the table that a text names, if it is clear which."""
    table, _, names = _table()
    text = text.strip()
    if public := _PUBLIC.fullmatch(text):
        return table["CC0-1.0" if public[1].lower() == "zero" else "CC-PDM-1.0"]
    if of_country := _URL.fullmatch(text) or _ID.fullmatch(text):
        base = table.get(creative_commons(of_country[1].upper().split("-"), of_country[2]))
        country = (of_country[3] or "").upper()
        if base is None or not country:
            return base
        return replace(base, id=f"{base.id}-{country}", name=f"{base.name} ({country})", spdx=False, url=f"{base.url}{country.lower()}/")
    key = _key(text)
    if key in names:
        return table[names[key]]
    for short, long in _SHORT.items():
        key = re.sub(rf"\b(?:{long})\b", short, key)
    words = _WORDS.fullmatch(" ".join(key.split()).replace("cc cc", "cc"))
    return table.get(creative_commons(words[1].upper().split(), words[2])) if words else None


def _key(text: str) -> str:
    return " ".join(re.sub(r"[^\w.+]", " ", text.casefold()).replace("_", " ").split()).rstrip(".")


@cache
def _table() -> tuple[dict[str, Licence], dict[str, str], dict[str, str]]:
    """Return the licences by id, Hugging Face's ids by ours, and our ids by every way to write them."""
    facts = yaml.safe_load(resource("manifests", "licences.yaml").read_text(encoding="utf-8"))
    table: dict[str, Licence] = {}
    names: dict[str, str] = {}
    for id, own in facts["licences"].items():
        entry = facts["defaults"] | own
        versions, aliases, url = entry.pop("versions"), entry.pop("aliases"), entry["url"]
        entry |= {
            name: {True: "yes", False: "no"}.get(entry[name], entry[name])
            for name in ("commercial", "research", "derivatives", "redistribute")
        }
        entry["date"] = None if entry["date"] is None else str(entry["date"])
        for version in versions:
            table[f"{id}-{version}"] = Licence(
                f"{id}-{version}", **entry | {"name": f"{entry['name']} {version}", "url": url.format(version=version)}
            )
        if versions:  # as it is often written: which version is meant, nobody knows
            entry |= {"name": f"{entry['name']}, version not stated", "spdx": False, "url": None}
        table[id] = Licence(id, **entry)
        names |= {_key(name): id for name in (id, entry["name"], *aliases)}
    return table, facts["hugging_face"], names
