"""mixdata: datasets and data generation for deep-learning automatic mixing.

mixdata.load_corpus("musdb18hq:/data/musdb18hq")      songs of a corpus
mixdata.load_recipe("separated_pseudo")           what to make of them
mixdata.build("separated_pseudo", out="my-set")   makes it
mixdata.open_dataset("my-set")                    tables and examples
mixdata.torch.ShardDataset("my-set", crop=6.0)    random crops for a training loop
mixdata.effects.Compressor(ratio=4)(audio, rate)  effects, and mixdata.Chain of them
"""

import importlib
from importlib.metadata import version
from typing import Any

__version__ = version("mixdata")

# Where the public names live. They are imported when first used, so that `import mixdata` and the command line start quickly.
_PLACES = {
    "Song": "mixdata.song",
    "Track": "mixdata.song",
    "Example": "mixdata.example",
    "Chain": "mixdata.effects",
    "Recipe": "mixdata.recipes",
    "Dataset": "mixdata.shards.reader",
    "load_corpus": "mixdata.corpora",
    "load_recipe": "mixdata.recipes",
    "build": "mixdata.builder",
    "open_dataset": "mixdata.shards.reader",
    "verify": "mixdata.shards.verify",
    "decode_flac": "mixdata.shards.format",
}

__all__ = [*_PLACES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name in ("torch", "effects", "measures", "separation", "normalization", "corpora", "audio"):
        return importlib.import_module(f"mixdata.{name}")
    raise AttributeError(f"module 'mixdata' has no attribute {name!r}")
