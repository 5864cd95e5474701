"""YAML 1.2 core, strictly: what a recipe or `--set` says is what it looks like.

PyYAML parses; the values are made here, because YAML 1.1 reads `no` as False and `12:30` as 750, keeps the last of two
equal keys, and lets ten lines of aliases grow without end. Every value's line is kept for error messages.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from mixdata.errors import RecipeError, UsageError

LONGEST = 100_000  # characters; a recipe is a page of text
DEEPEST = 40
DIGITS = 40  # of a whole number; none in a recipe comes near

_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_BASE = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NON_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

Path = tuple[str | int, ...]


@dataclass
class Document:
    """A loaded document and the line (from 1) of every value by its path."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)


def load(text: str, source: str) -> Document:
    """Load one YAML document. `source` names it in errors. Raises `RecipeError` with source and line."""
    if len(text) > LONGEST:
        raise RecipeError(f"{source}: longer than {LONGEST} characters; this is no recipe")
    document = Document(None)
    events = _events(text, source)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if document.lines:
                raise RecipeError(f"{source}:{event.start_mark.line + 1}: a second document; one file is one recipe")
            document.value = _build(next(events), events, (), document.lines, source)
    return document


def load_value(text: str, source: str) -> Any:
    """Load the right-hand side of `--set path=value`."""
    return load(text, source).value


def parse_setting(setting: str) -> tuple[str, Any]:
    """Split `path=value`, as given to `--set`, and read the value as YAML. Raises `UsageError`."""
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise UsageError(f"--set {setting!r}: write it as path=value, for example --set separate.model=htdemucs_ft")
    return path, load_value(text, f"--set {path}")


def dump(value: Any) -> str:
    """Write plain data so that `load` reads the same back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _events(text: str, source: str) -> Iterator[Any]:
    """Yield PyYAML's events as they are needed, so that whoever finds the text too deep stops the scan too."""
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.ScalarEvent) and _SURROGATE.search(event.value):
                line = event.start_mark.line + 1
                raise RecipeError(f"{source}:{line}: half a character (a lone surrogate); write the character itself")
            yield event
    except yaml.YAMLError as error:
        raise RecipeError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    except (ValueError, OverflowError):  # PyYAML asks chr() for whatever "\U…" says
        raise RecipeError(f"{source}: not YAML: an escape that stands for no character") from None


def _build(event: Any, events: Any, path: Path, lines: dict[Path, int], source: str) -> Any:
    line = event.start_mark.line + 1
    lines[path] = line
    if len(path) > DEEPEST:
        raise RecipeError(f"{source}:{line}: nested deeper than {DEEPEST} levels")
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise RecipeError(f"{source}:{line}: anchors and aliases are not used in recipes; write the value out")
    if event.tag is not None and event.tag != "!":
        raise RecipeError(f"{source}:{line}: tag {event.tag!r} is not used in recipes")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event.value, source, line) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(_build(event, events, (*path, len(items)), lines, source))
        return items
    mapping: dict[str, Any] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise RecipeError(f"{source}:{event.start_mark.line + 1}: a key must be a plain word")
        key = event.value
        if key in mapping:
            raise RecipeError(f"{source}:{event.start_mark.line + 1}: key {key!r} stands twice")
        mapping[key] = _build(next(events), events, (*path, key), lines, source)
        lines[(*path, key)] = event.start_mark.line + 1
    return mapping


def _scalar(text: str, source: str, line: int) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text) or _OTHER_BASE.fullmatch(text):
        if len(text) > DIGITS:
            raise RecipeError(f"{source}:{line}: {text[:12]}… is a number of more than {DIGITS} digits")
        return int(text, 0) if _OTHER_BASE.fullmatch(text) else int(text)
    if _NON_FINITE.fullmatch(text) or (_FLOAT.fullmatch(text) and not math.isfinite(float(text))):
        raise RecipeError(f"{source}:{line}: {text} is not a finite number")
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes strings that YAML 1.2 would read as numbers; never writes aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(f"^({_FLOAT.pattern})$"), list("-+.0123456789"))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(f"^({_OTHER_BASE.pattern})$"), ["0"])
