"""Build a demucs network from a weights file without letting the file choose what runs.

demucs' own safetensors reader imports and calls whatever class the file's metadata names. Here a file may name three classes only,
its arguments are bounded plain values, and the network is first built without memory (torch's `meta` device), to see that the file really
holds the tensors its arguments ask for: so a crafted file can take no more memory than its own size.
"""

import inspect
import io
import json
import math
import re
import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import safetensors
import safetensors.torch
import torch
from demucs.demucs import Demucs
from demucs.hdemucs import HDemucs
from demucs.htdemucs import HTDemucs

from mixdata.errors import MixdataError

CLASSES: dict[str, type] = {
    "demucs.htdemucs.HTDemucs": HTDemucs,
    "demucs.hdemucs.HDemucs": HDemucs,
    "demucs.demucs.Demucs": Demucs,
}
STEM = re.compile(r"[a-z0-9][a-z0-9_ -]{0,39}")
QUANTIZED = "holds a quantized model (diffq), which is not read: use the model without _q, such as mdx_extra"
MOST_STEMS = 64
LARGEST = 1_000_000.0  # of any number in a model's arguments, but for these:
LARGEST_OF = {
    **dict.fromkeys(("depth", "dconv_depth", "multi_freqs_depth", "lstm_layers", "wiener_iters", "end_iters", "growth"), 16.0),
    **dict.fromkeys(("audio_channels", "t_layers", "context", "context_enc"), 64.0),
    "nfft": 65536.0,
    "samplerate": 192_000.0,
    "segment": 600.0,
}
LEAST_OF = {"audio_channels": 1.0, "nfft": 64.0, "samplerate": 1000.0, "segment": 0.1}


def from_safetensors(data: bytes, what: str) -> tuple[Any, list[str]]:
    """Build the network that a safetensors file in demucs' layout holds; return it and the arguments left out.

    The layout: metadata `klass` (dotted name), `args` and `kwargs` (JSON), and one tensor per entry of the state.
    """
    try:
        state = safetensors.torch.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
        args, kwargs = (_decoded(json.loads(metadata.get(key, empty))) for key, empty in (("args", "[]"), ("kwargs", "{}")))
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise MixdataError(f"demucs: {what} is not a readable safetensors file of a demucs model: {error}") from error
    if "structure" in metadata:
        raise MixdataError(f"demucs: {what} {QUANTIZED}")
    klass = metadata.get("klass")
    if klass not in CLASSES:
        raise MixdataError(
            f"demucs: {what} asks for the class {klass!r:.200}; only {', '.join(CLASSES)} are allowed. "
            "Nothing of it was run: do not trust this file"
        )
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise MixdataError(f"demucs: {what}: args must be a list and kwargs a mapping")
    return _built(CLASSES[klass], args, kwargs, state, what)


def from_trusted_pickle(data: bytes, what: str) -> tuple[Any, list[str]]:
    """Unpickle a `.th` package of demucs and build its network. Call it only on bytes whose SHA-256 the user has vouched for."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            package = torch.load(io.BytesIO(data), map_location="cpu", weights_only=False)
        klass, args, kwargs, state = (package[key] for key in ("klass", "args", "kwargs", "state"))
    except Exception as error:  # unpickling raises whatever the pickle makes it raise
        raise MixdataError(f"demucs: {what} is not a readable package of a demucs model: {type(error).__name__}: {error}") from error
    if not any(klass is allowed for allowed in CLASSES.values()):
        raise MixdataError(f"demucs: {what} holds a {klass!r:.200}; only {', '.join(CLASSES)} are read")
    if not isinstance(state, Mapping) or state.get("__quantized"):
        raise MixdataError(f"demucs: {what} {QUANTIZED}")
    return _built(klass, args, kwargs, state, what)


def _decoded(value: Any) -> Any:
    """Undo demucs' JSON encoding: a fraction is `{"_type": "fraction", "numerator": …, "denominator": …}`."""
    if isinstance(value, dict) and value.get("_type") == "fraction":
        return Fraction(value["numerator"], value["denominator"]) if value["denominator"] else math.nan
    if isinstance(value, dict):
        return {key: _decoded(item) for key, item in value.items()}
    return [_decoded(item) for item in value] if isinstance(value, list) else value


def _built(klass: type, args: Sequence[Any], kwargs: Mapping[str, Any], state: Mapping[str, Any], what: str) -> tuple[Any, list[str]]:
    known = list(inspect.signature(klass).parameters)
    if len(args) > len(known) or set(known[: len(args)]) & set(kwargs):
        raise MixdataError(f"demucs: {what}: {len(args)} arguments and {', '.join(kwargs)} do not fit {klass.__name__}")
    given = {**dict(zip(known, args, strict=False)), **kwargs}
    ignored = sorted(str(name) for name in given if name not in known)  # old packages have arguments that demucs dropped since
    arguments = {name: _checked(name, value, what) for name, value in given.items() if name in known}
    if "sources" not in arguments:
        raise MixdataError(f"demucs: {what}: the argument sources, the stems' names, is missing")
    with torch.random.fork_rng(devices=[]):  # building draws initial weights
        try:
            with torch.device("meta"):
                shapes = {name: tensor.shape for name, tensor in klass(**arguments).state_dict().items()}
        except Exception as error:  # demucs checks its arguments by asserts, divisions and torch's own errors
            reason = f"{type(error).__name__}: {error}"
            raise MixdataError(f"demucs: {what}: no {klass.__name__} can be built of its arguments: {reason}") from error
        _compare(shapes, state, what)
        model = klass(**arguments)
    model.load_state_dict(dict(state), strict=True)
    return model.float().eval(), ignored


def _compare(shapes: Mapping[str, torch.Size], state: Mapping[str, Any], what: str) -> None:
    missing, extra = sorted(set(shapes) - set(state)), sorted(set(state) - set(shapes))
    if missing or extra:
        raise MixdataError(
            f"demucs: {what} does not hold the model it describes: {len(missing)} tensors missing, {len(extra)} too many "
            f"({', '.join(map(str, (missing + extra)[:3]))} …)"
        )
    for name, shape in shapes.items():
        tensor = state[name]
        if not isinstance(tensor, torch.Tensor) or tensor.shape != shape:
            raise MixdataError(f"demucs: {what}: {name} must have the shape {tuple(shape)}, has {tuple(getattr(tensor, 'shape', ()))}")
        if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
            raise MixdataError(f"demucs: {what}: {name} holds no finite floating-point numbers: the file is damaged")


def _checked(name: str, value: Any, what: str) -> Any:
    """Return an argument that is a plain value of sane size, or raise."""
    if name == "sources":
        listed = value if isinstance(value, list | tuple) else []
        plain = [stem for stem in listed[: MOST_STEMS + 1] if isinstance(stem, str) and STEM.fullmatch(stem)]
        if not 1 <= len(listed) <= MOST_STEMS or len(set(plain)) != len(listed):
            raise MixdataError(f"demucs: {what}: sources must be 1 to {MOST_STEMS} different plain names, got {value!r:.200}")
        return plain
    if value is None or isinstance(value, bool) or (isinstance(value, str) and len(value) <= 100):
        if name not in LEAST_OF:
            return value
    elif isinstance(value, int | float | Fraction):
        if LEAST_OF.get(name, -LARGEST) <= value <= LARGEST_OF.get(name, LARGEST):  # False for nan too
            return value
    elif isinstance(value, list | tuple) and len(value) <= MOST_STEMS and name not in LARGEST_OF:
        numbers = [v for v in value if isinstance(v, int | float) and abs(v) <= LARGEST]
        if len(numbers) == len(value):
            return numbers
    raise MixdataError(f"demucs: {what}: the argument {name} = {value!r:.200} is not a plain value of a sane size")
