"""Priors: how an effect's parameters are set in practice, as a normal distribution over several of them at once.

A prior is a JSON file:

    {"effect": "compressor", "parameters": ["threshold_db", "ratio"], "log": ["ratio"], "mean": [-18.0, 1.1],
     "covariance": [[36.0, 0.4], [0.4, 0.16]], "source": "where the numbers come from", "licence": "CC-BY-4.0"}

`log` names parameters of which the natural logarithm is normal. What falls outside a parameter's range is pulled in to its end. The
file's content becomes part of the recipe, so a dataset holds what it was drawn from.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator

from mixdata.params import Params


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
        if not np.allclose(covariance, covariance.T, rtol=1e-9) or np.linalg.eigvalsh(covariance).min() < -1e-9 * max(
            1.0, covariance.max()
        ):
            raise ValueError("the covariance must be symmetric and positive semidefinite")
        return self

    def draw(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw the parameters together."""
        values, vectors = np.linalg.eigh(np.array(self.covariance))
        drawn = np.array(self.mean) + vectors @ (np.sqrt(np.maximum(values, 0)) * rng.standard_normal(len(values)))
        return {name: float(np.exp(x) if name in self.log else x) for name, x in zip(self.parameters, drawn, strict=True)}


def load_prior(value: Any) -> Any:
    """Return the content of a prior's file; what is no path is returned as it is. Raises `ValueError` that says what is wrong."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(Path(value).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the prior {value} cannot be read: {error}") from None
