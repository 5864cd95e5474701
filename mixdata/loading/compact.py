"""Arrays in place of objects, so that what a loader knows of a million blocks is shared between its workers and copied by none.

A process that is forked shares its parent's memory until either writes there; a Python object is written to when it is merely looked
at, an array is not. A process that is spawned shares what it is handed as the descriptor of a file in memory.
"""

import mmap
import os
import weakref
from collections.abc import Sequence
from multiprocessing import context, reduction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixdata.errors import MixdataError

LEAST = 1 << 16  # bytes of an array that is worth a descriptor


class Shared:
    """An object whose large arrays go to spawned processes as shared memory. Pickled for anything else, it is copied as usual."""

    def __getstate__(self) -> dict[str, Any]:
        state = {name: value for name, value in self.__dict__.items() if name != "_memory"}
        if context.get_spawning_popen() is None:
            return state
        memory = dict(self.__dict__.get("_memory", {}))
        for name, value in state.items():
            if isinstance(value, np.ndarray) and value.nbytes >= LEAST and name not in memory:
                memory[name] = Memory.holding(value)
        # From now on this process uses what it shares, too, and its own arrays are freed.
        self.__dict__.update({name: shared.array for name, shared in memory.items()}, _memory=memory)
        return state | memory

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: value.array if isinstance(value, Memory) else value for name, value in state.items()})


class Memory:
    """An array in a file without a name, which processes map. It is only read once it is filled."""

    def __init__(self, file: int, kind: str, shape: tuple[int, ...]):
        self._file, self._about = file, (kind, shape)
        weakref.finalize(self, os.close, file)
        self.array = np.ndarray(shape, kind, mmap.mmap(file, 0))

    @classmethod
    def holding(cls, array: np.ndarray) -> "Memory":
        """Return a copy of this array in such a file."""
        file = os.memfd_create("mixdata", os.MFD_CLOEXEC)
        try:
            os.posix_fallocate(file, 0, array.nbytes)  # without it, memory that runs out would kill the process
        except OSError as error:
            os.close(file)
            raise MixdataError(f"there are no {array.nbytes} bytes of memory to share with workers ({error.strerror})") from error
        memory = cls(file, array.dtype.str, array.shape)
        memory.array[...] = array
        memory.array.flags.writeable = False
        return memory

    def __reduce__(self) -> tuple[Any, ...]:
        return _mapped, (reduction.DupFd(self._file), *self._about)


def _mapped(file: Any, kind: str, shape: tuple[int, ...]) -> Memory:
    memory = Memory(file.detach(), kind, shape)
    memory.array.flags.writeable = False
    return memory


class Texts(Shared, Sequence[str]):
    """The strings of a column without gaps, as one array of bytes: text i is `[ends[i], ends[i + 1])` of it."""

    def __init__(self, column: pa.ChunkedArray):
        ends = np.zeros(len(column) + 1, np.int64)
        np.cumsum(pc.binary_length(column).to_numpy(), out=ends[1:])
        self.data = np.empty(ends[-1], np.uint8)
        row = 0
        for chunk in column.chunks:
            first, last = ends[row], ends[row + len(chunk)]
            if last > first:
                _, places, data = chunk.buffers()
                begin = np.frombuffer(places, np.int32)[chunk.offset]
                self.data[first:last] = np.frombuffer(data, np.uint8)[begin : begin + last - first]
            row += len(chunk)
        self.ends = smaller(ends)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, row: Any) -> Any:
        if not 0 <= row < len(self):
            raise IndexError(f"there is no text {row}, there are {len(self)}")
        return str(self.data[self.ends[row] : self.ends[row + 1]].data, "utf-8")


class Names(Shared, Sequence[str]):
    """The strings of a column without gaps that holds few of them many times."""

    def __init__(self, column: pa.ChunkedArray):
        self.codes, names = coded(column)
        self.names = names.to_pylist()

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: Any) -> Any:
        return self.names[self.codes[row]]


def coded(column: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Return a column of text as one code per row, and the texts by code."""
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    chunks = column.unify_dictionaries().chunks
    if not chunks:
        return np.zeros(0, np.int32), pa.array([], pa.string())
    return np.concatenate([chunk.indices.to_numpy() for chunk in chunks]), chunks[0].dictionary


def smaller(values: np.ndarray) -> np.ndarray:
    """Return these integers with 32 bits each where they fit."""
    fits = not len(values) or (values.min() >= -(2**31) and values.max() < 2**31)
    return values.astype(np.int32) if fits else np.array(values, np.int64)
