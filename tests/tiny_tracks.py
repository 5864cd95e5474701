"""A set whose songs have tracks of varying number, written by the builder's own writer and finish, without a recipe's steps."""

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile

from mixdata.builder.finish import finish
from mixdata.builder.plan import Plan, PlannedShard
from mixdata.builder.shard import outcome_bytes, outcome_path
from mixdata.example import Example
from mixdata.files import publish_bytes
from mixdata.recipes.model import Recipe, recipe_from_data
from mixdata.rng import stream
from mixdata.shards.format import headroom_scale
from mixdata.shards.writer import write_shard

RATE = 8000
SONGS = {"train": [2, 5, 9], "valid": [3]}  # tracks of each song
COUNTS = {"song-1-00000001": 2, "song-2-00000002": 5, "song-3-00000003": 9, "song-4-00000004": 3}
INSTRUMENTS = ("Kick", "Bass DI", "Lead Vocal", "Gtr L")
Roles = dict[str, dict[str, np.ndarray]]


class TracksRecipe(Recipe):
    """A recipe whose role `input` varies."""

    def roles(self) -> dict[str, list[str]]:
        return {"input": [], "target": ["mixture"]}

    def variable(self) -> list[str]:
        return ["input"]

    def sums(self) -> list[str]:
        return []

    @property
    def continuous(self) -> bool:
        return self.joined

    joined = True


@dataclass
class Tracks:
    """Where the set lies, and what was put in, by song: role -> stem -> `(2, frames)`."""

    path: Path
    songs: dict[str, Roles] = field(default_factory=dict)


def song_of(seed: int, tracks: int, frames: int, silent: tuple[str, ...]) -> Roles:
    """Return tracks of noise at levels of their own, and their sum at other levels."""
    rng = stream(seed, "tiny tracks")
    noise = rng.standard_normal((tracks, 2, frames)).clip(-3, 3).astype(np.float32)
    inputs = {f"t{n:03d}": np.float32(0.2 / (1 + n)) * each for n, each in enumerate(noise)}
    for name in silent:
        if name in inputs:
            inputs[name] = np.zeros((2, frames), np.float32)
    gains = rng.uniform(0.2, 0.8, tracks)
    mixture = sum((np.float32(gain) * audio for gain, audio in zip(gains, inputs.values(), strict=True)), np.zeros((2, frames), np.float32))
    return {"input": inputs, "target": {"mixture": mixture}}


def write_tracks(
    path: Path,
    songs: dict[str, list[int]] | None = None,
    *,
    codec: str = "npy16",
    frames: int = 20_000,
    block: int = 8_000,
    continuous: bool = True,
    silent: tuple[str, ...] = ("t001",),
) -> Tracks:
    """Write a set with songs of so many tracks; `silent` tracks are there and not active. Two songs to a shard."""
    recipe = _recipe(codec, block, continuous)
    written = Tracks(path)
    plan = Plan(recipe, "0" * 64, "1" * 64, recipe.roles(), None)
    seed = 0
    for split, counts in (songs or SONGS).items():
        made = []
        for count in counts:
            seed += 1
            name = f"song-{seed}-{seed:08x}"
            written.songs[name] = song_of(seed, count, frames + 1000 * seed, silent)
            made.append(name)
        for number, first in enumerate(range(0, len(made), 2)):
            shard = f"{split}-{number:06d}"
            names = made[first : first + 2]
            examples = [example for name in names for example in blocks_of(name, split, written.songs[name], block, codec)]
            write_shard(path, shard, shard, examples, codec)
            publish_bytes(outcome_path(path, shard), outcome_bytes(shard, [_row(name, split) for name in names]))
            planned = [SimpleNamespace(song=SimpleNamespace(id=name, corpus="tiny", sha256="0" * 64), frames=frames) for name in names]
            plan.shards.append(PlannedShard(shard, split, shard, tuple(planned)))  # type: ignore[arg-type]
    finish(plan, path)
    for leftover in (path / ".build" / "outcomes").iterdir():
        leftover.unlink()
    for folder in (path / ".build" / "outcomes", path / ".build"):
        folder.rmdir()
    return written


def blocks_of(name: str, split: str, roles: Roles, block: int, codec: str) -> list[Example]:
    """Cut a song into examples as a builder does."""
    frames = roles["target"]["mixture"].shape[1]
    scale = headroom_scale(max(float(np.abs(audio).max()) for stems in roles.values() for audio in stems.values()), codec)
    active = {role: {stem: bool(audio.any()) for stem, audio in stems.items()} for role, stems in roles.items()}
    tracks = {
        stem: {"name": f"{INSTRUMENTS[n % 4]} {n}", "instrument": INSTRUMENTS[n % 4].lower(), "stem": None, "group": None, "facts": {}}
        for n, stem in enumerate(roles["input"])
    }
    examples = []
    for number, start in enumerate(range(0, frames, block)):
        part = {role: {stem: audio[:, start : start + block] for stem, audio in stems.items()} for role, stems in roles.items()}
        activity = {stem: (n + 1) / 10 if active["input"][stem] else 0.0 for n, stem in enumerate(part["input"])}
        loudness = {role: {stem: -20.0 - n if active[role][stem] else None for n, stem in enumerate(stems)} for role, stems in part.items()}
        key = f"{name}_{number:05d}"
        record: dict[str, Any] = {
            "key": key,
            "song": {"id": name, "corpus": "tiny", "licence": "CC0-1.0"},
            "split": split,
            "block": number,
            "start": start,
            "frames": part["target"]["mixture"].shape[1],
            "sample_rate": RATE,
            "channels": 2,
            "codec": codec,
            "scale": scale,
            "active": active,
            "activity": activity,
            "loudness": loudness,
            "tracks": tracks,
        }
        examples.append(Example(key, name, split, number, start, RATE, part, active, activity, scale=scale, record=record))
    return examples


def from_tars(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return every song's members as stored over full scale, joined block by block, read by tarfile, NumPy and soundfile alone."""
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for path in sorted((folder / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                key, role, *rest = info.name.split(".")
                if rest:
                    data = io.BytesIO(tar.extractfile(info).read())
                    audio = np.load(data) / 32768 if rest[1] == "npy" else soundfile.read(data, always_2d=True)[0].T
                    found.setdefault(key[:-6], {}).setdefault(f"{role}.{rest[0]}", []).append(audio)
    return {song: {name: np.concatenate(parts, axis=1) for name, parts in members.items()} for song, members in found.items()}


def _row(name: str, split: str) -> dict[str, Any]:
    about = {"song": name, "title": name, "file": None, "corpus": "tiny", "split": split, "licence": "CC0-1.0", "wet": "dry"}
    return about | {"groups": "{}", "sha256": "0" * 64, "status": "used", "reason": None, "message": None, "seconds": 2.5, "warnings": []}


def _recipe(codec: str, block: int, continuous: bool) -> TracksRecipe:
    steps = [{"stems": {}}, {"segment": {"seconds": block / RATE, "min_seconds": 0}}]
    recipe = recipe_from_data({"name": "tiny", "sample_rate": RATE, "steps": steps, "output": {"codec": codec}})
    made = TracksRecipe(recipe.header, recipe.steps, recipe.source)
    made.joined = continuous
    return made
