"""FLAC (and WAV) members to integers, by libsndfile from the bytes in memory.

libsndfile reads through callbacks. Those that `soundfile` makes of a Python object take the interpreter's lock at every read and swallow
Ctrl-C, and a file in memory must be written first; these here are compiled, so nothing is copied and no lock is held.
"""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import soundfile
from numba import carray, types
from numba.extending import intrinsic

from mixdata.kernels import callback

_own = threading.local()
_pools: dict[int, ThreadPoolExecutor] = {}
os.register_at_fork(after_in_child=_pools.clear)  # threads stay behind in the parent


def decoded(data: np.ndarray, bits: int, channels: int, start: int, frames: int) -> np.ndarray:
    """Return frames `[start, start + frames)` as stored: `(frames, channels)` int16, or int32 with the samples in the upper 24 bits.

    The array is this thread's own and holds until its next call. Raises `RuntimeError` for bytes that do not decode, and `ValueError` for
    such that decode to another shape.
    """
    ffi, library = soundfile._ffi, soundfile._snd
    out = _scratch(np.int16 if bits == 16 else np.int32, frames * channels).reshape(frames, channels)
    state = np.array([data.ctypes.data, len(data), 0], np.int64)
    info = ffi.new("SF_INFO*")
    file = library.sf_open_virtual(_callbacks(), library.SFM_READ, info, ffi.cast("void*", state.ctypes.data))
    if file == ffi.NULL:
        raise soundfile.LibsndfileError(library.sf_error(file))
    try:
        if info.channels != channels or start + frames > info.frames:
            raise ValueError(f"it holds {info.channels} channels of {info.frames} frames")
        if start and library.sf_seek(file, start, os.SEEK_SET) != start:
            raise soundfile.LibsndfileError(library.sf_error(file) or 1, f"frame {start}: ")
        if bits == 16:
            count = library.sf_readf_short(file, ffi.cast("short*", out.ctypes.data), frames)
        else:
            count = library.sf_readf_int(file, ffi.cast("int*", out.ctypes.data), frames)
        if error := library.sf_error(file):
            raise soundfile.LibsndfileError(error)
        if count != frames:
            raise ValueError(f"it ends after {start + count} frames")
    finally:
        library.sf_close(file)
    return out


def each(work: Callable[[Any], None], items: Iterable[Any], threads: int) -> None:
    """Do this work with every item, in this thread or in up to so many of a pool that the process keeps."""
    if threads < 2:
        for item in items:
            work(item)
        return
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, "mixdata-decode")
    for _ in _pools[threads].map(work, items):
        pass


def _scratch(kind: type, count: int) -> np.ndarray:
    if (kept := getattr(_own, kind.__name__, None)) is None or len(kept) < count:
        kept = np.empty(count, kind)
        setattr(_own, kind.__name__, kept)
    return kept[:count]


def _callbacks() -> Any:
    """Return libsndfile's table of callbacks, made once."""
    global _table
    if _table is None:
        table = soundfile._ffi.new("SF_VIRTUAL_IO*")
        for name, function in (("get_filelen", _length), ("seek", _seek), ("read", _read), ("write", _write), ("tell", _tell)):
            setattr(table, name, soundfile._ffi.cast(f"sf_vio_{name}", function.address))
        _table = table
    return _table


_table: Any = None


@intrinsic
def _at(typing_context, address):  # type: ignore[no-untyped-def]
    """Take a number as the address of bytes."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(types.int64), generate


# The callbacks' `user` is three integers: the address of the bytes, how many there are, and the place in them.


@callback(types.int64(types.voidptr))
def _length(user):  # type: ignore[no-untyped-def]
    return carray(user, (3,), np.int64)[1]


@callback(types.int64(types.voidptr))
def _tell(user):  # type: ignore[no-untyped-def]
    return carray(user, (3,), np.int64)[2]


@callback(types.int64(types.int64, types.int32, types.voidptr))
def _seek(offset, whence, user):  # type: ignore[no-untyped-def]
    state = carray(user, (3,), np.int64)
    place = offset + (0 if whence == 0 else state[2] if whence == 1 else state[1])
    state[2] = min(max(place, 0), state[1])
    return state[2]


@callback(types.int64(types.voidptr, types.int64, types.voidptr))
def _read(to, count, user):  # type: ignore[no-untyped-def]
    state = carray(user, (3,), np.int64)
    count = max(min(count, state[1] - state[2]), 0)
    out, data = carray(to, (count,), np.uint8), carray(_at(state[0] + state[2]), (count,), np.uint8)  # type: ignore[call-arg]
    for n in range(count):
        out[n] = data[n]
    state[2] += count
    return count


@callback(types.int64(types.voidptr, types.int64, types.voidptr))
def _write(data, count, user):  # type: ignore[no-untyped-def]
    return 0
