"""How a corpus is named: `NAME`, `NAME:key=value,…`, `NAME:ROOT` or `NAME:ROOT,key=value,…`."""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixdata.errors import UsageError
from mixdata.text import nearest, readable, shown


def parameters(generator: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the options of a generator of songs: its keyword parameters."""
    found = inspect.signature(generator, eval_str=True).parameters
    return {key: parameter for key, parameter in found.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY}


def split_root(text: str, known: Mapping[str, Any]) -> tuple[str, str]:
    """Return the root, and the options behind it. A path may hold commas: only `,key=` with a known key begins an option.

    >>> split_root("/data/a,b,edition=baby,c", {"edition": None})
    ('/data/a,b', 'edition=baby,c')
    """
    starts = [place for key in known if (place := text.find(f",{key}=")) >= 0]
    return (text[: min(starts)], text[min(starts) + 1 :]) if starts else (text, "")


def users_path(text: str) -> Path:
    """Return the path that a user wrote. Raises `UsageError` for one that no file system can have, and for the home of nobody."""
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"{shown(readable(text))[:300]}: cannot be looked for: {getattr(error, 'strerror', None) or error}") from None
    return path


def parse_options(name: str, known: Mapping[str, inspect.Parameter], text: str) -> dict[str, Any]:
    """Return the options in `key=value,key=value`, of the types that the generator names. Raises `UsageError` for what cannot be."""
    options: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if key not in known:
            raise UsageError(f"corpus {name!r} has no option {key!r}{instead(key, sorted(known)) if known else ': it has none'}")
        if not equals or key in options:
            raise UsageError(f"corpus {name!r}: option {key!r} {'is given twice' if key in options else 'needs a value: ' + key + '=…'}")
        options[key] = _convert(name, key, value, known[key].annotation)
    return options


def instead(word: str, choices: list[str]) -> str:
    """Return ` (did you mean …?)` where one of the choices is like the word, and the list of them."""
    close = nearest(word, choices)
    return (f" (did you mean {close!r}?)" if close else "") + f": use one of {', '.join(choices)}"


def _convert(name: str, key: str, value: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[value]
        return kind(value)
    except (ValueError, KeyError):
        wanted = {int: "a whole number", float: "a number", bool: "true or false"}.get(kind, str(kind))
        raise UsageError(f"corpus {name!r}: option {key} must be {wanted}, got {value!r}") from None
