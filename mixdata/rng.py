"""The one source of randomness: counter-based generators addressed by what they are for.

A draw never depends on the order of work. `stream(seed, song, block, step, purpose)` names a generator, and
the same names give the same numbers in every process, on every machine.
"""

import hashlib
import json
from functools import lru_cache

import numpy as np

_WORD = 2**64 - 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator with this address.

    Philox is counter-based: its 128-bit key is taken from a SHA-256 over the address, so streams with
    different addresses are independent and none has state that others could disturb.
    """
    return np.random.Generator(np.random.Philox(key=np.frombuffer(_digest(seed, names)[:16], dtype="<u8")))


def unit_draw(counter: int, seed: int, *names: str | int) -> float:
    """Return draw number `counter` in [0, 1) of this address: one number where making a generator would cost twenty times as much.

    SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014), its state begun at the address.
    """
    state = (_state(seed, names) + (counter + 1) * 0x9E3779B97F4A7C15) & _WORD
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _WORD
    return ((state ^ (state >> 31)) >> 11) / 2**53


def unit_hash(*names: str) -> float:
    """Map names to a fixed number in [0, 1): for choices that must never move, such as a group's split."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


@lru_cache(maxsize=64)
def _state(seed: int, names: tuple[str | int, ...]) -> int:
    return int.from_bytes(_digest(seed, names)[:8], "little")


def _digest(seed: int, names: tuple[str | int, ...]) -> bytes:
    address = json.dumps([int(seed), *[name if isinstance(name, str) else int(name) for name in names]])
    return hashlib.sha256(address.encode()).digest()
