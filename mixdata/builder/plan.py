"""The plan: which songs are used, in which split, and which shard each goes into. Computed before anything is written."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mixdata import rng
from mixdata.builder.survey import SPLITS, PlannedSong, survey
from mixdata.corpora import Corpus
from mixdata.errors import MixdataError, UsageError
from mixdata.leaks.find import Entry
from mixdata.leaks.guard import Verdict, refuse_leaks
from mixdata.recipes.model import Recipe
from mixdata.shards.format import BITS, CODECS, track_names
from mixdata.shards.writer import LONGEST_NAME
from mixdata.song import Song

FLAC_SHARE = 0.65  # of PCM, measured on music; only for sizing shards and for the estimate that is shown
LONGEST_KEY = 55


@dataclass(frozen=True)
class PlannedShard:
    """One shard: its songs in order, and the hash of everything that decides its bytes."""

    name: str
    split: str
    id: str
    songs: tuple[PlannedSong, ...]

    @property
    def frames(self) -> int:
        return sum(planned.frames for planned in self.songs)


@dataclass
class Plan:
    """What will be built. `rejected` are the rows of songs.parquet for songs that cannot be used; `leaks` what was let through."""

    recipe: Recipe
    recipe_identity: str
    identity: str
    roles: dict[str, list[str]]
    limit: int | None = None
    shards: list[PlannedShard] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    leaks: Verdict = field(default_factory=Verdict)

    @property
    def songs(self) -> list[PlannedSong]:
        return [song for shard in self.shards for song in shard.songs]

    @property
    def seconds(self) -> float:
        return sum(shard.frames for shard in self.shards) / self.recipe.header.sample_rate

    def dataset_bytes(self) -> int:
        """Estimate of the finished dataset's size."""
        return sum(_bytes(planned, self.recipe, self.roles) for planned in self.songs)

    def cache_bytes(self) -> int:
        """Estimate of what separated stems will take in the cache."""
        return sum(round(self.seconds * cache_rate(call.params, self)) for call in self.recipe.steps)

    def table(self) -> pa.Table:
        """Return plan.parquet."""
        rows = [
            {"shard": shard.name, "shard_id": shard.id, "split": shard.split, "song": planned.song.id, "corpus": planned.song.corpus}
            | {"sha256": planned.song.sha256, "frames": planned.frames}
            for shard in self.shards
            for planned in shard.songs
        ]
        names = ("shard", "shard_id", "split", "song", "corpus", "sha256")
        return pa.Table.from_pylist(rows, schema=pa.schema([*((name, pa.string()) for name in names), ("frames", pa.int64())]))


def cache_rate(params: Any, plan: Plan) -> float:
    """Return the bytes per second of song that a step with these parameters puts into the cache."""
    width = {"flac24": 3 * FLAC_SHARE, "float32": 4.0}.get(getattr(params, "cache", "off"), 0.0)
    return width * 2 * len(plan.roles.get("input", ())) * plan.recipe.header.sample_rate


def make_plan(
    recipe: Recipe, corpora: Iterable[Corpus], limit: int | None = None, quiet: bool = False, fingerprints: Path | None = None
) -> Plan:
    """Look at every song of the corpora and lay out the shards. Reads headers and hashes contents.

    Songs of several corpora are listened to, for leaks between splits; their fingerprints are kept in the folder `fingerprints`.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be at least 1, got {limit}")
    recipe = recipe.pinned()
    roles = recipe.roles()
    longest = max(len(f"{role}.{stem}.flac") for role, stems in roles.items() for stem in stems or track_names(1))
    if LONGEST_KEY + 1 + longest > LONGEST_NAME:
        raise UsageError(f"the names of a role and a stem may have {LONGEST_NAME - LONGEST_KEY - 7} characters together; use shorter ones")
    usable, rejected = survey(recipe, corpora, quiet)
    if not usable:
        reasons = "\n".join(f"  {row['message']}" for row in rejected[:10])
        raise MixdataError(f"none of the {len(rejected)} songs can be used:\n{reasons}")
    if limit is not None:
        usable = _sample(usable, limit, recipe.header.seed)
    leaks = _refuse_leaks(usable, recipe, fingerprints, quiet)
    identity = recipe.identity()
    plan = Plan(recipe, identity, "", roles, limit, rejected=rejected, leaks=leaks)
    for split in sorted({song.split for song in usable}, key=lambda name: (SPLITS.index(name) if name in SPLITS else 9, name)):
        ordered = sorted((song for song in usable if song.split == split), key=lambda song: _order(song.song, recipe.header.seed))
        for number, group in enumerate(_shards(ordered, recipe, plan.roles)):
            contents = [[planned.about(), planned.split, planned.fingerprints] for planned in group]
            shard_id = hashlib.sha256(json.dumps([identity, contents], sort_keys=True).encode()).hexdigest()
            plan.shards.append(PlannedShard(f"{split}-{number:06d}", split, shard_id, tuple(group)))
    plan.identity = hashlib.sha256(json.dumps([identity, [[s.name, s.id] for s in plan.shards]]).encode()).hexdigest()
    return plan


def _refuse_leaks(songs: list[PlannedSong], recipe: Recipe, fingerprints: Path | None, quiet: bool) -> Verdict:
    """Raise `UsageError` where songs, artists or recordings are in two splits without leave."""
    entries = [Entry.of(planned.song, planned.split, f"{planned.song.corpus}:{planned.place.root}") for planned in songs]
    separators = [f"{call.params.separator}:{getattr(call.params, 'model', '')}" for call in recipe.steps if call.step.name == "separate"]
    return refuse_leaks(entries, recipe.header.allow_leaks, separators, recipe.header.leak_check == "audio", fingerprints, quiet)


def _sample(songs: list[PlannedSong], limit: int, seed: int) -> list[PlannedSong]:
    """Draw `limit` songs, group after group in seeded order, so that few groups are cut."""
    return sorted(songs, key=lambda song: (rng.unit_hash(str(seed), "limit", song.song.group), _order(song.song, seed)))[:limit]


def _order(song: Song, seed: int) -> str:
    return hashlib.sha256(f"{seed} {song.sha256}".encode()).hexdigest()


def _bytes(planned: PlannedSong, recipe: Recipe, roles: dict[str, list[str]]) -> int:
    members = sum(len(stems) for stems in roles.values()) + planned.tracks
    codec = recipe.header.output.codec
    share = FLAC_SHARE if CODECS[codec] == ".flac" else 1.0
    return round(planned.frames * 2 * BITS[codec] / 8 * share * members * recipe.variants)


def _shards(songs: list[PlannedSong], recipe: Recipe, roles: dict[str, list[str]]) -> Iterator[list[PlannedSong]]:
    """Group songs into shards of about the wanted size. A song is never parted."""
    group: list[PlannedSong] = []
    size = 0
    for song in songs:
        song_bytes = _bytes(song, recipe, roles)
        if group and size + song_bytes > recipe.header.output.shard:
            yield group
            group, size = [], 0
        group.append(song)
        size += song_bytes
    if group:
        yield group
