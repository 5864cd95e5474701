"""The order of items, epoch after epoch, shared out over ranks."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch.distributed
from torch.utils.data import Sampler

from mixdata.errors import MixdataError, UsageError
from mixdata.loading.dataset import ShardDataset
from mixdata.loading.order import by_shards, shuffled


class CropSampler(Sampler[int]):
    """The order of a `ShardDataset`'s items, epoch after epoch, shared out over ranks.

    `shuffle=False` takes them as they are stored; `"shards"` reads a few shards at a time from front to back, for disks and servers that
    want to be read in sequence.
    Every rank walks the same order and takes each `world_size`-th item from its `rank` on; items that do not fill a round of all ranks
    are left out of this epoch, so all ranks have equally many. `rank=None, world_size=None` ask `torch.distributed` whenever an
    iteration begins (0 of 1 where it is not initialised).

    The state is (seed, epoch, position): `position` items of the epoch are done, counted over all ranks. So it may be loaded under
    another number of ranks: while batch size × ranks stays the same, so do the batches that all ranks have together. What a
    `DataLoader`'s workers fetch ahead is not yet done, so the training loop says what is: `advance(batch_size)` after each step, then
    `state_dict()`. `CropLoader` and torchdata's `StatefulDataLoader` count by themselves.
    With a `DataLoader`, give `rank` and `world_size` only where nothing else shares the items out: Lightning does (see the module's text).
    """

    def __init__(
        self, dataset: ShardDataset, shuffle: bool | str = True, seed: int | None = None, rank: int | None = 0, world_size: int | None = 1
    ):
        if (rank is None) != (world_size is None):
            raise UsageError("give both rank and world_size, or none of them")
        if shuffle not in (True, False, "shards"):
            raise UsageError(f"shuffle is True, False or 'shards', got {shuffle!r}")
        self.items = len(dataset)
        self.fingerprint = dataset.fingerprint
        self.shuffle = shuffle
        self._shards = dataset.items_per_shard() if shuffle == "shards" else ()
        self.seed = dataset.seed if seed is None else int(seed)
        self.epoch = 0
        self.position = 0
        self._ranks = None if rank is None or world_size is None else (rank, world_size)
        self._walked = False  # position tells how far a loader has come, not where to begin
        self._place()

    @property
    def rank(self) -> int:
        """The number of this process among `world_size`."""
        return self._place()[0]

    @property
    def world_size(self) -> int:
        """How many processes share the items."""
        return self._place()[1]

    @property
    def begin(self) -> int:
        """The position at which the next iteration begins: where a state was loaded or `advance` said, else 0."""
        return 0 if self._walked else self.position

    def __len__(self) -> int:
        """Items that are left for this rank in this epoch."""
        return (self.items - self.begin) // self.world_size

    def __iter__(self) -> Iterator[int]:
        return Walk(self)

    def indices(self, position: int) -> np.ndarray:
        """Return this rank's items of the epoch from a position on, int64."""
        rank, ranks = self._place()
        if self.shuffle == "shards":
            order = by_shards(self._shards, self.seed, self.epoch)
        else:
            order = shuffled(self.items, self.seed, "order", self.epoch) if self.shuffle else np.arange(self.items)
        end = position + (self.items - position) // ranks * ranks
        return self.epoch * self.items + order[position + rank : end : ranks]

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of this epoch; a call for the epoch that is under way changes nothing."""
        if epoch != self.epoch:
            self.epoch, self.position, self._walked = int(epoch), 0, False

    def advance(self, items: int) -> None:
        """Note that this rank, and so each of them, has trained on `items` more items of this epoch."""
        self.position, self._walked = min(self.position + items * self.world_size, self.items), False

    def walked(self, position: int) -> None:
        """Note how far a loader has come; an iteration that begins anew does not begin here."""
        self.position, self._walked = position, True

    def state_dict(self) -> dict[str, Any]:
        """Return the whole state: three integers, and the epoch's length and a fingerprint by which to recognise the dataset."""
        return {"seed": self.seed, "epoch": self.epoch, "position": self.position, "items": self.items, "dataset": self.fingerprint}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken. Raises `MixdataError` for the state of another dataset."""
        if missing := {"seed", "epoch", "position", "items"} - set(state):
            raise MixdataError(f"not the state of a CropSampler or CropLoader: {', '.join(sorted(missing))} missing")
        if state["items"] != self.items:
            raise MixdataError(
                f"the saved sampler walked {state['items']} items an epoch, this dataset has {self.items}: it is another dataset"
            )
        if state.get("dataset", self.fingerprint) != self.fingerprint:
            raise MixdataError(
                "the saved state is of another dataset, split, seed, where=, weights=, missing= or epoch_items=, which draw other items: "
                "give those of the run that saved it, or begin a new one"
            )
        if not (state["epoch"] >= 0 and 0 <= state["position"] <= self.items):
            raise MixdataError(f"the saved state is at item {state['position']} of {self.items} in epoch {state['epoch']}, which cannot be")
        self.seed, self.epoch, self.position, self._walked = state["seed"], state["epoch"], state["position"], False

    def _place(self) -> tuple[int, int]:
        """Return rank and number of ranks."""
        initialised = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, ranks = self._ranks or ((torch.distributed.get_rank(), torch.distributed.get_world_size()) if initialised else (0, 1))
        if not 0 <= rank < ranks:
            raise UsageError(f"rank must be in [0, {ranks}), got {rank}")
        if self.items < ranks:
            raise UsageError(f"{self.items} items are too few for {ranks} ranks; set epoch_items")
        return rank, ranks


class Walk(Iterator[int]):
    """One iteration over a sampler. Its state lets torchdata's `StatefulDataLoader` go on in the middle.

    Until it has given an item it follows the sampler's `set_epoch`: Lightning makes its iterators first.
    """

    def __init__(self, sampler: CropSampler):
        self._sampler = sampler
        self._go(sampler.begin)

    def __next__(self) -> int:
        if not self._taken and self._epoch != self._sampler.epoch:
            self._go(self._sampler.begin)
        if self._taken == len(self._indices):
            raise StopIteration
        self._taken += 1
        return int(self._indices[self._taken - 1])

    def state_dict(self) -> dict[str, Any]:
        """Return the position over all ranks."""
        return {"position": self._start + self._taken * self._sampler.world_size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on at that position."""
        self._go(state["position"])

    def _go(self, position: int) -> None:
        self._epoch, self._start, self._taken = self._sampler.epoch, position, 0
        self._indices = self._sampler.indices(position)
