"""Priors: how an effect's parameters are set in practice, as a normal distribution over several of them at once.

A prior is a JSON file:

    {"effect": "compressor", "parameters": ["threshold_db", "ratio"], "log": ["ratio"], "mean": [-18.0, 1.1],
     "covariance": [[36.0, 0.4], [0.4, 0.16]], "source": "where the numbers come from", "licence": "CC-BY-4.0"}

`log` names parameters of which the natural logarithm is normal. What falls outside a parameter's range is pulled in to its end. The
file's content becomes part of the recipe, so a dataset holds what it was drawn from. A relative path is one from the working folder.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from mixdata.params import Params

LARGEST_FILE = 1_000_000  # bytes
SLACK = 1e-9  # of the largest variance, for what rounding does to a covariance
LARGEST_LOG = 700.0  # e to the power of more is no number


class Prior(Params):
    """Means and covariance of some parameters, with their source and licence."""

    effect: str
    parameters: Annotated[list[str], Field(min_length=1)]
    log: Annotated[list[str], Field(default_factory=list)]
    mean: list[float]
    covariance: list[list[float]]
    source: Annotated[str, Field(min_length=1)]
    licence: Annotated[str, Field(min_length=1)]

    @model_validator(mode="after")
    def _shapes(self) -> "Prior":
        count = len(self.parameters)
        if len(set(self.parameters)) != count or set(self.log) - set(self.parameters):
            raise ValueError("parameters are named once each, and `log` names some of them")
        if len(self.mean) != count or [len(row) for row in self.covariance] != [count] * count:
            raise ValueError(f"{count} parameters need {count} means and a covariance of {count} × {count}")
        covariance = np.array(self.covariance)
        slack = SLACK * float(np.abs(covariance).max())
        if not np.allclose(covariance, covariance.T, rtol=0, atol=slack) or not np.linalg.eigvalsh(covariance).min() >= -slack:
            raise ValueError("the covariance must be symmetric and positive semidefinite")
        return self

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw the parameters together."""
        values, vectors = np.linalg.eigh(np.array(self.covariance))
        root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # the symmetric one: there is no other, whatever signs eigh chooses
        drawn = np.array(self.mean) + root @ rng.standard_normal(len(values))
        of_log = np.exp(np.minimum(drawn, LARGEST_LOG))
        return {name: float(of_log[place] if name in self.log else drawn[place]) for place, name in enumerate(self.parameters)}


def load_prior(value: Any) -> Any:
    """Return the checked content of a prior's file; what is no path is returned as it is. Raises `ValueError` that says what is wrong."""
    if not isinstance(value, str):
        return value
    try:
        path = Path(value).expanduser()
        if not path.is_file() or path.stat().st_size > LARGEST_FILE:
            raise ValueError("there is no such file" if not path.exists() else "it is no file of reasonable size")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: no such user's home, or brackets without end
        raise ValueError(f"the prior cannot be read: {error}") from None
    try:
        Prior.model_validate(content)
    except ValidationError as error:
        found = [".".join(str(part) for part in each["loc"]) + ": " * bool(each["loc"]) + each["msg"] for each in error.errors()]
        raise ValueError("the prior's file is wrong: " + "; ".join(text.replace("Value error, ", "") for text in found)) from None
    return content
