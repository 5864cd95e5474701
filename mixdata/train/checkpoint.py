"""Checkpoints: plain tensors and numbers, written whole or not at all, read without running any code from the file."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from mixdata.errors import MixdataError
from mixdata.files import publish_bytes
from mixdata.train.models import MixNet

FORMAT = "mixdata-train-1"
KEYS = {"step", "settings", "model", "state_dict", "optimizer"}


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint; a killed process leaves the one before."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    publish_bytes(path, buffer.getvalue())


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU. Raises `MixdataError` for what is none."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise MixdataError(f"{path}: no such checkpoint") from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise MixdataError(f"{path}: not a checkpoint of mixdata ({type(error).__name__}); give the last.ckpt of a training run") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or not content.keys() >= KEYS:
        raise MixdataError(f"{path}: not a checkpoint of this version of mixdata (it is not marked {FORMAT}, or not complete)")
    return content


def load_model(path: str | Path) -> MixNet:
    """Return the trained network of a checkpoint, ready to mix."""
    content = load_checkpoint(path)
    config = content["model"]
    model = MixNet(config["stems"], config["channels"], config["sample_rate"], config["width"])
    prefix = "model."
    weights = {name.removeprefix(prefix): value for name, value in content["state_dict"].items() if name.startswith(prefix)}
    model.load_state_dict(weights)
    return model.eval()
