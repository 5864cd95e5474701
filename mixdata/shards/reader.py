"""Reading a dataset: `open_dataset(path)` gives its tables and its examples."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mixdata.errors import MixdataError, UsageError
from mixdata.example import Audio, Example
from mixdata.shards.cache import Cache
from mixdata.shards.counts import Counts
from mixdata.shards.examples import read_examples
from mixdata.shards.format import FORMAT_VERSION, NAME, READABLE, track_names
from mixdata.shards.mapped import Maps
from mixdata.shards.members import RECORD
from mixdata.shards.shard import Piece, Reading, Shard, read_stored
from mixdata.shards.storage import Storage, open_storage

FIELDS = {"sample_rate": int, "channels": int, "codec": str, "roles": dict, "splits": dict}  # of dataset.json, needed to read
META = "dataset.json"
ACCESS = ("map", "pread")


def open_dataset(
    path: str | Path,
    *,
    access: str = "map",
    cache_dir: str | Path | None = None,
    cache_bytes: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
) -> "Dataset":
    """Open a finished dataset: a folder, or a URL that fsspec knows, such as `s3://bucket/set`.

    `access="map"` maps planar shards into memory, `"pread"` reads them: for network file systems, on which a mapped file that changes
    kills the process. `cache_dir` keeps decoded samples on a local disk, in at most `cache_bytes` (default: half of what is free there),
    from which they are read like planar shards. `storage_options` are fsspec's, for the URL.
    Raises `UsageError` where there is no dataset, an unfinished one, or one of a format that this version cannot read.
    """
    if access not in ACCESS:
        raise UsageError(f"unknown access {access!r}: use one of {', '.join(ACCESS)}")
    if cache_bytes is not None and cache_bytes < 0:
        raise UsageError(f"cache_bytes must not be negative, got {cache_bytes}")
    storage = open_storage(path, storage_options)
    where = storage.where("")
    try:
        meta = json.loads(storage.read(META))
    except FileNotFoundError:
        raise UsageError(f"{where}: {_nothing(storage)}") from None
    except ValueError as error:
        raise MixdataError(f"{storage.where(META)}: cannot be read ({error})") from error
    file = storage.where(META)
    if not isinstance(meta, dict) or meta.get("format") != "mixdata":
        raise UsageError(f"{file}: not a mixdata dataset")
    if meta.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"{file}: format version {meta.get('format_version')}, this mixdata reads {FORMAT_VERSION}; install the version that wrote it"
        )
    if wrong := [name for name, kind in FIELDS.items() if not isinstance(meta.get(name), kind)] or list(_wrong(meta)):
        raise MixdataError(f"{file}: damaged, see {', '.join(wrong)}; run `mixdata verify {where}`")
    return Dataset(storage, meta, access, None if cache_dir is None else Path(cache_dir), cache_bytes)


def _nothing(storage: Storage) -> str:
    """Say what there is in place of a dataset."""
    folder = storage.local("")
    if folder is None:
        return "holds no mixdata dataset (no dataset.json is there)"
    if not folder.is_dir():
        return "no such folder; give the folder that `mixdata build --out` wrote"
    if any((folder / name).exists() for name in ("plan.parquet", "shards", ".build")):
        return "the build is not finished (dataset.json is written last); run the same `mixdata build` again to resume it"
    return "not a mixdata dataset (it has no dataset.json)"


def _address(meta: dict[str, Any]) -> str:
    """Return the name of the cache of a dataset with this content."""
    shards = [(shard.get("name"), shard.get("sha256")) for split in meta["splits"].values() for shard in split.get("shards", ())]
    about = [meta.get("identity"), meta["codec"], meta["channels"], shards]
    return hashlib.sha256(json.dumps(about, default=str).encode()).hexdigest()[:40]


def _wrong(meta: dict[str, Any]) -> Iterator[str]:
    if meta["codec"] not in READABLE:
        yield "codec"
    yield from (name for name in ("sample_rate", "channels") if meta[name] < 1)
    names = [name for role, stems in meta["roles"].items() for name in (role, *(stems if isinstance(stems, list) else [stems]))]
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        yield "roles"
    variable = meta.get("variable", [])
    if not (isinstance(variable, list) and all(isinstance(role, str) and _numbered(meta["roles"].get(role)) for role in variable)):
        yield "variable"
    if not all(isinstance(split, dict) and isinstance(split.get("examples"), int) for split in meta["splits"].values()):
        yield "splits"


def _numbered(stems: Any) -> bool:
    return isinstance(stems, list) and len(stems) > 0 and stems == list(track_names(len(stems)))


class Dataset:
    """A finished dataset. Iterate or index it for `Example`s with audio `(channels, frames)` float32 at its true level.

    Tables are read when first asked for. Safe to pickle, to use after a fork and in several threads. `counts` says what was read.
    """

    def __init__(
        self, storage: Storage, meta: dict[str, Any], access: str = "map", cache_dir: Path | None = None, cache_bytes: int | None = None
    ):
        self.storage = storage
        self.meta = meta
        self.name: str = meta.get("name", storage.where("").rpartition("/")[2])
        self.sample_rate: int = meta["sample_rate"]
        self.channels: int = meta["channels"]
        self.codec: str = meta["codec"]
        self.continuous: bool = meta.get("continuous", False)
        self.roles: dict[str, tuple[str, ...]] = {role: tuple(stems) for role, stems in meta["roles"].items()}
        self.variable: tuple[str, ...] = tuple(meta.get("variable", ()))  # roles in which an example has only the first few of the stems
        self.splits: dict[str, dict[str, Any]] = meta["splits"]
        self.counts = Counts()
        self._options = {"access": access, "cache_dir": cache_dir, "cache_bytes": cache_bytes}
        cache = None if cache_dir is None else Cache(cache_dir.absolute(), _address(meta), cache_bytes, self.counts)
        maps = Maps() if access == "map" else None
        self._how = Reading(storage, self.codec, self.channels, self.counts, maps, cache)
        self._shards: dict[str, Shard] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"storage": self.storage, "meta": self.meta, **self._options}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Dataset({self.where!r}, {len(self)} examples, {self.sample_rate} Hz, {self.codec})"

    @property
    def where(self) -> str:
        """Its folder or URL, for people."""
        return self.storage.where("")

    @property
    def path(self) -> Path:
        """Its folder. Raises `UsageError` where it lies elsewhere."""
        if (folder := self.storage.local("")) is None:
            raise UsageError(f"{self.where}: this needs the dataset on this machine; copy it here first")
        return folder

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe with which it was built."""
        from mixdata.recipes import strict_yaml  # the recipes' steps are nothing that a training loop needs to import

        file = self.storage.where("recipe.yaml")
        try:
            recipe = strict_yaml.load(self.storage.read("recipe.yaml").decode(), file).value
        except (OSError, UnicodeDecodeError) as error:
            raise MixdataError(f"{file}: cannot be read ({error})") from error
        if not isinstance(recipe, dict):
            raise MixdataError(f"{file}: is no recipe; run `mixdata verify {self.where}`")
        return recipe

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row per example, as in `examples.parquet`."""
        return read_examples(self.storage).to_pandas()

    @cached_property
    def songs(self) -> pd.DataFrame:
        """One row per song that the build saw: used or rejected, and why."""
        return read_stored(self.storage, "songs.parquet").to_pandas()

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.examples["key"])}

    def __len__(self) -> int:
        return sum(split["examples"] for split in self.splits.values())

    def __iter__(self) -> Iterator[Example]:
        return (self[row] for row in range(len(self.examples)))

    def __getitem__(self, row: int) -> Example:
        """Return the example of this row of `examples` (negative: from the end), every member checked against its checksum."""
        if not isinstance(row, int | np.integer):
            raise UsageError(f"{self.where}: an example is taken by its number, or by its key with load(key); got {row!r}")
        if not -len(self.examples) <= row < len(self.examples):
            raise IndexError(f"{self.where}: there is no example {row}, there are {len(self.examples)}")
        return self._load(row, verify=True)

    def load(self, key: str, verify: bool = True) -> Example:
        """Return the example with this key. `verify=False` skips the checksums."""
        if key not in self._row_of:
            raise UsageError(f"{self.where}: no example {key!r}; the keys are in examples.parquet")
        return self._load(self._row_of[key], verify)

    def members(self, shard: str) -> pa.Table:
        """Return the member table of a shard such as `train-000000`."""
        return read_stored(self.storage, f"shards/{shard}.parquet")

    def shard(self, name: str) -> "Shard":
        """Return a shard by name, its member table read once."""
        if name not in self._shards:
            self._shards[name] = Shard(name, self._how)
        return self._shards[name]

    def _load(self, row: int, verify: bool) -> Example:
        of = self.examples.iloc[row]
        shard = self.shard(of["shard"])
        members = shard.rows(of["key"])
        if verify:
            shard.check(members)  # the record's, too
        audio = [member for member in members if shard.name(member) != RECORD]
        roles: dict[str, dict[str, Audio]] = {}
        active: dict[str, dict[str, bool]] = {}
        for member, read in zip(audio, shard.read([Piece(tuple(audio), 0, int(of["frames"]), 0)], int(of["frames"])), strict=True):
            role, _, stem = shard.name(member).partition(".")
            roles.setdefault(role, {})[stem] = read
            active.setdefault(role, {})[stem] = bool(shard.active[member])
        activity = {name.removeprefix("activity_"): float(of[name]) for name in self.examples.columns if name.startswith("activity_")}
        for role in self.variable:  # the table has a column for every track of any example
            activity = {stem: share for stem, share in activity.items() if stem not in self.roles[role] or stem in roles.get(role, ())}
        try:
            record = json.loads(shard.record(of["key"]))
        except (ValueError, RecursionError) as error:
            raise MixdataError(f"{shard.tar}: the record of {of['key']} cannot be read ({error}); run `mixdata verify`") from error
        return Example(
            key=of["key"],
            song=of["song"],
            split=of["split"],
            block=int(of["block"]),
            start=int(of["start"]),
            sample_rate=int(of["sample_rate"]),
            roles=roles,
            active=active,
            activity=activity,
            scale=float(of["scale"]),
            record=record,
        )
