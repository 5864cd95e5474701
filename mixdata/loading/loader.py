"""Batches of a dataset at the speed of its memory."""

import multiprocessing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import torch
from torch.utils.data import default_collate

from mixdata.errors import MixdataError, UsageError
from mixdata.loading.buffers import Buffers
from mixdata.loading.choice import known
from mixdata.loading.dataset import ShardDataset
from mixdata.loading.processes import Processes
from mixdata.loading.sampler import CropSampler
from mixdata.loading.threads import Filled, Inline, Threads

MODES = ("auto", "threads", "processes")
Batch = dict[str, Any]


class CropLoader:
    """Batches of a `ShardDataset`, in place of a `DataLoader`: the same dicts, made in memory that is kept and used again.

    A batch stays valid as long as anything of it is held: its memory is used for another one when the last tensor, view or array over
    it has gone. While none is held, `prefetch` + 2 batches is all the memory that is kept.

    `num_workers` threads or processes make up to `prefetch` batches ahead; 0: batches are made when they are asked for. `mode="auto"`
    takes threads, but processes for a dataset whose items are made by Python code (`effects`). Worker processes, started as
    `multiprocessing_context` says, persist as long as the loader; batches that the user holds beyond `prefetch` + 2 are copied out of
    the memory they share. An item's exception is raised in the caller; so is a `MixdataError` where a worker process dies.
    `pin_memory` gives pinned memory for copies to a CUDA device that do not block (from processes at the price of a copy); without CUDA
    it is ignored with a warning.

    `sampler` (a `CropSampler`) says which items come in which order; without one, `shuffle`, `seed`, `rank` and `world_size` do, which
    ask the dataset and `torch.distributed` where they are None. All ranks have equally many batches of equal size: items that do not
    fill a round of all ranks are left out, `drop_last=False` adds a last batch of what is left for each.

    An iteration begins at the beginning of the epoch, also after one that was left by `break`; only the first after `load_state_dict`
    goes on where the state was taken. The epoch stays the same until `set_epoch`. A new iteration ends the one before it. The state
    counts the batches that the user has received; see `CropSampler` for other numbers of ranks.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        batch_size: int = 8,
        *,
        num_workers: int = 2,
        mode: str = "auto",
        shuffle: bool | str = True,
        sampler: CropSampler | None = None,
        seed: int | None = None,
        rank: int | None = None,
        world_size: int | None = None,
        drop_last: bool = True,
        prefetch: int = 2,
        pin_memory: bool = False,
        multiprocessing_context: str | BaseContext | None = None,
    ):
        for name, value, least in (("batch_size", batch_size, 1), ("num_workers", num_workers, 0), ("prefetch", prefetch, 1)):
            if value < least:
                raise UsageError(f"{name} must be at least {least}, got {value}")
        known("mode", mode, MODES)
        if not hasattr(dataset, "fill"):
            raise UsageError(f"CropLoader reads a ShardDataset, got {type(dataset).__name__}: use a DataLoader for others")
        if sampler is None:
            sampler = CropSampler(dataset, shuffle, seed, rank, world_size)
        elif not isinstance(sampler, CropSampler):
            raise UsageError(f"the sampler of a CropLoader is a CropSampler, got {type(sampler).__name__}: use a DataLoader for others")
        elif (seed, rank, world_size) != (None, None, None):
            raise UsageError("give seed, rank and world_size to the sampler")
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = sampler
        self.num_workers = num_workers
        self.drop_last = drop_last
        self.prefetch = prefetch
        self.pin_memory = pin_memory
        self.mode = ("processes" if dataset.in_python else "threads") if mode == "auto" else mode
        self._context = multiprocessing_context
        self._shapes = dataset.shapes
        self._buffers: Buffers | None = None
        self._processes: Processes | None = None
        self._runs = 0

    batch_sampler = None  # what Lightning looks for in a loader with a sampler

    @property
    def epoch(self) -> int:
        """The epoch that is under way."""
        return self.sampler.epoch

    def set_epoch(self, epoch: int) -> None:
        """Go to the beginning of this epoch; a call for the epoch that is under way changes nothing."""
        self.sampler.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return the state after the last batch that the user received."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where `state_dict` was taken. Raises `MixdataError` for the state of another dataset."""
        self.sampler.load_state_dict(state)
        self._runs += 1

    def __len__(self) -> int:
        """Batches of a whole epoch on this rank."""
        items = self.sampler.items // self.sampler.world_size
        return items // self.batch_size if self.drop_last else -(-items // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # A generator, so nothing happens before the first batch: Lightning makes its iterator first and sets the epoch then.
        self._runs += 1
        run, sampler = self._runs, self.sampler
        epoch, position = sampler.epoch, sampler.begin
        batches = self._batches(position)
        engine = self._engine()
        try:
            sizes = []
            for indices in islice(batches, self.prefetch):
                engine.submit(indices)
                sizes.append(len(indices))
            if not sizes:  # a state taken at the end of an epoch; the next iteration begins anew
                sampler.walked(position)
            while sizes:
                filled = engine.collect()
                position += sizes.pop(0) * sampler.world_size
                for indices in islice(batches, 1):
                    engine.submit(indices)
                    sizes.append(len(indices))
                if sampler.epoch == epoch:
                    sampler.walked(position)
                yield self._collated(filled)
                del filled
                if run != self._runs:
                    raise MixdataError("another iteration over this loader has begun, or a state was loaded; this one has ended")
        except KeyboardInterrupt:
            if isinstance(engine, Processes):  # it may have come in the middle of a message
                engine.close()
            raise
        finally:
            if run == self._runs or not isinstance(engine, Processes):
                engine.end()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffers": None, "_processes": None}

    def _batches(self, position: int) -> Iterator[Sequence[int]]:
        """Yield the items of each batch of this rank from a position on."""
        if not len(self):
            raise UsageError(
                f"{self.sampler.items} items are fewer than a batch of {self.batch_size} on each of {self.sampler.world_size} ranks; "
                "set drop_last=False or epoch_items"
            )
        indices = self.sampler.indices(position)
        end = len(indices) // self.batch_size * self.batch_size if self.drop_last else len(indices)
        return (indices[first : min(first + self.batch_size, end)].tolist() for first in range(0, end, self.batch_size))

    def _engine(self) -> Inline | Threads | Processes:
        if self.pin_memory and not torch.cuda.is_available():
            warnings.warn("pin_memory=True is ignored: there is no CUDA device", stacklevel=3)
            self.pin_memory = False
        if self._buffers is None:
            self._buffers = Buffers(self._shapes, self.batch_size, self.prefetch + 2, self.pin_memory)
        if not self.num_workers:
            return Inline(self.dataset.fill, self._buffers)
        if self.mode == "threads":
            return Threads(self.dataset.fill, self._buffers, self.num_workers)
        if self._processes is None or not self._processes.alive:
            context = self._context
            context = context if isinstance(context, BaseContext) else multiprocessing.get_context(context)
            workers = min(self.num_workers, self.batch_size * self.prefetch)
            self._processes = Processes(self.dataset, self._shapes, self.batch_size, workers, self.prefetch, self._buffers, context)
        self._processes.end()  # what an iteration before this one has asked for
        return self._processes

    def _collated(self, filled: Filled) -> Batch:
        tensors, about = filled
        told = {name: _column([item[name] for item in about]) for name in about[0]}
        if self.pin_memory:
            told = {name: value.pin_memory() if isinstance(value, torch.Tensor) else value for name, value in told.items()}
        return {**tensors, **told}


def _column(values: list[Any]) -> Any:
    """Return what `default_collate` would, for arrays in half of its time."""
    return torch.from_numpy(np.stack(values)) if isinstance(values[0], np.ndarray) else default_collate(values)
