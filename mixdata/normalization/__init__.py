"""Effect normalization: evening out the effects that stems carry, as FxNorm does, so that a model can learn to put them back."""

from mixdata.normalization.features import Features, measure
from mixdata.normalization.files import normalize_files
from mixdata.normalization.fit import fit_targets
from mixdata.normalization.normalize import Normalized, normalize, normalize_stem, undo
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import StemTarget, Targets, load_targets, target_names

__all__ = [
    "Features",
    "Normalized",
    "Settings",
    "StemTarget",
    "Targets",
    "fit_targets",
    "load_targets",
    "measure",
    "normalize",
    "normalize_files",
    "normalize_stem",
    "target_names",
    "undo",
]
