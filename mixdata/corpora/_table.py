"""Reading a table of one's own: rows as plain values, empty cells left out, and what its columns may say."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mixdata.errors import UsageError

READERS = {
    ".csv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig"),
    ".tsv": lambda path: pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", sep="\t"),
    ".jsonl": lambda path: pd.read_json(path, lines=True, dtype=False),
    ".parquet": pd.read_parquet,
}
ROLES = ("raw", "input", "target")  # what may stand before the dot in a column's name
SPLITS = {"train": "train", "valid": "valid", "validation": "valid", "val": "valid", "dev": "valid", "test": "test"}
WET = ("wet", "dry", "rendered", "unknown")


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a CSV, TSV, JSON Lines or Parquet file, by column. Raises `UsageError` for what cannot be read as one."""
    if path.suffix.lower() not in READERS or not path.is_file():
        raise UsageError(f"{path}: give a table as a file that ends in {', '.join(READERS)}")
    try:
        rows: list[dict[str, Any]] = READERS[path.suffix.lower()](path).to_dict("records")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise UsageError(f"{path}: cannot be read as a table: {' '.join(str(error).split())[:300]}") from None
    for row in rows:
        values = {str(name): value.tolist() if hasattr(value, "tolist") else value for name, value in row.items()}
        yield {name: value for name, value in values.items() if not _empty(value)}


def check_said(split: str, wet: str, columns: list[str], where: str) -> None:
    """Raise `UsageError` for a split or wetness that is none, and for a column of audio with a dot in its name that nothing would use."""
    if split and split not in SPLITS:
        raise UsageError(f"{where}: split {split!r} is none of {', '.join(SPLITS)}")
    if wet not in WET:
        raise UsageError(f"{where}: wet {wet!r} is none of {', '.join(WET)}")
    for name in columns:
        role, dot, stem = name.partition(".")
        if dot and (role not in ROLES or not stem):
            raise UsageError(
                f"{where}: column {name!r} holds audio: name it as a stem, without a dot, or {', '.join(f'{r}.NAME' for r in ROLES)}"
            )


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value) or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))
