"""What a set that is made from material under several licences allows. This is arithmetic on published terms, no legal advice."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mixdata.licences import Answer, Licence, creative_commons, elements, joined, licence, licences_in


@dataclass(frozen=True)
class Combined:
    """What may be done with a set that is made from material under the licences `parts`.

    `id` is the one licence that governs the whole, `other` where there is no single one, `unknown` where a part's is not known.
    `credit` are the parts whose authors must be named, `share_alike` is the licence that the set must be under when it is passed on, and
    `conflicts` says why it must not be passed on at all.
    """

    id: str
    parts: tuple[str, ...]
    commercial: Answer
    research: Answer
    derivatives: Answer
    redistribute: Answer
    credit: tuple[str, ...]
    share_alike: str | None
    conflicts: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON data."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def combine(terms: Iterable[Licence]) -> Combined:
    """Return what a set made from material under all these licences allows. Raises `ValueError` for none at all.

    After Creative Commons' chart of adapter's licences: what is made from ShareAlike material is under the same licence or a later version
    of it, what is made from NoDerivatives material is not passed on, and every restriction of a part is one of the whole.
    """
    parts = sorted({part.id: part for part in terms}.values(), key=lambda part: part.id)
    if not parts:
        raise ValueError("no licences to combine")
    share_alike, conflicts = _share_alike(parts)
    for name, what in (("derivatives", "passing on what is made from it"), ("redistribute", "passing it on")):
        against = [part.id for part in parts if getattr(part, name) == "no"]
        conflicts += [f"{' and '.join(against)} {'forbids' if len(against) == 1 else 'forbid'} {what}"] if against else []
    derivatives = _least(part.derivatives for part in parts)
    return Combined(
        id=_whole(parts, None if conflicts else share_alike, bool(conflicts)),
        parts=tuple(part.id for part in parts),
        commercial=_least(part.commercial for part in parts),
        research=_least(part.research for part in parts),
        derivatives=derivatives,
        redistribute="no" if conflicts else _least([derivatives, *(part.redistribute for part in parts)]),
        credit=tuple(part.id for part in parts if part.attribution),
        share_alike=share_alike,
        conflicts=tuple(conflicts),
    )


def of_set(songs: Iterable[str], steps: Mapping[str, str], use: str) -> dict[str, Any]:
    """Return what dataset.json says of a set: how many songs are under which licence, the licences of its steps, and what follows.

    `songs` are the licences of its songs, one each, `steps` those of separators' weights and the like by name, `use` what the recipe asked.
    """
    counts = Counter(joined(part.id for part in licences_in(text)) for text in songs)
    return {
        "use": use,
        "songs": dict(sorted(counts.items())),
        "steps": dict(steps),
        "result": combined([*counts, *steps.values()] or ["unknown"]).as_dict(),
    }


def combined(texts: Iterable[str]) -> Combined:
    """Return what a set made from material under all these licences, as they are written, allows."""
    return combine(part for text in texts for part in licences_in(text))


def explained(result: Mapping[str, Any]) -> list[str]:
    """Return what follows from a `Combined`, as plain data, in sentences: commercial use, research, passing it on, credit."""
    parts = [licence(id) for id in result["parts"]]
    said = []
    for what, fields in (("used commercially", ("commercial", "derivatives")), ("used for research", ("research",))):
        against, unsure = _answering(parts, fields, "no"), _answering(parts, fields, "unknown")
        if against:
            said.append(f"It must not be {what}: {_list(against)} {'does' if len(against) == 1 else 'do'} not allow it.")
        elif unsure and what == "used commercially":
            said.append(
                f"It must not be {what}, as it is not known whether {_list(unsure)} {'allows' if len(unsure) == 1 else 'allow'} it."
            )
        else:
            said.append(f"Whether it may be {what} is not known: {_list(unsure)}." if unsure else f"It may be {what}.")
    if result["redistribute"] == "no":
        said.append(f"It must not be passed on: {'; '.join(result['conflicts'])}.")
    elif result["redistribute"] == "unknown":
        said.append(f"Whether it may be passed on is not known: {_list(_answering(parts, ('derivatives', 'redistribute'), 'unknown'))}.")
    elif result["share_alike"]:
        said.append(f"It may be passed on under {result['share_alike']} and no other licence.")
    else:
        each = "the licences of its parts, each part under its own" if result["id"] == "other" else result["id"]
        said.append(f"It may be passed on under {each}.")
    if result["credit"]:
        said.append(f"Whoever passes it on must name the authors of what is under {_list(result['credit'])}.")
    return said


def _answering(parts: Iterable[Licence], fields: Iterable[str], answer: Answer) -> list[str]:
    return [part.id for part in parts if any(getattr(part, field) == answer for field in fields)]


def _list(ids: Iterable[str]) -> str:
    return ", ".join("an unknown licence" if id == "unknown" else id for id in ids)


def _least(answers: Iterable[Answer]) -> Answer:
    order: tuple[Answer, ...] = ("no", "unknown", "yes")
    return min(answers, key=order.index)


def _share_alike(parts: list[Licence]) -> tuple[str | None, list[str]]:
    """Return the licence that share-alike parts put the whole under, and what is in the way of that."""
    binding = [part for part in parts if part.share_alike]
    if not binding:
        return None, []
    if len({elements(part.id) or part.id for part in binding}) > 1:
        return None, [f"what is made from {' and from '.join(part.id for part in binding)} would have to be under each of these alone"]
    bound = " and ".join(part.id for part in binding)
    against = [part.id for part in parts if part.commercial == "no"]
    if against and binding[0].commercial == "yes":
        return None, [f"what is made from {bound} would have to be free for commercial use, which {' and '.join(against)} does not allow"]
    return (_latest(binding) if elements(binding[0].id) else binding[0].id), []


def _whole(parts: list[Licence], share_alike: str | None, conflict: bool) -> str:
    """Return the id of the single licence that the whole can be under."""
    if any(not part.known or part.id == "unknown" for part in parts):
        return "unknown"
    asking = [part for part in parts if part.attribution or not part.permissive]  # the others go under any licence
    if len(asking) < 2:
        return asking[0].id if asking else parts[0].id if len(parts) == 1 else "CC0-1.0"
    if share_alike and all(part.permissive or part.share_alike or elements(part.id) for part in asking):
        return share_alike
    ours = [part for part in asking if elements(part.id)]
    if not ours or conflict or any(not part.permissive for part in asking if part not in ours):
        return "other"
    return _latest(ours)


def _latest(parts: list[Licence]) -> str:
    """Return the licence of Creative Commons with all elements of the parts and the latest of their versions.

    It is without a version where a part is: that may be of any.
    """
    found = [re.search(r"[0-9]\.[0-9]", part.id) for part in parts]
    version = None if None in found else max(match[0] for match in found if match)
    return creative_commons({name for part in parts for name in elements(part.id)}, version)
