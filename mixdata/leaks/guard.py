"""What a build refuses: the same song, artist or recording in two splits, where it has songs of several corpora."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixdata.errors import UsageError
from mixdata.leaks.find import Entry, Leak, find_leaks, separated_leaks
from mixdata.leaks.names import folded
from mixdata.text import nearest

SHOWN = 10


@dataclass(frozen=True)
class Verdict:
    """What was let through: leaks that were allowed by name, and what should be known of the set (a corpus's own splits, separators)."""

    allowed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def refuse_leaks(
    entries: Sequence[Entry],
    allow: Iterable[str] = (),
    separators: Iterable[str] = (),
    audio: bool = True,
    cache: Path | None = None,
    quiet: bool = False,
) -> Verdict:
    """Raise `UsageError` for leaks between splits that are not allowed by name; "all" allows all.

    What one corpus shares between its own official splits is no refusal but a warning. With a single corpus nothing is listened to.
    """
    places = list(dict.fromkeys(entry.place for entry in entries))
    found = find_leaks([[entry for entry in entries if entry.place == place] for place in places], audio and len(places) > 1, cache, quiet)
    separated = [leak for separator in separators for leak in separated_leaks(entries, separator)]
    crossing = [leak for leak in found.leaks if leak.crosses]
    grave = [leak for leak in crossing if not leak.within] + [leak for leak in separated if leak.split_b == "test"]
    light = [leak for leak in crossing if leak.within] + [leak for leak in separated if leak.split_b != "test"]
    names = {canonical(name): name for name in allow}
    refused = [leak for leak in grave if "all" not in names and canonical(leak.name) not in names]
    idle = _idle(names, [*grave, *light])
    if refused:
        raise UsageError("\n".join([_refusal(refused), *idle]))
    light += [leak for leak in found.leaks if leak.kind == "loop" and leak.split_a != leak.split_b and not leak.within]
    warnings = [f"{leak.evidence} [{leak.name}]" if leak.kind == "trained_on" else sentence(leak) for leak in light]
    warnings += [f"could not be listened to: {name}" for name in found.unread] + idle
    for text in [] if quiet else warnings[:SHOWN]:
        print(f"warning: {text}", file=sys.stderr)
    if len(warnings) > SHOWN and not quiet:
        print(f"warning: … and {len(warnings) - SHOWN} more, all in dataset.json (leak_warnings)", file=sys.stderr)
    return Verdict(tuple(dict.fromkeys(leak.name for leak in grave)), tuple(warnings))


def canonical(name: str) -> str:
    """Return a leak's name such that all spellings of an artist are equal, and two songs in either order."""
    kind, _, rest = name.strip().partition(":")
    if kind in ("song", "recording"):
        return f"{kind}:{'~'.join(sorted(part.strip().lower() for part in rest.split('~')))}"
    return f"artist:{folded(rest)}" if kind == "artist" else name.strip()


def _idle(names: dict[str, str], leaks: Sequence[Leak]) -> list[str]:
    """Say which of the allowed names is no leak's, and which it may have meant."""
    known = {canonical(leak.name): leak.name for leak in leaks}
    said = []
    for key, name in names.items():
        if key != "all" and key not in known:
            near = nearest(key, known)
            said.append(f"allowed, but no leak of this set: {name}" + (f" (did you mean {known[near]}?)" if near else ""))
    return said


def sentence(leak: Leak) -> str:
    """Return a leak in words."""
    if leak.kind == "trained_on":
        return f"{leak.evidence}; for instance {leak.song_b}"
    what = {"same_song": "the same song", "artist": "the same artist", "recording": "the same recording", "loop": "perhaps the same loop"}[
        leak.kind
    ]
    return f"{what} in {leak.split_a} ({leak.song_a}) and {leak.split_b} ({leak.song_b}): {leak.evidence}"


def _refusal(leaks: Sequence[Leak]) -> str:
    lines = [f"  {leak.name}\n    {sentence(leak)}" for leak in leaks[:SHOWN]]
    more = [f"  … and {len(leaks) - SHOWN} more; mixdata leaks lists them all"] if len(leaks) > SHOWN else []
    return "\n".join(
        [
            f"the splits of this set would share what must not be shared ({len(leaks)} leaks between splits):",
            *lines,
            *more,
            "leave one of the corpora out, or allow a leak by its name: --allow-leak NAME, or allow_leaks: [NAME, …] in the recipe "
            "(all allows all; the dataset's card then says so)",
        ]
    )
