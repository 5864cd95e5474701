"""In which order items come, and which block each of them is drawn in: pure functions of (seed, epoch, item)."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mixdata.rng import stream, unit_draw


@lru_cache(maxsize=4)
def shuffled(length: int, seed: int, purpose: str, epoch: int) -> np.ndarray:
    """Return the order of `length` items in this epoch."""
    order = stream(seed, purpose, epoch).permutation(length)
    order.flags.writeable = False
    return order


def crop_draw(seed: int, epoch: int, item: int) -> float:
    """Return the number in [0, 1) that places this item's crop."""
    return unit_draw(item, seed, "crop", epoch)


@dataclass(frozen=True)
class Picks:
    """Which block each item of each epoch is drawn in, out of `blocks` (numbers) or all of `count`.

    Without `items` an epoch takes every block once. With it, blocks come in a shuffled order that goes on over epochs. With `weights`
    (one for each block that may be drawn) an epoch of N items takes a block of share w floor(N w) or ceil(N w) times (systematic
    sampling): what is asked for, without a coin's noise.
    """

    seed: int
    count: int
    blocks: np.ndarray | None = None
    items: int | None = None
    weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.weights is not None:
            object.__setattr__(self, "_ends", np.cumsum(self.weights, dtype=np.float64))

    def __len__(self) -> int:
        """Items of an epoch."""
        return self.items or self._choices

    @property
    def _choices(self) -> int:
        return self.count if self.blocks is None else len(self.blocks)

    def block(self, index: int) -> int:
        """Return the block of item `index % len` of epoch `index // len`."""
        choice = self._choice(index)
        return choice if self.blocks is None else int(self.blocks[choice])

    def _choice(self, index: int) -> int:
        epoch, item = divmod(index, len(self))
        if self.weights is not None:
            ends: np.ndarray = self._ends  # type: ignore[attr-defined]
            place = (item + unit_draw(0, self.seed, "weights", epoch)) / len(self) * ends[-1]
            return int(np.searchsorted(ends[:-1], place, side="right"))
        if self.items is None:
            return item
        passed, item_of_pass = divmod(index, self._choices)
        return int(shuffled(self._choices, self.seed, "blocks", passed)[item_of_pass])
