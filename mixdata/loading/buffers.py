"""Memory for batches that is used again as soon as nobody looks at it any more.

The user gets tensors over a fresh view of a kept array. Whatever is derived from such a tensor without a copy keeps the view alive; when
the last of it goes, the view's finalizer gives the array back. Giving back is one `deque.append`, which needs no lock, for a finalizer
may run in any thread at any time.
"""

import mmap
import os
import weakref
from collections import deque
from collections.abc import Mapping
from multiprocessing import reduction
from typing import Any

import numpy as np
import torch

from mixdata.errors import MixdataError

Shapes = Mapping[str, tuple[int, ...]]  # of one item's arrays, by name
ROOM = 4096  # bytes before the first slot of a ring, for its run number; slots begin at multiples of it


class Buffers:
    """Tensors `(rows, *shape)` by name, made when asked for; at most `keep` of each that nobody uses are kept.

    With `pin` they are of pinned memory, which torch keeps itself: it knows when a copy to the device that is still under way has ended.
    """

    def __init__(self, shapes: Shapes, rows: int, keep: int, pin: bool = False):
        self._shapes = {name: (rows, *shape) for name, shape in shapes.items()}
        self._free: dict[str, deque[np.ndarray]] = {name: deque(maxlen=keep) for name in shapes}
        self._pin = pin

    def take(self, rows: int) -> dict[str, torch.Tensor]:
        """Return tensors of that many rows, at most those given, by name. Their contents are undefined."""
        return {name: self._take(name, rows) for name in self._shapes}

    def _take(self, name: str, rows: int) -> torch.Tensor:
        shape = self._shapes[name]
        try:
            if self._pin:
                return torch.empty((rows, *shape[1:]), pin_memory=True)
            free = self._free[name]
            try:
                array = free.pop()
            except IndexError:
                array = np.empty(shape, np.float32)
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than there are addresses
            raise MixdataError(f"batches of {shape} samples do not fit into memory: use a smaller batch_size or a shorter crop") from error
        return _lent(array[:rows], free.append, array)


class Ring:
    """A fixed number of slots for batches in memory that processes share, without a name that could be left behind.

    Pickled only to a process that is being started.
    """

    def __init__(self, shapes: Shapes, rows: int, slots: int):
        self._layout = (dict(shapes), rows, slots)
        size = ROOM + slots * sum(_slot_bytes(shape, rows) for shape in shapes.values())
        if size > os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):  # asking for it might take all there is from everyone else
            raise MixdataError(f"{slots} batches, {size} bytes, do not fit into memory: use a smaller batch_size, prefetch or crop")
        self._fd = os.memfd_create("mixdata", os.MFD_CLOEXEC)
        os.ftruncate(self._fd, size)
        self._map()
        self._free: dict[str, deque[int]] = {name: deque(range(slots)) for name in shapes}

    def __getstate__(self) -> dict[str, Any]:
        return {"layout": self._layout, "fd": reduction.DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._layout, self._fd = state["layout"], state["fd"].detach()
        self._map()

    def _map(self) -> None:
        shapes, rows, slots = self._layout
        memory = mmap.mmap(self._fd, 0)
        self.run = np.frombuffer(memory, np.int64, 1)  # which iteration is under way; what belongs to an older one need not be made
        self._slots: dict[str, list[np.ndarray]] = {}
        place = ROOM
        for name, shape in shapes.items():
            size, count = _slot_bytes(shape, rows), rows * int(np.prod(shape))
            self._slots[name] = [
                np.frombuffer(memory, np.float32, count, place + slot * size).reshape(rows, *shape) for slot in range(slots)
            ]
            place += slots * size

    def close_fd(self) -> None:
        """Close the file; the memory stays as long as anything uses it."""
        os.close(self._fd)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return min(len(free) for free in self._free.values())

    def take(self, rows: int) -> tuple[dict[str, torch.Tensor], dict[str, int]]:
        """Return tensors over free slots, and the slots' numbers."""
        slots = {name: free.popleft() for name, free in self._free.items()}
        tensors = {name: _lent(self._slots[name][slot][:rows], self._free[name].append, slot) for name, slot in slots.items()}
        return tensors, slots

    def row(self, slots: Mapping[str, int], row: int) -> dict[str, np.ndarray]:
        """Return the arrays of one row of these slots, by name."""
        return {name: self._slots[name][slot][row] for name, slot in slots.items()}


def _lent(view: np.ndarray, give_back: Any, what: Any) -> torch.Tensor:
    weakref.finalize(view, give_back, what).atexit = False
    return torch.from_numpy(view)


def _slot_bytes(shape: tuple[int, ...], rows: int) -> int:
    return -(-rows * int(np.prod(shape)) * 4 // ROOM) * ROOM
