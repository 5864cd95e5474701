"""What effect chains a dataset of pairs holds, and whether the laws that they were drawn from survived the checks.

A pair that fails its check is drawn anew, and that bends the law: effects that are often inaudible become rarer. So the first draws, which
follow the recipe, stand beside what was accepted.
"""

import re
from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pandas as pd

HASH = re.compile(r"[0-9a-f]{64}")
COUNTS = re.compile(r"(drawn|accepted)_(keep|remove|removed)_(.+)")


def pair_statistics(examples: pd.DataFrame, songs: pd.DataFrame) -> dict[str, Any] | None:
    """Describe the pairs: how many were drawn and redrawn and why, each effect's share before and after, its parameters.

    None for a dataset without pairs.
    """
    if "effects" not in examples or "pairs_drawn" not in songs:
        return None
    sums = {name: int(songs[name].fillna(0).sum()) for name in songs if name.startswith(("pairs_", "drawn_", "accepted_", "redraws_"))}
    drawn, accepted = sums.get("pairs_drawn", 0), sums.get("pairs_accepted", 0)
    shares: dict[str, dict[str, dict[str, float | None]]] = {"keep": {}, "remove": {}, "removed": {}}
    for name, count in sums.items():
        match = COUNTS.fullmatch(name)
        if match is not None:
            of = drawn if match[1] == "drawn" else accepted
            row = shares[match[2]].setdefault(match[3], {"drawn": 0.0, "accepted": 0.0})
            row[match[1]] = count / of if of else None
    return {
        "drawn": drawn,
        "accepted": accepted,
        "rejected": sums.get("pairs_rejected", 0),
        "redraws": {name.removeprefix("redraws_"): count for name, count in sums.items() if name.startswith("redraws_")},
        "kept": [{"label": label, **row} for label, row in sorted(shares["keep"].items())],
        "removed": [{"label": label, **row} for label, row in sorted(shares["remove"].items())],
        "removed_count": [{"label": label, **row} for label, row in sorted(shares["removed"].items(), key=lambda item: int(item[0]))],
        "parameters": _parameters(examples),
    }


def _parameters(examples: pd.DataFrame) -> list[dict[str, Any]]:
    """Return median and range of every number that was applied, by the word it was drawn under, and how often each choice was taken."""
    numbers: dict[tuple[str, str], list[float]] = defaultdict(list)
    choices: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for column in examples:
        if column.startswith("level_lufs_"):
            numbers["level", "lufs"] += examples[column].dropna().tolist()
    for applied in examples["effects"]:
        for link in applied if applied is not None else ():
            for name, value in link["parameters"]:
                if np.isfinite(value):  # a range that ends in infinity is none, and JSON cannot say it
                    numbers[link["label"], name].append(value)
            for name, word in link["choices"]:
                choices[link["label"], name][word] += 1
    rows: list[dict[str, Any]] = []
    for (label, name), values in sorted((key, values) for key, values in numbers.items() if values):
        low, median, high = (float(q) for q in np.quantile(values, [0, 0.5, 1], method="nearest"))
        if low != high:
            rows.append({"label": label, "parameter": name, "min": low, "median": median, "max": high, "count": len(values)})
    for (label, name), words in sorted(choices.items()):
        if all(HASH.fullmatch(word) for word in words):  # of files, such as impulse responses
            rows.append({"label": label, "parameter": name, "choices": {"files": len(words)}})
        elif 1 < len(words) <= 12:
            rows.append({"label": label, "parameter": name, "choices": dict(words.most_common())})
    return rows


def pair_lines(found: dict[str, Any]) -> list[str]:
    """Say in lines of text how often pairs were drawn anew."""
    reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(found["redraws"].items())) or "none"
    lines = [f"pairs: {found['drawn']} drawn, {found['accepted']} accepted, {found['rejected']} given up; redraws: {reasons}"]
    return [*lines, "share of the pairs that hold an effect: as first drawn by the recipe, and as accepted after redraws"]


def share_rows(found: dict[str, Any]) -> list[list[str]]:
    """Return the laws before and after redraws as rows of a table: group, what, drawn, accepted."""
    groups = (("kept", "kept"), ("removed", "removed"), ("removed_count", "effects removed"))
    return [
        [title if not place else "", row["label"], _share(row["drawn"]), _share(row["accepted"])]
        for name, title in groups
        for place, row in enumerate(found[name])
    ]


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
