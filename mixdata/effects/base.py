"""What an effect is: a frozen dataclass whose fields are its parameters, and a function of audio.

    @effect
    @dataclass(frozen=True)
    class Gain(Effect):
        gain_db: float = parameter(0.0, low=-120, high=60)

        def process(self, audio, sample_rate):
            return audio * audio.dtype.type(10 ** (self.gain_db / 20))

Calling an effect checks the audio and runs `process`. `describe` and `from_record` turn effects into plain data and back, exactly.
"""

import dataclasses
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from mixdata.errors import EffectError, RateError
from mixdata.text import nearest

Audio = np.ndarray
EFFECTS: dict[str, type["Effect"]] = {}
MOST_CHANNELS = 128
LOWEST_RATE, HIGHEST_RATE = 1_000, 1_000_000

E = TypeVar("E", bound=type)


def parameter(
    default: Any = MISSING,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] | None = None,
    items: type | None = None,
    draw: Any = None,
) -> Any:
    """Return a dataclass field for a parameter.

    Its kind follows from the annotation and these: a number in [low, high] (`high=math.inf` allows infinity), a whole number (`int`), a
    switch (`bool`), one of `choices` (`str`), a free text (`str` without choices), or a tuple of `items`, which are dataclasses with
    parameters of their own, or effects. `draw` is the law that recipes draw it from where they say nothing else (a distribution
    in recipe words, `{"uniform": [-42, -20]}`); without it the default is used.
    """
    return field(default=default, metadata={"low": low, "high": high, "choices": choices, "items": items, "draw": draw})


class Parameters:
    """A dataclass of checked parameters. Numbers become floats; what is out of range raises `EffectError` that names it."""

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, each.name, _checked(self, each, getattr(self, each.name)))


class Effect(Parameters):
    """The base of all effects.

    `version`: raise it when the output changes; it goes into the identity of what was built.
    `level_only`: the effect only changes level or polarity, so whether it is present is judged without matching levels.
    `exact`: what comes out before a sound arrives is 0 and not the rounding of a Fourier transform.
    `rings`: a linear-phase filter inside rings before the arrival of a sound, too, so arrival is judged by the peak.
    `streams`: a beginning of the audio gives the same beginning of the output, but for the last `reach_frames`.
    `lanes`: `process` takes `(pieces, channels, frames)` as well and treats each piece as if it were alone.
    `neutral`: parameters with which the effect does nothing at all.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    level_only: ClassVar[bool] = False
    exact: ClassVar[bool] = True
    rings: ClassVar[bool] = False
    streams: ClassVar[bool] = True
    lanes: ClassVar[bool] = False
    neutral: ClassVar[dict[str, Any] | None] = None

    def __call__(self, audio: Audio, sample_rate: int) -> Audio:
        """Return the processed audio: of the same shape and type, not shifted in time; the input is not changed.

        `audio` is float32 or float64, `(channels, frames)` or `(…, channels, frames)`: leading axes are pieces of their own.
        Raises `EffectError` for anything else, and where a parameter does not fit the sample rate.
        """
        audio = checked_audio(audio)
        if not isinstance(sample_rate, int | np.integer) or not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
            raise EffectError(f"sample_rate must be a whole number of Hz between {LOWEST_RATE} and {HIGHEST_RATE}, got {sample_rate!r}")
        sample_rate = int(sample_rate)
        self.check_rate(sample_rate)
        if self.is_identity() or not audio.size:
            return audio.copy()
        if audio.ndim == 2:
            return self._same(audio, self.process(audio, sample_rate))
        pieces = np.ascontiguousarray(audio).reshape(-1, *audio.shape[-2:])
        if self.lanes:
            return self._same(pieces, self.process(pieces, sample_rate)).reshape(audio.shape)
        return np.stack([self._same(piece, self.process(piece, sample_rate)) for piece in pieces]).reshape(audio.shape)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        """Return the processed audio as a new array. `audio` is checked, C-contiguous `(channels, frames)` and not empty."""
        raise NotImplementedError

    def check_rate(self, sample_rate: int) -> None:
        """Raise `EffectError` where a parameter does not fit this rate, such as a frequency above half of it."""

    def refuse_distrusted(self) -> None:
        """Raise `EffectError` where an effect that was described by data could do harm: recipes and datasets come from anywhere."""

    def is_identity(self) -> bool:
        """Whether these parameters do nothing: then the output is the input, bit for bit."""
        return self.neutral is not None and all(getattr(self, name) == value for name, value in self.neutral.items())

    def arrival_frames(self, sample_rate: int) -> int:
        """Return after how many frames the first sound comes out: 0 but for what is fully wet and delayed by its nature."""
        return 0

    def reach_frames(self, sample_rate: int) -> int:
        """Return how far what comes out can depend on what has not come in yet: look-ahead, filters without delay."""
        return round(0.005 * sample_rate) + self.sway_frames(sample_rate)

    def sway_frames(self, sample_rate: int) -> int:
        """Return how many frames earlier or later than that it may come: 0 but where moving it to and fro is the effect."""
        return 0

    def _same(self, before: Audio, after: Audio) -> Audio:
        assert after.shape == before.shape and after.dtype == before.dtype, f"{self.name}: {after.shape} {after.dtype}"
        return after


def effect(cls: E) -> E:
    """Register an effect under its class's name in snake case: `ParametricEq` is `parametric_eq`."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    cls.name = name  # type: ignore[attr-defined]
    EFFECTS[name] = cls
    return cls


def checked_audio(audio: Audio) -> Audio:
    """Return the audio C-contiguous. Raises `EffectError` where it is no float audio of the shape `(…, channels, frames)`."""
    if not isinstance(audio, np.ndarray) or audio.dtype not in (np.float32, np.float64):
        kind = f"an array of {audio.dtype}" if isinstance(audio, np.ndarray) else f"a {type(audio).__name__}"
        raise EffectError(f"audio must be a NumPy array of float32 or float64, got {kind}")
    if audio.ndim < 2 or 0 in audio.shape[:-1]:
        raise EffectError(f"audio must have the shape (channels, frames), got {audio.shape}")
    if audio.shape[-2] > MOST_CHANNELS:
        raise EffectError(f"audio of shape {audio.shape} has {audio.shape[-2]} channels; it must be (channels, frames): is it transposed?")
    return np.ascontiguousarray(audio)


def refuse_above_nyquist(where: str, frequency_hz: float, sample_rate: int) -> None:
    """Raise `RateError` for a frequency that this rate cannot hold."""
    if not frequency_hz < sample_rate / 2:
        raise RateError(f"{where} is {frequency_hz:g} Hz; audio at {sample_rate} Hz holds only what is under {sample_rate / 2:g} Hz")


def amplitude(db: float) -> float:
    """Return the factor of a level in dB."""
    return 10.0 ** (db / 20.0)


def describe(effect: Parameters) -> dict[str, Any]:
    """Return an effect as plain JSON-able data: its name under `effect` and every parameter. Infinity is written "inf"."""
    head = {"effect": effect.name} if isinstance(effect, Effect) else {}
    return head | {each.name: _plain(getattr(effect, each.name)) for each in dataclasses.fields(effect)}  # type: ignore[arg-type]


def from_record(data: dict[str, Any]) -> Effect:
    """Return the effect that `describe` described. Raises `EffectError` for what it could not have written.

    An entry of a dataset's record (`record["effects"][stem]["chain"]`) is taken, too: its label and `removed` are no parameters.
    """
    if not isinstance(data, dict) or not isinstance(data.get("effect"), str):
        raise EffectError(f"an effect is a mapping with its name under 'effect', got {data!r}")
    rest = {key: value for key, value in data.items() if key not in ("effect", "label", "removed")}
    built: Effect = _built(effect_class(data["effect"]), rest)
    built.refuse_distrusted()
    return built


def effect_class(name: str) -> type[Effect]:
    """Return the class of an effect's name. Raises `EffectError` that names the nearest."""
    if name not in EFFECTS:
        raise EffectError(f"unknown effect {name!r}{_or_nearest(name, EFFECTS)}")
    return EFFECTS[name]


def parameters(cls: type[Parameters]) -> Iterator["dataclasses.Field[Any]"]:
    """Yield the fields of an effect (or of the items of one)."""
    yield from dataclasses.fields(cls)  # type: ignore[arg-type]


def _built(cls: type[Any], data: dict[str, Any]) -> Any:
    known = {each.name: each for each in parameters(cls)}
    label = getattr(cls, "name", cls.__name__.lower())
    for key in data:
        if key not in known:
            raise EffectError(f"{label} has no parameter {key!r}{_or_nearest(str(key), known)}")
    return cls(**{key: _parsed(known[key], value) for key, value in data.items()})


def _parsed(each: "dataclasses.Field[Any]", value: Any) -> Any:
    items = each.metadata["items"]
    if items is not None and isinstance(value, list | tuple):
        return tuple(_parsed_item(items, item) for item in value)
    return {"inf": math.inf, "-inf": -math.inf}.get(value, value) if isinstance(value, str) and each.type in (float, "float") else value


def _parsed_item(items: type, item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    return from_record(item) if issubclass(items, Effect) else _built(items, item)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Parameters):
        return describe(value)
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def _checked(owner: Any, each: "dataclasses.Field[Any]", value: Any) -> Any:
    label = f"{getattr(owner, 'name', type(owner).__name__.lower())}.{each.name}"
    kind = each.type if isinstance(each.type, str) else getattr(each.type, "__name__", str(each.type))
    facts = each.metadata
    if facts["items"] is not None:
        if not isinstance(value, tuple | list) or not all(isinstance(item, facts["items"]) for item in value):
            raise EffectError(f"{label} must be a tuple of {facts['items'].__name__}, got {value!r}")
        return tuple(value)
    if isinstance(value, np.generic):
        value = value.item()
    if kind == "bool":
        return _or_raise(isinstance(value, bool), label, "true or false", value)
    if kind == "str":
        if facts["choices"] is None:
            return _or_raise(isinstance(value, str), label, "a text", value)
        return _or_raise(value in facts["choices"], label, f"one of {', '.join(facts['choices'])}", value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # NaN
        raise EffectError(f"{label} must be a number, got {value!r}")
    if kind == "int":
        _or_raise(isinstance(value, int), label, "a whole number", value)
    low, high = facts["low"], facts["high"]
    least, most = (-sys.float_info.max if low is None else low), (sys.float_info.max if high is None else high)
    if not least <= value <= most:  # whole numbers of Python have no end, so they are compared before they become floats
        got = value if isinstance(value, float) or abs(value) < 10**15 else "a longer number"
        raise EffectError(f"{label} must lie between {least:g} and {most:g}, got {got}")
    return value if kind == "int" else float(value)


def _or_raise(good: bool, label: str, what: str, value: Any) -> Any:
    if not good:
        raise EffectError(f"{label} must be {what}, got {value!r}")
    return value


def _or_nearest(name: str, known: Any) -> str:
    close = nearest(name, list(known))
    return f"; did you mean {close!r}?" if close else f"; known: {', '.join(sorted(known))}"
