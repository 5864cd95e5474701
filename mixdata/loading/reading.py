"""Reading crops: their samples, and what is told of them."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mixdata.loading.compact import Shared
from mixdata.loading.crops import Blocks, Crop
from mixdata.shards.reader import Dataset
from mixdata.shards.shard import Shard


def decoding_threads() -> int:
    """Return how many threads may decode: as many as torch may use, which is one in workers; one where others decode beside this one."""
    return torch.get_num_threads() if threading.current_thread() is threading.main_thread() else 1


class Reader(Shared):
    """Reads crops of `blocks`. `roles` are those read and their stems, `activity` is that of the first role's `(blocks, stems)`."""

    def __init__(self, dataset: Dataset, blocks: Blocks, activity: np.ndarray, roles: Mapping[str, Sequence[str]], records: bool):
        self.dataset, self.blocks, self.activity, self.records = dataset, blocks, activity, records
        self._names = tuple(f"{role}.{stem}" for role, stems in roles.items() for stem in stems)
        self._first = len(next(iter(roles.values())))

    def read(self, crop: Crop, audio: Sequence[np.ndarray], verify: bool, names: Sequence[str] | None = None, index: int = 0) -> np.ndarray:
        """Read a crop's stems of all roles, or its members `role.stem` of `names`, into arrays as `Shard.read_into` takes them.

        What lies behind the crop is set to zero. `index` is the item's. Returns the rows `(parts, members)` of the shard's table.
        """
        shard = self._shard(crop)
        members = self._members(shard, crop, self._names if names is None else tuple(names))
        shard.read_into(members, np.array([part[1:] for part in crop.parts], np.int64), audio, check=verify, threads=decoding_threads())
        return members

    def about(self, crop: Crop, members: np.ndarray | None = None, index: int = 0) -> dict[str, Any]:
        """Return everything that is told of a crop, of which `members` were read for item `index`."""
        shard, key = self._shard(crop), self.blocks.key[crop.block]
        if members is None:
            members = self._members(shard, crop, self._names)
        exists = np.ones(self._first, bool) if shard.complete else shard.active[members[:, : self._first]].any(axis=0)
        about = {"mask": exists, "activity": self.sounding(crop), "valid_frames": crop.frames, "key": key, "start": crop.start}
        return about | {"record": shard.record(key)} if self.records else about

    def exists(self, crop: Crop, name: str) -> bool:
        """Return whether this member, `role.stem`, exists anywhere in the crop."""
        shard = self._shard(crop)
        return bool(shard.active[self._members(shard, crop, (name,))].any())

    def sounding(self, crop: Crop) -> np.ndarray:
        """Return the share of the crop in which each stem of the first role sounds."""
        # Part by part: a crop has two or three, for which one product of matrices costs twice as much.
        first, *others = [self.activity[part[0]] * np.float32(part[2] / crop.frames) for part in crop.parts]
        for share in others:
            first += share
        return first

    def _shard(self, crop: Crop) -> Shard:
        return self.dataset.shard(self.blocks.shard[crop.block])

    def _members(self, shard: Shard, crop: Crop, names: tuple[str, ...]) -> np.ndarray:
        return shard.table_of([self.blocks.key[part[0]] for part in crop.parts], names)
