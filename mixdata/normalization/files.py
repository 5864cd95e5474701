"""Normalize a user's own stems: files in, files out, exactly as a dataset's inputs were made."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import audio as files
from mixdata import rng
from mixdata.corpora.folder import KNOWN, stem_name
from mixdata.errors import UsageError
from mixdata.files import publish_bytes
from mixdata.normalization.eq import UNDER_DB, band_power, guarded_bands
from mixdata.normalization.normalize import DEFAULT_TARGETS, normalize_stem
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import Targets, load_targets, target_names
from mixdata.progress import Progress
from mixdata.recipes.work import read_stereo, refuse_channels
from mixdata.separation.base import SLACK_SECONDS
from mixdata.shards.format import NAME
from mixdata.song import Track
from mixdata.text import readable, shown

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

    changes = dict(settings or {})
    way = Way(load_targets(where), Settings())
    path = Path(os.path.expanduser(where))
    named = str(where) in target_names()  # and not a folder that happens to be called so
    if not named and path.is_dir() and (path / "recipe.yaml").is_file():
        recipe = load_recipe(path / "recipe.yaml")
        params, label = _call(recipe, path)
        if params is not None:
            if params.targets_sha256 not in (None, way.targets.sha256):
                raise UsageError(f"{readable(path)}: its targets.npz is not what its recipe was built with; run `mixdata verify`")
            given = {name: getattr(params, name) for name in Settings.model_fields}
            way = Way(way.targets, Settings(**given), recipe.header.sample_rate, recipe.header.seed, label)
            changed = _changed(way.settings, changes)
            if params.responses_sha256 is not None and changed.reverb is not None and changed.impulse_responses is None:
                raise UsageError(
                    f"{readable(path)}: its reverb used impulse responses, which do not travel with it: give their folder by "
                    "--set impulse_responses=FOLDER, or leave the reverb out by --set reverb=null"
                )
    return replace(way, settings=_changed(way.settings, changes))


def _call(recipe: Any, path: Path) -> tuple[Any, str]:
    """Return the parameters and the label of the step that normalizes a recipe's inputs (or, where none does, another role)."""
    calls = [call for call in recipe.steps if call.step.name == "normalize"]
    calls = [call for call in calls if call.params.role == "input"] or calls
    if len(calls) > 1:
        labels = ", ".join(call.label for call in calls)
        raise UsageError(f"{readable(path)}: its recipe normalizes more than once ({labels}); that cannot be done to files")
    return (calls[0].params, calls[0].label) if calls else (None, "")


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
    from, as long as they, which the guard against boosted hiss needs: without it there is none, with it there is one (of 30 dB where the
    settings say nothing). Every file's header is read before anything is written.
    Raises `UsageError` for what cannot be done at all, `AudioError` or `SongError` for a file that cannot be used.
    """
    way = way_of(where, settings)
    if mixture is not None and way.settings.eq is not None and way.settings.eq.guard_db is None:
        way = replace(way, settings=_changed(way.settings, {"eq.guard_db": UNDER_DB}))
    paths = _out_paths(stems, Path(out), mixture)
    _check_inputs(stems, mixture)
    responses = _responses(way.settings)
    mixes: dict[int, np.ndarray] = {}  # band powers by rate
    records: dict[str, dict[str, Any]] = {}
    with Progress("normalizing", total=len(stems), unit="file", quiet=quiet) as progress:
        for (stem, path), target in zip(stems, paths, strict=True):
            audio, rate = _read(path, way.sample_rate)
            generator = rng.stream(way.seed, files.file_sha256(path), way.label, stem)
            no_boost = None
            if mixture is not None and way.settings.eq is not None and way.settings.eq.guard_db is not None:
                if rate not in mixes:
                    mixes[rate] = band_power(_read(mixture, rate)[0], rate)
                no_boost = guarded_bands(audio, mixes[rate], rate, way.settings.eq.guard_db)
            done, record = normalize_stem(
                audio, rate, stem, way.targets, way.settings, no_boost=no_boost, generator=generator, responses=responses
            )
            files.write(target, done, rate)
            records[readable(target.name)] = {"stem": stem, "file": readable(Path(path).name), "sample_rate": rate, **record}
            progress.update(1, target.name)
    about = {"targets": dict(way.targets.about), "sha256": way.targets.sha256, "settings": way.settings.model_dump(mode="json")}
    publish_bytes(Path(out) / RECORD, (json.dumps({**about, "stems": records}, indent=1, ensure_ascii=False) + "\n").encode())
    return records


def _check_inputs(stems: Sequence[tuple[str, str | Path]], mixture: str | Path | None) -> None:
    """Look at every file's header. Raises where one cannot be used, or is not as long as the mixture."""
    for stem, _ in stems:
        if not NAME.fullmatch(stem):
            raise UsageError(f"{shown(readable(stem))!r} cannot be a stem's name: use [a-z0-9_-], at most 30 characters")
    infos = []
    for path in (*(path for _, path in stems), *([] if mixture is None else [mixture])):
        track = Track(Path(os.path.expanduser(path)))
        infos.append(track.info())
        refuse_channels(track, infos[-1].channels)
    for (_, path), info in zip(stems, infos, strict=False):
        if mixture is not None and abs(info.seconds - infos[-1].seconds) > SLACK_SECONDS:
            raise UsageError(
                f"{readable(path)} lasts {info.seconds:.2f} s and the mixture {infos[-1].seconds:.2f} s: "
                "give the mix that it was separated from"
            )


def summary_lines(records: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say in a line per file what was done: EQ's range, dynamics, gain, and how far from the target it was and is."""
    lines = []
    for file, record in records.items():
        name = shown(file)
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
        kind = record["stem"] if record["target"] == record["stem"] else f"{record['stem']}, as {record['target']}"
        lines.append(f"{name} ({kind}): {', '.join(parts) or 'nothing to do'}; from the target: {', '.join(distances)}")
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


def _out_paths(stems: Sequence[tuple[str, str | Path]], out: Path, mixture: str | Path | None) -> list[Path]:
    if not stems:
        raise UsageError("no files to normalize")
    paths = [out / f"{Path(path).stem}.wav" for _, path in stems]
    twice = sorted({path.name for path in paths if paths.count(path) > 1})
    if twice:
        raise UsageError(f"two files would both become {out / twice[0]}: give them different names")
    results = {os.path.realpath(path) for path in paths}
    for given in (*(path for _, path in stems), *([] if mixture is None else [mixture])):
        if os.path.realpath(os.path.expanduser(given)) in results:
            raise UsageError(f"{readable(given)}: a result would take its own place; choose another folder with --out")
    return paths


def _read(path: str | Path, sample_rate: int | None) -> tuple[np.ndarray, int]:
    track = Track(Path(os.path.expanduser(path)))
    rate = sample_rate or track.info().sample_rate
    return read_stereo(track, rate, []), rate


def _responses(settings: Settings) -> tuple[str, ...]:
    from mixdata.effects.impulse_responses import ImpulseResponses

    if settings.impulse_responses is None:
        return ()
    return tuple(response.sha256 for response in ImpulseResponses.open(settings.impulse_responses).responses)
