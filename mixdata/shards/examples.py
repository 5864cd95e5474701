"""The table of examples, `examples.parquet`: what opens a dataset, and what queries run on."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixdata.errors import MixdataError
from mixdata.shards.format import EXAMPLE_FIELDS, KEY, SHARD
from mixdata.shards.shard import read_stored
from mixdata.shards.storage import Storage, parquet

NAME = "examples.parquet"
LONGEST = 2**48  # frames of a song: no sum of them overflows
FIXED = pa.schema(EXAMPLE_FIELDS)
CHECKED = ("key", "shard", "start", "frames", "sample_rate")
CODED = [field.name for field in FIXED if field.type == pa.string() and field.name != "key"]  # few values in many rows


def read_examples(storage: Storage, columns: Sequence[str] | None = None) -> pa.Table:
    """Read `examples.parquet`. Raises `MixdataError` for a table that no builder writes.

    A dataset may come from anywhere, and its keys and shards become file names: here they are checked, once for all who use them.
    With `columns` only those come, and those that are checked; what is text comes as codes and names, but for the keys.
    """
    file = storage.where(NAME)
    table = read_stored(storage, NAME, FIXED) if columns is None else _read_columns(storage, columns)
    for name, pattern in (("key", KEY), ("shard", SHARD)):
        for texts in _texts(table[name]):
            good = pc.match_substring_regex(texts, rf"\A(?:{pattern.pattern})\z")
            if (bad := pc.index(good, False).as_py()) >= 0:
                raise MixdataError(f"{file}: {texts[bad].as_py()!r} is no {name} that mixdata gives; run `mixdata verify`")
    for name, least in (("start", 0), ("frames", 1), ("sample_rate", 1)):
        values = table[name].to_numpy()
        if not ((values >= least) & (values < LONGEST)).all():
            raise MixdataError(f"{file}: column {name} has a value that cannot be; run `mixdata verify`")
    for field in table.schema if columns is None else examples_schema(storage):
        if field.name.startswith("activity_") and not pa.types.is_floating(field.type):
            raise MixdataError(f"{file}: column {field.name} is of type {field.type}, not of numbers; run `mixdata verify`")
    return table


def examples_schema(storage: Storage) -> pa.Schema:
    """Return the names and types of all columns."""
    try:
        return pq.read_schema(parquet(storage, NAME))
    except (OSError, pa.ArrowException) as error:
        raise MixdataError(f"{storage.where(NAME)}: cannot be read ({error}); run `mixdata verify`") from error


def _read_columns(storage: Storage, columns: Sequence[str]) -> pa.Table:
    file, schema = storage.where(NAME), examples_schema(storage)
    for field in FIXED:
        if schema.names.count(field.name) != 1 or schema.field(field.name).type != field.type:
            raise _not_whole(file, field)
    for name in columns:
        if schema.names.count(name) != 1:
            raise MixdataError(f"{file}: has no single column {name}; run `mixdata verify`")
    read = {}
    try:
        with pq.ParquetFile(parquet(storage, NAME), read_dictionary=CODED) as columnar:
            for name in dict.fromkeys([*FIXED.names, *columns]):  # one by one: decoding all at once takes twice the memory
                column = columnar.read([name], use_threads=False)[name]
                column.validate(full=True)
                if name in FIXED.names and column.null_count:
                    raise _not_whole(file, FIXED.field(name))
                if name in columns or name in CHECKED:
                    read[name] = column
    except (OSError, pa.ArrowException) as error:
        raise MixdataError(f"{file}: cannot be read ({error}); run `mixdata verify`") from error
    return pa.table(read)


def _not_whole(file: str, field: pa.Field) -> MixdataError:
    return MixdataError(f"{file}: has no whole column {field.name} of type {field.type}; run `mixdata verify`")


def _texts(column: pa.ChunkedArray) -> list[pa.Array]:
    """Return arrays that hold every text of the column."""
    return [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in column.chunks]
