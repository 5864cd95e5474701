"""What the index says of effects: columns of examples.parquet, made from the records.

`effects` lists every effect of every stem in the order in which it was applied: stem, position, effect, label (the recipe's word for it),
removed (or kept in the target), `parameters` (numbers by name; those of an equalizer's bands as `bands.0.gain_db`) and `choices` (words).
`removed_<stem>` and `kept_<stem>` list the labels alone. `level_lufs_<stem>` is the loudness at which the chain worked, where the recipe
sets one, and `level_gain_db_<stem>` the gain that brought the stem there.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

APPLIED = pa.list_(
    pa.struct(
        [
            ("stem", pa.string()),
            ("position", pa.int32()),
            ("effect", pa.string()),
            ("label", pa.string()),
            ("removed", pa.bool_()),
            ("parameters", pa.map_(pa.string(), pa.float64())),
            ("choices", pa.map_(pa.string(), pa.string())),
        ]
    )
)
NAMES = pa.list_(pa.string())
Level = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)] | None


class LinkFacts(BaseModel):
    """One effect in a record; its parameters are whatever stands beside these."""

    model_config = ConfigDict(strict=True, extra="allow")

    effect: str
    label: str
    removed: bool


class StemFacts(BaseModel):
    """What a record says of one stem's chain; its levels and checks stand beside it."""

    model_config = ConfigDict(strict=True, extra="ignore")

    chain: list[LinkFacts]
    level_lufs: Level = None
    gain_db: Level = None


def label_columns(effects: dict[str, StemFacts]) -> dict[str, Any]:
    """Return the columns of one example."""
    row: dict[str, Any] = {"effects": [_entry(stem, n, link) for stem, facts in effects.items() for n, link in enumerate(facts.chain)]}
    for stem, facts in effects.items():
        row[f"removed_{stem}"] = [link.label for link in facts.chain if link.removed]
        row[f"kept_{stem}"] = [link.label for link in facts.chain if not link.removed]
        row |= {f"level_lufs_{stem}": facts.level_lufs, f"level_gain_db_{stem}": facts.gain_db}
    return row


def column_type(name: str) -> pa.DataType:
    """Return the type of a column that is not among the fixed ones: measures are float32, `tracks` is a count."""
    if name == "tracks":
        return pa.int32()
    return APPLIED if name == "effects" else NAMES if name.startswith(("removed_", "kept_")) else pa.float32()


def _entry(stem: str, position: int, link: LinkFacts) -> dict[str, Any]:
    numbers: list[tuple[str, float]] = []
    words: list[tuple[str, str]] = []
    for name, value in _flat("", link.model_extra or {}):
        if isinstance(value, bool):
            words.append((name, str(value).lower()))
        elif isinstance(value, int | float) or value in ("inf", "-inf"):
            numbers.append((name, float(value)))
        elif isinstance(value, str):
            words.append((name, value))
    about = {"stem": stem, "position": position, "effect": link.effect, "label": link.label, "removed": link.removed}
    return about | {"parameters": numbers, "choices": words}


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the plain values inside lists and mappings with their paths, `bands.0.gain_db`."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), item)
    else:
        yield prefix, value
