"""What the tracks of a set are like whose songs have a varying number of them.

Over all tracks together: t000 is another one in every song.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from mixdata.errors import MixdataError
from mixdata.shards.reader import Dataset
from mixdata.text import cleaned

Summary = Callable[[Iterable[Any]], dict[str, Any] | None]
SONGS = 100  # whose records are read for the kinds of their tracks
KINDS = 20  # shown
MEASURES = {  # of `track_statistics`: what it is called, its unit
    "per_song": ("tracks per song", ""),
    "sounding": ("tracks that sound in a block", ""),
    "activity_percent": ("time in which a track sounds", "%"),
    "loudness": ("loudness of a track in a block", "LUFS"),
    "spread": ("loudest beside quietest in a block", "LU"),
}


def track_statistics(dataset: Dataset, summary: Summary) -> dict[str, Any] | None:
    """Describe the tracks as JSON-able data: `role`, `tracks` in all songs, a summary of each of `MEASURES`, and `kinds`.

    `kinds` counts tracks by the stem that their records give them (else their instrument), in `kinds_of_songs` songs. None for a set
    whose examples all have the same stems.
    """
    if not dataset.variable or "tracks" not in dataset.examples:
        return None
    examples, role = dataset.examples, dataset.variable[0]
    songs = examples.groupby("song", sort=False)["tracks"].first()
    activity = _columns(examples, "activity_", dataset.roles[role])
    loudness = _columns(examples, f"loudness_{role}_", dataset.roles[role])
    several = np.isfinite(loudness).sum(axis=1) > 1
    spread = np.nanmax(loudness[several], axis=1) - np.nanmin(loudness[several], axis=1) if several.any() else np.zeros(0)
    kinds, read = _kinds(dataset, SONGS)
    values = {
        "per_song": songs.to_numpy(float),
        "sounding": (activity > 0).sum(axis=1) if activity.size else np.zeros(0),
        "activity_percent": 100 * activity.ravel(),
        "loudness": loudness.ravel(),
        "spread": spread,
    }
    described = {name: summary(value.tolist()) for name, value in values.items()}
    return {"role": role, "tracks": int(songs.sum()), **described, "kinds": kinds, "kinds_of_songs": read}


def track_rows(found: dict[str, Any]) -> list[tuple[str, dict[str, Any], str]]:
    """Return label, summary and unit of everything that was measured."""
    return [(label, found[name], unit) for name, (label, unit) in MEASURES.items() if found[name]]


def kinds_line(found: dict[str, Any]) -> str:
    """Say which kinds of tracks there are; nothing where no record tells."""
    counts = list(found["kinds"].items())
    told = ", ".join(f"{kind} {count}" for kind, count in counts[:KINDS])
    more = f" and {len(counts) - KINDS} other kinds" if len(counts) > KINDS else ""
    return f"kinds of tracks in {found['kinds_of_songs']} song(s): {told}{more}" if counts else ""


def _columns(examples: pd.DataFrame, prefix: str, stems: Iterable[str]) -> np.ndarray:
    """Return `(examples, tracks)` of the columns that there are, NaN for what is not there or not finite."""
    names = [f"{prefix}{stem}" for stem in stems if f"{prefix}{stem}" in examples]
    values = examples[names].to_numpy(float)
    return np.where(np.isfinite(values), values, np.nan)


def _kinds(dataset: Dataset, most: int) -> tuple[dict[str, int], int]:
    counts: Counter[str] = Counter()
    first = dataset.examples.drop_duplicates("song").iloc[:most]
    for shard, key in zip(first["shard"], first["key"], strict=True):
        try:
            tracks = json.loads(dataset.shard(shard).record(key)).get("tracks")
        except (ValueError, AttributeError, RecursionError, MixdataError):
            continue  # a damaged record is a matter for verify
        for about in tracks.values() if isinstance(tracks, dict) else ():
            told = [about.get(name) for name in ("stem", "instrument")] if isinstance(about, dict) else []
            counts[next((cleaned(word) for word in told if isinstance(word, str) and cleaned(word)), "unknown")] += 1
    return dict(counts.most_common()), len(first)
