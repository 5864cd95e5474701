"""The manifest of a corpus: Parquet, one row per track (one per part where a stem is the sum of several), songs in their order.

What a song is stands in the first columns of each of its rows, what a file holds in the last (`LOOKED`). Paths are from the corpus's
root on. The metadata of the schema name the corpus, its root and its options. Nothing in it need be believed: a file that changed in
size or time is refused when it is used.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixdata import audio
from mixdata.corpora import Corpus, corpus_facts
from mixdata.corpora.base import RefusedTrack
from mixdata.errors import SongError, UsageError
from mixdata.files import publish
from mixdata.song import Song, Track, summed
from mixdata.text import readable

VERSION = 1
LOOKED = [
    ("bytes", pa.int64()),
    ("mtime_ns", pa.int64()),
    ("sample_rate", pa.int32()),
    ("channels", pa.int32()),
    ("frames", pa.int64()),
    ("codec", pa.string()),
    ("sha256", pa.string()),
    ("peak_db", pa.float64()),
    ("rms_db", pa.float64()),
    ("t60_seconds", pa.float64()),
    ("reason", pa.string()),
    ("message", pa.string()),
]
SCHEMA = pa.schema(
    [
        ("song", pa.int32()),
        *((name, pa.string()) for name in ("title", "split", "licence", "wet", "groups", "facts", "unfit")),
        ("errata", pa.list_(pa.string())),
        ("free_lengths", pa.bool_()),
        *((name, pa.string()) for name in ("place", "name")),  # place: mixture, published, stem, raw, pair; name: of the stem, or role.stem
        ("part", pa.int32()),  # number in a sum, null where the track is a file's
        ("whole", pa.string()),  # instrument and facts of the sum
        ("file", pa.string()),
        ("stream", pa.int32()),
        ("instrument", pa.string()),
        ("track_facts", pa.string()),
        *LOOKED,
    ]
)


@dataclass(frozen=True)
class IndexedTrack(Track):
    """A track whose file was looked at before: its hash and header are known while size and time of the file are the same."""

    known: audio.AudioInfo = field(kw_only=True)
    digest: str = field(kw_only=True)
    size_bytes: int = field(kw_only=True)
    mtime_ns: int = field(kw_only=True)

    def info(self) -> audio.AudioInfo:
        """Return what the manifest says. Raises `SongError` (`missing`, `changed`) where the file is not what was looked at."""
        self._check()
        return self.known

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Read the file itself."""
        self._check()
        return super().read(start, frames)

    @property
    def sha256(self) -> str:
        """The hash that the manifest holds."""
        self._check()
        return self.digest

    def _check(self) -> None:
        try:
            status = os.stat(self.path)
        except OSError:
            raise SongError("missing", f"{readable(self.path)}: there is no such file") from None
        if (status.st_size, status.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
            raise SongError("changed", f"{readable(self.path)}: changed since it was indexed; run `mixdata index` again")


@dataclass(frozen=True)
class Manifest:
    """A manifest in memory: its table, the corpus it is of, and the root and options that the corpus was listed with."""

    path: Path
    table: pa.Table
    corpus: str
    root: Path
    options: dict[str, Any]


def song_rows(number: int, song: Song, root: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a song, without what only its files tell. Raises `UsageError` for songs that are made up."""
    about = {
        "song": number,
        **{name: getattr(song, name) for name in ("title", "split", "licence", "wet", "unfit", "free_lengths")},
        "groups": _json(song.groups),
        "facts": _json(song.facts),
        "errata": list(song.errata),
    }
    for place, name, track in _places(song):
        parts = getattr(track, "parts", None)
        for part, single in enumerate(parts or (track,)):
            if type(single) not in (Track, RefusedTrack, IndexedTrack):
                raise UsageError(f"the songs of {song.corpus!r} are not files, so they need no manifest: use the corpus as it is")
            row = about | {"place": place, "name": name, "part": part if parts else None, "stream": single.stream}
            row |= {"file": os.path.relpath(single.path, root), "instrument": single.instrument, "track_facts": _json(single.facts)}
            row["whole"] = _json({"instrument": track.instrument, "facts": dict(track.facts)}) if parts else None
            if isinstance(single, RefusedTrack):
                row |= {"reason": single.reason, "message": single.message}
            yield row


def write_manifest(path: Path, rows: list[dict[str, Any]], corpus: Corpus) -> None:
    """Publish the table. Raises `UsageError` for a name that no table can hold."""
    about = {"mixdata.manifest": str(VERSION), "mixdata.corpus": corpus.facts.name, "mixdata.options": _json(corpus.options)}
    about["mixdata.root"] = str(folder_of(corpus).resolve())
    table = pa.Table.from_pylist([{key: _text(value) for key, value in row.items()} for row in rows], schema=SCHEMA.with_metadata(about))
    with publish(path) as file:
        pq.write_table(table, file, compression="zstd")


def folder_of(corpus: Corpus) -> Path:
    """Return the folder that the paths of a manifest start from: the corpus's root, or where its table lies."""
    root = corpus.root or Path()
    return root if root.is_dir() else root.parent


def read_manifest(path: str | Path, root: str | Path | None = None) -> Manifest:
    """Read a manifest. `root` is where the corpus lies now, if it was moved. Raises `UsageError` for a file that is none."""
    path = Path(path)
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(f"{path}: cannot be read as a manifest ({error}); `mixdata index NAME:ROOT --out FILE` makes one") from None
    about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    if about.get("mixdata.manifest") != str(VERSION) or not table.schema.equals(SCHEMA):
        raise UsageError(f"{path}: is not a manifest of this version of mixdata; `mixdata index NAME:ROOT --out FILE` makes one")
    try:
        kept, name, options = about["mixdata.root"], about["mixdata.corpus"], dict(json.loads(about["mixdata.options"]))
    except (KeyError, ValueError, TypeError):
        raise _damaged(path) from None
    place = Path(root if root is not None else kept)
    if not place.is_dir():
        raise UsageError(f"{path}: the corpus is not at {place}, where it was indexed; say where it is with --root")
    return Manifest(path, table, name, place, options)


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path}: is a manifest, but a damaged one; `mixdata index NAME:ROOT --out FILE --fresh` makes it anew")


def load_manifest(path: str | Path, root: str | Path | None = None) -> Corpus:
    """Return the corpus that a manifest was made of, its songs as they were then; no file is read until it is used."""
    manifest = read_manifest(path, root)
    rows = manifest.table.to_pylist()
    try:
        songs = [_song(list(group), manifest) for _, group in groupby(rows, key=lambda row: row["song"])]
    except (KeyError, ValueError, TypeError, AttributeError):
        raise _damaged(manifest.path) from None
    return Corpus(corpus_facts(manifest.corpus), f"{manifest.corpus}:{manifest.root}", manifest.root, manifest.options, songs)


def _song(rows: list[dict[str, Any]], manifest: Manifest) -> Song:
    first = rows[0]
    placed: dict[str, dict[str, Track]] = {"mixture": {}, "published": {}, "stem": {}, "raw": {}, "pair": {}}
    for (place, name), group in groupby(rows, key=lambda row: (row["place"], row["name"])):
        parts = list(group)
        tracks = [_track(row, manifest.root) for row in parts]
        placed[place][name] = summed(tracks, **json.loads(parts[0]["whole"])) if parts[0]["whole"] else tracks[0]
    pair: dict[str, dict[str, Track]] = {}
    for name, track in placed["pair"].items():
        role, _, stem = name.partition(".")
        pair.setdefault(role, {})[stem] = track
    return Song(
        first["title"],
        manifest.corpus,
        mixture=placed["mixture"].get("mixture"),
        published=placed["published"].get("published"),
        stems=placed["stem"],
        raw=placed["raw"],
        pair=pair,
        groups=json.loads(first["groups"]),
        facts=json.loads(first["facts"]),
        errata=tuple(first["errata"]),
        **{name: first[name] for name in ("split", "licence", "wet", "unfit", "free_lengths")},
    )


def _track(row: dict[str, Any], root: Path) -> Track:
    path = Path(os.path.normpath(root / row["file"]))
    if row["reason"] == "missing":
        return Track(path, row["stream"], row["instrument"], json.loads(row["track_facts"]))  # it may be there by now
    if row["reason"] is not None:
        return RefusedTrack(path, row["stream"], reason=row["reason"], message=row["message"])
    if path.is_relative_to(root) and not audio.inside(root, path):  # tables of one's own may name files anywhere
        return RefusedTrack(path, row["stream"], reason="outside_root", message=f"{readable(path)}: leads out of the corpus ({root})")
    return IndexedTrack(
        path,
        row["stream"],
        row["instrument"],
        json.loads(row["track_facts"]),
        known=audio.AudioInfo(row["sample_rate"], row["channels"], row["frames"], row["codec"]),
        digest=row["sha256"],
        size_bytes=row["bytes"],
        mtime_ns=row["mtime_ns"],
    )


def _places(song: Song) -> Iterator[tuple[str, str, Track]]:
    """Yield place, name and track of every track of a song, in the order in which the corpus has them."""
    for place, track in (("mixture", song.mixture), ("published", song.published)):
        if track is not None:
            yield place, place, track
    for place, tracks in (("stem", song.stems), ("raw", song.raw)):
        for name, track in tracks.items():
            yield place, name, track
    for role, stems in song.pair.items():
        for stem, track in stems.items():
            yield "pair", f"{role}.{stem}", track


def _json(value: Any) -> str:
    return json.dumps(dict(value), ensure_ascii=False)


def _text(value: Any) -> Any:
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{readable(value)}: the name is not UTF-8, which no table can hold: rename it") from None
    return value
