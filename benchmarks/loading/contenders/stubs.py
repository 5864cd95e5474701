"""Empty stand-ins for packages that a peer imports and does not use when it reads local audio.

mosaicml-streaming and litdata import torchvision, transformers and boto3. The registry's torchvision does not load beside a CPU build of
torch, and the others pin versions that contradict the project's. Nothing that is timed calls any of them: they are needed for images,
texts and object stores. A package that is there is used; only what cannot be found or does not load is stood in for.
"""

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Stub(ModuleType):
    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {})
        setattr(self, name, made)
        return made


class _Finder(MetaPathFinder, Loader):
    def __init__(self, names: tuple[str, ...]):
        self.names = names

    def find_spec(self, fullname, path=None, target=None):
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] in self.names else None

    def create_module(self, spec):
        return _Stub(spec.name)

    def exec_module(self, module):
        module.__path__ = []


def stub(*names: str) -> list[str]:
    """Stand in for those of these packages that cannot be imported; return which."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # a broken build raises anything
            for loaded in [module for module in sys.modules if module.partition(".")[0] == name]:
                del sys.modules[loaded]
            missing.append(name)
    sys.meta_path.insert(0, _Finder(tuple(missing)))
    return missing
