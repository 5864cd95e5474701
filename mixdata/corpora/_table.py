"""Reading a table of one's own: rows as plain values, empty cells left out."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from mixdata.errors import UsageError

READERS = {
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig"),
    ".tsv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep="\t"),
    ".jsonl": lambda path: pd.read_json(path, lines=True, dtype=False),
    ".parquet": pd.read_parquet,
}


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV, TSV, JSON Lines or Parquet file, by column. Raises `UsageError` for what cannot be read as one."""
    if path.suffix.lower() not in READERS or not path.is_file():
        raise UsageError(f"{path}: give a table as a file that ends in {', '.join(READERS)}")
    try:
        rows: list[dict[str, Any]] = READERS[path.suffix.lower()](path).to_dict("records")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a table: {' '.join(str(error).split())[:300]}") from None
    for row in rows:
        yield {str(name): value for name, value in row.items() if not _empty(value)}


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
