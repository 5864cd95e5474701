"""The rows of `examples.parquet` that a loader draws from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mixdata.errors import UsageError
from mixdata.loading.choice import filled
from mixdata.loading.crops import Blocks, find_blocks
from mixdata.shards.reader import Dataset, read_examples


@dataclass(frozen=True)
class Rows:
    """The blocks of a split, how much each stem sounds in them `(blocks, stems)`, which were chosen (None: all), and their weights."""

    blocks: Blocks
    activity: np.ndarray
    chosen: np.ndarray | None
    weights: np.ndarray | None


def open_rows(dataset: Dataset, split: str, stems: Sequence[str], *, where: str | None, weights: str | None, require: bool) -> Rows:
    """Read the split's rows, ordered by shard and place in it. Raises `UsageError` where none is left."""
    table = read_examples(dataset.path)
    table = table.filter(np.asarray(table["split"].to_numpy(zero_copy_only=False) == split))
    if not len(table):
        raise UsageError(f"{dataset.path}: split {split!r} holds no examples; non-empty: {filled(dataset.splits)}")
    table = table.sort_by([("shard", "ascending"), ("byte_offset", "ascending")])
    return Rows(find_blocks(table, dataset.continuous), _activity(table, stems), None, None)


def _activity(table: pa.Table, stems: Sequence[str]) -> np.ndarray:
    """Return `(blocks, stems)`; a stem of which nothing was measured counts as sounding."""
    measured = set(table.column_names)
    columns = [table[f"activity_{stem}"].to_numpy() if f"activity_{stem}" in measured else np.ones(len(table)) for stem in stems]
    return np.stack(columns, axis=1).astype(np.float32)
