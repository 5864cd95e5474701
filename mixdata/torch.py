"""A dataset in a PyTorch training loop: `ShardDataset` reads random crops, `CropSampler` says in which order.

    dataset = ShardDataset("runs/set", crop=6.0)
    sampler = CropSampler(dataset)
    loader = DataLoader(dataset, batch_size=8, sampler=sampler, num_workers=2, persistent_workers=True)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for batch in loader:
            batch["input"]      # (batch, stems, channels, frames)

Item i of epoch e is a pure function of (seed, e, i): the same for any number of workers and ranks, and after any restart. The epoch
travels in the index (epoch × length + i), because a worker that persists is never told of a new one. So a loader without a
`CropSampler`, such as `DataLoader(dataset, shuffle=True)`, sees the crops of epoch 0 again and again.

Under Lightning, which calls `set_epoch`, leave `rank` and `world_size` alone: on several devices it shares the sampler's items out
itself. Who sets them gives its `Trainer` `use_distributed_sampler=False`; otherwise the items are shared out twice.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from mixdata.errors import MixdataError, UsageError
from mixdata.sampling import Crop, crop_draw, find_blocks, place_crop, pre_rolled, shuffled
from mixdata.shards.reader import open_dataset, read_examples
from mixdata.shards.shard import Piece

LONGEST_CROP = 3600  # seconds


class ShardDataset(TorchDataset[dict[str, Any]]):
    """Crops of a dataset's split, as a map-style torch dataset.

    `crop` is the length in seconds; None gives whole examples. Where the dataset is continuous, crops run over the borders of a song's
    blocks; elsewhere they stay inside one. Material shorter than the crop is followed by zeros, see `valid_frames`.
    `roles` (default: all) and `stems` (for all roles, or by role) choose what is read, in this order. `epoch_items` sets the length of
    an epoch (default: the number of examples); blocks then come in a shuffled order that goes on over epochs, each once per pass.

    An item holds one `(stems, channels, frames)` float32 tensor per role, and
    `mask` (stems,) bool: which stems of the first role exist; `activity` (stems,): the share of time in which they sound;
    `valid_frames`: frames before the padding; `key`: the example that the crop's middle was drawn in; `start`: the crop's first frame in
    the song; with `records=True` also `record`: that example's JSON as text.

    `effects` makes wet/dry pairs of role `dry` on the fly: a recipe with an `effects` step, or that step's words. The item then holds
    `input` and `target` in place of `dry`, and with `records=True` also `effects`: the pairs' records as JSON text.
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
    ):
        self.dataset = open_dataset(path)
        self.sample_rate = self.dataset.sample_rate
        self.seed = int(seed)
        self.records = records
        self.roles = _choose_stems(self.dataset.roles, roles, stems)
        if crop is not None and not 1 / self.sample_rate <= crop <= LONGEST_CROP:
            raise UsageError(f"crop must be longer than 0 and at most {LONGEST_CROP} seconds, got {crop}")
        self._effects: Any = None if effects is None else self._on_the_fly(effects)
        self.crop_frames = None if crop is None else round(crop * self.sample_rate)
        if epoch_items is not None and epoch_items < 1:
            raise UsageError(f"epoch_items must be at least 1, got {epoch_items}")
        _known("split", split, self.dataset.splits)
        self.split = split
        table = read_examples(self.dataset.path)
        table = table.filter(np.asarray(table["split"].to_numpy(zero_copy_only=False) == split))
        if not len(table):
            raise UsageError(f"{self.dataset.path}: split {split!r} holds no examples; non-empty: {_filled(self.dataset.splits)}")
        table = table.sort_by([("shard", "ascending"), ("byte_offset", "ascending")])
        self.blocks = find_blocks(table, self.dataset.continuous)
        self._activity = _activity(table, self.first_stems)
        self._items = epoch_items

    @property
    def first_stems(self) -> tuple[str, ...]:
        """The stems of the first role: what `mask` and `activity` speak of."""
        return next(iter(self.roles.values()))

    def __len__(self) -> int:
        return self._items or len(self.blocks)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Iterate over epoch 0."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return item `index % len` of epoch `index // len`."""
        crop = self.place(index)
        if self._effects is not None:
            return self._paired(index, crop)
        return self._item(crop, crop.frames if self.crop_frames is None else self.crop_frames)

    def _item(self, crop: Crop, frames: int) -> dict[str, Any]:
        """Read a crop and everything that is told of it, padded to `frames`."""
        names = [f"{role}.{stem}" for role, stems in self.roles.items() for stem in stems]
        shard = self.dataset.shard(self.blocks.shard[crop.block])
        pieces = [Piece(tuple(shard.rows(self.blocks.key[block], names)), start, count, to) for block, start, count, to in crop.parts]
        audio = torch.from_numpy(shard.read(pieces, frames))
        sizes = [len(stems) for stems in self.roles.values()]
        count = len(self.first_stems)
        item: dict[str, Any] = dict(zip(self.roles, audio.split(sizes), strict=True))
        item["mask"] = torch.tensor([any(shard.active[piece.members[stem]] for piece in pieces) for stem in range(count)])
        item["activity"] = self._sounding(crop)
        item |= {"valid_frames": crop.frames, "key": self.blocks.key[crop.block], "start": crop.start}
        if self.records:
            item["record"] = shard.record(self.blocks.key[crop.block])
        return item

    def _sounding(self, crop: Crop) -> torch.Tensor:
        """Return the share of the crop in which each stem of the first role sounds."""
        weight = np.array([frames for _, _, frames, _ in crop.parts], np.float32) / np.float32(crop.frames)
        return torch.from_numpy(weight @ self._activity[[block for block, _, _, _ in crop.parts]])

    def _on_the_fly(self, words: str | Path | Mapping[str, Any]) -> Any:
        from mixdata.on_the_fly import OnTheFly  # effects compile code, which a loader without them need not load

        if "dry" not in self.dataset.roles:
            raise UsageError(f"{self.dataset.path}: has no role 'dry' to make pairs of; build it with the recipe dry_stems")
        self.roles = {"dry": self.roles.get("dry", self.dataset.roles["dry"])}
        songs = self.dataset.songs
        self._sources = dict(zip(songs["song"], songs["wet"].fillna("unknown"), strict=True)) if "wet" in songs else {}
        return OnTheFly(words, self.sample_rate, self.seed)

    def _paired(self, index: int, crop: Crop) -> dict[str, Any]:
        """Return the item of a crop with pairs in place of its dry stems."""
        extended, pre_roll = pre_rolled(self.blocks, crop, self._effects.pre_roll)
        item = self._item(extended, extended.frames)
        dry = dict(zip(self.roles["dry"], item.pop("dry").numpy(), strict=True))
        source = self._sources.get(self.blocks.key[crop.block].rpartition("_")[0], "unknown")
        roles, records = self._effects(dry, pre_roll, *divmod(int(index), len(self)), source)
        frames = crop.frames if self.crop_frames is None else self.crop_frames
        for role, stems in roles.items():
            item[role] = torch.zeros(len(stems), self.dataset.channels, frames)
            item[role][:, :, : crop.frames] = torch.from_numpy(np.stack(list(stems.values())))
        sounding = dict(zip(self.roles["dry"], self._sounding(crop).tolist(), strict=True))
        item["mask"] = torch.tensor([stem in records or (stem not in sounding and bool(records)) for stem in roles["input"]])
        item["activity"] = torch.tensor([sounding.get(stem, 1.0) for stem in roles["input"]]) * item["mask"]
        item |= {"valid_frames": crop.frames, "start": crop.start}
        if self.records:
            item["effects"] = json.dumps(records)
        return item

    def place(self, index: int) -> Crop:
        """Return where this item's crop lies, without reading it."""
        if index < 0:
            raise IndexError(f"index {index} is negative")
        epoch, item = divmod(int(index), len(self))
        block = item
        if self._items is not None:
            passed, item_of_pass = divmod(int(index), len(self.blocks))
            block = int(shuffled(len(self.blocks), self.seed, "blocks", passed)[item_of_pass])
        return place_crop(self.blocks, block, self.crop_frames, crop_draw(self.seed, epoch, item))


class CropSampler(Sampler[int]):
    """The order of a `ShardDataset`'s items, epoch after epoch, shared out over ranks.

    Every rank walks the same order and takes each `world_size`-th item from its `rank` on; items that do not fill a round of all ranks
    are left out of this epoch. The state is (seed, epoch, position): `position` items of this rank are done. What a loader's workers
    fetch ahead is not yet done, so the training loop says what is: `advance(batch_size)` after each step, then `state_dict()`.
    Give `rank` and `world_size` only where nothing else shares the items out: Lightning does (see the module's text).
    """

    def __init__(self, dataset: ShardDataset, shuffle: bool = True, seed: int | None = None, rank: int = 0, world_size: int = 1):
        if not 0 <= rank < world_size:
            raise UsageError(f"rank must be in [0, {world_size}), got {rank}")
        self.items = len(dataset)
        if self.items < world_size:
            raise UsageError(f"{self.items} items are too few for {world_size} ranks; set epoch_items")
        self.shuffle = shuffle
        self.seed = dataset.seed if seed is None else int(seed)
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self.position = 0

    def __len__(self) -> int:
        """Items that are left for this rank in this epoch."""
        return self.items // self.world_size - self.position

    def __iter__(self) -> Iterator[int]:
        order = shuffled(self.items, self.seed, "order", self.epoch) if self.shuffle else range(self.items)
        done, rounds = self.position, self.items // self.world_size
        base = self.epoch * self.items
        return (base + int(order[place * self.world_size + self.rank]) for place in range(done, rounds))

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of this epoch; a call for the epoch that is under way changes nothing."""
        if epoch != self.epoch:
            self.epoch, self.position = int(epoch), 0

    def advance(self, items: int) -> None:
        """Note that this rank has trained on `items` more items of this epoch."""
        self.position = min(self.position + items, self.items // self.world_size)

    def state_dict(self) -> dict[str, int]:
        """Return the whole state: three integers, and the epoch's length by which to recognise the dataset."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position, "items": self.items}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state_dict` was taken. Raises `MixdataError` for the state of another dataset."""
        if state["items"] != self.items:
            raise MixdataError(
                f"the saved sampler walked {state['items']} items an epoch, this dataset has {self.items}: it is another dataset"
            )
        self.seed, self.epoch, self.position = state["seed"], state["epoch"], state["position"]


def _choose_stems(
    stored: Mapping[str, tuple[str, ...]], roles: Sequence[str] | None, stems: Sequence[str] | Mapping[str, Sequence[str]] | None
) -> dict[str, tuple[str, ...]]:
    roles = list(stored) if roles is None else [roles] if isinstance(roles, str) else list(roles)
    if not roles:
        raise UsageError(f"no role chosen: use some of {', '.join(stored)}")
    for role in [*roles, *(stems if isinstance(stems, Mapping) else ())]:
        _known("role", role, stored)
    if isinstance(stems, Mapping):
        chosen = {role: tuple(stems.get(role, stored[role])) for role in roles}
        for role, names in chosen.items():
            for name in names:
                _known(f"stem of role {role}", name, stored[role])
    elif stems is not None:
        wanted = [stems] if isinstance(stems, str) else list(stems)
        for name in wanted:
            _known("stem", name, dict.fromkeys(stem for role in roles for stem in stored[role]))
        chosen = {role: tuple(name for name in wanted if name in stored[role]) for role in roles}
    else:
        chosen = {role: stored[role] for role in roles}
    for role, names in chosen.items():
        if not names:
            raise UsageError(f"no stem chosen of role {role}: use some of {', '.join(stored[role])}, or leave the role out (roles=…)")
    return chosen


def _known(what: str, name: str, choices: Any) -> None:
    if name not in choices:
        raise UsageError(f"unknown {what} {name!r}: use one of {', '.join(choices)}")


def _filled(splits: Mapping[str, Any]) -> str:
    return ", ".join(name for name, split in splits.items() if split["examples"]) or "none"


def _activity(table: pa.Table, stems: Sequence[str]) -> np.ndarray:
    """Return `(blocks, stems)`; a stem of which nothing was measured counts as sounding."""
    measured = set(table.column_names)
    columns = [table[f"activity_{stem}"].to_numpy() if f"activity_{stem}" in measured else np.ones(len(table)) for stem in stems]
    return np.stack(columns, axis=1).astype(np.float32)
