"""A table of one's own: CSV, JSON Lines or Parquet with a row per song and columns that hold paths."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from mixdata import audio
from mixdata.corpora.base import corpus
from mixdata.errors import UsageError
from mixdata.song import Song, Track
from mixdata.text import cleaned, readable

READERS = {
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig"),
    ".tsv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep="\t"),
    ".jsonl": lambda path: pd.read_json(path, lines=True, dtype=False),
    ".parquet": pd.read_parquet,
}
GROUPS = ("artist", "album", "group")
SAID = ("title", "split", "licence", "wet", "mixture", "published", *GROUPS)
SPLITS = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "test": "test"}


@corpus("table")
def songs(root: Path, *, input: str = "input", target: str = "target") -> Iterator[Song]:
    """The songs of the table, in its order. `input` and `target` name the columns of pairs."""
    if root.suffix.lower() not in READERS or not root.is_file():
        raise UsageError(f"{root}: give a table as a file that ends in {', '.join(READERS)}")
    try:
        rows: list[dict[str, Any]] = READERS[root.suffix.lower()](root).to_dict("records")
    except (OSError, ValueError) as error:
        raise UsageError(f"{root}: cannot be read as a table: {' '.join(str(error).split())[:300]}") from None
    renamed = {input: "input.mixture", target: "target.mixture"}
    for number, row in enumerate(rows, start=1):
        told = {renamed.get(str(name), str(name)): value for name, value in row.items() if not _empty(value)}
        song = _song(root, told, f"{root}: row {number}")
        if not song.tracks():
            raise UsageError(f"{root}: row {number} names no audio: a column mixture, or one per stem, holds paths (.wav, .flac, …)")
        yield song


def _song(table: Path, told: dict[str, Any], where: str) -> Song:
    tracks: dict[str, Track] = {}
    facts: dict[str, Any] = {}
    for name, value in told.items():
        if name in ("mixture", "published") or (name not in SAID and _is_audio(value)):
            tracks[name] = Track(table.parent / str(value))
        elif name not in SAID:
            facts[name] = value if isinstance(value, str | int | float | bool) else str(value)
    named = {
        kind: {name.partition(".")[2]: t for name, t in tracks.items() if name.startswith(f"{kind}.")}
        for kind in ("raw", "input", "target")
    }
    split = str(told.get("split", "")).lower()
    if split and split not in SPLITS:
        raise UsageError(f"{where}: split {told['split']!r} is none of {', '.join(SPLITS)}")
    main = next(iter(tracks.values()), None)
    return Song(
        cleaned(str(told.get("title") or (main.path.stem if main else where))),
        mixture=tracks.get("mixture"),
        published=tracks.get("published"),
        stems={name: track for name, track in tracks.items() if "." not in name and name not in SAID},
        raw=named["raw"],
        pair={role: named[role] for role in ("input", "target") if named[role]},
        split=SPLITS.get(split),
        groups={kind: cleaned(str(told[kind])) for kind in GROUPS if kind in told},
        licence=str(told.get("licence", "unknown")),
        wet=str(told.get("wet", "unknown")),
        free_lengths=bool(named["raw"]),
        facts=facts,
    )


def _is_audio(value: Any) -> bool:
    return isinstance(value, str) and Path(value).suffix.lower() in audio.EXTENSIONS and "\n" not in readable(value)


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
