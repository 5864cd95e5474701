"""Which of many tracks may hold the same recording: an inverted index of their hashes, sorted instead of nested.

Tracks of some minutes share hundreds of hashes by chance, so that their number says little. What counts is how many agree on one shift.
"""

from collections.abc import Sequence

import numpy as np

from mixdata.kernels import kernel
from mixdata.leaks.fingerprint import MATCHED, Fingerprint

MOST_HASHES = 50_000_000  # held at once: two gigabytes, with what sorting takes
MOST_VOTES = 50_000_000  # counted at once: a gigabyte
LONGEST_RUN = 64  # places with one hash: each is compared with so many that follow it
REPEATS = 4  # of one hash in a track, the first: more of a loop say nothing new
SHIFT_FRAMES = 4  # shifts are told apart by so much; more than agreeing ones differ
_SPREAD = np.uint32(2654435761)  # Knuth's multiplicative hash


def candidates(prints: Sequence[Fingerprint], kinds: Sequence[int], most: int = MOST_HASHES) -> list[tuple[int, int]]:
    """Return pairs of tracks, of different kinds, in which enough hashes agree on a shift to be worth comparing.

    Of more hashes than `most` only one in so many is looked at; which, their value decides, so that both sides keep the same.
    """
    every = max(1, -(-sum(len(each) for each in prints) // most))
    parts = [_sampled(each, every) for each in prints]
    hashes, frames = (np.concatenate([*column, np.zeros(0, np.uint32)]) for column in (zip(*parts, strict=True) if parts else ((), ())))
    tracks = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part[0]) for part in parts])
    order = np.argsort(hashes, kind="stable")
    hashes, frames, tracks = hashes[order], frames[order], tracks[order]
    del parts, order
    kind, bits = np.asarray(kinds, np.int64), max(1, len(prints).bit_length())
    rounds = 1 + _votes(hashes, frames, tracks, kind, bits, 0, 1, np.zeros(0, np.uint64)) // MOST_VOTES
    # Shifts that agree differ by two frames at most and so fall into two of SHIFT_FRAMES at most: one has half of them.
    needed = max(2, MATCHED // (2 * every))
    found: list[np.ndarray] = []
    for turn in range(rounds):
        votes = np.empty(_votes(hashes, frames, tracks, kind, bits, turn, rounds, np.zeros(0, np.uint64)), np.uint64)
        _votes(hashes, frames, tracks, kind, bits, turn, rounds, votes)
        votes.sort()
        enough = votes[needed - 1 :][votes[needed - 1 :] == votes[: max(0, len(votes) - needed + 1)]]
        found.append(np.unique(enough >> np.uint64(64 - 2 * bits)))
    pairs = np.sort(np.concatenate(found)).tolist()
    return [(pair >> bits, pair & ((1 << bits) - 1)) for pair in pairs]


def _sampled(each: Fingerprint, every: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hashes that are looked at and their frames, of each hash the first few, by hash."""
    hashes, frames = each.hashes, each.frames
    if every > 1:
        chosen = ((hashes * _SPREAD) >> np.uint32(8)) % np.uint32(every) == 0
        hashes, frames = hashes[chosen], frames[chosen]
    order = np.argsort(hashes, kind="stable")
    hashes, frames = hashes[order], frames[order]
    new = np.ones(len(hashes), bool)
    new[REPEATS:] = hashes[REPEATS:] != hashes[:-REPEATS]
    return hashes[new], frames[new]


@kernel
def _votes(
    hashes: np.ndarray, frames: np.ndarray, tracks: np.ndarray, kind: np.ndarray, bits: int, turn: int, rounds: int, votes: np.ndarray
) -> int:
    """Write a vote for each two places with one hash, in tracks of two kinds: both tracks and the shift; return how many there are.

    Of the first tracks, those of this turn. Without room nothing is written.
    """
    count = 0
    for first in range(len(hashes)):
        one = np.int64(tracks[first])
        if one % rounds != turn:
            continue
        for second in range(first + 1, min(first + 1 + LONGEST_RUN, len(hashes))):
            if hashes[second] != hashes[first]:
                break
            two = np.int64(tracks[second])
            if kind[one] == kind[two]:
                continue
            if len(votes):
                shift = (np.int64(frames[second]) - np.int64(frames[first])) // SHIFT_FRAMES
                place = np.uint64(shift) & ((np.uint64(1) << np.uint64(64 - 2 * bits)) - np.uint64(1))
                votes[count] = (np.uint64(one) << np.uint64(64 - bits)) | (np.uint64(two) << np.uint64(64 - 2 * bits)) | place
            count += 1
    return count
