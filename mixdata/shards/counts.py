"""What was read, counted: bytes per crop are what storage is chosen by."""

import threading
from dataclasses import dataclass, fields


@dataclass
class Tally:
    """One thread's counts."""

    reads: int = 0  # runs of bytes that were asked for: a mapped row, or a range
    bytes_read: int = 0
    decoded: int = 0  # members, whole or in part
    cache_hits: int = 0  # members
    cache_fills: int = 0  # members
    cache_bytes: int = 0  # read from the cache


class Counts:
    """The counts of a dataset in this process, since it was opened here (or, after a fork, in its parent).

    Each thread counts for itself, so none waits for another and no count is lost.
    """

    def __init__(self) -> None:
        self._tallies: list[Tally] = []
        self._own = threading.local()

    @property
    def mine(self) -> Tally:
        """The counts of this thread, to add to."""
        try:
            return self._own.tally
        except AttributeError:
            self._own.tally = Tally()
            self._tallies.append(self._own.tally)
            return self._own.tally

    def total(self) -> dict[str, int]:
        """Return the sums over all threads by name."""
        return {field.name: sum(getattr(tally, field.name) for tally in list(self._tallies)) for field in fields(Tally)}

    def __repr__(self) -> str:
        return f"Counts({', '.join(f'{name}={count}' for name, count in self.total().items())})"
