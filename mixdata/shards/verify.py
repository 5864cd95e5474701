"""Is a dataset what it says it is? Every byte is read, every member decoded, every promise checked.

A dataset may come from anywhere: whatever is wrong in it becomes a `Problem`, and the rest of it is checked all the same.
"""

import hashlib
import math
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError

from mixdata.errors import MixdataError
from mixdata.progress import Progress
from mixdata.shards.examples import read_examples
from mixdata.shards.format import BITS, KEY, MEMBER_SCHEMA, PLANAR, SHARD, decode_stored, track_names
from mixdata.shards.index import FILES, Facts, checksum, complaints, example_row, index_tar, read_record, shard_rows
from mixdata.shards.reader import open_dataset
from mixdata.shards.shard import read_table
from mixdata.shards.storage import Folder


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be: where, and what."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


class Sum(Facts):
    """A promise of dataset.json: the other stems of the role sum to the stem `total`."""

    role: str
    total: str


class Imported(Facts):
    """What dataset.json says of tars that were imported: role and licence of samples that give none."""

    role: str
    licence: str


class Promises(Facts):
    """What dataset.json says of every example."""

    sample_rate: Annotated[int, Field(ge=1, lt=2**31)]
    channels: int
    codec: str
    continuous: bool
    roles: dict[str, list[str]]
    sums: list[Sum]
    variable: list[str] = Field(default_factory=list)
    imported: Imported | None = None

    def members(self, tracks: int) -> dict[str, list[str]]:
        """Return the roles and stems of an example with so many tracks in each role that varies."""
        return {role: stems[:tracks] if role in self.variable else stems for role, stems in self.roles.items()}


class ShardFacts(Facts):
    """What dataset.json says of a shard."""

    name: Annotated[str, Field(pattern=f"^{SHARD.pattern}$")]
    sha256: str
    bytes: int
    examples: int
    table_sha256: str


class SplitFacts(Facts):
    """What dataset.json says of a split."""

    songs: int
    examples: int
    seconds: float
    shards: list[ShardFacts]


class Contents(Facts):
    """What else dataset.json says and can be checked: what belongs to the dataset."""

    splits: dict[str, SplitFacts]
    files: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")], str]
    checksum: str


def verify(path: str | Path, workers: int = 1, quiet: bool = True) -> list[Problem]:
    """Check a finished dataset and return what is wrong with it: an empty list is a clean bill.

    Checked: the content of dataset.json against its checksum; every other file against its hash there; member tables and
    examples.parquet against the tars; every member decodes to its declared shape and type; inactive members are silent; where
    dataset.json promises it, blocks of a song join and stems sum to their mixture; no song is in several splits; where examples have
    tracks of varying number, none lacks one in between, and all of a song have equally many.
    Raises `UsageError` where there is no finished dataset.
    """
    dataset = open_dataset(path)
    folder, meta = dataset.path, dataset.meta
    try:
        contents, promises = Contents.model_validate(meta), Promises.model_validate(meta)
    except ValidationError as error:  # then nobody knows what to compare with
        return [Problem("dataset.json", complaint) for complaint in complaints(error)]
    shards = [shard for split in contents.splits.values() for shard in split.shards]
    problems = [*_check_meta(meta, contents, promises), *_check_files(folder, contents), *_check_strangers(folder, shards)]
    if any(problem.where == "dataset.json sums" for problem in problems):
        promises = promises.model_copy(update={"sums": []})
    try:
        examples = read_examples(Folder(folder))
    except MixdataError as error:
        problems.append(Problem("examples.parquet", str(error)))
        examples = None
    else:
        problems += _check_songs(folder, examples, contents, promises.sample_rate)
        problems += _check_tracks(examples, promises)
    with Progress("verifying", total=len(shards), unit="shard", quiet=quiet) as progress:
        for found in _map(folder, promises, shards, rows_by_shard(shards, examples), workers):
            problems += found
            progress.update(1)
    return problems


def rows_by_shard(shards: list[ShardFacts], examples: pa.Table | None) -> Iterator[pa.Table | None]:
    """Yield each shard's rows of examples.parquet, which is read once for all of them."""
    if examples is None:
        yield from (None for _ in shards)
        return
    places = examples.select(["shard"]).to_pandas().groupby("shard").indices
    for shard in shards:
        yield examples.take(pa.array(places.get(shard.name, ()), pa.int64()))


def _map(
    folder: Path, promises: Promises, shards: list[ShardFacts], rows: Iterator[pa.Table | None], workers: int
) -> Iterator[list[Problem]]:
    if workers <= 1 or len(shards) <= 1:
        for shard in shards:
            yield check_shard(folder, promises, shard, next(rows))
        return
    with ProcessPoolExecutor(min(workers, len(shards)), get_context("spawn")) as pool:
        futures = [pool.submit(check_shard, folder, promises, shard, next(rows)) for shard in shards]
        for future, shard in zip(futures, shards, strict=True):
            try:
                yield future.result()
            except BrokenProcessPool as error:
                where = folder / "shards" / f"{shard.name}.tar"
                raise MixdataError(f"{where}: a worker process died about here (out of memory?); run it with --workers 1") from error


def _check_meta(meta: dict[str, Any], contents: Contents, promises: Promises) -> Iterator[Problem]:
    if checksum(meta) != contents.checksum:
        yield Problem("dataset.json", "was changed since the build (its content does not have its checksum)")
    for promise in promises.sums:
        if promise.total not in promises.roles.get(promise.role, ()):
            yield Problem("dataset.json sums", f"there is no {promise.role}.{promise.total} among the roles")
    names = [shard.name for split in contents.splits.values() for shard in split.shards]
    if len(set(names)) != len(names):
        yield Problem("dataset.json", "names a shard twice")


def _check_files(folder: Path, contents: Contents) -> Iterator[Problem]:
    for name in dict.fromkeys((*FILES, *contents.files)):
        if name not in contents.files:
            yield Problem(name, "has no hash in dataset.json")
        else:
            yield from _changed(folder, name, contents.files[name])


def _changed(folder: Path, name: str, sha256: str) -> Iterator[Problem]:
    if not (folder / name).is_file():
        yield Problem(name, "is missing")
        return
    try:
        with open(folder / name, "rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        yield Problem(name, f"cannot be read: {error.strerror}")
        return
    if found != sha256:
        yield Problem(name, "was changed since the build (its hash is not the one in dataset.json)")


def _check_strangers(folder: Path, shards: list[ShardFacts]) -> Iterator[Problem]:
    known = {f"{shard.name}{suffix}" for shard in shards for suffix in (".tar", ".parquet")}
    try:
        found = {path.name for path in (folder / "shards").iterdir()}
    except OSError as error:
        yield Problem("shards", f"cannot be read: {error.strerror}")
        return
    for name in sorted(found - known):
        yield Problem(f"shards/{name}", "is not in dataset.json")


def _check_songs(folder: Path, table: pa.Table, contents: Contents, sample_rate: int) -> Iterator[Problem]:
    examples = table.select(["key", "song", "split", "frames", "shard"]).to_pandas()
    try:
        songs = read_table(folder / "songs.parquet", pa.schema([("status", pa.string())])).select(["song", "status"]).to_pylist()
    except (MixdataError, KeyError) as error:
        yield Problem("songs.parquet", str(error))
    else:
        used, held = {str(row["song"]) for row in songs if row["status"] == "used"}, set(examples["song"])
        for song in sorted(used ^ held):
            what = "used but has no example" if song in used else "not there as used, but has examples"
            yield Problem("songs.parquet", f"{song} is {what}")
    for song, splits in examples.groupby("song")["split"].unique().items():
        if len(splits) > 1:
            yield Problem("examples.parquet", f"{song} is in several splits: {', '.join(splits)}")
    if examples["key"].duplicated().any():
        yield Problem("examples.parquet", f"key {examples['key'][examples['key'].duplicated()].iloc[0]} stands twice")
    known = {shard.name for split in contents.splits.values() for shard in split.shards}
    for shard in sorted(set(examples["shard"]) - known):
        yield Problem("examples.parquet", f"has rows of shard {shard}, which is not in dataset.json")
    for name, split in contents.splits.items():
        rows = examples[examples["split"] == name]
        seconds = round(float(rows["frames"].sum()) / sample_rate, 3)
        if (len(rows), rows["song"].nunique(), seconds) != (split.examples, split.songs, split.seconds):
            yield Problem("dataset.json", f"counts of split {name} are not those of examples.parquet")


def _check_tracks(examples: pa.Table, promises: Promises) -> Iterator[Problem]:
    """See that the roles that vary list as many tracks as the examples have, and that a song's blocks have equally many."""
    counts = {role: len(promises.roles[role]) for role in promises.variable}
    if not counts:
        return
    if "tracks" not in examples.column_names or not pa.types.is_integer(examples["tracks"].type) or examples["tracks"].null_count:
        yield Problem("examples.parquet", "has no whole column tracks of whole numbers")
        return
    most = max(examples["tracks"].to_pylist(), default=0)
    for role, count in counts.items():
        if count != most:
            yield Problem("dataset.json", f"lists {count} tracks of {role}, the example with the most has {most}")
    for song, tracks in examples.select(["song", "tracks"]).to_pandas().groupby("song")["tracks"].unique().items():
        if len(tracks) > 1:
            yield Problem("examples.parquet", f"{song} has blocks of {' and '.join(map(str, sorted(tracks)))} tracks")


def check_shard(folder: Path, promises: Promises, shard: ShardFacts, examples: pa.Table | None) -> list[Problem]:
    """Check one shard: bytes, tables, audio. `examples` are its rows of examples.parquet, None where that cannot be read."""
    problems: list[Problem] = []
    try:
        problems.extend(_check_shard(folder, promises, shard, examples))
    except Exception as error:  # a reader's worst on bytes that nobody foresaw is this shard's problem, not the end of the check
        what = str(error) if isinstance(error, MixdataError) else f"{type(error).__name__}: {error}"
        problems.append(Problem(f"shards/{shard.name}", f"cannot be read: {what}"))
    return problems


def _check_shard(folder: Path, promises: Promises, shard: ShardFacts, examples: pa.Table | None) -> Iterator[Problem]:
    tar, table = folder / "shards" / f"{shard.name}.tar", folder / "shards" / f"{shard.name}.parquet"
    yield from _changed(folder, f"shards/{table.name}", shard.table_sha256)
    if not tar.is_file():
        yield Problem(f"shards/{tar.name}", "is missing")
        return
    if promises.imported is not None:  # a tar of somebody's, without records of ours
        from mixdata.interchange.check import check_imported

        layout = {role: tuple(stems) for role, stems in promises.roles.items()}, promises.codec, promises.channels, promises.sample_rate
        facts = shard.name, shard.sha256, shard.bytes, shard.examples
        yield from (Problem(*found) for found in check_imported(tar, facts, layout, promises.imported.model_dump(), examples))
        return
    members, sha256 = index_tar(tar)
    if (sha256, tar.stat().st_size) != (shard.sha256, shard.bytes):
        yield Problem(f"shards/{tar.name}", "was changed since the build (its hash or size is not the one in dataset.json)")
    if table.is_file():
        try:
            if not read_table(table, MEMBER_SCHEMA).equals(members):
                yield Problem(f"shards/{table.name}", "is not the index of the tar beside it")
        except MixdataError as error:
            yield Problem(f"shards/{table.name}", str(error))
    yield from _check_examples(tar, promises, shard, members, examples)


def _check_examples(tar: Path, promises: Promises, shard: ShardFacts, members: pa.Table, examples: pa.Table | None) -> Iterator[Problem]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in members.to_pylist():
        groups.setdefault(row["key"], []).append(row)
    derived = []
    ends: dict[str, int] = {}
    start = 0
    with open(tar, "rb") as file:
        for key, group in groups.items():
            where = f"shards/{tar.name} {key}"
            record = read_record(_bytes(file, group[-1]), where)
            end = group[-1]["byte_offset"] + group[-1]["byte_size"] + -group[-1]["byte_size"] % 512
            tracks = sum(row["role"] in promises.variable[:1] for row in group)
            derived.append(example_row(record, shard.name, start, end - start, tracks if promises.variable else None))
            start = end
            if not KEY.fullmatch(key):
                yield Problem(where, "is not a valid key")
            stored = record.sample_rate, record.channels, record.codec
            if stored != (promises.sample_rate, promises.channels, promises.codec):
                yield Problem(where, f"its sample rate, channels and codec are {stored}, not those of dataset.json")
            if promises.continuous and record.start != ends.get(record.song.id, 0):
                yield Problem(where, f"starts at {record.start}, the block before it ends at {ends.get(record.song.id, 0)}")
            ends[record.song.id] = record.start + record.frames
            made: dict[str, list[str]] = {}
            for row in group[:-1]:
                made.setdefault(row["role"], []).append(row["stem"])
            if list(made.items()) != list(promises.members(tracks).items()):
                yield Problem(where, _other_members(made, promises, tracks))
                continue
            if promises.variable and not (isinstance(record.tracks, dict) and list(record.tracks) == list(track_names(tracks))):
                yield Problem(where, f"its record does not tell of its {tracks} tracks, t000 to {track_names(tracks)[-1]}, and no others")
            yield from _check_audio(file, promises, where, group[:-1])
    if len(derived) != shard.examples:
        yield Problem(f"shards/{tar.name}", f"holds {len(derived)} examples, dataset.json says {shard.examples}")
    if examples is not None and not _same(examples, shard_rows(derived)):
        yield Problem("examples.parquet", f"its rows of shard {shard.name} are not what the tar's records say")


def _other_members(made: dict[str, list[str]], promises: Promises, tracks: int) -> str:
    """Say how an example's members are not those of dataset.json."""
    for role in promises.variable:
        held = [stem for stem in promises.roles[role] if stem in made.get(role, ())]
        for stem, found in zip(promises.roles[role], held, strict=False):
            if stem != found:
                return f"lacks {role}.{stem}, though it has {role}.{held[-1]}"
    return f"has members {made}, dataset.json says {promises.members(tracks)}"


def _bytes(file: BinaryIO, member: dict[str, Any]) -> bytes:
    file.seek(member["byte_offset"])
    return file.read(member["byte_size"])


def _check_audio(file: BinaryIO, promises: Promises, where: str, members: list[dict[str, Any]]) -> Iterator[Problem]:
    decoded: dict[tuple[str, str], np.ndarray] = {}
    for row in members:
        name = f"{row['role']}.{row['stem']}"
        data = _bytes(file, row)
        try:
            audio = decode_stored(data, row["codec"])
        except (RuntimeError, ValueError, OSError, MemoryError) as error:  # MemoryError: a header may claim any length
            yield Problem(where, f"{name} (bytes {row['byte_offset']} to {row['byte_offset'] + row['byte_size']}) does not decode: {error}")
            continue
        if audio.shape != (row["channels"], row["frames"]):
            yield Problem(where, f"{name} has shape {audio.shape}, the record says {(row['channels'], row['frames'])}")
            continue
        if row["codec"] in PLANAR and not _planar(data, audio, PLANAR[row["codec"]]):
            kind = np.dtype(PLANAR[row["codec"]]).name
            yield Problem(where, f"{name} is not what readers take it for: a .npy of version 1.0, {kind}, C order, nothing behind")
            continue
        if not np.isfinite(audio).all():
            yield Problem(where, f"{name} has samples that are no numbers, or infinite")
            continue
        if not row["active"] and audio.any():
            yield Problem(where, f"{name} is marked as not there and is not silent")
        decoded[row["role"], row["stem"]] = audio
    for promise in promises.sums:
        stems = [stem for stem in promises.roles[promise.role] if stem != promise.total]
        if all((promise.role, stem) in decoded for stem in (*stems, promise.total)):
            yield from _check_sum(where, promise, decoded[promise.role, promise.total], [decoded[promise.role, stem] for stem in stems])


def _check_sum(where: str, promise: Sum, total: np.ndarray, stems: list[np.ndarray]) -> Iterator[Problem]:
    exact = np.int64 if total.dtype.kind == "i" else np.float64
    missed = total.astype(exact) - sum(stem.astype(exact) for stem in stems)
    worst = float(np.abs(missed).max(initial=0))
    if exact is np.int64:
        bits = 16 if total.dtype == np.int16 else 24
        if worst > sum_tolerance(len(stems), f"flac{bits}"):
            yield Problem(where, f"the stems of {promise.role} miss {promise.total} by up to {worst:.0f} quantization steps")
        return
    loudest = float((np.abs(total, dtype=exact) + sum(np.abs(stem, dtype=exact) for stem in stems)).max(initial=0))
    if worst > float_sum_tolerance(len(stems), loudest):
        yield Problem(where, f"the stems of {promise.role} miss {promise.total} by up to {worst:.3g} of full scale")


def _planar(data: bytes, audio: np.ndarray, kind: str) -> bool:
    """Whether a .npy holds its samples where readers, who parse no header, look for them: at its end, channel after channel."""
    header = 10 + int.from_bytes(data[8:10], "little")  # version 1.0: magic, two bytes of version, two of the header's length
    return audio.dtype == np.dtype(kind) and audio.flags.c_contiguous and data[6:8] == b"\1\0" and len(data) == header + audio.nbytes


def sum_tolerance(stems: int, codec: str) -> float:
    """Return by how many quantization steps stems may miss their mixture.

    Each of the stems and the mixture is rounded by half a step at most: (stems + 1) / 2. Audio in memory is float32, whose own
    rounding (2^-25 of full scale each) is nothing at 16 bits and a quarter of a step at 24.
    """
    return math.floor((stems + 1) / 2 + (stems + 1) * 2.0 ** (BITS[codec] - 1 - 25) + 1e-9)


def float_sum_tolerance(stems: int, loudest: float) -> float:
    """Return by how much stems that are stored as float32 may miss their mixture, `loudest` being the largest sum of all their magnitudes.

    A sum in float32 rounds once per stem, each time by at most 2^-24 of what has come together so far, which is at most `loudest`.
    """
    return stems * 2.0**-24 * loudest


def _same(stored: pa.Table, derived: pa.Table) -> bool:
    """Whether the stored rows are the derived ones; measures that only other shards have are null here."""
    if len(set(stored.column_names)) != len(stored.column_names) or not set(derived.column_names) <= set(stored.column_names):
        return False
    others = set(stored.column_names) - set(derived.column_names)
    return stored.select(derived.column_names).equals(derived) and all(stored[name].null_count == len(stored) for name in others)
