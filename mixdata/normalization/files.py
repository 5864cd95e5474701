"""Normalize a user's own stems: files in, files out, exactly as a dataset's inputs were made."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import audio as files
from mixdata import rng
from mixdata.corpora.folder import KNOWN, stem_name
from mixdata.errors import UsageError
from mixdata.files import publish_bytes
from mixdata.normalization.eq import guarded_bands
from mixdata.normalization.normalize import DEFAULT_TARGETS, normalize_stem
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import Targets, load_targets
from mixdata.progress import Progress
from mixdata.recipes.work import read_stereo
from mixdata.song import Track
from mixdata.text import readable

RECORD = "normalization.json"
DISTANCES = (("eq_db", "EQ", " dB"), ("dynamics_lu", "onset peaks", " LU"), ("panning", "panning", ""), ("loudness_lu", "loudness", " LU"))


@dataclass(frozen=True)
class Way:
    """What is done to stems: targets, settings, rate (None: as each file has it), the seed and the step's name that key random draws."""

    targets: Targets
    settings: Settings
    sample_rate: int | None = None
    seed: int = 0
    label: str = "normalize"


def way_of(where: str | Path = DEFAULT_TARGETS, settings: Mapping[str, Any] | None = None) -> Way:
    """Return how a dataset's inputs were normalized, by its recipe; for a name or a file of targets, the default settings.

    `settings` replaces single ones, by their path: `{"panning.mode": "mono"}`. Raises `UsageError`.
    """
    from mixdata.recipes import load_recipe

    path = Path(where).expanduser()
    way = Way(load_targets(where), Settings())
    if path.is_dir() and (path / "recipe.yaml").is_file():
        recipe = load_recipe(path / "recipe.yaml")
        call = next((call for call in recipe.steps if call.step.name == "normalize"), None)
        if call is not None:
            given = {name: getattr(call.params, name) for name in Settings.model_fields}
            way = Way(way.targets, Settings(**given), recipe.header.sample_rate, recipe.header.seed, call.label)
    return Way(way.targets, _changed(way.settings, settings or {}), way.sample_rate, way.seed, way.label)


def normalize_files(
    stems: Sequence[tuple[str, str | Path]],
    out: str | Path,
    where: str | Path = DEFAULT_TARGETS,
    settings: Mapping[str, Any] | None = None,
    mixture: str | Path | None = None,
    quiet: bool = True,
) -> dict[str, dict[str, Any]]:
    """Normalize audio files, given as (kind of stem, path), to what `where` asks for: a dataset, a file of targets or a name.

    Writes a stereo float WAV per file into `out`, under its name, and the records as `normalization.json`; returns the records by file.
    For a dataset its recipe's settings and rate hold, so a stem comes out as the dataset's input does; `settings` replaces single ones.
    What is random (a reverb) is drawn from the recipe's seed and the file's content. `mixture` is the mix that the stems were separated
    from, which the guard against boosted hiss needs: without it there is none.
    Raises `UsageError` for what cannot be done at all, `AudioError` for a file that cannot be read.
    """
    way = way_of(where, settings)
    paths = _out_paths(stems, Path(out))
    responses = _responses(way.settings)
    mix = None if mixture is None else _read(mixture, way.sample_rate)
    records: dict[str, dict[str, Any]] = {}
    with Progress("normalizing", total=len(stems), unit="file", quiet=quiet) as progress:
        for (stem, path), target in zip(stems, paths, strict=True):
            audio, rate = _read(path, way.sample_rate)
            generator = rng.stream(way.seed, files.file_sha256(path), way.label, stem)
            no_boost = _hiss(way.settings, audio, rate, mix)
            done, record = normalize_stem(
                audio, rate, stem, way.targets, way.settings, no_boost=no_boost, generator=generator, responses=responses
            )
            files.write(target, done, rate)
            records[target.name] = {"stem": stem, "file": readable(Path(path).name), "sample_rate": rate, **record}
            progress.update(1, target.name)
    about = {"targets": dict(way.targets.about), "sha256": way.targets.sha256, "settings": way.settings.model_dump(mode="json")}
    publish_bytes(Path(out) / RECORD, (json.dumps({**about, "stems": records}, indent=1, ensure_ascii=False) + "\n").encode())
    return records


def summary_lines(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say in a line per file what was done: EQ's range, dynamics, gain, and how far from the target it was and is."""
    lines = []
    for name, record in records.items():
        if record["status"] != "normalized":
            why = {"quiet": "too quiet to be measured", "no_target": "there is no target for it"}[record["status"]]
            lines.append(f"{name}: left as it is: {why}")
            continue
        steps, parts = record["steps"], []
        if "eq" in steps:
            curve = steps["eq"]["correction_db"]
            parts.append(f"EQ {min(curve):+.1f} to {max(curve):+.1f} dB")
        if steps.get("dynamics", {}).get("action", "none") != "none":
            effect = steps["dynamics"]["effect"]
            parts.append(f"{effect['effect']} {effect['ratio']:g}:1 at {effect['threshold_db']:.1f} dB")
        if "loudness" in steps:
            parts.append(f"gain {steps['loudness']['gain_db']:+.1f} dB" + (" (peaks allow no more)" * steps["loudness"]["limited_by_peak"]))
        distances = [
            f"{label} {before:.2f} → {after:.2f}{unit}"
            for feature, label, unit in DISTANCES
            for before, after in [record["distance"][feature]]
            if before is not None and after is not None
        ]
        lines.append(f"{name} ({record['stem']}): {', '.join(parts) or 'nothing to do'}; from the target: {', '.join(distances)}")
    return lines


def parse_stem(text: str) -> tuple[str, Path]:
    """Split `vocals=lead.wav` into kind and path; without a kind the file's name must be one, such as `drums.wav`."""
    kind, equals, path = text.partition("=")
    if equals and kind and "/" not in kind:
        return kind, Path(path)
    found = stem_name(Path(text))
    if found not in KNOWN:
        raise UsageError(f"{readable(text)}: which stem is it? Write vocals={readable(text)}, or drums=, bass=, other=, …")
    return found, Path(text)


def _changed(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    from pydantic import ValidationError

    data = settings.model_dump()
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = data
        for parent in parents:
            if place.get(parent) is None:
                place[parent] = {}
            place = place[parent]
            if not isinstance(place, dict):
                raise UsageError(f"--set {path}: {parent} holds nothing to set")
        place[last] = value
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise UsageError(f"settings of the normalization: {wrong}") from None


def _out_paths(stems: Sequence[tuple[str, str | Path]], out: Path) -> list[Path]:
    if not stems:
        raise UsageError("no files to normalize")
    paths = [out / f"{Path(path).stem}.wav" for _, path in stems]
    twice = sorted({path.name for path in paths if paths.count(path) > 1})
    if twice:
        raise UsageError(f"two files would both become {out / twice[0]}: give them different names")
    for (_, path), target in zip(stems, paths, strict=True):
        if target.exists() and target.resolve() == Path(path).resolve():
            raise UsageError(f"{readable(path)}: the result would take its own place; choose another folder with --out")
    return paths


def _read(path: str | Path, sample_rate: int | None) -> tuple[np.ndarray, int]:
    track = Track(Path(path).expanduser())
    rate = sample_rate or track.info().sample_rate
    return read_stereo(track, rate, []), rate


def _hiss(settings: Settings, audio: np.ndarray, rate: int, mix: tuple[np.ndarray, int] | None) -> np.ndarray | None:
    if mix is None or settings.eq is None or settings.eq.guard_db is None:
        return None
    mixture = mix[0] if mix[1] == rate else files.resample(mix[0], mix[1], rate)
    return guarded_bands(audio, mixture, rate, settings.eq.guard_db)


def _responses(settings: Settings) -> tuple[str, ...]:
    from mixdata.effects.impulse_responses import ImpulseResponses

    if settings.impulse_responses is None:
        return ()
    return tuple(response.sha256 for response in ImpulseResponses.open(settings.impulse_responses).responses)
