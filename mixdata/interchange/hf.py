"""A Hugging Face dataset: parquet files with the audio inside, and a card that says which file is of which split.

One row per example: key, song, corpus, split, licence, block, start, frames, sample_rate, scale, one column `<role>_<stem>` per member
(`{"bytes", "path"}`, of type `Audio`), `mask` (which members exist), `activity` (share of time in which each stem sounds) and `record`
(JSON as text). Where songs have tracks of varying number, the columns of those that a row lacks are null and their `mask` is false, and
`tracks` says how many there are. A row group is the unit of reading, so it is kept small.
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mixdata.errors import UsageError
from mixdata.files import write_synced
from mixdata.interchange.encoding import member_bytes
from mixdata.interchange.exporting import Job, licence_table
from mixdata.interchange.source import Block, Source
from mixdata.recipes import strict_yaml

ROWS = 100  # of a row group, at most
GROUP_BYTES = 32 * 2**20  # of audio in a row group; one row may be larger
FILE_BYTES = 500 * 10**6  # of audio in a file, at most a row group more
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
FIXED = [
    *((name, pa.string()) for name in ("key", "song", "corpus", "split", "licence")),
    ("block", pa.int32()),
    ("start", pa.int64()),
    ("frames", pa.int64()),
    ("sample_rate", pa.int32()),
    ("scale", pa.float64()),
]
KINDS = {"string": "string", "int32": "int32", "int64": "int64", "double": "float64", "float": "float32", "bool": "bool"}


def write(job: Job) -> dict[str, Any]:
    """Write the parquet files and the card."""
    source = job.source
    columns = _columns(source)
    schema = _schema(source, columns)
    activity = _activity(source)
    counts: dict[str, int] = {}
    for split in source.splits:
        blocks = [block for block in source.blocks if block.split == split]
        if blocks:
            counts[split] = _write_split(job, split, blocks, schema, columns, activity)
    write_synced(job.out / "README.md", _card(source, list(counts), columns).encode())
    return {"files": sum(counts.values()), "codec": job.codec}


def _columns(source: Source) -> dict[str, tuple[str, str]]:
    columns: dict[str, tuple[str, str]] = {}
    taken = {name for name, _ in FIXED} | {"mask", "activity", "record", "tracks"}
    for role, stem in source.members:
        name = f"{role}_{stem}"
        if name in taken:
            raise UsageError(f"{source.dataset.where}: two columns would be called {name}; export one role with role=")
        taken.add(name)
        columns[name] = (role, stem)
    return columns


def _activity(source: Source) -> pd.DataFrame:
    table = source.dataset.examples
    names = [name for name in table if name.startswith("activity_")]
    return table[["key", *names]].set_index("key").rename(columns=lambda name: name.removeprefix("activity_"))


def _schema(source: Source, columns: dict[str, tuple[str, str]]) -> pa.Schema:
    stems = list(_activity(source))
    mask = pa.struct([(name, pa.bool_()) for name in columns])
    fields = [*FIXED, *((name, AUDIO) for name in columns), ("mask", mask)]
    fields += [("activity", pa.struct([(stem, pa.float32()) for stem in stems]))] if stems else []
    fields.append(("record", pa.string()))
    fields += [("tracks", pa.int32())] if source.variable else []
    features = {name: _feature(kind, source.dataset.sample_rate) for name, kind in fields}
    return pa.schema(fields).with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType, sample_rate: int) -> dict[str, Any]:
    """Return a type in the words of `datasets`, which reads them from the parquet schema."""
    if kind == AUDIO:
        return {"sampling_rate": sample_rate, "_type": "Audio"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type, sample_rate) for field in kind}
    return {"dtype": KINDS[str(kind)], "_type": "Value"}


def _write_split(
    job: Job, split: str, blocks: list[Block], schema: pa.Schema, columns: dict[str, tuple[str, str]], activity: pd.DataFrame
) -> int:
    (job.out / "data").mkdir(exist_ok=True)
    paths: list[Path] = []
    written = FILE_BYTES
    with ExitStack() as stack:
        for rows, size in _groups(job, blocks, columns, activity):
            if written >= FILE_BYTES:
                stack.close()
                paths.append(job.out / "data" / f"{split}-{len(paths):05d}.parquet")
                writer = stack.enter_context(Parquet(paths[-1], schema))
                written = 0
            writer.write_table(pa.Table.from_pylist(rows, schema=schema), row_group_size=len(rows))
            written += size
    for number, path in enumerate(paths):
        os.rename(path, path.with_name(f"{split}-{number:05d}-of-{len(paths):05d}.parquet"))
    return len(paths)


class Parquet:
    """A parquet file that is on disk when the block ends."""

    def __init__(self, path: Path, schema: pa.Schema):
        self.path, self.schema = path, schema

    def __enter__(self) -> pq.ParquetWriter:
        self.file = open(self.path, "xb")
        plain = [name for name, kind in zip(self.schema.names, self.schema.types, strict=True) if kind != AUDIO]
        self.writer = pq.ParquetWriter(self.file, self.schema, compression="zstd", use_dictionary=plain, write_statistics=plain)
        return self.writer

    def __exit__(self, *error: object) -> None:
        with self.file:
            self.writer.close()
            self.file.flush()
            os.fsync(self.file.fileno())


def _groups(
    job: Job, blocks: list[Block], columns: dict[str, tuple[str, str]], activity: pd.DataFrame
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """Yield the rows of each row group, and the bytes of audio in them."""
    rows: list[dict[str, Any]] = []
    size = 0
    for block in blocks:
        row, added = _row(job, block, columns, activity)
        if rows and (size + added > GROUP_BYTES or len(rows) == ROWS):
            yield rows, size
            rows, size = [], 0
        rows.append(row)
        size += added
        job.tell(block.frames / job.source.dataset.sample_rate)
    yield rows, size


def _row(job: Job, block: Block, columns: dict[str, tuple[str, str]], activity: pd.DataFrame) -> tuple[dict[str, Any], int]:
    source = job.source
    row: dict[str, Any] = {name: getattr(block, name, None) for name, _ in FIXED} | {"sample_rate": source.dataset.sample_rate}
    size = 0
    held = set(source.members_of(block))
    for name, (role, stem) in columns.items():
        if (role, stem) not in held:
            row[name] = None
            continue
        data = member_bytes(source, block, role, stem, f".{job.codec}")
        row[name] = {"bytes": data, "path": f"{block.key}.{role}.{stem}.{job.codec}"}
        size += len(data)
    row["mask"] = {name: (role, stem) in held and source.active(block, role, stem) for name, (role, stem) in columns.items()}
    if source.variable:
        row["tracks"] = sum(role == source.variable[0] for role, _ in held)
    measured = activity.loc[block.key]
    row["activity"] = {str(stem): float(share) if np.isfinite(share) else None for stem, share in measured.items()}
    row["record"] = json.dumps(source.record(block), ensure_ascii=False, separators=(",", ":"))
    return row, size


def _card(source: Source, splits: list[str], columns: dict[str, tuple[str, str]]) -> str:
    meta = source.dataset.meta
    name = str(meta.get("title") or meta.get("name") or "dataset")
    front = {
        "license": "other",
        "license_name": "; ".join(sorted({block.licence for block in source.blocks})),
        "pretty_name": name,
        "task_categories": ["audio-to-audio"],
        "tags": ["music", "automatic-mixing", "multitrack", "mixdata"],
        "configs": [{"config_name": "default", "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in splits]}],
    }
    audio = ", ".join(f"`{column}`" for column in columns)
    cast = ", ".join(repr(column) for column in columns) + ","
    tracks = ""
    if source.variable:  # a list of as many columns as there are tracks says less than these
        fixed = [f"`{name}`" for name, (role, _) in columns.items() if role not in source.variable]
        audio = ", ".join([*(f"`{role}_t000` to `{role}_{source.roles[role][-1]}`" for role in source.variable), *fixed])
        cast = "[name for name, kind in data.features.items() if isinstance(kind, Audio)]"
        tracks = (
            "\n`tracks` says how many tracks a row has: the columns of the others are null. Their names and instruments stand in `record`."
        )
    return f"""---
{strict_yaml.dump(front)}---

# {name}

Exported by mixdata from the dataset with identity `{str(meta.get("identity"))[:16]}`.

```python
from datasets import Audio, load_dataset

data = load_dataset("path/to/this/folder", split="{splits[0]}")   # decodes with torchcodec
for column in {cast if source.variable else f"({cast})"}:
    data = data.cast_column(column, Audio(decode=False))   # or gives each as its bytes
```

Audio columns: {audio}. `mask` says which of them exist (the others are silent), `activity` in which share of the time a stem sounds.
The audio is stored times `scale`, the same factor for all columns of a row, so that nothing clips: divide by it for the true level.
`record` is JSON: where the example came from and what was done to it.{tracks}

## Where it comes from

{licence_table(source)}"""
