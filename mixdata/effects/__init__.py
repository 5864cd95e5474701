"""Audio effects: one file each, from published formulas, under a permissive licence.

    from mixdata.effects import Compressor
    wet = Compressor(threshold_db=-20, ratio=4)(dry, sample_rate)

Audio is `(channels, frames)`, float32 or float64. Every module of this package that holds an effect registers it; recipes know it then by
its name in snake case.
"""

import importlib
import pkgutil
from typing import Any

from mixdata.effects.base import EFFECTS, Effect, describe, from_record
from mixdata.effects.inversion import inversion_error_db, invert_compressor

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["EFFECTS", "Effect", "describe", "from_record", "inversion_error_db", "invert_compressor"]


def __getattr__(name: str) -> Any:
    """Return an effect's class by its name: `mixdata.effects.Gain`."""
    for cls in EFFECTS.values():
        if cls.__name__ == name:
            return cls
    raise AttributeError(f"module 'mixdata.effects' has no attribute {name!r}")
