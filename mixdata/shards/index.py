"""The tables, made from the tars alone: what `examples.parquet` holds, and how a lost or doubtful table is made again.

A tar may come from anywhere: whatever it holds, it is read as a shard of ours or refused with a `MixdataError`.
"""

import hashlib
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import google_crc32c
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixdata.errors import MixdataError
from mixdata.shards.format import CODECS, EXAMPLE_FIELDS, MEMBER_SCHEMA, NAME
from mixdata.shards.labels import StemFacts, column_type, label_columns

BLOCK = tarfile.BLOCKSIZE
FILES = (
    "recipe.yaml",
    "plan.parquet",
    "songs.parquet",
    "examples.parquet",
    "README.md",
    "croissant.json",
)  # dataset.json holds their hashes
CHUNK = 2**20  # bytes hashed at a time
TRACK = re.compile(r"_t[0-9]{3}$")

Count = Annotated[int, Field(ge=0, lt=2**48)]  # of frames: no sum of them overflows
Measure = Annotated[float, Field(ge=-3e38, le=3e38)] | None  # fits float32


class Facts(BaseModel):
    """Facts read from a file: of exactly these types, finite; what else stands beside them is free."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class SongFacts(Facts):
    """What the tables take of an example's song."""

    id: str
    corpus: str
    licence: str


class Record(Facts):
    """What the tables take from an example's record."""

    key: str
    song: SongFacts
    split: str
    block: Annotated[int, Field(ge=0, lt=2**31)]
    start: Count
    frames: Count
    sample_rate: Annotated[int, Field(ge=1, lt=2**31)]
    channels: Annotated[int, Field(ge=1, lt=2**15)]
    codec: Annotated[str, Field(pattern=f"^({'|'.join(CODECS)})$")]
    scale: Annotated[float, Field(gt=0, le=1)]
    active: dict[str, dict[str, bool]]
    activity: dict[str, Measure]
    loudness: dict[str, dict[str, Measure]]
    effects: dict[Annotated[str, Field(pattern=f"^{NAME.pattern}$")], StemFacts] | None = None
    tracks: Any = None  # where roles vary: what each track is, by its name


def read_record(data: bytes, where: str) -> Record:
    """Read an example's record. Raises `MixdataError` that says what is wrong in it."""
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise MixdataError(f"{where}: the record is not one of mixdata's: {'; '.join(complaints(error)[:3])}") from None


def complaints(error: ValidationError) -> list[str]:
    """Return what a schema has to say about data, each with its place: `song.id: field required`."""
    said = [(".".join(map(str, item["loc"])), item["msg"]) for item in error.errors(include_url=False, include_input=False)]
    return [f"{place + ': ' if place else ''}{message[0].lower()}{message[1:]}" for place, message in said]


def checksum(meta: dict[str, Any]) -> str:
    """Return the SHA-256 of dataset.json's content without its `checksum`: of its JSON with sorted keys, ASCII, without spaces."""
    content = {name: value for name, value in meta.items() if name != "checksum"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def index_tar(path: Path) -> tuple[pa.Table, str]:
    """Read a whole tar and return its member table and SHA-256. Raises `MixdataError` where it is not a shard of ours."""
    rows: list[dict[str, Any]] = []
    pending: list[dict[str, Any]] = []
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while len(header := file.read(BLOCK)) == BLOCK and header.strip(b"\0"):
            digest.update(header)
            name, data, padding = _member(file, header, path)
            digest.update(data)
            digest.update(padding)
            key, _, suffix = name.partition(".")
            crc = int.from_bytes(google_crc32c.Checksum(data).digest(), "big")
            offset = file.tell() - len(padding) - len(data)
            pending.append({"key": key, "suffix": suffix, "byte_offset": offset, "byte_size": len(data), "crc32c": crc})
            if suffix == "json":
                rows += _rows(pending, read_record(data, f"{path}: {name}"), path)
                pending = []
        digest.update(header)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if len(header) < BLOCK:
        raise MixdataError(f"{path}: the archive has no end; it was cut off")
    if pending:
        raise MixdataError(f"{path}: {pending[0]['key']} has no record; the archive was cut off between two members")
    return pa.Table.from_pylist(rows, schema=MEMBER_SCHEMA), digest.hexdigest()


def _member(file: BinaryIO, header: bytes, path: Path) -> tuple[str, bytes, bytes]:
    """Return the name, the bytes and the padding of the member with this header."""
    offset = file.tell()
    try:
        info = tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.TarError, ValueError) as error:  # ValueError: a name that is not UTF-8
        raise MixdataError(f"{path}: bytes {offset - BLOCK}…: no tar header: {error}") from None
    if info.type != tarfile.REGTYPE:
        raise MixdataError(f"{path}: {info.name!r} is not a plain file; shards hold nothing else")
    if not 0 <= info.size <= os.fstat(file.fileno()).st_size - offset:  # before any memory is taken for it
        raise MixdataError(f"{path}: cut off inside {info.name!r} (bytes {offset} to {offset + info.size})")
    return info.name, file.read(info.size), file.read(-info.size % BLOCK)


def _rows(members: list[dict[str, Any]], record: Record, path: Path) -> Iterator[dict[str, Any]]:
    """Complete the members' rows of one example with what its record says of them."""
    if {member["key"] for member in members} != {record.key}:
        raise MixdataError(f"{path}: the record of {record.key!r} stands behind members of another example")
    shared = {"frames": record.frames, "scale": record.scale}
    for member in members:
        suffix = member.pop("suffix")
        if suffix == "json":
            yield {**member, **shared, "role": "record", "stem": "", "codec": "json", "channels": 0, "active": True}
            continue
        role, _, stem = suffix.removesuffix(CODECS[record.codec]).partition(".")
        if not (NAME.fullmatch(role) and NAME.fullmatch(stem)):
            raise MixdataError(f"{path}: {record.key}.{suffix} is not named <key>.<role>.<stem>{CODECS[record.codec]}")
        active = record.active.get(role, {}).get(stem, True)
        yield {**member, **shared, "role": role, "stem": stem, "codec": record.codec, "channels": record.channels, "active": active}


def example_rows(folder: Path, shards: Iterable[str], variable: Sequence[str] = ()) -> Iterator[pa.Table]:
    """Return the rows of examples.parquet, a table for each of these shards, from their member tables and records.

    `variable` are the roles whose members vary.
    """
    for shard in shards:
        members = pq.read_table(folder / "shards" / f"{shard}.parquet", columns=["key", "role", "byte_offset", "byte_size"]).to_pylist()
        path = folder / "shards" / f"{shard}.tar"
        rows = []
        start = tracks = 0
        with open(path, "rb") as tar:
            for member in members:
                if member["role"] != "record":
                    tracks += member["role"] in variable[:1]
                    continue
                tar.seek(member["byte_offset"])
                record = read_record(tar.read(member["byte_size"]), f"{path}: {member['key']}")
                end = member["byte_offset"] + member["byte_size"] + -member["byte_size"] % BLOCK
                rows.append(example_row(record, shard, start, end - start, tracks if variable else None))
                start, tracks = end, 0
        yield shard_rows(rows)


def example_row(record: Record, shard: str, byte_offset: int, byte_size: int, tracks: int | None = None) -> dict[str, Any]:
    """Return the row of examples.parquet that belongs to a record; `tracks` are its members in each role that varies."""
    row = {name: getattr(record, name, None) for name, _ in EXAMPLE_FIELDS}
    row |= {"song": record.song.id, "corpus": record.song.corpus, "licence": record.song.licence}
    row |= {"shard": shard, "byte_offset": byte_offset, "byte_size": byte_size}
    row |= {} if tracks is None else {"tracks": tracks}
    row |= {f"activity_{stem}": share for stem, share in record.activity.items()}
    row |= {f"loudness_{role}_{stem}": lufs for role, stems in record.loudness.items() for stem, lufs in stems.items()}
    return row if record.effects is None else row | label_columns(record.effects)


def shard_rows(rows: list[dict[str, Any]]) -> pa.Table:
    """Return one shard's rows of examples.parquet as a table: the fixed columns, then measures in the order in which they first appear."""
    fixed = dict(EXAMPLE_FIELDS)
    measures = dict.fromkeys(name for row in rows for name in row if name not in fixed)
    return pa.Table.from_pylist(rows, schema=pa.schema([*EXAMPLE_FIELDS, *((name, column_type(name)) for name in measures)]))


def example_table(shards: Iterable[pa.Table]) -> pa.Table:
    """Return examples.parquet from its shards' rows.

    Rows are joined as tables, and some hundred shards at a time: as objects, or as thousands of small tables, they take many times the
    memory.
    """
    remaining = iter(shards)
    joined = [_join(group) for group in iter(lambda: list(islice(remaining, 256)), [])]
    return _join(joined)


def in_families(table: pa.Table) -> pa.Table:
    """Return a table of examples with tracks, `activity_t000`, `activity_t001`, … side by side.

    Songs with more tracks than those before them bring theirs behind everything else.
    """
    fixed = [name for name, _ in EXAMPLE_FIELDS]
    families: dict[str, list[str]] = {}
    for name in table.column_names:
        families.setdefault(name if name in fixed else TRACK.sub("", name), []).append(name)
    return table.select([name for names in families.values() for name in sorted(names)])


def _join(tables: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(tables, promote_options="default").combine_chunks()
