"""Reading a dataset: `open_dataset(path)` gives its tables and its examples."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mixdata.errors import MixdataError, UsageError
from mixdata.example import Audio, Example
from mixdata.shards.format import CODECS, EXAMPLE_FIELDS, FORMAT_VERSION, KEY, NAME, SHARD
from mixdata.shards.shard import RECORD, Piece, Shard, read_json, read_table

FIELDS = {"sample_rate": int, "channels": int, "codec": str, "roles": dict, "splits": dict}  # of dataset.json, needed to read

LONGEST = 2**48  # frames of a song: no sum of them overflows


def open_dataset(
    path: str | Path, *, access: str = "map", cache_dir: str | Path | None = None, cache_bytes: int | None = None
) -> "Dataset":
    """Open a finished dataset folder.

    Raises `UsageError` where there is no dataset, an unfinished one, or one of a format that this version cannot read.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; give the folder that `mixdata build --out` wrote")
    file = folder / "dataset.json"
    if not file.is_file():
        if not any((folder / name).exists() for name in ("plan.parquet", "shards", ".build")):
            raise UsageError(f"{folder}: not a mixdata dataset (it has no dataset.json)")
        raise UsageError(
            f"{folder}: the build is not finished (dataset.json is written last); run the same `mixdata build` again to resume it"
        )
    meta = read_json(file)
    if not isinstance(meta, dict) or meta.get("format") != "mixdata":
        raise UsageError(f"{file}: not a mixdata dataset")
    if meta.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"{file}: format version {meta.get('format_version')}, this mixdata reads {FORMAT_VERSION}; install the version that wrote it"
        )
    if wrong := [name for name, kind in FIELDS.items() if not isinstance(meta.get(name), kind)] or list(_wrong(meta)):
        raise MixdataError(f"{file}: damaged, see {', '.join(wrong)}; run `mixdata verify {folder}`")
    return Dataset(folder, meta)


def _wrong(meta: dict[str, Any]) -> Iterator[str]:
    if meta["codec"] not in CODECS:
        yield "codec"
    yield from (name for name in ("sample_rate", "channels") if meta[name] < 1)
    names = [name for role, stems in meta["roles"].items() for name in (role, *(stems if isinstance(stems, list) else [stems]))]
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in names):
        yield "roles"
    if not all(isinstance(split, dict) and isinstance(split.get("examples"), int) for split in meta["splits"].values()):
        yield "splits"


def read_examples(folder: Path) -> pa.Table:
    """Read `examples.parquet`. Raises `MixdataError` for a table that no builder writes.

    A dataset may come from anywhere, and its keys and shards become file names: here they are checked, once for all who use them.
    """
    file = folder / "examples.parquet"
    table = read_table(file, pa.schema(EXAMPLE_FIELDS))
    for name, pattern in (("key", KEY), ("shard", SHARD)):
        for value in pc.unique(table[name]).to_pylist():
            if not pattern.fullmatch(value):
                raise MixdataError(f"{file}: {value!r} is no {name} that mixdata gives; run `mixdata verify`")
    for name, least in (("start", 0), ("frames", 1), ("sample_rate", 1)):
        values = table[name].to_numpy()
        if not ((values >= least) & (values < LONGEST)).all():
            raise MixdataError(f"{file}: column {name} has a value that cannot be; run `mixdata verify`")
    for field in table.schema:
        if field.name.startswith("activity_") and not pa.types.is_floating(field.type):
            raise MixdataError(f"{file}: column {field.name} is of type {field.type}, not of numbers; run `mixdata verify`")
    return table


class Dataset:
    """A finished dataset. Iterate or index it for `Example`s with audio `(channels, frames)` float32 at its true level.

    Tables are read when first asked for. Safe to pickle and to use after a fork.
    """

    def __init__(self, path: Path, meta: dict[str, Any]):
        self.path = path
        self.meta = meta
        self.name: str = meta.get("name", path.name)
        self.sample_rate: int = meta["sample_rate"]
        self.channels: int = meta["channels"]
        self.codec: str = meta["codec"]
        self.continuous: bool = meta.get("continuous", False)
        self.roles: dict[str, tuple[str, ...]] = {role: tuple(stems) for role, stems in meta["roles"].items()}
        self.splits: dict[str, dict[str, Any]] = meta["splits"]
        self._shards: dict[str, Shard] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "meta": self.meta}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"Dataset({str(self.path)!r}, {len(self)} examples, {self.sample_rate} Hz, {self.codec})"

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe with which it was built."""
        from mixdata.recipes import strict_yaml  # the recipes' steps are nothing that a training loop needs to import

        file = self.path / "recipe.yaml"
        try:
            recipe = strict_yaml.load(file.read_text("utf-8"), str(file)).value
        except (OSError, UnicodeDecodeError) as error:
            raise MixdataError(f"{file}: cannot be read ({error})") from error
        if not isinstance(recipe, dict):
            raise MixdataError(f"{file}: is no recipe; run `mixdata verify {self.path}`")
        return recipe

    @cached_property
    def examples(self) -> pd.DataFrame:
        """One row per example, as in `examples.parquet`."""
        return read_examples(self.path).to_pandas()

    @cached_property
    def songs(self) -> pd.DataFrame:
        """One row per song that the build saw: used or rejected, and why."""
        return read_table(self.path / "songs.parquet").to_pandas()

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
            raise UsageError(f"{self.path}: an example is taken by its number, or by its key with load(key); got {row!r}")
        if not -len(self.examples) <= row < len(self.examples):
            raise IndexError(f"{self.path}: there is no example {row}, there are {len(self.examples)}")
        return self._load(row, verify=True)

    def load(self, key: str, verify: bool = True) -> Example:
        """Return the example with this key. `verify=False` skips the checksums."""
        if key not in self._row_of:
            raise UsageError(f"{self.path}: no example {key!r}; the keys are in examples.parquet")
        return self._load(self._row_of[key], verify)

    def members(self, shard: str) -> pa.Table:
        """Return the member table of a shard such as `train-000000`."""
        return read_table(self._tar(shard).with_suffix(".parquet"))

    def shard(self, name: str) -> "Shard":
        """Return a shard by name, its member table read once."""
        if name not in self._shards:
            self._shards[name] = Shard(self._tar(name), self.codec, self.channels)
        return self._shards[name]

    def _tar(self, shard: str) -> Path:
        return self.path / "shards" / f"{shard}.tar"

    def _load(self, row: int, verify: bool) -> Example:
        of = self.examples.iloc[row]
        shard = self.shard(of["shard"])
        members = shard.rows(of["key"])
        if verify:
            shard.check(members)
        audio = [member for member in members if shard.name(member) != RECORD]
        roles: dict[str, dict[str, Audio]] = {}
        active: dict[str, dict[str, bool]] = {}
        for member, read in zip(audio, shard.read([Piece(tuple(audio), 0, int(of["frames"]), 0)], int(of["frames"])), strict=True):
            role, _, stem = shard.name(member).partition(".")
            roles.setdefault(role, {})[stem] = read
            active.setdefault(role, {})[stem] = bool(shard.active[member])
        activity = {name.removeprefix("activity_"): float(of[name]) for name in self.examples.columns if name.startswith("activity_")}
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
