"""Which stem an instrument belongs to, by its label, MIDI program or file name. The facts are in `manifests/taxonomy.yaml`."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mixdata.errors import RecipeError, UsageError
from mixdata.resources import resource
from mixdata.song import Track, summed

GROUPS = ("vocals", "bass", "drums", "guitar", "piano", "other_keys", "bowed_strings", "wind", "percussion", "other_plucked", "other")
REST = "other"  # takes what no rule knows, so that the sum still holds
DRUM_PROGRAM = 128  # Slakh's program of the drums

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|-")


@dataclass(frozen=True)
class Rules:
    """The table, by folded names. `words` says of a word of file names to which group it belongs and whether it is weak."""

    sets: dict[str, tuple[str, ...]]
    chains: dict[str, tuple[str, ...]]
    falls: dict[str, str]  # instruments that fall otherwise than their group
    labels: dict[str, str]
    words: dict[str, tuple[str, bool]]
    programs: tuple[tuple[str, str], ...]


def group_of(label: str) -> str | None:
    """Return the group of an instrument's label, whatever its case, spaces, `_`, `-`, plural or number at the end; None where unknown."""
    return _look_up(rules().labels, fold(label))


def group_of_program(program: int, is_drum: bool = False) -> str:
    """Return the group of a General MIDI program, 0 to 127; 128 is the drums, as in Slakh. Raises `UsageError` for others."""
    if is_drum or program == DRUM_PROGRAM:
        return "drums"
    if not 0 <= program < DRUM_PROGRAM:
        raise UsageError(f"MIDI program {program}: use 0 to 127, or 128 for drums")
    return rules().programs[program][1]


def group_of_file(name: str) -> str | None:
    """Return the group that a file's name tells of, by the four rules that the manifest states; None where none fits.

    >>> group_of_file("07_ElecGtr1DT.wav")
    'guitar'
    """
    words = _WORD.findall(_ascii(name))  # the extensions of audio files are no words of rules
    spans = [(start, stop) for start in range(len(words)) for stop in range(start + 1, len(words) + 1)]
    folded = {span: fold("".join(words[slice(*span)])) for span in spans if "-" not in (words[span[0]], words[span[1] - 1])}
    known = {span: rule for span, text in folded.items() if (rule := _look_up(rules().words, text))}
    kept: list[tuple[int, int]] = []
    for start, stop in sorted(known, key=lambda span: (-len(folded[span]), span)):
        if all(stop <= begin or start >= end for begin, end in kept):
            kept.append((start, stop))
    chosen = [span for span in kept if not known[span][1]] or kept
    return known[max(chosen, key=lambda span: (-words[: span[0]].count("-"), span))][0] if chosen else None


def home(stem_or_label: str, stems: Collection[str]) -> str | None:
    """Return the stem among `stems` into which a stem or an instrument falls: itself, else its group, else where that falls; or None."""
    if stem_or_label in stems:
        return stem_or_label
    if (group := group_of(stem_or_label)) is None:
        return None
    other = _look_up(rules().falls, fold(stem_or_label))
    return next((stem for stem in (group, *([other] if other else rules().chains[group])) if stem in stems), None)


def grouped(
    tracks: Mapping[str, Track], label: Callable[[str, Track], str | None] = lambda name, track: track.instrument
) -> tuple[dict[str, Track], list[str]]:
    """Return the stems by group, each the sum of its tracks in their order, and the labels that no rule knows, sorted.

    A track of an unknown label goes into `other`; one without a label is reported by its name.
    """
    parts: dict[str, list[Track]] = {}
    unknown = set()
    for name, track in tracks.items():
        called = label(name, track)
        if (group := group_of(called or "")) is None:
            unknown.add(called or name)
        parts.setdefault(group or REST, []).append(track)
    return {group: summed(parts[group], instrument=group) for group in GROUPS if group in parts}, sorted(unknown)


def fold(label: str) -> str:
    """Return a label's letters and digits in lower case, without a number at its end: `Hi-Hat_2` is `hihat`."""
    return re.sub(r"[^a-z0-9]+", "", _ascii(label).lower()).rstrip("0123456789")


@cache
def rules() -> Rules:
    """Return the project's table."""
    return load_rules(resource("manifests", "taxonomy.yaml"))


def load_rules(path: Path) -> Rules:
    """Read a table. Raises `RecipeError` for a name that stands twice and for a group that is none of `GROUPS`."""
    from mixdata.recipes.strict_yaml import load  # the recipes' package imports the steps, and they this module

    table: dict[str, Any] = load(path.read_text("utf-8"), path.name).value
    sets, chains = ({name: tuple(chain) for name, chain in table[key].items()} for key in ("sets", "groups"))
    programs = tuple((str(name), str(group)) for name, group in table["programs"])
    used = {*(group for _, group in programs), *(group for chain in (*sets.values(), *chains.values()) for group in chain)}
    if set(chains) != set(GROUPS) or used - set(GROUPS) or len(programs) != DRUM_PROGRAM:
        raise RecipeError(f"{path.name}: there must be {DRUM_PROGRAM} programs, and the groups {', '.join(GROUPS)}")
    instruments = _named(path, "instruments", table["instruments"], {fold(group): group for group in GROUPS})
    labels = _named(path, "labels", table["labels"], instruments)
    for name, group in programs:  # some are instruments too
        if labels.setdefault(fold(name), group) != group:
            raise RecipeError(f"{path.name}: programs: {name!r} is {group}, but {labels[fold(name)]} elsewhere")
    falls = _named(path, "falls", table["falls"], {})
    if unknown := sorted(set(falls) - set(labels)):
        raise RecipeError(f"{path.name}: falls: no instrument has the name {unknown[0]!r}")
    strong = _named(path, "files.words", table["files"]["words"], {name: group for name, group in instruments.items() if name != REST})
    weak = _named(path, "files.weak", table["files"]["weak"], strong)
    return Rules(sets, chains, falls, labels, {name: (group, name not in strong) for name, group in weak.items()}, programs)


def _named(path: Path, section: str, table: Mapping[str, list[str]], known: Mapping[str, str]) -> dict[str, str]:
    """Return folded name to group, with those already `known`."""
    names = dict(known)
    for group, rows in table.items():
        if group not in GROUPS:
            raise RecipeError(f"{path.name}: {section}: {group!r} is no group; use {', '.join(GROUPS)}")
        for name in rows:
            if not fold(str(name)) or fold(str(name)) in names:
                raise RecipeError(f"{path.name}: {section}: {name!r} stands twice, or has no letters")
            names[fold(str(name))] = group
    return names


def _look_up(table: Mapping[str, Any], name: str) -> Any:
    found = table.get(name)
    return table.get(name[:-1]) if found is None and name.endswith("s") and len(name) > 2 else found


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
