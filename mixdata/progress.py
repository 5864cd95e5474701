"""Progress bars: seconds of audio per second, and when it will be done."""

import sys
from typing import Any

from tqdm import tqdm


class Progress:
    """A tqdm bar on the terminal; nothing where the error stream is no terminal or `quiet` is set."""

    def __init__(self, what: str, total: float, unit: str = "s", quiet: bool = False):
        audio = unit == "s"
        self.bar: Any = tqdm(
            desc=what,
            total=round(total, 1) if audio else total,
            unit="audio s" if audio else unit,
            unit_scale=False,
            disable=quiet or not sys.stderr.isatty(),
            bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}, {rate_fmt}{postfix}]",
            dynamic_ncols=True,
        )

    def update(self, amount: float, note: str = "") -> None:
        """Advance by seconds of audio (or by a count); `note` is shown at the end of the bar."""
        if note:
            self.bar.set_postfix_str(note[:30], refresh=False)
        self.bar.update(amount)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
