"""Byte ranges that lie near each other are read as one."""

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from mixdata.shards.counts import Counts
from mixdata.shards.storage import Span, Storage


def merged(spans: Sequence[Span], gap: int) -> list[Span]:
    """Return the spans in order, joined where less than `gap` bytes lie between them."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start - joined[-1][1] < gap:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def fetch(storage: Storage, name: str, spans: Sequence[Span], counts: Counts) -> list[np.ndarray]:
    """Return the bytes of each span, read in as few ranges as pay."""
    runs = merged(spans, storage.gap)
    if not runs:
        return []
    buffers = storage.ranges(name, runs)
    tally = counts.mine
    tally.reads += len(runs)
    tally.bytes_read += sum(end - start for start, end in runs)
    starts = [start for start, _ in runs]
    places = [bisect_right(starts, start) - 1 for start, _ in spans]
    return [buffers[place][start - starts[place] : end - starts[place]] for place, (start, end) in zip(places, spans, strict=True)]
