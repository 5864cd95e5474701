"""A process in which one family of contenders lives and is measured on request, so that no package disturbs another."""

import multiprocessing
import resource
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.loading.corpus import Crop, make_corpus

TIMEOUT = 300  # seconds in which a measurement must be done, building included


class Station:
    """Starts the process anew after a measurement that hung."""

    def __init__(self, folder: Path, family: str):
        self.folder, self.family = folder, family
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.folder, self.family))
        self.process.start()
        theirs.close()

    def ask(self, what: str, *arguments: Any) -> dict[str, Any]:
        """Return the answer, or `{"absent": reason}`."""
        try:
            self.pipe.send((what, *arguments))
            if self.pipe.poll(TIMEOUT):
                return self.pipe.recv()
            reason = f"did not end within {TIMEOUT} s"
        except (EOFError, OSError):
            reason = "its process died"
        self.stop()
        self._start()
        return {"absent": reason}

    def stop(self) -> None:
        """End the process and all that it began."""
        import psutil

        self.pipe.close()  # by which it ends of itself, if it still listens
        self.process.join(10)
        if self.process.is_alive():
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.kill()
            for child in children:
                if child.is_running():
                    child.kill()
        self.process.join()


def _serve(pipe: Connection, folder: Path, family: str) -> None:
    import torch

    from benchmarks.loading.contenders import of_family
    from benchmarks.loading.contenders.base import Absent
    from benchmarks.loading.extras import train

    multiprocessing.set_start_method("fork", force=True)  # Linux's own way, which a spawned process does not have by itself
    torch.set_num_threads(1)
    ready: dict[Any, Any] = {}
    while True:
        try:
            what, name, *rest = pipe.recv()
        except EOFError:
            return
        try:
            if what == "prepare":
                kind = next(kind for kind in of_family(family) if kind.name == name)
                size, crops = rest
                made = kind(make_corpus(folder, size), crops)
                made.build()
                ready[name, size.name, crops.seconds] = made
                answer = prepare(made)
            else:
                key, *more = rest
                answer = (train if what == "train" else measure)(ready[name, *key], *more)
        except Absent as error:
            answer = {"absent": str(error)}
        except Exception as error:
            traceback.print_exc()
            answer = {"absent": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
        pipe.send(answer)


def prepare(contender: Any) -> dict[str, Any]:
    """Compare every crop with the songs, and count bytes. Raises `AssertionError` for one that differs."""
    place_of = dict(enumerate(contender.crops.crops))
    items, seen, read, counted = contender.items(), 0, _read_bytes(), contender.counted_bytes()
    for number, audio in items:
        check(contender, audio, place_of[number])
        seen += 1
        if seen == min(len(place_of), 24):
            break
    payload = 16 * place_of[0].frames
    by_counter = contender.counted_bytes()
    if by_counter is not None and by_counter > (counted or 0):
        bytes_read, how = (by_counter - (counted or 0)) / seen, "counter"
    else:
        bytes_read, how = (_read_bytes() - read) / seen, "rchar"
        if contender.mapped and bytes_read < payload / 10:
            bytes_read, how = float("nan"), "mapped"
    stored, pcm = contender.stored_bytes()
    return {"checked": seen, "bytes_per_crop": bytes_read, "bytes_how": how, "stored": stored, "pcm": pcm}


def check(contender: Any, audio: Any, crop: Crop) -> None:
    """Raise where a crop is not, sample by sample, what the songs hold."""
    audio = np.asarray(audio)
    wanted = contender.corpus.reference(crop)
    if audio.shape != wanted.shape or audio.dtype != np.float32:
        raise AssertionError(f"gives {audio.dtype} {audio.shape}, not float32 {wanted.shape}")
    if not np.array_equal(audio, wanted):
        raise AssertionError(f"samples differ from the song's by up to {float(np.abs(audio - wanted).max()):g} at {crop}")


def measure(contender: Any, way: str, workers: int, seconds: float) -> dict[str, Any]:
    """Count crops for about `seconds`: crops per second of wall and of CPU time."""
    if way == "one":
        return _one(contender, seconds)
    if way == "free threads":
        before = _cpu([])
        crops, wall = contender.run(way, workers, seconds)
        return {"crops": crops, "wall": wall, "cpu": _cpu([]) - before}
    return _batches(contender, way, workers, seconds)


def _one(contender: Any, seconds: float) -> dict[str, Any]:
    items, crops = contender.items(), 0
    next(items)
    cpu, began = time.process_time(), time.perf_counter()
    while time.perf_counter() < began + seconds or not crops:
        next(items)
        crops += 1
    return {"crops": crops, "wall": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def _batches(contender: Any, way: str, workers: int, seconds: float) -> dict[str, Any]:
    began = time.perf_counter()
    batches = contender.batches(way, workers)
    try:
        first = next(batches)
        first_batch = time.perf_counter() - began
        for (song, start), audio in zip(contender.places_of(first), contender.audio_of(first), strict=True):
            check(contender, audio, Crop(song, start, audio.shape[-1]))
        size, first, audio = len(contender.audio_of(first)), None, None
        for _ in range(2 * workers + 2):  # what was made ahead while nobody asked for it
            next(batches)
        helpers = [child.pid for child in multiprocessing.active_children()]
        cpu, began, crops = _cpu(helpers), time.perf_counter(), 0
        while time.perf_counter() < began + seconds or not crops:
            next(batches)
            crops += size
        wall = time.perf_counter() - began
        return {"crops": crops, "wall": wall, "cpu": _cpu(helpers) - cpu, "first_batch": first_batch}
    finally:
        for closing in ("close", "_shutdown_workers"):
            if hasattr(batches, closing):
                getattr(batches, closing)()
                break


def _cpu(helpers: list[int]) -> float:
    """Return the CPU seconds of this process (and of those of its children that ended) and of these helpers."""
    import psutil

    total = time.process_time()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    total += usage.ru_utime + usage.ru_stime
    for pid in helpers:
        try:
            times = psutil.Process(pid).cpu_times()
            total += times.user + times.system
        except psutil.NoSuchProcess:
            continue
    return total


def _read_bytes() -> int:
    """Return the bytes that read calls of this process brought (the page cache counts too; page faults do not)."""
    with open("/proc/self/io") as file:
        return int(next(line for line in file if line.startswith("rchar")).split()[1])
