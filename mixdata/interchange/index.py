"""The tables, card and dataset.json of a dataset whose tars are somebody's."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mixdata.builder.finish import song_table
from mixdata.files import publish_bytes, write_synced
from mixdata.interchange.samples import Layout, Named
from mixdata.report.card import croissant
from mixdata.shards.format import EXAMPLE_FIELDS, FORMAT_VERSION, MEMBER_SCHEMA
from mixdata.shards.index import FILES, checksum
from mixdata.shards.writer import publish_table
from mixdata.text import cleaned, readable

EXAMPLE_SCHEMA = pa.schema([*EXAMPLE_FIELDS, ("source_key", pa.string())])
PLAN_SCHEMA = pa.schema(
    [*((name, pa.string()) for name in ("shard", "shard_id", "split", "song", "corpus", "sha256")), ("frames", pa.int64())]
)
ABSENT = {"byte_size": 0, "crc32c": 0}  # of a member that is not there; it stands at the sample's first byte


@dataclass
class Shard:
    """One tar: where it is, its name in the dataset, and what was found in it."""

    tar: Path
    name: str
    split: str
    samples: list[Named]
    sha256: str
    bytes: int
    ignored: Counter[str] = field(default_factory=Counter)


def member_table(layout: Layout, samples: Sequence[Named]) -> pa.Table:
    """Return a tar's member table: the members of each sample in the dataset's order, missing ones as not active, then the record."""
    return pa.Table.from_pylist([row for sample in samples for row in _member_rows(layout, sample)], schema=MEMBER_SCHEMA)


def example_table(layout: Layout, shard: Shard, licence: str) -> pa.Table:
    """Return a tar's rows of examples.parquet."""
    rows = [
        {
            "key": _key(sample),
            "song": sample.song,
            "corpus": "imported",
            "split": shard.split,
            "shard": shard.name,
            "block": 0,
            "start": 0,
            "frames": sample.frames,
            "sample_rate": layout.sample_rate,
            "byte_offset": sample.start,
            "byte_size": sample.end - sample.start,
            "scale": 1.0,
            "licence": sample.licence or licence,
            "source_key": sample.key,
        }
        for sample in shard.samples
    ]
    return pa.Table.from_pylist(rows, schema=EXAMPLE_SCHEMA)


def write_tables(folder: Path, shards: list[Shard], layout: Layout, name: str, role: str, licence: str) -> None:
    """Write all but the tars into the dataset's folder, dataset.json last."""
    for shard in shards:
        facts = {"mixdata.shard_id": shard.sha256, "mixdata.tar_sha256": shard.sha256, "mixdata.tar_bytes": str(shard.bytes)}
        publish_table(folder / "shards" / f"{shard.name}.parquet", member_table(layout, shard.samples).replace_schema_metadata(facts))
    examples = pa.concat_tables([example_table(layout, shard, licence) for shard in shards]).combine_chunks()
    publish_table(folder / "examples.parquet", examples)
    publish_table(folder / "songs.parquet", song_table([row for shard in shards for row in _song_rows(layout, shard, licence)]))
    publish_table(folder / "plan.parquet", pa.Table.from_pylist([row for shard in shards for row in _plan_rows(shard)], schema=PLAN_SCHEMA))
    write_synced(folder / "recipe.yaml", b"name: imported\nsteps: []\n")
    meta = _meta(folder, shards, layout, name, role, licence)
    meta["licence"] = sorted(set(examples["licence"].to_pylist()))
    meta["imported"] = {
        "role": role,
        "licence": licence,
        "tars": {shard.name: readable(shard.tar.name) for shard in shards},
        "ignored": _counted(suffix for shard in shards for suffix in shard.ignored.elements()),
        "missing": _counted(".".join(place) for shard in shards for sample in shard.samples for place in _missing(layout, sample)),
    }
    write_synced(folder / "README.md", _card(meta).encode())
    write_synced(folder / "croissant.json", (json.dumps(croissant(meta, examples), indent=1) + "\n").encode())
    meta["files"] = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in FILES}
    meta["checksum"] = checksum(meta)
    publish_bytes(folder / "dataset.json", (json.dumps(meta, indent=1, ensure_ascii=False) + "\n").encode())


def _key(sample: Named) -> str:
    return f"{sample.song}_00000"


def _counted(names: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _missing(layout: Layout, sample: Named) -> list[tuple[str, str]]:
    return [place for place in layout.members if place not in sample.audio]


def _member_rows(layout: Layout, sample: Named) -> Iterator[dict[str, Any]]:
    shared = {"key": _key(sample), "frames": sample.frames, "scale": 1.0, "byte_offset": sample.start, **ABSENT}
    for role, stem in layout.members:
        member = sample.audio.get((role, stem))
        row = {**shared, "role": role, "stem": stem, "codec": layout.codec, "channels": layout.channels, "active": member is not None}
        yield row | ({} if member is None else member.row())
    row = {**shared, "role": "record", "stem": "", "codec": "json", "channels": 0, "active": True}
    yield row | ({} if sample.record is None else sample.record.row())


def _song_rows(layout: Layout, shard: Shard, licence: str) -> Iterator[dict[str, Any]]:
    for sample in shard.samples:
        yield {
            "song": sample.song,
            "title": cleaned(sample.key),
            "file": readable(shard.tar.name),
            "corpus": "imported",
            "split": shard.split,
            "licence": sample.licence or licence,
            "wet": "unknown",
            "groups": "{}",
            "sha256": sample.sha256,
            "status": "used",
            "seconds": sample.frames / layout.sample_rate,
            "warnings": [f"missing_{role}_{stem}" for role, stem in _missing(layout, sample)],
        }


def _plan_rows(shard: Shard) -> Iterator[dict[str, Any]]:
    for sample in shard.samples:
        row = {"shard": shard.name, "shard_id": shard.sha256, "split": shard.split, "song": sample.song, "corpus": "imported"}
        yield {**row, "sha256": sample.sha256, "frames": sample.frames}


def _meta(folder: Path, shards: list[Shard], layout: Layout, name: str, role: str, licence: str) -> dict[str, Any]:
    splits: dict[str, Any] = {}
    for split in dict.fromkeys(shard.split for shard in shards):
        of = [shard for shard in shards if shard.split == split]
        count = sum(len(shard.samples) for shard in of)
        seconds = round(sum(sample.frames for shard in of for sample in shard.samples) / layout.sample_rate, 3)
        splits[split] = {"songs": count, "examples": count, "seconds": seconds, "shards": [_shard(folder, shard) for shard in of]}
    return {
        "format": "mixdata",
        "format_version": FORMAT_VERSION,
        "name": name,
        "identity": _identity(shards, layout, role, licence),
        "recipe": "imported",
        "steps": [],
        "title": name,
        "sample_rate": layout.sample_rate,
        "channels": layout.channels,
        "codec": layout.codec,
        "continuous": False,
        "block_seconds": max(sample.frames for shard in shards for sample in shard.samples) / layout.sample_rate,
        "roles": {role: list(stems) for role, stems in layout.roles.items()},
        "sums": [],
        "splits": splits,
    }


def _identity(shards: list[Shard], layout: Layout, role: str, licence: str) -> str:
    """Return what tells this dataset from any other: the tars, and how they were taken."""
    lines = [role, licence, str(layout.sample_rate), *(f"{shard.name} {shard.sha256}" for shard in shards)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "backslashreplace")).hexdigest()


def _shard(folder: Path, shard: Shard) -> dict[str, Any]:
    table = hashlib.sha256((folder / "shards" / f"{shard.name}.parquet").read_bytes()).hexdigest()
    return {"name": shard.name, "sha256": shard.sha256, "bytes": shard.bytes, "examples": len(shard.samples), "table_sha256": table}


def _card(meta: dict[str, Any]) -> str:
    rows = "".join(f"| {split} | {facts['examples']} | {facts['seconds'] / 3600:.2f} |\n" for split, facts in meta["splits"].items())
    stems = "".join(f"- `{role}`: {', '.join(stems)}\n" for role, stems in meta["roles"].items())
    return f"""# {meta["name"]}

An index that mixdata made of WebDataset tars of others. The tars are as they were; `shards/` links to them or holds copies.

| split | samples | hours |
|---|---|---|
{rows}
{stems}
Audio: {meta["sample_rate"]} Hz, {meta["channels"]} channels, {meta["codec"]}. Licence: {", ".join(meta["licence"])}.
"""
