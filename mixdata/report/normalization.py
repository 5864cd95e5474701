"""What normalization did to a dataset: distances to the targets from the tables, curves from the records; and targets, told and drawn.

Records come from tars of anywhere: what is not a record of normalization is counted and left out.
"""

import json
import math
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixdata.errors import UsageError
from mixdata.files import publish_bytes
from mixdata.measures.bands import CENTRES_HZ
from mixdata.report.tables import table
from mixdata.rng import stream
from mixdata.shards.format import NAME
from mixdata.shards.reader import Dataset
from mixdata.text import shown

if TYPE_CHECKING:
    from mixdata.normalization.targets import StemTarget, Targets

FEATURES = {  # what it is called, its unit, digits to show
    "eq_db": ("spectrum", "dB RMS", 2),
    "dynamics_lu": ("onset peak", "LU", 2),
    "panning": ("panning", "0 to 1", 3),
    "loudness_lu": ("loudness", "LU", 2),
}
COLUMN = re.compile(rf"normalize_(?:({NAME.pattern})_)?({'|'.join(FEATURES)})_({NAME.pattern})_before")  # a step's `as:`, if it has one
SONGS = 12  # shown on a page
MOST_STEMS = 16
OCTAVES = slice(2, None, 6)  # the bands of 31.25 Hz to 16 kHz
OCTAVE_NAMES = ("31.5", "63", "125", "250", "500", "1k", "2k", "4k", "8k", "16k")
ENDINGS = ("png", "svg", "pdf")

Curve = Annotated[
    list[Annotated[float, Field(ge=-400, le=400)] | None], Field(min_length=len(CENTRES_HZ), max_length=len(CENTRES_HZ))
]  # over the bands


# Distances, from the tables


def normalization_statistics(dataset: Dataset) -> dict[str, Any] | None:
    """Return `songs`, how many were normalized, and `distances` to the targets, a row per stem and feature; None where no song was.

    A row: `stem`, `feature`, `label`, `unit`, `songs` (with both distances; the others do not count), `before` and `after`
    (q1, median, q3), and `fall_percent`, by which the median fell (None where it was 0).
    """
    songs = dataset.songs
    used = songs[songs["status"] == "used"] if "status" in songs else songs
    rows = []
    normalized = np.zeros(len(used), bool)
    for column in used:
        match = COLUMN.fullmatch(str(column))
        after = f"{str(column).removesuffix('before')}after"
        if match is None or after not in used:
            continue
        pairs = np.array([_numbers(used[column]), _numbers(used[after])])
        known = np.isfinite(pairs).all(axis=0)
        normalized |= known
        pairs = pairs[:, known]
        if pairs.shape[1]:
            rows.append(_row(match[3] if match[1] is None else f"{match[3]} ({match[1]})", match[2], *pairs))
    order = {stem: place for place, stem in enumerate(dict.fromkeys(row["stem"] for row in rows))}
    rows.sort(key=lambda row: (order[row["stem"]], list(FEATURES).index(row["feature"])))
    return {"songs": int(normalized.sum()), "distances": rows} if rows else None


def _row(stem: str, feature: str, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    label, unit, _ = FEATURES[feature]
    found = [dict(zip(("q1", "median", "q3"), (float(q) for q in np.quantile(v, [0.25, 0.5, 0.75])), strict=True)) for v in (before, after)]
    was, is_ = (each["median"] for each in found)
    fall = 100 * (was - is_) / was if was > 0 else None
    about = {"stem": stem, "feature": feature, "label": label, "unit": unit, "songs": len(before)}
    return about | {"before": found[0], "after": found[1], "fall_percent": fall}


def _numbers(column: pd.Series) -> np.ndarray:
    """Return a column's values; NaN for what is no distance."""
    values = [value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan for value in column.tolist()]
    return np.array([float(value) if 0 <= value < 1e6 else math.nan for value in values])


def distance_rows(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return the distances as cells: stem, feature, unit, songs, before, after, fall."""
    cells = []
    for place, row in enumerate(rows):
        first = place == 0 or rows[place - 1]["stem"] != row["stem"]
        digits = FEATURES[row["feature"]][2]
        before, after = (
            f"{each['median']:.{digits}f} [{each['q1']:.{digits}f} {each['q3']:.{digits}f}]" for each in (row["before"], row["after"])
        )
        fall = "-" if row["fall_percent"] is None else f"{row['fall_percent']:.0f} %"
        cells.append([row["stem"] if first else "", row["label"], row["unit"], str(row["songs"]), before, after, fall])
    return cells


DISTANCE_HEAD = ["stem", "distance to target", "", "songs", "before", "after", "fall"]


# Curves, from the records


class _Data(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _Shape(_Data):
    spectrum_db: Curve
    similarity: Curve


class _Correction(_Data):
    correction_db: Curve


class _Steps(_Data):
    eq: _Correction | None = None


class _Done(_Data):
    before: _Shape
    after: _Shape
    steps: _Steps


@dataclass(frozen=True)
class SongCurves:
    """One stem of a song (`number` on the page, from 1): curves `(bands,)`, NaN where not known; spectra and the EQ's correction in dB."""

    number: int
    spectrum_before: np.ndarray
    spectrum_after: np.ndarray
    similarity_before: np.ndarray
    similarity_after: np.ndarray
    correction: np.ndarray


@dataclass
class Curves:
    """What the records of a sample of songs hold: songs by stem, the words why stems were left alone, how many records were no such."""

    stems: dict[str, list[SongCurves]] = field(default_factory=dict)
    left_alone: dict[str, int] = field(default_factory=dict)
    unreadable: int = 0


def read_curves(records: Mapping[str, Any]) -> Curves:
    """Read what normalization noted in examples' records, one per song, by the song's title."""
    found = Curves()
    for number, record in enumerate(records.values(), start=1):
        noted = _noted(record)
        if noted is None:
            found.unreadable += 1
            continue
        for stem, done in noted.items():
            if not isinstance(stem, str) or not NAME.fullmatch(stem):
                found.unreadable += 1
            elif isinstance(done, dict) and done.get("status") in ("quiet", "no_target"):
                word = f"{stem}: {'no target' if done['status'] == 'no_target' else 'too quiet'}"
                found.left_alone[word] = found.left_alone.get(word, 0) + 1
            else:
                try:
                    curves = _curves(number, _Done.model_validate(done))
                except ValidationError:
                    found.unreadable += 1
                    continue
                if stem in found.stems or len(found.stems) < MOST_STEMS:
                    found.stems.setdefault(stem, []).append(curves)
    return found


def _noted(record: Any) -> dict[Any, Any] | None:
    """Return what the record's step of normalization noted by stem; such a step names its targets."""
    steps = record.get("steps") if isinstance(record, dict) else None
    for step in steps if isinstance(steps, list) else ():
        if isinstance(step, dict) and isinstance(step.get("targets"), dict) and isinstance(step.get("stems"), dict):
            return dict(step["stems"])
    return None


def _curves(number: int, done: _Done) -> SongCurves:
    correction = done.steps.eq.correction_db if done.steps.eq is not None else [None] * len(CENTRES_HZ)
    shapes = (done.before.spectrum_db, done.after.spectrum_db, done.before.similarity, done.after.similarity)
    return SongCurves(number, *(np.array(curve, np.float64) for curve in (*shapes, correction)))


def sample_records(dataset: Dataset, songs: int = SONGS, seed: int = 0) -> dict[str, Any]:
    """Return the record of one example each of up to `songs` songs, drawn by the seed, by the song's title. None for what is no JSON."""
    firsts = dataset.examples.drop_duplicates("song")
    drawn = np.sort(stream(seed, "normalization", "figures").permutation(len(firsts))[:songs])
    titles = dict(zip(dataset.songs["song"], dataset.songs["title"], strict=True)) if {"song", "title"} <= set(dataset.songs) else {}
    records: dict[str, Any] = {}
    for _, row in firsts.iloc[drawn].iterrows():
        title = titles.get(row["song"]) or row["song"]
        title = str(title) if str(title) not in records else f"{title} ({len(records) + 1})"
        try:
            records[title] = json.loads(dataset.shard(row["shard"]).record(row["key"]))
        except (ValueError, RecursionError):
            records[title] = None
    return records


@dataclass(frozen=True)
class NormalizationPage:
    """What the page shows: a drawing per stem (SVG), the songs in their order, and remarks in plain words."""

    drawings: dict[str, Markup]
    songs: list[str]
    remarks: list[str]


def normalization_page(dataset: Dataset, songs: int = SONGS, seed: int = 0) -> NormalizationPage | None:
    """Draw what normalization did to a sample of songs. None where the dataset was not normalized.

    Spectra and panning before, after and of the target, the corrections of the EQ, and maps of the panning. Loads matplotlib.
    """
    if normalization_statistics(dataset) is None:
        return None
    from mixdata.normalization.targets import load_targets
    from mixdata.report.figures import draw_stem, inline

    records = sample_records(dataset, songs, seed)
    curves = read_curves(records)
    remarks, targets = [], None
    try:
        targets = load_targets(dataset.path)
    except UsageError as error:
        remarks.append(f"the figures show no target: {error}")
    if curves.left_alone:
        remarks.append("left as they were: " + ", ".join(f"{word} ({count})" for word, count in sorted(curves.left_alone.items())))
    if curves.unreadable:
        remarks.append(f"records that hold no normalization that can be read: {curves.unreadable}; run `mixdata verify`")
    drawings = {}
    for stem, of_songs in curves.stems.items():
        found = targets.of(stem) if targets is not None else None
        drawings[stem] = Markup(inline(draw_stem(stem, of_songs, found[1] if found else None)))  # numbers and checked names only
    return NormalizationPage(drawings, list(records), remarks)


# Targets


def targets_facts(targets: "Targets") -> dict[str, Any]:
    """Return targets as JSON-able data: where they are from, the bands, and each stem's curves and numbers, None where not known."""
    stems = {
        name: {
            "songs": target.songs,
            **{key: _known(getattr(target, key), 2) for key in ("loudness_lufs", "loudness_spread_lu")},
            **{key: _known(getattr(target, key), 2) for key in ("onset_peak_lu", "onset_peak_spread_lu")},
            **{key: [_known(v, 2) for v in getattr(target, key)] for key in ("spectrum_db", "spectrum_spread_db")},
            **{key: [_known(v, 4) for v in getattr(target, key)] for key in ("similarity", "similarity_spread")},
        }
        for name, target in targets.stems.items()
    }
    return {**targets.about, "sha256": targets.sha256, "hz": [round(float(hz), 2) for hz in CENTRES_HZ], "stems": stems}


def _known(value: float, digits: int) -> float | None:
    return round(float(value), digits) if math.isfinite(value) else None


def render_targets(targets: "Targets", width: int = 100) -> str:
    """Return targets as text: where they are from, and per stem loudness, onset peaks, spectrum and similarity at octaves."""
    lines = []
    for key in ("name", "source", "licence", "note"):
        if targets.about.get(key):
            lines += textwrap.wrap(shown(f"{key:8} {targets.about[key]}"), width, subsequent_indent=" " * 9, drop_whitespace=True)
    rows = [[name, *target_numbers(target)] for name, target in targets.stems.items()]
    lines += table(["stem", "songs", "loudness, LUFS", "onset peak, LU"], rows, left=1)
    for title, curve, digits in (("spectrum, dB", "spectrum_db", 1), ("similarity", "similarity", 2)):
        rows = [[name, *(_cell(v, digits) for v in getattr(target, curve)[OCTAVES])] for name, target in targets.stems.items()]
        lines += table([f"{title}, at Hz", *OCTAVE_NAMES], rows, left=1)
    return "\n".join(lines) + "\n"


def target_numbers(target: "StemTarget") -> list[str]:
    """Return songs, loudness and onset peak as words, the latter two with their spreads where known."""
    songs = str(target.songs) if target.songs else "unknown"
    pairs = ((target.loudness_lufs, target.loudness_spread_lu), (target.onset_peak_lu, target.onset_peak_spread_lu))
    return [songs, *(_cell(value, 1) + (f" ± {spread:.1f}" if math.isfinite(spread) else "") for value, spread in pairs)]


def _cell(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def plot_targets(targets: "Targets", path: str | Path) -> None:
    """Draw targets into a PNG, SVG or PDF file, by the path's ending: a row per stem with its spectrum, its similarity and its numbers.

    The file is written whole or not at all. Raises `UsageError` for another ending.
    """
    ending = Path(path).suffix.lower().removeprefix(".")
    if ending not in ENDINGS:
        raise UsageError(f"{path}: a drawing ends in .png, .svg or .pdf; give such a name")
    from mixdata.report.figures import draw_targets

    publish_bytes(Path(path), draw_targets(targets, ending))
