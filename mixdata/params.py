"""The base of everything that a recipe can set."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Strict and frozen: an unknown key is an error, a value is never guessed from another type.

    Fields named in `local` hold for one machine only (paths, devices): they are neither part of a dataset's identity nor
    written into it.
    """

    local: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def located(self, folder: Path) -> Self:
        """Return the parameters of a recipe that was read from a file in `folder`, with what lies beside it found there."""
        return self

    def portable(self) -> Self:
        """Return the parameters as they are written into a dataset: by default as they are."""
        return self
