"""The local executor: shards are built by worker processes on this machine."""

import contextlib
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.connection import wait as wait_for
from typing import Any, TypeVar

from mixdata.builder.shard import Job, build_shard
from mixdata.errors import MixdataError

Report = Callable[[str, str, float], None]
Item = TypeVar("Item")
Result = TypeVar("Result")

# One thread per worker, always: the thread count changes the last bits of a network's and BLAS's sums.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")

_events: Any = None


class WorkerDied(MixdataError):
    """A worker process ended before its time: killed for memory, or by a crash of what it ran."""


def run(jobs: list[Job], workers: int, report: Report) -> None:
    """Build all shards with this many processes; 0 works in this process, for debugging.

    Where a worker dies, the shards with the songs that were in work are tried again, one shard at a time; a song that a
    worker dies on twice is left out (its reason is `failed`). Raises what a worker raised. No worker outlives this call, nor the
    process that made it.
    """
    if workers == 0:
        for job in jobs:
            build_shard(job, report)
        return
    waiting, deaths = list(jobs), dict[str, int]()
    while waiting:
        suspects = [job for job in waiting if any(planned.song.id in deaths for planned in job.shard.songs)]
        batch = suspects[:1] or waiting
        excluded = frozenset(song for song, count in deaths.items() if count > 1)
        begun = _Begun(report)
        unbuilt = _pool([replace(job, excluded=excluded) for job in batch], min(workers, len(batch)), begun)
        if unbuilt and not begun.songs:
            raise MixdataError(
                "worker processes die before they begin a song. Is there enough memory? (Try fewer --workers.) "
                "A script of your own must call mixdata.build under `if __name__ == '__main__':`"
            )
        for song in begun.songs:
            deaths[song] = deaths.get(song, 0) + 1
        built = {job.shard.name for job in batch} - unbuilt
        waiting = [job for job in waiting if job.shard.name not in built]


def each(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Yield the function's result for each item, in their order, from this many processes; 0 works in this one."""
    if workers == 0 or not items:
        yield from map(function, items)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(items)), context, initializer=_start, initargs=(None,))
    try:
        with _environment(ONE_THREAD), _without_interrupts():
            futures = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()
    except BrokenProcessPool:
        raise WorkerDied("a worker process died. Is there enough memory? Try fewer --workers") from None
    finally:
        for process in list((pool._processes or {}).values()):  # nothing is left to do, or nobody wants it any more
            process.kill()
        pool.shutdown(wait=True, cancel_futures=True)


class _Begun:
    """Passes reports on and remembers the songs that were begun and not ended."""

    def __init__(self, report: Report):
        self.report, self.songs = report, set[str]()

    def __call__(self, event: str, song: str, seconds: float) -> None:
        (self.songs.add if event == "begin" else self.songs.discard)(song)
        self.report(event, song, seconds)


def _pool(jobs: list[Job], workers: int, report: Report) -> set[str]:
    """Run the jobs in a fresh pool. Returns the names of shards that were not built because a worker died."""
    context = multiprocessing.get_context("spawn")
    events = context.SimpleQueue()  # written at once: a worker's last word is not lost when it dies
    unbuilt: set[str] = set()
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(events,))
    processes: list[Any] = []
    try:
        with _environment(ONE_THREAD), _without_interrupts():
            futures: dict[Future[None], str] = {pool.submit(_build, job): job.shard.name for job in jobs}
            processes = list((pool._processes or {}).values())  # there is no public way to stop a task that runs
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=0.2)
            while not events.empty():
                report(*events.get())
            for future in done:
                try:
                    future.result()
                except BrokenProcessPool:
                    unbuilt.add(futures[future])
        while not events.empty():
            report(*events.get())
    except BaseException:
        for process in processes:
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return unbuilt


def _start(events: Any) -> None:
    """Begin a worker: Ctrl-C is its parent's to handle, and it ends with its parent, however that ends."""
    global _events
    _events = events
    warnings.simplefilter("ignore")  # the builder has warned of the same
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)


def _build(job: Job) -> None:
    build_shard(job, lambda *event: _events.put(event))


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back; processes that are started meanwhile are deaf to it until they say otherwise."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
