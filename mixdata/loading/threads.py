"""Batches made in the caller's thread or by threads: for items whose making frees the interpreter."""

import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mixdata.loading.buffers import Buffers

Fill = Callable[[int, Mapping[str, np.ndarray]], dict[str, Any]]
Filled = tuple[dict[str, torch.Tensor], list[dict[str, Any]]]  # audio, and what is told of each item


class Inline:
    """Makes batches when they are asked for."""

    def __init__(self, fill: Fill, buffers: Buffers):
        self._fill, self._buffers = fill, buffers
        self._asked: deque[Sequence[int]] = deque()

    def submit(self, indices: Sequence[int]) -> None:
        """Ask for a batch of these items."""
        self._asked.append(indices)

    def collect(self) -> Filled:
        """Return the oldest batch asked for."""
        indices = self._asked.popleft()
        tensors = self._buffers.take(len(indices))
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        return tensors, [self._fill(index, {name: array[row] for name, array in arrays.items()}) for row, index in enumerate(indices)]

    def end(self) -> None:
        """Forget what was asked for."""
        self._asked.clear()


@dataclass(eq=False)
class _Batch:
    tensors: dict[str, torch.Tensor]
    arrays: dict[str, np.ndarray]
    about: list[Any]  # of each row, or the exception it ended with
    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: threading.Event = field(default_factory=threading.Event)

    def make(self, fill: Fill, row: int, index: int) -> None:
        try:
            self.about[row] = fill(index, {name: array[row] for name, array in self.arrays.items()})
        except BaseException as error:
            self.about[row] = error
        with self.lock:
            self.left -= 1
            last = not self.left
        if last:
            self.done.set()


class Threads:
    """Makes batches ahead in threads, which end with `end`, with this object, or with the interpreter."""

    def __init__(self, fill: Fill, buffers: Buffers, count: int):
        self._buffers = buffers
        self._batches: deque[_Batch] = deque()
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        stopped = threading.Event()
        threads = [
            threading.Thread(target=_work, args=(self._tasks, stopped, fill), name=f"mixdata-loader-{number}", daemon=True)
            for number in range(count)
        ]
        self.end = weakref.finalize(self, _stop, self._tasks, stopped, threads)
        for thread in threads:
            thread.start()

    def submit(self, indices: Sequence[int]) -> None:
        """Ask for a batch of these items."""
        tensors = self._buffers.take(len(indices))
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        batch = _Batch(tensors, arrays, [None] * len(indices), len(indices))
        self._batches.append(batch)
        for row, index in enumerate(indices):
            self._tasks.put((batch, row, index))

    def collect(self) -> Filled:
        """Return the oldest batch asked for. Raises what the first of its items raised."""
        batch = self._batches.popleft()
        batch.done.wait()
        error = next((about for about in batch.about if isinstance(about, BaseException)), None)
        if error is None:
            return batch.tensors, batch.about
        try:
            raise error
        finally:
            batch.about.clear()
            del batch, error  # or the error's traceback would hold itself and the batch until the next garbage collection


def _work(tasks: queue.SimpleQueue[Any], stopped: threading.Event, fill: Fill) -> None:
    while (task := tasks.get()) is not None:
        batch, row, index = task
        if not stopped.is_set():
            batch.make(fill, row, index)
        del task, batch  # while it waits, a thread must not hold a batch that the user has dropped


def _stop(tasks: queue.SimpleQueue[Any], stopped: threading.Event, threads: Sequence[threading.Thread]) -> None:
    stopped.set()
    for _ in threads:
        tasks.put(None)
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:  # a finalizer runs in any thread
            thread.join(timeout=5)  # one that hangs in a read ends with it
