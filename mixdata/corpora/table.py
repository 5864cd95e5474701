"""A table of one's own: CSV, JSON Lines or Parquet with a row per song and columns that hold paths."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixdata import audio
from mixdata.corpora._files import UNREAD
from mixdata.corpora._table import ROLES, SPLITS, check_said, read_rows
from mixdata.corpora.base import corpus
from mixdata.errors import UsageError
from mixdata.song import Song, Track
from mixdata.text import cleaned

AUDIO = audio.EXTENSIONS | UNREAD  # what cannot be read is refused when it is probed, not passed over
GROUPS = ("artist", "album", "group")
SAID = ("title", "split", "licence", "wet", "mixture", "published", *GROUPS)


@corpus("table")
def songs(root: Path, *, input: str = "input", target: str = "target") -> Iterator[Song]:
    """The songs of the table, in its order. `input` and `target` name the columns of pairs."""
    renamed = {input: "input.mixture", target: "target.mixture"}
    for number, row in enumerate(read_rows(root), start=1):
        song = _song(root, {renamed.get(name, name): value for name, value in row.items()}, f"{root}: row {number}")
        if not song.tracks():
            raise UsageError(f"{root}: row {number} names no audio: a column mixture, or one per stem, holds paths (.wav, .flac, …)")
        yield song


def _song(table: Path, told: dict[str, Any], where: str) -> Song:
    tracks: dict[str, Track] = {}
    facts: dict[str, Any] = {}
    for name, value in told.items():
        if name in ("mixture", "published") or (name not in SAID and Path(str(value)).suffix.lower() in AUDIO):
            tracks[name] = Track(table.parent / str(value))
        elif name not in SAID:
            facts[name] = value
    named = {kind: {name.partition(".")[2]: t for name, t in tracks.items() if name.startswith(f"{kind}.")} for kind in ROLES}
    split, wet = str(told.get("split", "")).lower(), str(told.get("wet", "unknown")).lower()
    check_said(split, wet, list(tracks), where)
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
        wet=wet,
        free_lengths=bool(named["raw"]),
        facts=facts,
    )
