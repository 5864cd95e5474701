"""A page to listen to a dataset: a static folder of one HTML file and FLAC copies, for any browser, from any web server or disk."""

import itertools
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from mixdata import measures
from mixdata.errors import UsageError
from mixdata.example import Example
from mixdata.files import disk_errors, sync_folder, write_synced
from mixdata.report.html import render, waveform
from mixdata.rng import stream
from mixdata.shards.format import encode, headroom_scale
from mixdata.shards.labels import StemFacts
from mixdata.shards.reader import Dataset

PAGE = "index.html"
MARK = "mixdata-listen.json"  # a folder with this file is ours to replace
SPECIAL = 5  # a fifth of n, at least one, of each special kind


def listen_page(dataset: Dataset, out: str | Path, n: int = 20, seed: int = 0) -> Path:
    """Write a folder with players for `n` randomly drawn examples, and for those that most deserve a look. Returns its page.

    Added to the draw, with the reason shown: blocks of the songs with the highest residual of separation, and of the songs
    with a stem nearest to the gate. All roles and stems as 16-bit FLAC at the dataset's own level; where that is
    above full scale, one factor for the whole example, which the page tells. The folder appears when it is whole; an
    earlier page in its place is replaced, anything else is refused with `UsageError`.
    """
    if n < 1:
        raise UsageError(f"listen needs at least one example, got n = {n}")
    folder = Path(os.path.abspath(out))  # so that `.` has a name
    with disk_errors(folder):
        if os.path.lexists(folder) and not _replaceable(folder):
            raise UsageError(f"{out}: exists and is not an earlier listen page; give a new folder")
        chosen = choose(dataset, n, seed)
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
        try:
            (temporary / "audio").mkdir(parents=True)
            numbers = itertools.count()
            sections = [_section(dataset.load(key), reasons, dataset.songs, temporary, numbers) for key, reasons in chosen.items()]
            sampled = sum("random" in reasons for reasons in chosen.values())
            name = dataset.meta.get("title") or dataset.meta.get("name") or dataset.path.name
            page = render("listen.html.j2", name=name, total=len(dataset), sampled=sampled, sections=sections)
            write_synced(temporary / PAGE, page.encode())
            write_synced(temporary / MARK, json.dumps({"dataset": dataset.meta.get("identity"), "examples": list(chosen)}).encode())
            _swap(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return Path(out) / PAGE


def choose(dataset: Dataset, n: int, seed: int) -> dict[str, list[str]]:
    """Return the keys to show, in the dataset's order, each with the reasons for it."""
    examples, songs = dataset.examples, dataset.songs
    drawn = stream(seed, "listen").permutation(len(examples))[:n]
    reasons: dict[str, list[str]] = {key: ["random"] for key in examples["key"].iloc[drawn]}
    extra = max(1, n // SPECIAL)
    for song, stem, reason in [*_worst_residual(songs, extra), *_nearest_gate(songs, dataset, extra)]:
        blocks = examples[examples["song"] == song]
        if len(blocks) == 0:
            continue
        column = f"activity_{stem}"  # the block where the doubtful stem sounds most, else one in the middle of the song
        best = int(np.argmax(blocks[column].fillna(0))) if column in blocks and blocks[column].max() > 0 else len(blocks) // 2
        reasons.setdefault(str(blocks["key"].iloc[best]), []).append(reason)
    return {key: reasons[key] for key in examples["key"] if key in reasons}


def _worst_residual(songs: pd.DataFrame, count: int) -> list[tuple[str, str | None, str]]:
    if "residual_db" not in songs:
        return []
    worst = songs.dropna(subset=["residual_db"]).nlargest(count, "residual_db")
    return [(song, None, f"residual {level:.1f} dB") for song, level in zip(worst["song"], worst["residual_db"], strict=True)]


def _nearest_gate(songs: pd.DataFrame, dataset: Dataset, count: int) -> list[tuple[str, str | None, str]]:
    """The songs with a stem whose loudness beside the mix is nearest to the gate's limit, on either side of it."""
    limit = -_gate_limit(dataset.recipe)
    found = []
    for column in (column for column in songs if column.startswith("loudness_balance_")):
        stem = column.removeprefix("loudness_balance_")
        gated = songs[f"gated_{stem}"] if f"gated_{stem}" in songs else pd.Series(False, index=songs.index)
        for song, level, out in zip(songs["song"], songs[column], gated, strict=True):
            if level is not None and math.isfinite(level):
                side = "gated" if out is True or out is np.True_ else "passed"
                found.append((abs(level - limit), song, stem, f"{stem} {level:.1f} LU beside the mix: {side} (gate {limit:g})"))
    nearest = sorted(found)[:count]
    return [(song, stem, reason) for _, song, stem, reason in nearest]


def _gate_limit(recipe: dict[str, Any]) -> float:
    """The recipe's `relative_lu`, of whatever step has it."""
    for step in recipe.get("steps") or []:
        for params in step.values() if isinstance(step, dict) else ():
            if isinstance(params, dict) and isinstance(params.get("relative_lu"), int | float):
                return float(params["relative_lu"])
    return 35.0


def _section(example: Example, reasons: list[str], songs: pd.DataFrame, folder: Path, numbers: Iterator[int]) -> dict[str, Any]:
    """Write an example's audio, in numbered files (names from a dataset make no path), and return what the page says of it."""
    peak = max(float(np.abs(audio).max(initial=0)) for _, _, audio in example.members())
    scale = min(example.scale, headroom_scale(peak, "flac16"))
    members = []
    for role, stem, audio in example.members():
        row: dict[str, Any] = {
            "role": role,
            "stem": stem,
            "name": _track_name(example.record, stem),
            "chain": _chain(example.record, role, stem),
            "file": None,
            "waveform": "",
            "loudness": "",
            "peak": "",
            "activity": "",
        }
        if example.active.get(role, {}).get(stem, True):
            row["file"] = f"audio/{next(numbers):04d}.flac"
            write_synced(folder / row["file"], encode(audio * np.float32(scale), example.sample_rate, "flac16"))
            row["waveform"] = waveform(audio)
            row["loudness"] = _level(measures.integrated_loudness(audio, example.sample_rate))
            row["peak"] = _level(measures.sample_peak_db(audio))
            row["activity"] = f"{example.activity[stem]:.0%}" if stem in example.activity else ""
        members.append(row)
    of = songs[songs["song"] == example.song] if "song" in songs else songs.iloc[:0]
    song = of.iloc[0].to_dict() if len(of) else {}
    start, end = (frame / example.sample_rate for frame in (example.start, example.start + example.frames))
    about = [f"{name} {song[name]}" for name in ("corpus", "licence") if song.get(name)]
    about += [f"split {example.split}", f"block {example.block}"]
    about += [f"{label} {song[name]:.1f} {unit}" for name, label, unit in _MEASURES if _is_number(song.get(name))]
    if scale < 1:
        about.append(f"turned down by {-20 * math.log10(scale):.1f} dB here to fit below full scale")
    return {
        "key": example.key,
        "title": str(song.get("title") or example.song),
        "time": f"{start:.1f} to {end:.1f} s",
        "reasons": reasons,
        "about": about,
        "members": members,
        "chains": any(member["chain"] for member in members),
        "record": json.dumps(example.record, indent=1, ensure_ascii=False),
    }


def _track_name(record: dict[str, Any], stem: str) -> str:
    """Return the name of a track that is t000 or so here, as far as the record tells."""
    tracks = record.get("tracks")
    about = tracks.get(stem) if isinstance(tracks, dict) else None
    told = [about.get(name) for name in ("name", "stem")] if isinstance(about, dict) else []
    return ", ".join(dict.fromkeys(word for word in told if isinstance(word, str) and word))


def _chain(record: dict[str, Any], role: str, stem: str) -> str:
    """Return the effects that this member went through, in their order, as far as the record tells; a star marks those to remove."""
    try:
        applied = StemFacts.model_validate(record["effects"][stem]).chain
    except (KeyError, TypeError, ValidationError):
        return ""
    return " → ".join(link.label + "*" * link.removed for link in applied if role == "input" or not link.removed) or "no effect"


_MEASURES = (("mix_loudness", "mix", "LUFS"), ("mix_plr", "peak to loudness", "LU"), ("residual_db", "residual", "dB"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _level(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "silent"


def _replaceable(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and ((folder / MARK).is_file() or not any(folder.iterdir()))


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`."""
    old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.old.tmp")
    if folder.exists():
        os.rename(folder, old)
    os.rename(new, folder)
    sync_folder(folder.parent)
    shutil.rmtree(old, ignore_errors=True)
