"""The laws of `CropLoader`: a DataLoader's batches, in memory that is kept and used again, whatever happens to its workers."""

import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils.data import DataLoader

import mixdata
from conftest import hear_ctrl_c
from mixdata.errors import MixdataError, SongError, UsageError
from mixdata.loading.buffers import Buffers
from mixdata.recipes import load_recipe
from mixdata.torch import CropLoader, CropSampler, ShardDataset
from pair_sets import EFFECTS, SMALL
from tiny_dataset import Tiny, write_tiny

WAYS = [
    {"num_workers": 0},
    {"num_workers": 1, "mode": "threads"},
    {"num_workers": 3, "mode": "threads"},
    {"num_workers": 1, "mode": "processes"},
    {"num_workers": 3, "mode": "processes"},
]
AHEAD = [WAYS[2], WAYS[4]]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.get('mode', 'inline')}-{way['num_workers']}")
ahead = pytest.mark.parametrize("way", AHEAD, ids=lambda way: way["mode"])


class Unpicklable(Exception):
    def __init__(self, what: str, why: str):
        super().__init__(f"{what} {why}")


class Numbers:
    """A dataset whose audio is the item's number, and whose items do what they are told."""

    in_python = False
    seed = 0

    def __init__(self, items: int = 24, does: dict[int, Callable[[], Any]] | None = None, shape: tuple[int, int, int] = (2, 2, 700)):
        self.items, self.does = items, does or {}
        self.fingerprint = "numbers"
        self.shapes = {"input": shape, "target": (1, 2, 3)}

    def __len__(self) -> int:
        return self.items

    def fill(self, index: int, audio: dict[str, np.ndarray]) -> dict[str, Any]:
        if does := self.does.get(index % self.items):
            does()
        for array in audio.values():
            array[:] = index
        return {"start": index}


def fail(error: Exception) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


def starts(batches: Any) -> list[list[int]]:
    return [batch["start"].tolist() for batch in batches]


def same(one: dict, two: dict) -> None:
    assert list(one) == list(two)
    for name, value in one.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == two[name].dtype and torch.equal(value, two[name]), name
        else:
            assert value == two[name], name


def is_whole(batch: dict) -> bool:
    return all(bool((batch[name] == batch["start"][:, None, None, None]).all()) for name in ("input", "target"))


def own_workers() -> list[Any]:
    """The loaders' threads and processes that run."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("mixdata-loader")]
    return threads + [child for child in multiprocessing.active_children() if child.name.startswith("mixdata-loader")]


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Any:
    yield
    if own_workers():
        gc.collect()  # an exception that a test has caught may hold its loop
    assert not own_workers()
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("crops") / "set", {"train": [20100, 8000, 27000, 3000]}, loud=20.0)


@each_way
def test_batches_are_those_of_a_dataloader(tiny: Tiny, way: dict) -> None:
    data = ShardDataset(tiny.path, crop=1.5, records=True)
    sampler = CropSampler(data)
    loader = CropLoader(data, 4, drop_last=False, **way)
    assert len(loader) == 3
    for epoch in range(2):
        sampler.set_epoch(epoch)
        loader.set_epoch(epoch)
        for found, expected in zip(loader, DataLoader(data, 4, sampler=sampler), strict=True):
            assert found["input"].shape[1:] == (4, 2, 12000) and found["input"].is_contiguous()
            same(found, expected)


def test_effect_chains_are_made_by_processes_and_the_same_in_threads(tmp_path: Path) -> None:
    corpora = ["synth:songs=2,seconds=3,sample_rate=16000"]
    mixdata.build(load_recipe("dry_stems", [*SMALL, "splits={train: 1}"]), tmp_path / "set", corpora, workers=0, quiet=True)
    data = ShardDataset(tmp_path / "set", crop=1.0, effects=EFFECTS, records=True, epoch_items=7)
    assert CropLoader(data).mode == "processes"
    for mode in ("auto", "threads"):
        for found, expected in zip(CropLoader(data, 3, mode=mode, shuffle=False), DataLoader(data, 3, drop_last=True), strict=True):
            same(found, expected)
            assert "effects" in found


def test_spawned_workers_give_the_same_and_persist(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=0.5)
    data[0]
    loader = CropLoader(data, 3, num_workers=1, mode="processes", multiprocessing_context="spawn")
    expected = list(CropLoader(data, 3, num_workers=0))
    pids = set()
    for _ in range(2):
        for found, batch in zip(loader, expected, strict=True):
            same(found, batch)
        pids.update(worker.pid for worker in own_workers())
    assert len(pids) == 1


def test_auto_takes_processes_where_items_are_made_in_python() -> None:
    data = Numbers()
    assert CropLoader(data).mode == "threads"
    data.in_python = True
    assert CropLoader(data).mode == "processes" and CropLoader(data, mode="threads").mode == "threads"


@each_way
def test_a_batch_stays_valid_as_long_as_any_view_of_it_is_held(way: dict) -> None:
    loader = CropLoader(Numbers(60), 4, **way)
    held: list[tuple[int, Any]] = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        for number, batch in enumerate(loader):
            assert is_whole(batch)
            row = batch["input"][1]
            if number % 4:
                view = (row[0, :, 5:9], row.numpy()[..., ::7], memoryview(row.numpy()))[number % 4 - 1]
                held.append((int(batch["start"][1]), view))
            del batch, row
    assert len(held) > 30
    assert all((np.asarray(view) == start).all() for start, view in held)


@each_way
def test_all_batches_of_an_epoch_may_be_held(way: dict) -> None:
    loader = CropLoader(Numbers(80), 4, shuffle=False, **way)
    for _ in range(2):
        batches = list(loader)
        assert starts(batches) == [list(range(first, first + 4)) for first in range(0, 80, 4)]
        assert all(map(is_whole, batches))


@each_way
def test_memory_is_used_again_when_nothing_of_a_batch_is_held(way: dict) -> None:
    loader = CropLoader(Numbers(800, shape=(4, 2, 20000)), 8, prefetch=3, **way)
    places = set()
    for _ in range(2):
        for batch in loader:
            places.add(batch["input"].data_ptr())
    assert len(places) <= 3 + 2


def test_memory_that_is_kept_is_not_given_to_others() -> None:
    buffers = Buffers({"input": (2, 500_000)}, 1, keep=1)
    place = buffers.take(1)["input"].data_ptr()
    others = [np.empty((1, 2, 500_000), np.float32) for _ in range(3)]  # would take its place if it had been freed
    assert buffers.take(1)["input"].data_ptr() == place not in [other.ctypes.data for other in others]


@ahead
def test_after_all_was_held_no_more_than_the_bound_is_kept(way: dict) -> None:
    loader = CropLoader(Numbers(64, shape=(4, 2, 50000)), 4, **way)
    for _ in range(2):
        batches = list(loader)
        del batches
    free = loader._buffers._free["input"]
    assert len(free) <= loader.prefetch + 2
    if way["mode"] == "processes":
        assert loader._processes._ring.free == loader.prefetch + 2


@each_way
def test_an_iteration_that_was_left_begins_anew_and_a_state_goes_on(way: dict) -> None:
    loader = CropLoader(Numbers(), 4, **way)
    loader.set_epoch(2)
    whole = starts(loader)
    assert starts(loader) == whole, "the same epoch until set_epoch"
    for number, _ in enumerate(loader):
        told = {"seed": 0, "epoch": 2, "position": 4 * (number + 1), "items": 24, "dataset": "numbers"}
        assert loader.state_dict() == told
        if number == 2:
            break
    state = loader.state_dict()
    loader.set_epoch(2)
    assert starts(loader) == whole
    loader.load_state_dict(state)
    assert loader.state_dict() == state
    walk = iter(loader)
    assert starts(walk) == whole[3:] and loader.state_dict()["position"] == 24
    assert starts(loader) == whole
    end = loader.state_dict()
    loader.load_state_dict(end)
    assert starts(loader) == [] and starts(loader) == whole
    loader.set_epoch(3)
    assert starts(loader) not in (whole, whole[3:]) and loader.epoch == 3


def test_the_epoch_may_be_set_after_the_iterator_was_made() -> None:
    loader = CropLoader(Numbers(), 4)
    walk = iter(loader)
    loader.sampler.set_epoch(1)
    assert min(min(batch) for batch in starts(walk)) == 24


@each_way
def test_a_new_iteration_ends_the_one_before(way: dict) -> None:
    loader = CropLoader(Numbers(), 4, shuffle=False, **way)
    first = iter(loader)
    next(first)
    second = iter(loader)
    assert next(second)["start"].tolist() == [0, 1, 2, 3]
    with pytest.raises(MixdataError, match="another iteration over this loader has begun"):
        next(first)
    assert starts(second) == [list(range(start, start + 4)) for start in range(4, 24, 4)]


@each_way
@pytest.mark.parametrize("error", [UsageError("member x.flac is damaged"), SongError("silent", "no sound", {"a": 1}), KeyError("x")])
def test_an_exception_is_raised_in_the_caller_as_it_was(way: dict, error: Exception) -> None:
    loader = CropLoader(Numbers(does={13: fail(error), 14: fail(ValueError("later"))}), 4, shuffle=False, **way)
    held = []
    for _ in range(5):  # the loader stays usable, whoever holds the exceptions
        found = []
        with pytest.raises(type(error)) as caught:
            for batch in loader:
                found.append(batch)
        held.append(caught.value)
        assert type(caught.value) is type(error) and str(caught.value) == str(error) and caught.value.args == error.args
        assert starts(found) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]] and all(map(is_whole, found))
        assert loader.state_dict()["position"] == 12
        if way.get("mode") == "processes":
            assert "in fill" in "".join(caught.value.__notes__)


def test_an_exception_that_cannot_be_sent_still_tells_what_it_was() -> None:
    loader = CropLoader(Numbers(does={3: fail(Unpicklable("spoon", "is bent"))}), 4, mode="processes")
    with pytest.raises(MixdataError, match="Unpicklable: spoon is bent"):
        list(loader)


@pytest.mark.parametrize(
    ("does", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "was ended by SIGKILL while it made items 12, 13; .* memory"),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), "was ended by SIGTERM while it made items 12, 13$"),
        (lambda: os._exit(3), "ended with exit code 3 while it made items 12, 13$"),
        (lambda: sys.exit(5), "ended with exit code 5"),
    ],
)
def test_a_worker_that_dies_is_an_error_that_names_it(does: Callable[[], None], how: str) -> None:
    data = Numbers(does={13: does})
    loader = CropLoader(data, 4, shuffle=False, mode="processes", num_workers=2)
    found = []
    with pytest.raises(MixdataError, match=rf"loader's worker [01] \(process \d+\) {how}"):
        for batch in loader:
            found.append(batch)
    assert starts(found) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]] and all(map(is_whole, found))
    assert not own_workers(), "the others were ended"
    data.does.clear()
    assert len(list(loader)) == 6, "new ones are started"


def test_a_worker_that_dies_while_it_is_idle_is_noticed() -> None:
    loader = CropLoader(Numbers(), 4, mode="processes", num_workers=2)
    list(loader)
    victim = own_workers()[0]
    os.kill(victim.pid, signal.SIGKILL)
    victim.join()
    with pytest.raises(MixdataError, match="SIGKILL"):
        list(loader)
    assert len(list(loader)) == 6


def test_a_worker_that_dies_is_noticed_while_another_process_holds_its_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixdata.loading.processes.PATIENCE", 0.2)

    def die() -> None:
        if child := os.fork():
            (tmp_path / "child").write_text(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(30)
        os._exit(0)

    with pytest.raises(MixdataError, match="SIGKILL"):
        list(CropLoader(Numbers(does={13: die}), 4, mode="processes", num_workers=1))
    child = psutil.Process(int((tmp_path / "child").read_text()))
    assert child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    child.kill()


def test_an_exception_holds_nothing_once_it_is_dropped() -> None:
    def bend() -> None:
        raise Unpicklable("spoon", "is bent")

    loader = CropLoader(Numbers(does={13: bend}), 4, mode="threads")
    gc.disable()
    try:
        with pytest.raises(Unpicklable) as caught:
            list(loader)
        dropped = weakref.ref(caught.value)
        del caught
        assert dropped() is None
    finally:
        gc.enable()


@ahead
def test_what_was_asked_for_is_not_made_after_the_loop_was_left(tmp_path: Path, way: dict) -> None:
    def note() -> None:
        with (tmp_path / "made").open("a") as file:
            file.write(".")
        time.sleep(0.01)

    data = Numbers(160, dict.fromkeys(range(160), note))
    loader = CropLoader(data, 4, prefetch=40, **way)
    for _ in loader:
        break
    data.does.clear()
    for _ in loader:
        break
    assert 4 <= len((tmp_path / "made").read_text()) < 160


@ahead
def test_no_worker_stays_after_a_loop_was_left(way: dict) -> None:
    def leave(how: str) -> None:
        loader = CropLoader(Numbers(200, {index: lambda: time.sleep(0.002) for index in range(200)}), 4, **way)
        for _ in loader:
            assert own_workers()
            if how == "break":
                break
            raise KeyError(how)
        assert way["mode"] == "processes" or not own_workers(), "threads end with the iteration"

    begin = time.perf_counter()
    leave("break")
    assert not own_workers()
    with pytest.raises(KeyError):
        leave("raise")
    gc.collect()
    assert not own_workers()
    walk = iter(CropLoader(Numbers(), 4, **way))
    next(walk)
    del walk
    assert not own_workers()
    assert time.perf_counter() - begin < 4, "they end at once, not after a time that ran out"


@ahead
def test_two_loaders_at_once_do_not_keep_each_other_alive(way: dict) -> None:
    begin = time.perf_counter()
    one, two = (CropLoader(Numbers(), 4, **way) for _ in range(2))
    for first, second in zip(one, two, strict=True):
        same(first, second)
    del one, first
    assert len(own_workers()) == (3 if way["mode"] == "processes" else 0)
    del two, second
    assert not own_workers()
    assert time.perf_counter() - begin < 4


def test_shared_memory_has_no_name_and_ends_with_its_users() -> None:
    loader = CropLoader(Numbers(), 4, mode="processes", num_workers=1)
    batches = list(loader)
    shared = [line.split(maxsplit=5)[-1] for line in _maps(own_workers()[0].pid) if line.split()[1] == "rw-s"]
    assert "/memfd:mixdata (deleted)" in shared and not [name for name in shared if name.startswith("/dev/shm/") and "deleted" not in name]
    del loader
    assert all(map(is_whole, batches)), "batches outlive their loader"
    del batches
    gc.collect()
    assert not [line for line in _maps(os.getpid()) if "memfd:mixdata" in line]
    assert not [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink() and "memfd:mixdata" in os.readlink(fd)]


def _maps(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/maps").read_text().splitlines()


SCRIPT = """
import os, sys, threading, time
sys.path[:0] = {paths!r}
from mixdata.torch import CropLoader
from test_crop_loader import Numbers
slow = Numbers(400, dict.fromkeys(range(8, 400), lambda: time.sleep(0.01)))
walk = zip(*[CropLoader(slow, 4, mode=mode, num_workers=2, shuffle=False) for mode in ("threads", "processes")])
batch = next(walk)
import multiprocessing
print(*[child.pid for child in multiprocessing.active_children()], flush=True)
{then}
"""


def _script(then: str) -> tuple[subprocess.Popen, list[int]]:
    here = Path(__file__).resolve().parent
    text = SCRIPT.format(paths=[str(here), str(here.parent)], then=then)
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, [int(pid) for pid in process.stdout.readline().split()]


def _gone(pids: list[int], within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("ending", ["exit", "ctrl-c", "kill"])
def test_everything_ends_with_the_interpreter(ending: str) -> None:
    process, pids = _script("" if ending == "exit" else "for batch in walk: pass")
    assert len(pids) == 2
    if ending != "exit":
        time.sleep(0.2)
        if ending == "ctrl-c":
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it as well
        else:
            process.kill()
    process.wait(timeout=30)
    assert _gone(pids, 4)
    assert process.stderr is not None
    errors = process.stderr.read()
    assert process.returncode == {"exit": 0, "ctrl-c": -signal.SIGINT, "kill": -signal.SIGKILL}[ending], errors
    assert errors.count("Traceback") == (ending == "ctrl-c") and errors.rstrip().endswith("KeyboardInterrupt" if errors else ""), errors


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
@each_way
def test_pinned_memory_without_cuda_is_ignored_with_a_warning(way: dict) -> None:
    loader = CropLoader(Numbers(), 4, pin_memory=True, **way)
    with pytest.warns(UserWarning, match="pin_memory=True is ignored: there is no CUDA device"):
        batches = list(loader)
    assert all(map(is_whole, batches)) and not batches[0]["input"].is_pinned()


def test_a_loader_can_be_pickled_between_epochs(tiny: Tiny) -> None:
    loader = CropLoader(ShardDataset(tiny.path, crop=0.5), 3)
    for number, _ in enumerate(loader):
        if number == 1:
            break
    copy = pickle.loads(pickle.dumps(loader))
    assert copy.state_dict() == loader.state_dict()
    for one, two in zip(loader, copy, strict=True):
        same(one, two)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"num_workers": -1}, "num_workers must be at least 0"),
        ({"prefetch": 0}, "prefetch must be at least 1"),
        ({"mode": "thread"}, "unknown mode 'thread': use one of auto, threads, processes"),
        ({"rank": 1}, "give both rank and world_size"),
        ({"rank": 2, "world_size": 2}, "rank must be in"),
        ({"sampler": CropSampler(Numbers()), "rank": 0, "world_size": 1}, "give seed, rank and world_size to the sampler"),
        ({"sampler": [1, 2]}, "is a CropSampler, got list"),
    ],
)
def test_wrong_arguments_say_what_is_right(arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CropLoader(Numbers(), **arguments)


def test_what_cannot_be_read_in_batches_is_refused(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="use a DataLoader"):
        CropLoader([1, 2, 3])
    with pytest.raises(UsageError, match="give a crop"):
        CropLoader(ShardDataset(tiny.path, crop=None))
    with pytest.raises(MixdataError, match="not the state of a CropSampler or CropLoader: items, position, seed missing"):
        CropLoader(Numbers()).load_state_dict({"epoch": 1})
    with pytest.raises(MixdataError, match="another dataset"):
        CropLoader(Numbers(23), 4).load_state_dict(CropLoader(Numbers(), 4).state_dict())


@each_way
def test_batches_larger_than_memory_are_a_clear_error(way: dict) -> None:
    with pytest.raises(MixdataError, match="do not fit into memory"):
        next(iter(CropLoader(Numbers(shape=(64, 2, 2**40)), 4, **way)))
