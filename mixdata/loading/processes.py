"""Batches made by worker processes in shared memory: for items whose making holds the interpreter.

Each worker has a pipe of its own: no lock is shared, so one that is killed takes nothing with it.
"""

import os
import pickle
import select
import signal
import traceback
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import numpy as np
import torch

from mixdata.errors import MixdataError
from mixdata.loading.buffers import Buffers, Ring, Shapes
from mixdata.loading.threads import Filled

MOST_ROWS = 256  # of a task, so that a pipe that takes data takes the whole of it
PATIENCE = 5.0  # seconds


class Source(Protocol):
    """What a worker needs of a dataset."""

    def fill(self, index: int, audio: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Write an item's audio into the arrays, return the rest of it."""


@dataclass(frozen=True)
class _Failure:
    """An exception on its way to the caller."""

    pickled: bytes
    text: str
    traceback: str


@dataclass(eq=False)
class _Worker:
    number: int
    process: BaseProcess
    pipe: Connection
    tasks: dict[tuple[int, int], Sequence[int]]  # its items by (batch, first row), as long as no answer has come

    @property
    def rows(self) -> int:
        return sum(len(indices) for indices in self.tasks.values())


@dataclass(eq=False)
class _Batch:
    tensors: dict[str, torch.Tensor]
    about: list[Any]
    left: int


class Processes:
    """Makes batches ahead in worker processes, which end with `close`, with this object, or with this process.

    Slots of the ring that the user still holds are not waited for: where too few would be left, a batch is copied out of its own.
    """

    def __init__(self, dataset: Source, shapes: Shapes, rows: int, count: int, ahead: int, copies: Buffers, context: BaseContext):
        self._copies, self._ahead = copies, ahead
        self._batches: dict[int, _Batch] = {}
        self._asked = self._given = 0
        self._workers: list[_Worker] = []
        self._ring = Ring(shapes, rows, ahead + 2)  # and one that the user has, and one that the loop's variable still holds
        self.close = weakref.finalize(self, _stop, self._workers, self._ring.run, os.getpid())
        try:
            for number in range(count):
                self._start(dataset, number, context)
        except BaseException:
            self.close()
            raise
        finally:
            self._ring.close_fd()

    def _start(self, dataset: Source, number: int, context: BaseContext) -> None:
        ours, theirs = context.Pipe()
        inherited = [worker.pipe for worker in self._workers] + [ours] if context.get_start_method() == "fork" else []
        args = (dataset, self._ring, theirs, inherited)
        process = context.Process(target=_work, args=args, name=f"mixdata-loader-{number}", daemon=True)  # type: ignore[attr-defined]
        try:
            process.start()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._workers.append(_Worker(number, process, ours, {}))

    @property
    def alive(self) -> bool:
        """Whether the workers may be asked."""
        return self.close.alive

    def submit(self, indices: Sequence[int]) -> None:
        """Ask for a batch of these items."""
        if not self._asked - self._given:
            self._settle()
        tensors, slots = self._ring.take(len(indices))
        self._batches[self._asked] = _Batch(tensors, [None] * len(indices), len(indices))
        step = min(-(-len(indices) // len(self._workers)), MOST_ROWS)
        for first in range(0, len(indices), step):
            worker = min(self._workers, key=lambda worker: worker.rows)
            items = indices[first : first + step]
            worker.tasks[self._asked, first] = items
            self._send(worker, (int(self._ring.run[0]), self._asked, slots, first, items))
        self._asked += 1

    def collect(self) -> Filled:
        """Return the oldest batch asked for. Raises what the first of its items raised, or `MixdataError` for a worker that died."""
        number, self._given = self._given, self._given + 1
        while self._batches[number].left:
            self._receive()
        batch = self._batches.pop(number)
        for about in batch.about:
            if isinstance(about, _Failure):
                batch.tensors.clear()  # who holds the exception does not hold the slot
                raise _error(about)
        if self._ring.free + self._asked - self._given >= self._ahead:  # so `ahead` batches can always be asked for
            return batch.tensors, batch.about
        copies = self._copies.take(len(batch.about))
        for name, tensor in batch.tensors.items():
            copies[name].copy_(tensor)
        return copies, batch.about

    def end(self) -> None:
        """Forget what was asked for."""
        self._ring.run += 1
        self._given = self._asked

    def _settle(self) -> None:
        """Wait until no worker writes to slots of an iteration that was left."""
        while any(worker.tasks for worker in self._workers):
            self._receive()
        self._batches.clear()

    def _send(self, worker: _Worker, task: Any) -> None:
        poll = select.poll()
        poll.register(worker.pipe, select.POLLOUT)
        while not poll.poll(0):  # it waits for us to take its answers
            self._receive()
        try:
            worker.pipe.send(task)
        except OSError:
            self._died(worker)

    def _receive(self) -> None:
        ready = wait([worker.pipe for worker in self._workers], PATIENCE)
        for worker in list(self._workers):
            if worker.pipe in ready:
                try:
                    number, first, abouts = worker.pipe.recv()
                except (EOFError, OSError):
                    self._died(worker)
                items = worker.tasks.pop((number, first))
                batch = self._batches[number]
                batch.about[first : first + len(items)] = abouts
                batch.left -= len(items)
            elif not ready and not worker.process.is_alive():  # and a process that it forked keeps the pipe open
                self._died(worker)

    def _died(self, worker: _Worker) -> None:
        worker.process.join(PATIENCE)
        code = worker.process.exitcode
        how = f"was ended by {signal.Signals(-code).name}" if code is not None and code < 0 else f"ended with exit code {code}"
        items = next(iter(worker.tasks.values()), ())
        what = f" while it made items {', '.join(map(str, items))}" if items else ""
        hint = "; the system kills what takes too much memory: use fewer workers or smaller batches" if code == -signal.SIGKILL else ""
        name = f"loader's worker {worker.number} (process {worker.process.pid})"
        self.close()
        raise MixdataError(f"{name} {how}{what}{hint}")


def _error(failure: _Failure) -> BaseException:
    try:
        error = pickle.loads(failure.pickled)
    except Exception:
        error = MixdataError(failure.text)
    error.add_note(f"In a worker of the loader:\n{failure.traceback}")
    return error


def _stop(workers: list[_Worker], run: np.ndarray, owner: int) -> None:
    if os.getpid() != owner:  # a forked copy of the loader
        return
    run += 1
    for worker in workers:
        with suppress(OSError):
            poll = select.poll()
            poll.register(worker.pipe, select.POLLOUT)
            if poll.poll(0):
                worker.pipe.send(None)  # a process forked meanwhile may keep the pipe open
        worker.pipe.close()
    for worker in workers:
        worker.process.join(PATIENCE)
        for end in (worker.process.terminate, worker.process.kill):
            if worker.process.is_alive():
                end()
                worker.process.join(PATIENCE)
    workers.clear()


def _work(dataset: Source, ring: Ring, pipe: Connection, inherited: Sequence[Connection]) -> None:
    """Fill rows until the pipe is closed or the parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent as well, which ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    ring.close_fd()
    for other in inherited:
        other.close()  # or this process would keep the pipes of the others open
    parent = os.getppid()
    try:
        while True:
            while not pipe.poll(PATIENCE):
                if os.getppid() != parent:
                    return
            if (task := pipe.recv()) is None:
                return
            run, number, slots, first, items = task
            abouts = [_fill(dataset, ring, slots, first + row, index) if ring.run[0] == run else None for row, index in enumerate(items)]
            pipe.send((number, first, abouts))
    except (EOFError, OSError):
        return


def _fill(dataset: Source, ring: Ring, slots: Mapping[str, int], row: int, index: int) -> Any:
    try:
        return dataset.fill(index, ring.row(slots, row))
    except Exception as error:
        try:
            pickled = pickle.dumps(error)
        except Exception:
            pickled = b""
        return _Failure(pickled, f"{type(error).__name__}: {error}", traceback.format_exc())
