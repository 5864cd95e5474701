"""What effects there are, as data for the command line and the documents: taken from the classes themselves."""

import inspect
import json
import math
from typing import Any

from mixdata.effects import EFFECTS
from mixdata.effects.base import Parameters, effect_class, parameters


def effect_facts() -> list[dict[str, Any]]:
    """Return the facts of every effect, by name."""
    return [describe_class(name) for name in sorted(EFFECTS)]


def describe_class(name: str) -> dict[str, Any]:
    """Return an effect's name, description and parameters. Raises `EffectError` for an unknown name."""
    cls = effect_class(name)
    text = inspect.cleandoc(cls.__doc__ or "")
    return {"effect": name, "class": cls.__name__, "summary": text.split("\n")[0], "description": text, "parameters": _rows(cls)}


def render_facts(facts: dict[str, Any]) -> str:
    """Return the facts of one effect as text."""
    rows = [[row["parameter"], row["range"], row["default"], row["drawn"]] for row in facts["parameters"]]
    table = [["parameter", "range", "default", "drawn by default"], *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([f"{facts['effect']} (mixdata.effects.{facts['class']})", "", facts["description"], "", *lines])


def _rows(cls: type[Parameters], prefix: str = "") -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for each in parameters(cls):
        facts, kind = each.metadata, getattr(each.type, "__name__", str(each.type))
        items = facts["items"]
        if items is not None and issubclass(items, Parameters) and not hasattr(items, "process"):
            rows += _rows(items, f"{prefix}{each.name}[].")
            continue
        if items is not None:
            limits = "effects"
        elif facts["choices"]:
            limits = " | ".join(facts["choices"])
        elif facts["low"] is not None:
            limits = f"{facts['low']:g} … {'inf' if facts['high'] == math.inf else format(facts['high'], 'g')}"
        else:
            limits = {"bool": "true | false", "float": "any number"}.get(kind, "text")
        default = each.default if isinstance(each.default, str | int | float) else ""
        drawn = "" if facts["draw"] is None else json.dumps(facts["draw"])
        rows.append({"parameter": prefix + each.name, "range": limits, "default": str(default), "drawn": drawn})
    return rows
