"""EGFxSet's table of effects."""

import ast
import csv
import json
import re
from pathlib import Path
from typing import Any

LONGEST_TABLE = 100_000  # bytes
SAME = {"distortion": "rat"}  # the one effect whose folder has another name


def read_effects(path: Path) -> dict[str, dict[str, Any]]:
    """Return what the table says, by the folded name of the effect's folder: `effect`, `model`, `type`, and its knobs' `settings`.

    Nothing where it cannot be read.
    """
    if not path.is_file() or path.is_symlink() or path.stat().st_size > LONGEST_TABLE:
        return {}
    try:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(path.read_text("utf-8-sig").splitlines())]
        return {SAME.get(fold(row["Effect"]), fold(row["Effect"])): _effect(row) for row in rows}
    except (OSError, ValueError, SyntaxError, KeyError, TypeError, AttributeError, MemoryError, RecursionError, csv.Error):
        return {}


def _effect(row: dict[str, str]) -> dict[str, Any]:
    knobs = dict(zip(ast.literal_eval(row["Knob Names"].strip()), ast.literal_eval(row["Setting"].strip()), strict=True))
    json.dumps(knobs, allow_nan=False)  # what cannot stand in a record is no setting
    return {"effect": row["Effect"].strip(), "model": row["Model"].strip(), "type": row["Effect Type"].strip(), "settings": knobs}


def fold(name: str) -> str:
    """Return the letters of a name, which the table and the folders write with spaces, dashes or neither."""
    return re.sub(r"[^a-z]", "", name.lower())
