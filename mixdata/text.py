"""Text for people: sizes, lengths of time, names that can be shown and stored, and the word that was meant."""

import difflib
import os
import re
from collections.abc import Iterable
from pathlib import Path

SURROGATES = re.compile("[\ud800-\udfff]")  # what Python puts where a file's name is not UTF-8


def size(count: float) -> str:
    """Return a number of bytes in decimal units: `12 bytes`, `2.5 MB`, `1.0 TB`."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.99995 * scale:  # from here on it is rounded up to 1.0
            return f"{count / scale:.1f} {unit}"
    return f"{count:.0f} bytes"


def duration(seconds: float) -> str:
    """Return a length of time: `6.0 s`, `12.5 min`, `3.25 h`."""
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.2f} h"


def readable(path: str | Path) -> str:
    """Return a path as text that can be printed and stored: bytes that are not UTF-8 become �."""
    return SURROGATES.sub("�", os.fspath(path))


def shown(text: str, mark: str = "�") -> str:
    """Return the text with a mark for each control character: line breaks and terminal escapes are seen, not obeyed."""
    return "".join(char if char.isprintable() else mark for char in text)


def cleaned(name: str) -> str:
    """Return a name, of a file or from a tag, as one line: readable, control characters as spaces, single spaces.

    >>> cleaned(" tab\\there ")
    'tab here'
    """
    return " ".join(shown(readable(name), " ").split())


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """Return the choice that was probably meant by `word`, if any is like it."""
    return next(iter(difflib.get_close_matches(word, list(choices), n=1, cutoff=0.5)), None)
