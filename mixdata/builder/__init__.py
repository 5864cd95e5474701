"""Building a dataset: plan, shard builder, executors, journal."""

from mixdata.builder.run import build

__all__ = ["build"]
