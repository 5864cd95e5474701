"""The end of a build: tables over all shards, the card, and dataset.json as the last file."""

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from mixdata.builder.plan import Plan
from mixdata.builder.shard import outcome_path
from mixdata.errors import MixdataError
from mixdata.files import publish_bytes
from mixdata.licence_sets import of_set
from mixdata.report.card import write_card
from mixdata.shards.format import FORMAT_VERSION, SHARD, track_names
from mixdata.shards.index import FILES, checksum, example_rows, example_table, in_families
from mixdata.shards.writer import publish_table

LIBRARIES = ("mixdata", "numpy", "scipy", "soundfile", "soxr", "av", "torch", "demucs", "pyarrow")
SONG_FIELDS = [
    *((name, pa.string()) for name in ("song", "title", "file", "corpus", "split", "licence", "wet", "groups", "sha256")),
    *((name, pa.string()) for name in ("status", "reason", "message")),
    ("seconds", pa.float64()),
    ("warnings", pa.list_(pa.string())),
]


def finish(plan: Plan, out: Path) -> None:
    """Write everything but the shards; dataset.json last, for it says that the dataset is complete."""
    songs = [row for shard in plan.shards for row in json.loads(outcome_path(out, shard.name).read_text(encoding="utf-8"))["songs"]]
    songs += [row | {"seconds": None, "warnings": []} for row in plan.rejected]
    built = [shard for shard in plan.shards if (out / "shards" / f"{shard.name}.tar").exists()]
    if not built:
        reasons = "\n".join(f"  {row['message']}" for row in songs[:10])
        raise MixdataError(f"every song was left out, so there is no dataset:\n{reasons}")
    names = {shard.name for shard in built}
    for path in (out / "shards").iterdir():  # shards whose songs were all left out this time
        if SHARD.fullmatch(path.stem) and path.suffix in (".tar", ".parquet") and path.stem not in names:
            path.unlink()
    publish_bytes(out / "recipe.yaml", plan.recipe.to_yaml().encode())
    beside = plan.recipe.files()
    for name, data in beside.items():
        publish_bytes(out / name, data)
    publish_table(out / "plan.parquet", plan.table())
    publish_table(out / "songs.parquet", song_table(songs))
    variable = plan.recipe.variable()
    examples = example_table(example_rows(out, [shard.name for shard in built], variable))
    examples = in_families(examples) if variable else examples
    publish_table(out / "examples.parquet", examples)
    meta = _meta(plan, out, songs, examples)
    write_card(out, meta, songs, examples)
    meta["files"] = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in (*FILES, *beside)}
    meta["checksum"] = checksum(meta)
    publish_bytes(out / "dataset.json", (json.dumps(meta, indent=1, ensure_ascii=False) + "\n").encode())


def song_table(rows: list[dict[str, Any]]) -> pa.Table:
    """Return songs.parquet as a table: the fixed columns, then the measures by name."""
    fixed = dict(SONG_FIELDS)
    names = sorted({name for row in rows for name in row} - set(fixed))
    kinds = [(name, pa.bool_() if _kind(rows, name) is bool else pa.float64()) for name in names]
    return pa.Table.from_pylist(rows, schema=pa.schema([*SONG_FIELDS, *kinds]))


def _kind(rows: list[dict[str, Any]], name: str) -> type:
    return next((type(row[name]) for row in rows if row.get(name) is not None), float)


def _meta(plan: Plan, out: Path, songs: list[dict[str, Any]], examples: pa.Table) -> dict[str, Any]:
    header = plan.recipe.header
    frame = examples.select(["split", "shard", "song", "frames"]).to_pandas()
    splits: dict[str, Any] = {}
    for split in dict.fromkeys(shard.split for shard in plan.shards):
        rows = frame[frame["split"] == split]
        if len(rows):
            shards = [_shard(out, name, int(count)) for name, count in rows.groupby("shard").size().items()]
            seconds = round(float(rows["frames"].sum()) / header.sample_rate, 3)
            splits[split] = {"songs": int(rows["song"].nunique()), "examples": len(rows), "seconds": seconds, "shards": shards}
    cut = next(call.params for call in plan.recipe.steps if call.step.scope == "cut")
    return {
        "format": "mixdata",
        "format_version": FORMAT_VERSION,
        "name": plan.recipe.name,
        "identity": plan.identity,
        "recipe": plan.recipe.name,
        "limit": plan.limit,
        "steps": [call.step.name for call in plan.recipe.steps],
        "title": header.title,
        "sample_rate": header.sample_rate,
        "channels": 2,
        "codec": header.output.codec,
        "continuous": plan.recipe.continuous,
        "block_seconds": cut.seconds,
        **_members(plan, examples),
        "sums": [{"role": role, "total": "mixture"} for role in plan.recipe.sums()],
        "splits": splits,
        "licence": sorted({row["licence"] for row in songs if row["status"] == "used"}),
        "licences": of_set((row["licence"] for row in songs if row["status"] == "used"), plan.recipe.licences(), header.licence),
        "allowed_leaks": list(plan.leaks.allowed),
        "leak_warnings": list(plan.leaks.warnings),
        "fingerprints": plan.recipe.fingerprints(),
        "versions": {name: version(name) for name in LIBRARIES} | {"libsndfile": soundfile.__libsndfile_version__},
        "machine": {"system": platform.system(), "machine": platform.machine(), "simd": _simd()},
    }


def _members(plan: Plan, examples: pa.Table) -> dict[str, Any]:
    """Return the roles and their stems, and which roles vary: of those the stems that any example has."""
    variable = plan.recipe.variable()
    if not variable:
        return {"roles": plan.roles}
    tracks = list(track_names(max(examples["tracks"].to_pylist())))
    return {"roles": {role: tracks if role in variable else stems for role, stems in plan.roles.items()}, "variable": variable}


def _shard(out: Path, name: str, examples: int) -> dict[str, Any]:
    metadata = pq.read_schema(out / "shards" / f"{name}.parquet").metadata
    table = hashlib.sha256((out / "shards" / f"{name}.parquet").read_bytes()).hexdigest()
    sha256, size = metadata[b"mixdata.tar_sha256"].decode(), int(metadata[b"mixdata.tar_bytes"])
    return {"name": name, "sha256": sha256, "bytes": size, "examples": examples, "table_sha256": table}


def _simd() -> list[str]:
    """Return the processor features that NumPy's kernels choose by: byte identity is promised per set of them."""
    return sorted(np.show_config(mode="dicts")["SIMD Extensions"].get("found", []))
