"""Separators: from a mixture to an estimate of each stem.

`load("demucs:htdemucs")(audio, sample_rate)` returns `{stem: audio}`. Importing this package registers every separator
but loads no network library; that happens when one is loaded.
"""

from mixdata.separation import builtin, demucs, files, oracle
from mixdata.separation.base import SEPARATORS, Separator, SeparatorSettings, load, parse

__all__ = ["SEPARATORS", "Separator", "SeparatorSettings", "builtin", "demucs", "files", "load", "oracle", "parse"]
