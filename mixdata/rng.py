"""The one source of randomness: counter-based generators addressed by what they are for.

A draw never depends on the order of work. `stream(seed, song, block, step, purpose)` names a generator, and
the same names give the same numbers in every process, on every machine.
"""

import hashlib
import json

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator with this address.

    Philox is counter-based: its 128-bit key is taken from a SHA-256 over the address, so streams with
    different addresses are independent and none has state that others could disturb.
    """
    address = json.dumps([int(seed), *[n if isinstance(n, str) else int(n) for n in names]])
    digest = hashlib.sha256(address.encode()).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype="<u8")))


def unit_hash(*names: str) -> float:
    """Map names to a fixed number in [0, 1): for choices that must never move, such as a group's split."""
    digest = hashlib.sha256(json.dumps(names).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
