"""The words that say how a loader remixes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from mixdata.errors import RecipeError, UsageError
from mixdata.params import Params
from mixdata.recipes import strict_yaml
from mixdata.recipes.distributions import Number, bounded
from mixdata.text import nearest

Share = Annotated[float, Field(ge=0, le=1)]


class Words(Params):
    """How items are remixed.

    A share `probability` of the items is. In these, each of `stems` (null: all but mixtures) comes from a block drawn for it alone, out
    of those that items are drawn from; the share `same_song` of them stays where the item's crop lies. Each gets a gain, said as
    `gain_db` or as a factor `scale`; its left and right are swapped by the chance `swap_channels`, and its sign is flipped by the chance
    `flip_polarity`. All this is the same in every role, so that pairs stay pairs; the gain alone can be kept to `gain_roles` (null: all).
    Stems that are not named stay as they are.
    """

    probability: Share = 1.0
    stems: list[str] | None = None
    same_song: Share = 0.0
    gain_db: Annotated[Number, bounded(-60, 60)] | None = None
    scale: Annotated[Number, bounded(0.001, 1000)] | None = None
    gain_roles: list[str] | None = None
    swap_channels: Share = 0.5
    flip_polarity: Share = 0.5

    @model_validator(mode="after")
    def _one_gain(self) -> "Words":
        if self.gain_db is not None and self.scale is not None:
            raise ValueError("gain_db and scale are two ways to say one thing: give one of them")
        return self


def read_words(words: str | Path | Mapping[str, Any]) -> Words:
    """Check words, or those in a YAML file. Raises `RecipeError` that lists every mistake, with file and line where there are any."""
    if isinstance(words, Mapping):
        source, document = "remix", strict_yaml.Document(dict(words))
    else:
        source = str(words)
        try:
            text = Path(words).read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{source}: cannot be read as the words of a remix ({error})") from None
        document = strict_yaml.load(text, source)
        if not isinstance(document.value, dict):
            raise RecipeError(f"{source}: the words of a remix are a mapping, such as `gain_db: {{uniform: [-6, 6]}}`")
    try:
        return Words.model_validate(document.value)
    except ValidationError as error:
        said = []
        for item in error.errors():
            place = item["loc"][:1]
            where = f"{source}:{document.lines[place]}: " if place in document.lines else f"{source}: "
            if item["type"] == "extra_forbidden" and len(item["loc"]) == 1:
                meant = nearest(str(place[0]), Words.model_fields)
                said.append(f"{where}unknown word {place[0]!r}" + (f"; did you mean {meant!r}?" if meant else ""))
            else:
                message = item["msg"].removeprefix("Value error, ")
                said.append(f"{where}{'.'.join(map(str, item['loc']))}: {message[0].lower()}{message[1:]}".replace(" : ", " "))
        raise RecipeError("\n".join(said)) from None
