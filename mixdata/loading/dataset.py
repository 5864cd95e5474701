"""Crops of a dataset as a map-style torch dataset."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from mixdata.errors import MixdataError, UsageError
from mixdata.loading.choice import choose_stems, known
from mixdata.loading.crops import Crop, place_crop, pre_rolled
from mixdata.loading.order import Picks, crop_draw
from mixdata.loading.table import open_rows
from mixdata.rng import unit_draw
from mixdata.shards.reader import open_dataset
from mixdata.shards.shard import Piece

LONGEST_CROP = 3600  # seconds
VERIFY = {"off": 0.0, "sample": 0.001, "crc": 1.0}  # share of the items whose members are compared with their checksums
MOST_DAMAGED = 100  # items in a row that may be replaced before it is no longer a matter of a few bad members

Item = dict[str, Any]


class ShardDataset(TorchDataset[Item]):
    """Crops of a dataset's split, as a map-style torch dataset.

    `path` is a folder or a URL (`s3://…`, `https://…`, `hf://…`).
    `crop` is the length in seconds; None gives whole examples. Where the dataset is continuous, crops run over the borders of a song's
    blocks; elsewhere they stay inside one. Material shorter than the crop is followed by zeros, see `valid_frames`.
    `roles` (default: all) and `stems` (for all roles, or by role) choose what is read, in this order.

    Which blocks: `where` is a condition in SQL on the columns of examples.parquet, `weights` an SQL expression by which blocks are drawn
    more or less often; `missing="require"` takes only blocks in which every chosen stem of the first role sounds. `epoch_items` sets the
    length of an epoch (default: the number of blocks); blocks then come in a shuffled order that goes on over epochs, each once per pass.

    An item holds one `(stems, channels, frames)` float32 tensor per role, and
    `mask` (stems,) bool: which stems of the first role exist; `activity` (stems,): the share of time in which they sound;
    `valid_frames`: frames before the padding; `key`: the example that the crop's middle was drawn in; `start`: the crop's first frame in
    the song; with `records=True` also `record`: that example's JSON as text.

    `effects` makes wet/dry pairs of role `dry` on the fly: a recipe with an `effects` step, or that step's words. The item then holds
    `input` and `target` in place of `dry`, and with `records=True` also `effects`: the pairs' records as JSON text.

    `verify` compares members with their checksums: "crc" each that is read, "sample" those of one item in a thousand, "off" none.
    A damaged member is an error that names it; with `damaged="skip"` the item is made of another block, and `skipped` in the item says how
    many were tried in vain.

    `cache_dir` keeps decoded samples on a local disk, at most `cache_bytes`: from the second epoch on, FLAC and remote sets are read as
    fast as `npy16`. `access="pread"` reads where the default maps files into memory: for network file systems, on which a mapped file
    that changes kills the process.
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "train",
        crop: float | None = 6.0,
        roles: Sequence[str] | None = None,
        stems: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        records: bool = False,
        epoch_items: int | None = None,
        effects: str | Path | Mapping[str, Any] | None = None,
        *,
        where: str | None = None,
        weights: str | None = None,
        missing: str = "mask",
        verify: str = "sample",
        damaged: str = "raise",
        access: str = "map",
        cache_dir: str | Path | None = None,
        cache_bytes: int | None = None,
    ):
        for name, value, choices in (
            ("verify", verify, VERIFY),
            ("damaged", damaged, ("raise", "skip")),
            ("missing", missing, ("mask", "require")),
        ):
            known(name, value, choices)
        self.dataset = open_dataset(path, access=access, cache_dir=cache_dir, cache_bytes=cache_bytes)
        self.sample_rate = self.dataset.sample_rate
        self.channels = self.dataset.channels
        self.seed = int(seed)
        self.records = records
        self.roles = choose_stems(self.dataset.roles, roles, stems)
        if crop is not None and not 1 / self.sample_rate <= crop <= LONGEST_CROP:
            raise UsageError(f"crop must be longer than 0 and at most {LONGEST_CROP} seconds, got {crop}")
        self._effects: Any = None if effects is None else self._on_the_fly(effects)
        self.crop_frames = None if crop is None else round(crop * self.sample_rate)
        if epoch_items is not None and epoch_items < 1:
            raise UsageError(f"epoch_items must be at least 1, got {epoch_items}")
        known("split", split, self.dataset.splits)
        self.split = split
        self._verify, self._skip = VERIFY[verify], damaged == "skip"
        rows = open_rows(self.dataset, split, self.first_stems, where=where, weights=weights, require=missing == "require")
        self.blocks, self._activity = rows.blocks, rows.activity
        self._picks = Picks(self.seed, len(rows.blocks), rows.chosen, epoch_items, rows.weights)
        self._asked = where is not None or missing == "require"

    @property
    def first_stems(self) -> tuple[str, ...]:
        """The stems of the first role: what `mask` and `activity` speak of."""
        return next(iter(self.roles.values()))

    @property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """The shape `(stems, channels, frames)` of every audio tensor in an item, by name. Raises `UsageError` for whole examples."""
        if self.crop_frames is None:
            raise UsageError("whole examples have lengths of their own: give a crop in seconds")
        return {role: (len(stems), self.channels, self.crop_frames) for role, stems in self._given.items()}

    @property
    def in_python(self) -> bool:
        """Whether items are made by Python code that holds the interpreter: worker processes serve it better than threads."""
        return self._effects is not None

    def __len__(self) -> int:
        return len(self._picks)

    def __iter__(self) -> Iterator[Item]:
        """Iterate over epoch 0."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Item:
        """Return item `index % len` of epoch `index // len`."""
        frames = self.place(index).frames if self.crop_frames is None else self.crop_frames
        try:
            audio = {role: np.empty((len(stems), self.channels, frames), np.float32) for role, stems in self._given.items()}
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than there are addresses
            raise MixdataError(f"{self.dataset.path}: items of {frames} samples do not fit into memory; run `mixdata verify`") from error
        about = self.fill(index, audio)
        for name in ("mask", "activity"):
            about[name] = torch.from_numpy(about[name])
        return {role: torch.from_numpy(samples) for role, samples in audio.items()} | about

    def fill(self, index: int, audio: Mapping[str, np.ndarray]) -> Item:
        """Write the item's audio into these float32 arrays `(stems, channels, frames)`, by role; return what else it holds.

        `mask` and `activity` are NumPy arrays. Called from several threads at once.
        """
        for attempt in range(MOST_DAMAGED if self._skip else 1):
            try:
                about = self._fill(index, self.place(index, attempt), audio)
            except UsageError:
                raise
            except MixdataError as error:
                if not self._skip:
                    raise
                damage = error
            else:
                return about | {"skipped": attempt} if self._skip else about
        raise MixdataError(f"{MOST_DAMAGED} items in a row are damaged, the last one: {damage}") from damage

    def place(self, index: int, attempt: int = 0) -> Crop:
        """Return where this item's crop lies, without reading it. An `attempt` above 0 is what replaces a damaged item."""
        if index < 0:
            raise IndexError(f"index {index} is negative")
        index = int(index)
        epoch, item = divmod(index, len(self))
        if not attempt:
            return place_crop(self.blocks, self._picks.block(index), self.crop_frames, crop_draw(self.seed, epoch, item), self._asked)
        other = epoch * len(self) + int(unit_draw(item, self.seed, "instead", epoch, attempt) * len(self))
        draw = unit_draw(item, self.seed, "instead at", epoch, attempt)
        return place_crop(self.blocks, self._picks.block(other), self.crop_frames, draw, self._asked)

    @property
    def _given(self) -> dict[str, tuple[str, ...]]:
        """Roles and stems of an item, which are those read, or the pairs made of them."""
        return self.roles if self._effects is None else self._effects.roles(self.roles["dry"])

    def _fill(self, index: int, crop: Crop, audio: Mapping[str, np.ndarray]) -> Item:
        verify = self._verify > 0 and unit_draw(index, self.seed, "verify") < self._verify
        if self._effects is not None:
            return self._paired(index, crop, audio, verify)
        self._read(crop, [stem for samples in audio.values() for stem in samples], verify)
        return self._about(crop)

    def _read(self, crop: Crop, audio: Sequence[np.ndarray], verify: bool) -> None:
        """Read a crop into one array `(channels, frames)` per stem of all roles; what lies behind the crop is set to zero."""
        shard = self.dataset.shard(self.blocks.shard[crop.block])
        pieces = [Piece(tuple(shard.rows(self.blocks.key[block], self._names)), start, count, to) for block, start, count, to in crop.parts]
        if verify:
            shard.check([member for piece in pieces for member in piece.members])
        shard.read_into(pieces, audio)

    @property
    def _names(self) -> list[str]:
        return [f"{role}.{stem}" for role, stems in self.roles.items() for stem in stems]

    def _about(self, crop: Crop) -> Item:
        """Return everything that is told of a crop."""
        shard = self.dataset.shard(self.blocks.shard[crop.block])
        names = self._names[: len(self.first_stems)]
        exists = np.zeros(len(names), bool)
        for block, *_ in crop.parts:
            exists |= shard.active[shard.rows(self.blocks.key[block], names)]
        about = {"mask": exists, "activity": self._sounding(crop), "valid_frames": crop.frames}
        about |= {"key": self.blocks.key[crop.block], "start": crop.start}
        if self.records:
            about["record"] = shard.record(self.blocks.key[crop.block])
        return about

    def _sounding(self, crop: Crop) -> np.ndarray:
        """Return the share of the crop in which each stem of the first role sounds."""
        weight = np.array([frames for _, _, frames, _ in crop.parts], np.float32) / np.float32(crop.frames)
        return weight @ self._activity[[block for block, _, _, _ in crop.parts]]

    def _on_the_fly(self, words: str | Path | Mapping[str, Any]) -> Any:
        from mixdata.loading.on_the_fly import OnTheFly  # effects compile code, which a loader without them need not load

        if "dry" not in self.dataset.roles:
            raise UsageError(f"{self.dataset.path}: has no role 'dry' to make pairs of; build it with the recipe dry_stems")
        self.roles = {"dry": self.roles.get("dry", self.dataset.roles["dry"])}
        songs = self.dataset.songs
        self._sources = dict(zip(songs["song"], songs["wet"].fillna("unknown"), strict=True)) if "wet" in songs else {}
        return OnTheFly(words, self.sample_rate, self.seed)

    def _paired(self, index: int, crop: Crop, audio: Mapping[str, np.ndarray], verify: bool) -> Item:
        """Write pairs made of the crop's dry stems."""
        extended, pre_roll = pre_rolled(self.blocks, crop, self._effects.pre_roll)
        dry = dict(zip(self.roles["dry"], np.empty((len(self.roles["dry"]), self.channels, extended.frames), np.float32), strict=True))
        self._read(extended, list(dry.values()), verify)
        source = self._sources.get(self.blocks.key[crop.block].rpartition("_")[0], "unknown")
        roles, records = self._effects(dry, pre_roll, *divmod(int(index), len(self)), source)
        for role, stems in roles.items():
            for place, stem in enumerate(stems.values()):
                audio[role][place, :, : crop.frames] = stem
            audio[role][..., crop.frames :] = 0
        about = self._about(crop)
        sounding = dict(zip(self.roles["dry"], self._sounding(crop).tolist(), strict=True))
        about["mask"] = np.array([stem in records or (stem not in sounding and bool(records)) for stem in roles["input"]])
        about["activity"] = np.array([sounding.get(stem, 1.0) for stem in roles["input"]], np.float32) * about["mask"]
        if self.records:
            about["effects"] = json.dumps(records)
        return about
