"""The reference trainer: proves that a dataset trains, and is a place to begin. `train` does it all."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixdata.train.run import TrainResult, train

CROP_SECONDS = 4.0  # of a crop, unless told otherwise

__all__ = ["CROP_SECONDS", "TrainResult", "train"]


def __getattr__(name: str) -> Any:
    # Imported when first used: the command line shows the constant, and should not wait for torch.
    if name in ("TrainResult", "train"):
        return getattr(importlib.import_module("mixdata.train.run"), name)
    raise AttributeError(f"module 'mixdata.train' has no attribute {name!r}")
