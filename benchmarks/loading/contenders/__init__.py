"""The contenders, by family. A family is one module here and is measured in a process of its own."""

import importlib

FAMILIES = ("bounds", "ours", "files", "webdatasets", "mosaic", "litdatasets", "lhotses", "parquet", "musdbs")


def of_family(family: str) -> tuple[type, ...]:
    """Return the contenders of a family."""
    return importlib.import_module(f"benchmarks.loading.contenders.{family}").CONTENDERS
