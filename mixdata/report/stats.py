"""Statistics of a finished dataset, from its tables: as plain data, and as text for a terminal."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mixdata.report.normalization import DISTANCE_HEAD, distance_rows, normalization_statistics
from mixdata.report.pairs import pair_lines, pair_statistics, share_rows
from mixdata.report.probe import shortcut_probe
from mixdata.report.tables import table
from mixdata.report.tracks import kinds_line, track_rows, track_statistics
from mixdata.shards.reader import Dataset
from mixdata.text import duration, shown, size

BINS = 24
MIX_MEASURES = {
    "mix_loudness": ("loudness", "LUFS"),
    "mix_plr": ("peak to loudness", "LU"),
    "mix_true_peak": ("true peak", "dBTP"),
    "residual_db": ("mix less the sum of its parts", "dB"),
}


def dataset_statistics(dataset: Dataset, probe_examples: int = 40, seed: int = 0) -> dict[str, Any]:
    """Describe a dataset as JSON-able data: what is in it, how it sounds, what was left out, what its inputs betray.

    Read from the tables; only the shortcut probe (`probe_examples` examples, 0 leaves it out) and the separator's name open
    shards. A column that a recipe does not write is left out of the result (None or an empty list), never guessed.
    """
    examples, songs, meta = dataset.examples, dataset.songs, dataset.meta
    seconds = examples["frames"] / examples["sample_rate"]
    used, rejected = _with_status(songs, "used"), _with_status(songs, "rejected")
    sizes = [shard.get("bytes") for split in meta.get("splits", {}).values() for shard in split.get("shards", [])]
    return {
        "dataset": {
            key: meta.get(key) for key in ("name", "title", "recipe", "identity", "sample_rate", "channels", "codec", "continuous")
        },
        "hours": float(seconds.sum()) / 3600,
        "total": {
            "seconds": float(seconds.sum()),
            "examples": len(examples),
            "songs": int(examples["song"].nunique()),
            "songs_seen": len(songs),
            "songs_rejected": len(rejected),
            "shards": int(examples["shard"].nunique()),
            "bytes": int(sum(sizes) if sizes and None not in sizes else examples["byte_size"].sum()),
        },
        "splits": _shares(examples, seconds, "split"),
        "corpora": _shares(examples, seconds, "corpus"),
        "licences": _shares(examples, seconds, "licence"),
        "stems": [_stem(stem, examples, used, seconds, meta.get("roles", {})) for stem in _stems(meta, examples)],
        "tracks": track_statistics(dataset, summary),
        "mix": {name: summary(used[name]) for name in MIX_MEASURES if name in used},
        "clipped": _clipped(used),
        "separator": _separator(dataset),
        "rejections": _counts(rejected["reason"].fillna("unknown")) if "reason" in rejected else {},
        "rejected": _rows(rejected, ("title", "corpus", "reason", "message")),
        "warnings": _counts(_flat(used["warnings"])) if "warnings" in used else {},
        "normalization": normalization_statistics(dataset),
        "pairs": pair_statistics(examples, songs),
        "probe": shortcut_probe(dataset, probe_examples, seed)
        if probe_examples and "effects" not in examples and not dataset.variable
        else None,
    }


def summary(values: Iterable[Any]) -> dict[str, Any] | None:
    """Quartiles and histogram of the finite values: count, min, q1, median, q3, max, mean, edges, counts. None where there are none."""
    finite = pd.to_numeric(pd.Series(list(values), dtype=object), errors="coerce").to_numpy(float)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return None
    low, q1, median, q3, high = (float(q) for q in np.quantile(finite, [0, 0.25, 0.5, 0.75, 1]))
    counts, edges = np.histogram(finite, BINS if high > low else 1)
    shape = {"edges": [float(edge) for edge in edges], "counts": [int(count) for count in counts]}
    return {"count": int(finite.size), "min": low, "q1": q1, "median": median, "q3": q3, "max": high, "mean": float(finite.mean()), **shape}


def _with_status(songs: pd.DataFrame, status: str) -> pd.DataFrame:
    return songs[songs["status"] == status] if "status" in songs else songs.iloc[: len(songs) if status == "used" else 0]


def _stems(meta: dict[str, Any], examples: pd.DataFrame) -> list[str]:
    named = [stem for stems in meta.get("roles", {}).values() for stem in stems]
    measured = [column.removeprefix("activity_") for column in examples if column.startswith("activity_")]
    tracks = {stem for role in meta.get("variable", ()) for stem in meta["roles"][role]}  # described together, in `tracks`
    return [stem for stem in dict.fromkeys([*measured, *named]) if stem not in tracks]


def _shares(examples: pd.DataFrame, seconds: pd.Series, column: str) -> list[dict[str, Any]]:
    rows = examples.assign(seconds=seconds).groupby(examples[column].fillna("unknown"), sort=False)
    found = [
        {"name": str(name), "songs": int(part["song"].nunique()), "examples": len(part), "seconds": float(part["seconds"].sum())}
        for name, part in rows
    ]
    return sorted(found, key=lambda row: -row["seconds"])


def _stem(stem: str, examples: pd.DataFrame, used: pd.DataFrame, seconds: pd.Series, roles: dict[str, list[str]]) -> dict[str, Any]:
    column = f"activity_{stem}"
    active = float((examples[column].fillna(0) * seconds).sum()) if column in examples else None
    gated = used[f"gated_{stem}"].dropna().astype(bool) if f"gated_{stem}" in used else None
    return {
        "stem": stem,
        "activity": active / float(seconds.sum()) if active is not None and seconds.sum() > 0 else None,
        "active_seconds": active,
        "gated": int(gated.sum()) if gated is not None else None,
        "songs": int((~gated).sum()) if gated is not None else None,
        "loudness": {
            role: summary(examples[f"loudness_{role}_{stem}"])
            for role, stems in roles.items()
            if stem in stems and f"loudness_{role}_{stem}" in examples
        },
        "loudness_balance": summary(used[f"loudness_balance_{stem}"]) if f"loudness_balance_{stem}" in used else None,
        "gain_db": summary(used[f"gain_{stem}_db"]) if f"gain_{stem}_db" in used else None,
    }


def _clipped(used: pd.DataFrame) -> dict[str, int] | None:
    if "mix_clipped_samples" not in used:
        return None
    samples = used["mix_clipped_samples"].fillna(0)
    return {"songs": int((samples > 0).sum()), "samples": int(samples.sum())}


def _separator(dataset: Dataset) -> dict[str, Any] | None:
    """What separated the stems, from the record of the first example: all examples have the same recipe."""
    steps = dataset[0].record.get("steps", []) if len(dataset) else []
    return next((step["separator"] for step in steps if isinstance(step.get("separator"), dict)), None)


def _flat(lists: Iterable[Any]) -> list[str]:
    return [str(item) for items in lists if items is not None and not isinstance(items, float) for item in items]


def _counts(values: Iterable[Any]) -> dict[str, int]:
    return dict(Counter(str(value) for value in values).most_common())


def _rows(songs: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, str]]:
    present = songs[[column for column in columns if column in songs]].astype(object)
    return [{str(key): str(value) for key, value in row.items()} for row in present.where(present.notna(), "").to_dict("records")]


# Text


def render_text(stats: dict[str, Any], width: int = 100) -> str:
    """Return the statistics as text, no line longer than `width` columns."""
    total, about = stats["total"], stats["dataset"]
    lines = [
        f"{about['name']}  {duration(total['seconds'])}, {total['examples']} examples of {total['songs']} songs, "
        f"{size(total['bytes'])} in {total['shards']} shard(s)",
        f"recipe {about['recipe']}, {about['sample_rate']} Hz, {about['channels']} channels, {about['codec']}",
    ]
    if stats["separator"]:
        separator = stats["separator"]
        name = ":".join(str(separator[key]) for key in ("separator", "model") if separator.get(key))
        lines.append(f"separator {name} ({separator.get('kind', 'of unknown kind')}); licence: {separator.get('licence', 'unknown')}")
    shares = [
        [kind if not place else "", row["name"], duration(row["seconds"]), str(row["songs"]), str(row["examples"])]
        for kind, rows in (("split", stats["splits"]), ("corpus", stats["corpora"]), ("licence", stats["licences"]))
        for place, row in enumerate(rows)
    ]
    lines += table(["", "", "length", "songs", "examples"], shares, left=2)
    roles = list(dict.fromkeys(role for stem in stats["stems"] for role in stem["loudness"]))
    head = ["stem", "active", "length", "gated", *(f"{role} LUFS" for role in roles), "LU to mix"]
    stems = [
        [
            stem["stem"],
            "-" if stem["activity"] is None else f"{stem['activity']:.0%}",
            "-" if stem["active_seconds"] is None else duration(stem["active_seconds"]),
            "-" if stem["gated"] is None else str(stem["gated"]),
            *(_quartiles(stem["loudness"].get(role)) for role in roles),
            _quartiles(stem["loudness_balance"]),
        ]
        for stem in stats["stems"]
    ]
    lines += table(head, stems, left=1)
    if roles:
        lines.append("(median, and quartiles in brackets)")
    if stats["tracks"]:
        rows = [[label, _quartiles(values), unit] for label, values, unit in track_rows(stats["tracks"])]
        title = f"{stats['tracks']['tracks']} tracks of {stats['tracks']['role']}"
        lines += [*table([title, "", ""], rows, left=3), *filter(None, [kinds_line(stats["tracks"])])]
    mixes = [[label, _quartiles(stats["mix"][name]), unit] for name, (label, unit) in MIX_MEASURES.items() if stats["mix"].get(name)]
    lines += table(["mixes as they came", "", ""], mixes, left=3)
    if stats["clipped"] and stats["clipped"]["songs"]:
        lines.append(f"clipped: {stats['clipped']['songs']} song(s), {stats['clipped']['samples']} samples at full scale")
    for title, counts in (
        (f"left out: {total['songs_rejected']} of {total['songs_seen']} songs", stats["rejections"]),
        ("warnings", stats["warnings"]),
    ):
        if counts:
            lines += ["", title, *(f"  {count:>6} {kind}" for kind, count in counts.items())]
    if stats["pairs"]:
        lines += ["", *pair_lines(stats["pairs"])]
        lines += table(["", "", "drawn", "accepted"], share_rows(stats["pairs"]), left=2)
        ranges = [_range(row) for row in stats["pairs"]["parameters"]]
        lines += table(["parameters as applied", "", "lowest", "median", "highest"], ranges, left=2)
    if stats["normalization"]:
        lines += table(DISTANCE_HEAD, distance_rows(stats["normalization"]["distances"]), left=3)
        lines.append("(median over songs, and quartiles in brackets)")
    if stats["probe"]:
        lines += ["", *probe_lines(stats["probe"])]
    # Song names may hold line breaks and terminal escapes.
    return "\n".join(line for text in lines for line in _fold(shown(text), width)) + "\n"


def _range(row: dict[str, Any]) -> list[str]:
    if "choices" in row:
        return [row["label"], row["parameter"], ", ".join(f"{word} {count}" for word, count in row["choices"].items()), "", ""]
    return [row["label"], row["parameter"], *(f"{row[key]:.4g}" for key in ("min", "median", "max"))]


def probe_lines(probe: dict[str, Any]) -> list[str]:
    """Say what the shortcut probe found."""
    lines = ["shortcut probe: does bleed alone betray the balance? (rank correlation, 0 no, 1 wholly)"]
    for role, label in (("input", "inputs"), ("target", "target stems at one loudness")):
        scores = probe["scores"].get(role)
        if scores:
            cues = f"mutual bleed {_score(scores['mutual'])}, bleed into a third {_score(scores['third'])}"
            lines.append(f"  {label}: {_score(scores['strongest'])}  ({cues})")
    basis = f"{probe['pairs']} pairs of stems in {probe['songs']} songs, {probe['examples']} examples"
    return [*lines, f"  {basis}" + (f"; {probe['note']}" if probe["note"] else "")]


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _quartiles(values: dict[str, Any] | None) -> str:
    return "-" if values is None else f"{values['median']:.1f} [{values['q1']:.1f} {values['q3']:.1f}]"


def _fold(line: str, width: int) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent="    ", drop_whitespace=False, replace_whitespace=False) or [""]
