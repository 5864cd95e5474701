"""Random values in recipes: `threshold_db: {uniform: [-40, -10]}`.

A distribution is told by its key, so a typo is one error and not one per kind. A field says with `bounded` what may come out.
"""

from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from mixdata.params import Params

TAILS = 4  # standard deviations
LEAST_WEIGHT, MOST_WEIGHT = 1e-9, 1e9

Pair = Annotated[list[float], Field(min_length=2, max_length=2)]


class Distribution(Params):
    """A law that numbers are drawn from. Subclasses name their key in `key`."""

    key: ClassVar[str]

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        raise NotImplementedError

    def ends(self) -> tuple[float, float]:
        """Return the least and the greatest value that can be drawn."""
        low, high = getattr(self, self.key)
        return low, high


class _Range(Distribution):
    @model_validator(mode="after")
    def _ordered(self) -> "_Range":
        low, high = getattr(self, self.key)
        if low > high:
            raise ValueError(f"the range [{low}, {high}] runs backwards")
        return self


class Uniform(_Range):
    """Uniform in [low, high)."""

    key = "uniform"
    uniform: Pair

    def draw(self, rng: np.random.Generator) -> float:
        return float(rng.uniform(self.uniform[0], self.uniform[1]))


class LogUniform(_Range):
    """Uniform in the logarithm, in [low, high); both above zero."""

    key = "loguniform"
    loguniform: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)]

    def draw(self, rng: np.random.Generator) -> float:
        low, high = self.loguniform
        return min(max(float(np.exp(rng.uniform(*np.log(self.loguniform)))), low), high)  # exp(log(x)) may be a little off x


class Normal(Distribution):
    """Normal with [mean, standard deviation]; what falls beyond `TAILS` deviations (6 of 100,000 draws) is pulled in to there."""

    key = "normal"
    normal: Pair

    @model_validator(mode="after")
    def _spread(self) -> "Normal":
        if self.normal[1] < 0:
            raise ValueError("the standard deviation is negative")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        return float(np.clip(rng.normal(self.normal[0], self.normal[1]), *self.ends()))

    def ends(self) -> tuple[float, float]:
        mean, deviation = self.normal
        return mean - TAILS * deviation, mean + TAILS * deviation


class Integers(_Range):
    """Uniform over the whole numbers low … high, both ends included and as likely as the rest."""

    key = "integers"
    integers: Annotated[list[int], Field(min_length=2, max_length=2)]

    def draw(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.integers[0], self.integers[1], endpoint=True))


class Choice(Distribution):
    """One of the listed numbers, each as likely."""

    key = "choice"
    choice: Annotated[list[float], Field(min_length=1)]

    def draw(self, rng: np.random.Generator) -> float:
        return self.choice[int(rng.integers(len(self.choice)))]

    def ends(self) -> tuple[float, float]:
        return min(self.choice), max(self.choice)


class Weighted(Distribution):
    """One of the numbers in [[number, weight], …], as likely as its weight among all."""

    key = "weighted"
    weighted: Annotated[list[Pair], Field(min_length=1)]

    @model_validator(mode="after")
    def _weights(self) -> "Weighted":
        weights = [weight for _, weight in self.weighted]
        if sum(weights) == 0 or not all(weight == 0 or LEAST_WEIGHT <= weight <= MOST_WEIGHT for weight in weights):
            raise ValueError(f"weights are 0, or between {LEAST_WEIGHT:g} and {MOST_WEIGHT:g}, and one of them is above 0")
        return self

    def draw(self, rng: np.random.Generator) -> float:
        weights = np.cumsum([weight for _, weight in self.weighted])
        return self.weighted[int(np.searchsorted(weights, rng.uniform(0, weights[-1]), side="right"))][0]

    def ends(self) -> tuple[float, float]:
        possible = [number for number, weight in self.weighted if weight > 0]
        return min(possible), max(possible)


KINDS = {kind.key: kind for kind in (Uniform, LogUniform, Normal, Integers, Choice, Weighted)}


def _kind(value: Any) -> str | None:
    if isinstance(value, Distribution):
        return value.key
    if isinstance(value, dict):
        return next((key for key in value if key in KINDS), None)
    return "number"


Number = Annotated[
    Annotated[float, Tag("number")]
    | Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("loguniform")]
    | Annotated[Normal, Tag("normal")]
    | Annotated[Integers, Tag("integers")]
    | Annotated[Choice, Tag("choice")]
    | Annotated[Weighted, Tag("weighted")],
    Discriminator(
        _kind,
        custom_error_type="distribution",
        custom_error_message=f"not a distribution: use a number or one of {', '.join(KINDS)}",
    ),
]


def bounded(low: float, high: float) -> AfterValidator:
    """Refuse plain numbers, and distributions that can draw one, outside [low, high].

    A field's type is then `Annotated[Number, bounded(-120, 120)]`.
    """

    def check(value: float | Distribution) -> float | Distribution:
        least, greatest = value.ends() if isinstance(value, Distribution) else (value, value)
        if not (low <= least and greatest <= high):
            raise ValueError(f"every number must lie between {low:g} and {high:g}")
        return value

    return AfterValidator(check)


def whole(value: float | Distribution) -> float | Distribution:
    """Refuse what can draw anything but whole numbers. For `Annotated[Number, AfterValidator(whole)]`."""
    if isinstance(value, Choice):
        numbers: list[float] = value.choice
    elif isinstance(value, Weighted):
        numbers = [number for number, _ in value.weighted]
    else:
        numbers = [] if isinstance(value, Integers) else [value] if not isinstance(value, Distribution) else [0.5]
    if any(number != int(number) for number in numbers):
        raise ValueError("only whole numbers can be drawn here: use integers, choice or weighted")
    return value


def draw(value: float | Distribution, rng: np.random.Generator) -> float:
    """Draw from a distribution; a plain value is itself."""
    return value.draw(rng) if isinstance(value, Distribution) else value
