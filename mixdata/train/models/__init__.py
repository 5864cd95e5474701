"""Models: stems in, mix out."""

from mixdata.train.models.mixnet import MixNet

__all__ = ["MixNet"]
