"""Which of many tracks may hold the same recording: an inverted index of their hashes, sorted instead of nested."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mixdata.leaks.fingerprint import MATCHED, Fingerprint

MOST_HASHES = 50_000_000  # held at once: a gigabyte, with what sorting takes
MOST_PAIRS = 50_000_000  # before they are counted
LONGEST_RUN = 64  # tracks with one hash: each is compared with so many that follow it
_SPREAD = np.uint32(2654435761)  # Knuth's multiplicative hash


def candidates(prints: Sequence[Fingerprint], kinds: Sequence[int], most: int = MOST_HASHES) -> list[tuple[int, int]]:
    """Return pairs of tracks, of different kinds, that share enough hashes to be worth comparing.

    Of more hashes than `most` only one in so many is looked at; which, their value decides, so that both sides keep the same.
    """
    total = sum(len(each) for each in prints)
    every = max(1, -(-total // most))
    parts = [_sampled(each.hashes, every) for each in prints]
    hashes = np.concatenate([*parts, np.zeros(0, np.uint32)])
    tracks = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part) for part in parts])
    order = np.argsort(hashes, kind="stable")
    hashes, tracks = hashes[order], tracks[order]
    kind = np.asarray(kinds, np.int64)
    counted = Pairs(np.zeros(0, np.uint64), np.zeros(0, np.int64))
    found: list[np.ndarray] = []
    together = np.arange(len(hashes))
    for step in range(1, LONGEST_RUN + 1):
        together = together[: np.searchsorted(together, len(hashes) - step)]
        together = together[hashes[together] == hashes[together + step]]
        if not len(together):
            break
        one, two = tracks[together], tracks[together + step]
        apart = kind[one] != kind[two]
        found.append(one[apart].astype(np.uint64) << np.uint64(32) | two[apart])
        if sum(map(len, found)) > MOST_PAIRS:
            counted, found = _counted(counted, found), []
    pairs, times = _counted(counted, found)
    needed = max(2, MATCHED // every)
    return [(int(pair >> np.uint64(32)), int(pair & np.uint64(0xFFFFFFFF))) for pair in pairs[times >= needed]]


class Pairs(NamedTuple):
    """Pairs of tracks, each once, and how many hashes they share."""

    pairs: np.ndarray
    times: np.ndarray


def _counted(before: Pairs, found: list[np.ndarray]) -> Pairs:
    new, times = np.unique(np.concatenate([*found, np.zeros(0, np.uint64)]), return_counts=True)
    both, place = np.unique(np.concatenate([before.pairs, new]), return_inverse=True)
    return Pairs(both, np.bincount(place, weights=np.concatenate([before.times, times]), minlength=len(both)).astype(np.int64))


def _sampled(hashes: np.ndarray, every: int) -> np.ndarray:
    """Return each hash once, of those that are looked at."""
    unique = np.unique(hashes)
    return unique if every == 1 else unique[((unique * _SPREAD) >> np.uint32(8)) % np.uint32(every) == 0]
