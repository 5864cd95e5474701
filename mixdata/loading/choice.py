"""What of a dataset is read: roles, stems, and the names of those that there are."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixdata.errors import UsageError


def choose_stems(
    stored: Mapping[str, tuple[str, ...]],
    roles: Sequence[str] | None,
    stems: Sequence[str] | Mapping[str, Sequence[str]] | None,
    variable: Sequence[str] = (),
) -> dict[str, tuple[str, ...]]:
    """Return the stems to read by role, in the order asked. Raises `UsageError` for a name that the dataset does not hold.

    Roles that are `variable` come with all of their tracks: `stems` speaks of the others.
    """
    roles = list(stored) if roles is None else [roles] if isinstance(roles, str) else list(roles)
    if not roles:
        raise UsageError(f"no role chosen: use some of {', '.join(stored)}")
    for role in [*roles, *(stems if isinstance(stems, Mapping) else ())]:
        known("role", role, stored)
    if varying := [role for role in roles if role in variable]:
        fixed = [role for role in roles if role not in variable]
        if isinstance(stems, Mapping) and (named := [role for role in varying if role in stems]):
            raise UsageError(f"stems: {named[0]} holds each song's own tracks, not stems to choose by name; tracks= takes the first ones")
        chosen = choose_stems(stored, fixed, stems) if fixed else {}
        return {role: chosen.get(role, stored[role]) for role in roles}
    if isinstance(stems, Mapping):
        chosen = {role: tuple(stems.get(role, stored[role])) for role in roles}
        for role, names in chosen.items():
            for name in names:
                known(f"stem of role {role}", name, stored[role])
    elif stems is not None:
        wanted = [stems] if isinstance(stems, str) else list(stems)
        for name in wanted:
            known("stem", name, dict.fromkeys(stem for role in roles for stem in stored[role]))
        chosen = {role: tuple(name for name in wanted if name in stored[role]) for role in roles}
    else:
        chosen = {role: stored[role] for role in roles}
    for role, names in chosen.items():
        if not names:
            raise UsageError(f"no stem chosen of role {role}: use some of {', '.join(stored[role])}, or leave the role out (roles=…)")
    return chosen


def known(what: str, name: str, choices: Any) -> None:
    """Raise `UsageError` for a name that is not among the choices."""
    if name not in choices:
        raise UsageError(f"unknown {what} {name!r}: use one of {', '.join(choices)}")


def filled(splits: Mapping[str, Any]) -> str:
    """Name the splits that hold examples."""
    return ", ".join(name for name, split in splits.items() if split["examples"]) or "none"
