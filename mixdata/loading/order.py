"""In which order items come, and which block each of them is drawn in: pure functions of (seed, epoch, item)."""

from dataclasses import InitVar, dataclass, field
from functools import lru_cache

import numpy as np

from mixdata.loading.compact import Shared, smaller
from mixdata.rng import stream, unit_draw

MIXED = 8  # shards that are read at a time where they are read in sequence


@lru_cache(maxsize=4)
def shuffled(length: int, seed: int, purpose: str, epoch: int) -> np.ndarray:
    """Return the order of `length` items in this epoch."""
    order = smaller(stream(seed, purpose, epoch).permutation(length))
    order.flags.writeable = False
    return order


@lru_cache(maxsize=4)
def by_shards(shards: tuple[int, ...], seed: int, epoch: int) -> np.ndarray:
    """Return an order of items that reads shards from front to back, in an order of their own for each epoch.

    `shards` are the numbers of items in each shard, which lie one after the other. `MIXED` shards are walked at a time, evenly, so that
    a batch holds several songs.
    """
    begins = np.concatenate([[0], np.cumsum(shards)[:-1]]).astype(np.int64)
    walks = [np.arange(begins[shard], begins[shard] + shards[shard]) for shard in stream(seed, "shards", epoch).permutation(len(shards))]
    groups = []
    for first in range(0, len(walks), MIXED):
        group = walks[first : first + MIXED]
        progress = np.concatenate([(np.arange(len(walk)) + 0.5) / max(len(walk), 1) for walk in group])
        groups.append(np.concatenate(group)[np.argsort(progress, kind="stable")])
    order = np.concatenate(groups)
    order.flags.writeable = False
    return order


def crop_draw(seed: int, epoch: int, item: int) -> float:
    """Return the number in [0, 1) that places this item's crop."""
    return unit_draw(item, seed, "crop", epoch)


@dataclass(frozen=True)
class Picks(Shared):
    """Which block each item of each epoch is drawn in, out of `blocks` (numbers) or all of `count`.

    Without `items` an epoch takes every block once. With it, blocks come in a shuffled order that goes on over epochs. With `weights`
    (above 0, one for each block that may be drawn) an epoch of N items takes a block of share w floor(N w) or ceil(N w) times
    (systematic sampling): what is asked for, without a coin's noise.
    """

    seed: int
    count: int
    blocks: np.ndarray | None = None
    items: int | None = None
    weights: InitVar[np.ndarray | None] = None
    ends: np.ndarray | None = field(init=False, default=None)

    def __post_init__(self, weights: np.ndarray | None) -> None:
        if weights is not None:
            object.__setattr__(self, "ends", np.cumsum(_whole(weights)))

    def __len__(self) -> int:
        """Items of an epoch."""
        return self.items or self._choices

    @property
    def each_once(self) -> bool:
        """Whether item i of an epoch is of the i-th block that may be drawn."""
        return self.items is None and self.ends is None

    @property
    def _choices(self) -> int:
        return self.count if self.blocks is None else len(self.blocks)

    def block(self, index: int) -> int:
        """Return the block of item `index % len` of epoch `index // len`."""
        choice = self._choice(index)
        return choice if self.blocks is None else int(self.blocks[choice])

    def anywhere(self, draw: float) -> int:
        """Return the block that a number in [0, 1) stands for: each is as likely as items are drawn in it."""
        if self.ends is None:
            choice = int(draw * self._choices)
        else:
            choice = int(np.searchsorted(self.ends, int(draw * 2**53) * int(self.ends[-1]) >> 53, side="right"))
        return choice if self.blocks is None else int(self.blocks[choice])

    def _choice(self, index: int) -> int:
        epoch, item = divmod(index, len(self))
        if self.ends is not None:
            # Points at equal distances on the line of all weights, moved along by one draw. In whole numbers, or a block that
            # ought to come once would now and then come twice.
            draw = int(unit_draw(0, self.seed, "weights", epoch) * 2**53)
            point = (item * 2**53 + draw) * int(self.ends[-1]) // (len(self) * 2**53)
            return int(np.searchsorted(self.ends, point, side="right"))
        if self.items is None:
            return item
        passed, item_of_pass = divmod(index, self._choices)
        return int(shuffled(self._choices, self.seed, "blocks", passed)[item_of_pass])


def _whole(weights: np.ndarray) -> np.ndarray:
    """Return weights as whole numbers of at least 1 whose sum is below 2**63: what is equal stays so, and what is whole its ratio."""
    _, exponent = np.frexp(weights.max())
    return np.maximum(np.rint(np.ldexp(weights, 62 - len(weights).bit_length() - int(exponent))), 1).astype(np.int64)
