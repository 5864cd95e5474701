"""The rows of `examples.parquet` that a loader draws from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mixdata.errors import MixdataError, UsageError
from mixdata.loading.choice import filled
from mixdata.loading.compact import coded, smaller
from mixdata.loading.crops import Blocks, find_blocks
from mixdata.shards.examples import examples_schema, read_examples
from mixdata.shards.reader import Dataset

NEEDED = ("key", "song", "split", "shard", "start", "frames", "byte_offset")


@dataclass(frozen=True)
class Rows:
    """The blocks of a split, how much each stem sounds in them `(blocks, stems)`, which were chosen (None: all), and their weights.

    `asked` says whether the user spoke of single blocks, so that crops belong into just those. `tracks` is how many tracks each block
    has, where that varies.
    """

    blocks: Blocks
    activity: np.ndarray
    chosen: np.ndarray | None = None
    weights: np.ndarray | None = None
    asked: bool = False
    tracks: np.ndarray | None = None


def open_rows(
    dataset: Dataset, split: str, stems: Sequence[str], *, where: str | None, weights: str | None, require: bool, varying: bool = False
) -> Rows:
    """Read the split's rows, ordered by shard and place in it. Raises `UsageError` where none is left.

    `where` and `weights` are SQL, see `mixdata.loading.query`. With `require` only blocks are taken in which every one of `stems`
    sounds; one of which nothing was measured counts as sounding. Blocks of weight 0 are not taken. With `varying`, `stems` are tracks of
    which a block has the first few: the others do not sound, and need not.
    """
    rows = _rows(dataset, split, stems, where, weights, require, varying)
    pa.default_memory_pool().release_unused()  # the table's, which would otherwise stay with this process and its children
    return rows


def _rows(dataset: Dataset, split: str, stems: Sequence[str], where: str | None, weights: str | None, require: bool, varying: bool) -> Rows:
    query = None
    if where is not None or weights is not None:
        from mixdata.loading.query import Query  # loads DuckDB, which a loader without a query need not do

        query = Query(dataset, where, weights)
    stored = set(examples_schema(dataset.storage).names)
    measured = {stem: f"activity_{stem}" for stem in stems if f"activity_{stem}" in stored}
    counted = ["tracks"] if dataset.variable else []
    table = _of_split(read_examples(dataset.storage, [*NEEDED, *counted, *measured.values(), *(query.columns if query else ())]), split)
    if not len(table):
        raise UsageError(f"{dataset.where}: split {split!r} holds no examples; non-empty: {filled(dataset.splits)}")
    activity = np.ones((len(table), len(stems)), np.float32)
    for place, stem in enumerate(stems):
        if stem in measured:
            activity[:, place] = table[measured[stem]].to_numpy()
    activity[np.isnan(activity)] = 1
    tracks = _tracks(dataset, table) if counted else None
    absent = np.zeros(0, bool)
    if varying and tracks is not None:
        absent = np.arange(len(stems)) >= tracks[:, None]
        activity[absent] = 0
    blocks = find_blocks(table, dataset.continuous)
    if query is None and not require:
        return Rows(blocks, activity, tracks=tracks)
    taken, weight = (None, None) if query is None else query.ask(table)
    chosen = np.arange(len(table))
    if taken is not None and not len(chosen := chosen[taken]):
        raise UsageError(f"where={where!r} picks none of the {len(table)} blocks of split {split!r}")
    sounding = activity > 0 if not len(absent) else (activity > 0) | absent
    if require and not len(chosen := chosen[sounding[chosen].all(axis=1)]):
        of = "" if taken is None else f"that where={where!r} picks "
        raise UsageError(f"none of the blocks {of}of split {split!r} has {', '.join(stems)} all sounding; leave missing= at its default")
    if weight is not None:
        chosen = chosen[_positive(weight[chosen], f"weights={weights!r}", chosen, blocks)]
        weight = weight[chosen]
    return Rows(blocks, activity, None if len(chosen) == len(table) else smaller(chosen), weight, asked=True, tracks=tracks)


def _tracks(dataset: Dataset, table: pa.Table) -> np.ndarray:
    """Return how many tracks each block has."""
    column, most = table["tracks"], min(len(dataset.roles[role]) for role in dataset.variable)
    if not pa.types.is_integer(column.type) or column.null_count or not ((count := column.to_numpy()) >= 1).all() or (count > most).any():
        raise MixdataError(f"{dataset.where}: column tracks of examples.parquet has a value that cannot be; run `mixdata verify`")
    return smaller(count)


def _of_split(table: pa.Table, split: str) -> pa.Table:
    """Return a split's rows in stored order. Builders write them so; what lies as it should is not copied."""
    codes, splits = coded(table["split"])
    rows = np.flatnonzero(codes == (splits.to_pylist().index(split) if split in splits.to_pylist() else -1))
    if not len(rows):
        return table.slice(0, 0)
    codes, shards = coded(table["shard"])
    shard = np.argsort(np.argsort(np.array(shards.to_pylist())))[codes][rows]
    offset = table["byte_offset"].to_numpy()[rows]
    later, same = np.diff(shard) > 0, np.diff(shard) == 0
    if not (later | (same & (np.diff(offset) >= 0))).all():
        rows = rows[np.lexsort((offset, shard))]
    if (np.diff(rows) == 1).all():
        return table.slice(int(rows[0]), len(rows))
    return table.take(pa.array(rows))


def _positive(weight: np.ndarray, what: str, chosen: np.ndarray, blocks: Blocks) -> np.ndarray:
    """Return which weights are above 0."""
    fine = np.isfinite(weight) & (weight >= 0)
    if not fine.all():
        place = int(np.argmin(fine))
        value = "no number" if np.isnan(weight[place]) else f"{weight[place]:g}"
        raise UsageError(f"{what} gives {value} for {blocks.key[chosen[place]]}; each block needs a finite number of at least 0")
    if not weight.any():
        raise UsageError(f"{what} gives each of the {len(weight)} chosen blocks the weight 0")
    return weight > 0
