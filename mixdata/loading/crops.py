"""Where crops lie: pure functions of blocks and draws, without torch and without any audio."""

import re
from bisect import bisect_right  # on a few places, NumPy's search takes twice as long
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pyarrow as pa

from mixdata.loading.compact import Names, Shared, Texts, coded, smaller

_SONG = re.compile(r"(.*-[0-9a-f]{8})_[0-9]{5}(_[a-z0-9-]{1,20})?")


@dataclass(frozen=True)
class Blocks(Shared):
    """The blocks of one split in stored order, as arrays of one length.

    A run is what a crop may reach over: the blocks of a song that follow each other in one shard, or one block alone. Block `b`
    lies in the run of blocks `[first[b], last[b])`. `start` is a block's first frame in its song.
    """

    key: Sequence[str]
    shard: Sequence[str]
    start: np.ndarray
    frames: np.ndarray
    first: np.ndarray
    last: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def per_shard(self, chosen: np.ndarray | None) -> tuple[int, ...]:
        """Return how many of these blocks (None: all) lie in each shard, one shard after the other; shards that hold none are left out."""
        shards = self.shard if chosen is None else [self.shard[block] for block in chosen]
        return tuple(len(list(same)) for _, same in groupby(shards))


@dataclass(frozen=True)
class Crop:
    """Frames `[start, start + frames)` of a run's song, `block` being the one in which its middle was drawn.

    `parts` are (block, first frame in the block, frames, place in the crop); they fill `frames` in all.
    """

    block: int
    start: int
    frames: int
    parts: tuple[tuple[int, int, int, int], ...]


def find_blocks(table: pa.Table, continuous: bool) -> Blocks:
    """Take rows of `examples.parquet`, ordered by shard and byte offset; join a song's blocks where crops may cross their borders."""
    start, frames = table["start"].to_numpy(), table["frames"].to_numpy()
    joined = np.zeros(len(table), bool)
    if continuous and len(table):
        song, shard = (coded(table[name])[0] for name in ("song", "shard"))
        joined[1:] = (song[1:] == song[:-1]) & (shard[1:] == shard[:-1]) & (start[1:] == start[:-1] + frames[:-1])
    begins = np.flatnonzero(~joined)
    run = np.cumsum(~joined) - 1
    ends = np.append(begins[1:], len(table))
    first, last = smaller(begins)[run], smaller(ends)[run]
    return Blocks(Texts(table["key"]), Names(table["shard"]), np.array(start), smaller(frames), first, last)


def place_crop(blocks: Blocks, block: int, frames: int | None, draw: float, inside: bool = False) -> Crop:
    """Place a crop of `frames` (None: the block as it is) by a number in [0, 1).

    The n blocks of a run share its length equally: block j draws the crop's middle from the j-th n-th, so over an epoch the middles
    cover a song evenly, whatever the lengths of its blocks. With `inside` it is drawn in the block itself, which was asked for.
    A crop that would reach over an end of the run is shifted inside.
    So every frame is drawn alike, but for those within half a crop of an end: at least half as often, at most one and a half times.
    """
    first, last = (block, block + 1) if frames is None else (int(blocks.first[block]), int(blocks.last[block]))
    origin = int(blocks.start[first])
    total = int(blocks.start[last - 1]) + int(blocks.frames[last - 1]) - origin
    if frames is None:
        start, length, home = 0, total, block
    else:
        even = int((block - first + draw) / (last - first) * total)
        middle = int(blocks.start[block]) - origin + int(draw * int(blocks.frames[block])) if inside else even
        length = min(frames, total)
        start = min(max(middle - frames // 2, 0), total - length)
        home = bisect_right(blocks.start, origin + middle, first, last) - 1
    low = origin + start
    return Crop(home, low, length, _parts(blocks, first, last, low, low + length))


def pre_rolled(blocks: Blocks, crop: Crop, pre_roll: int) -> tuple[Crop, int]:
    """Return the crop with up to `pre_roll` frames of the song before it, as far as its run reaches, and how many those are."""
    extended = stretched(blocks, crop, crop.start - pre_roll, crop.start + crop.frames)
    return extended, crop.start - extended.start


def stretched(blocks: Blocks, crop: Crop, low: int, high: int) -> Crop:
    """Return the crop of the song's frames [low, high), as far as the crop's run reaches."""
    first, last = int(blocks.first[crop.block]), int(blocks.last[crop.block])
    low, high = max(low, int(blocks.start[first])), min(high, int(blocks.start[last - 1]) + int(blocks.frames[last - 1]))
    return Crop(crop.block, low, high - low, _parts(blocks, first, last, low, high))


def _parts(blocks: Blocks, first: int, last: int, low: int, high: int) -> tuple[tuple[int, int, int, int], ...]:
    """Return the parts that fill the song's frames [low, high) from the blocks [first, last)."""
    parts = []
    for part in range(bisect_right(blocks.start, low, first, last) - 1, last):
        begin = int(blocks.start[part])
        if begin >= high:
            break
        inside = max(low, begin)
        parts.append((part, inside - begin, min(high, begin + int(blocks.frames[part])) - inside, inside - low))
    return tuple(parts)


def song_of(key: str) -> str:
    """Return the song of an example's key."""
    match = _SONG.fullmatch(key)
    return match[1] if match else key
