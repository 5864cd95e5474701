"""The base of everything that a recipe can set."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Strict and frozen: an unknown key is an error, a value is never guessed from another type.

    Fields named in `local` hold for one machine only (paths, devices): they are neither part of a dataset's identity nor
    written into it.
    """

    local: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
