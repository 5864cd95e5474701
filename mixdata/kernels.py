"""The one decorator for compiled inner loops: `@kernel` above a plain function of arrays and numbers.

Compiled code is kept beside the source (or in the user's cache folder), so it is compiled once per machine and not in every process.
Where neither can be written, it is compiled in each process, with one warning. Loops keep the order of their sums (no fast math), so
results do not depend on who compiled them; the lock of the interpreter is released while they run.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numba

_warned = False


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function on its first call for each type of arguments."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError as error:  # numba's word for: no folder to keep it in
        _warn(error)
        return numba.njit(nogil=True, error_model="numpy")(function)


def callback(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function that a C library calls, at its definition. Its `address` is what the library is given."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.cfunc(signature, cache=True)(function)
        except RuntimeError as error:
            _warn(error)
            return numba.cfunc(signature)(function)

    return compiled


def _warn(error: RuntimeError) -> None:
    global _warned
    if not _warned:
        message = f"compiled effects cannot be kept ({error}); every process compiles them anew; set NUMBA_CACHE_DIR to a folder"
        warnings.warn(message, stacklevel=3)
        _warned = True
