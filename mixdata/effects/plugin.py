"""Effects from outside: VST3 and Audio Unit plug-ins, and those of pedalboard (GPL-3, an optional extra)."""

import importlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mixdata.effects.base import Audio, Effect, Parameters, effect, parameter
from mixdata.errors import EffectError
from mixdata.text import nearest, readable

FILES = frozenset({".vst3", ".component"})
NOT_ALONE = frozenset({"Convolution", "IIRFilter", "Plugin"})  # classes of pedalboard that take a file, and bases

_lock = threading.Lock()  # a loaded plug-in has state, so one call at a time


@dataclass(frozen=True)
class PluginParameter(Parameters):
    """A parameter by its name in Python (`wet_level`): a `value`, or a `text` where it is chosen from names."""

    name: str = parameter()
    value: float = parameter(0.0)
    text: str = parameter("")


@effect
@dataclass(frozen=True)
class Plugin(Effect):
    """Whatever a plug-in does. `plugin` names an effect of pedalboard (`Chorus`) or is the path of a .vst3 or .component; "" is none.

    `parameters` are those that shall differ from the plug-in's own defaults. `choice` names one of several plug-ins in one file.
    The plug-in starts from rest with each call. pedalboard takes off the delay that a plug-in reports; what it does not report stays.
    Plug-ins work in float32. They run native code with your rights, and nobody checks whether they are deterministic: use what you trust.
    """

    plugin: str = parameter("")
    parameters: tuple[PluginParameter, ...] = parameter((), items=PluginParameter)
    choice: str = parameter("")

    def refuse_distrusted(self) -> None:
        """Refuse a file that a recipe or a dataset names, unless it lies in a folder of $MIXDATA_PLUGIN_FOLDERS."""
        if Path(self.plugin).suffix.lower() not in FILES:
            return
        trusted = [os.path.realpath(folder) for folder in os.environ.get("MIXDATA_PLUGIN_FOLDERS", "").split(os.pathsep) if folder]
        if not any(os.path.realpath(self.plugin).startswith(folder + os.sep) for folder in trusted):
            raise EffectError(
                f"plugin {readable(self.plugin)} is a file named by a recipe or a dataset, and plug-ins run native code with your rights; "
                "if you trust it, put its folder into the environment variable MIXDATA_PLUGIN_FOLDERS"
            )

    def is_identity(self) -> bool:
        return not self.plugin

    def check_rate(self, sample_rate: int) -> None:
        if self.plugin:
            _loaded(self)

    def process(self, audio: Audio, sample_rate: int) -> Audio:
        if not self.plugin:
            return audio.copy()
        plugin = _loaded(self)
        try:
            with _lock:
                out = plugin.process(audio.astype("float32"), sample_rate, reset=True)
        except Exception as error:  # whatever a plug-in throws
            raise EffectError(f"plugin {readable(self.plugin)} failed on {len(audio)} channels at {sample_rate} Hz: {error}") from error
        if out.shape != audio.shape:
            raise EffectError(f"plugin {readable(self.plugin)} made {out.shape} of {audio.shape}: it must keep channels and length")
        return out.astype(audio.dtype)


@lru_cache(maxsize=16)
def _loaded(effect: Plugin) -> Any:
    """Return the plug-in with its parameters set. Raises `EffectError` for what does not exist."""
    try:
        pedalboard = importlib.import_module("pedalboard")
    except ImportError as error:
        raise EffectError(f"plugin needs pedalboard, which cannot be imported ({error}): pip install 'mixdata[plugins]'") from error
    if Path(effect.plugin).suffix.lower() in FILES:
        plugin, known = _from_file(pedalboard, effect)
    else:
        plugin, known = _built_in(pedalboard, effect.plugin)
    for each in effect.parameters:
        if each.name not in known:
            raise EffectError(f"plugin {readable(effect.plugin)} has no parameter {each.name!r}{_or_nearest(each.name, known)}")
        try:
            _assign(plugin, each)
        except Exception as error:  # TypeError, ValueError, RuntimeError: each plug-in has its own
            raise EffectError(f"plugin {readable(effect.plugin)}: {each.name} cannot be {each.text or each.value!r}: {error}") from error
    return plugin


def _from_file(pedalboard: Any, effect: Plugin) -> tuple[Any, list[str]]:
    if not Path(effect.plugin).exists():
        raise EffectError(f"plugin {readable(effect.plugin)}: there is no such file")
    try:
        plugin = pedalboard.load_plugin(effect.plugin, plugin_name=effect.choice or None)
    except Exception as error:  # ImportError where it does not load, ValueError where several are in it
        raise EffectError(f"plugin {readable(effect.plugin)} cannot be loaded: {error}") from error
    return plugin, list(plugin.parameters)


def _built_in(pedalboard: Any, name: str) -> tuple[Any, list[str]]:
    outside = (pedalboard.ExternalPlugin, pedalboard.PluginContainer)
    classes = {
        key: value
        for key, value in vars(pedalboard).items()
        if isinstance(value, type) and issubclass(value, pedalboard.Plugin) and not issubclass(value, outside) and key not in NOT_ALONE
    }
    if name not in classes:
        raise EffectError(f"pedalboard has no effect {name!r}{_or_nearest(name, classes)}")
    return classes[name](), [key for key in dir(classes[name]) if getattr(getattr(classes[name], key), "fset", None)]


def _assign(plugin: Any, given: PluginParameter) -> None:
    """Set a parameter; a text stands for a name or, in pedalboard's own effects, for a member of an enumeration."""
    before = getattr(plugin, given.name)
    value: Any = given.text or given.value
    if given.text and hasattr(type(before), "__members__"):
        members = type(before).__members__
        if given.text not in members:
            raise ValueError(f"it is one of {', '.join(members)}")
        value = members[given.text]
    elif isinstance(before, bool | int) and not given.text:
        value = type(before)(given.value)
    setattr(plugin, given.name, value)


def _or_nearest(name: str, known: Iterable[str]) -> str:
    close = nearest(name, known)
    return f"; did you mean {close!r}?" if close else f"; known: {', '.join(sorted(known))}"
