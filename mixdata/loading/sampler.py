"""The order of items, epoch after epoch, shared out over ranks."""

from collections.abc import Iterator, Mapping

from torch.utils.data import Sampler

from mixdata.errors import MixdataError, UsageError
from mixdata.loading.dataset import ShardDataset
from mixdata.loading.order import shuffled


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
