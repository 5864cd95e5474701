"""`segment`: cut a song into blocks."""

from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from mixdata.example import Example
from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work


class Segment(Params):
    """`seconds`: length of a block. A last piece under `min_seconds` joins the block before it."""

    seconds: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    min_seconds: Annotated[float, Field(ge=0)] = 1.0

    @model_validator(mode="after")
    def _shorter(self) -> "Segment":
        if self.min_seconds > self.seconds:
            raise ValueError(f"min_seconds ({self.min_seconds:g}) is longer than a block ({self.seconds:g})")
        return self


def boundaries(frames: int, block: int, shortest: int) -> list[int]:
    """Return the frames at which blocks start, and the end.

    >>> boundaries(25, 10, 5)
    [0, 10, 20, 25]
    >>> boundaries(24, 10, 5)
    [0, 10, 24]
    """
    starts = list(range(0, max(frames, 1), block))
    if len(starts) > 1 and frames - starts[-1] < shortest:
        starts.pop()
    return [*starts, frames]


@step("segment", Segment, scope="cut", needs=lambda params: {"input|dry"})
def segment(work: Work, params: Segment, label: str) -> None:
    """Cut every role and stem into blocks at the same places; measure how long each stem sounds in each."""
    edges = boundaries(work.mixture.shape[1], round(params.seconds * work.sample_rate), round(params.min_seconds * work.sample_rate))
    for block, (start, stop) in enumerate(pairwise(edges)):
        roles = {role: {stem: audio[:, start:stop] for stem, audio in stems.items()} for role, stems in work.roles.items()}
        work.examples.append(
            Example(
                key=f"{work.song.id}_{block:05d}",
                song=work.song.id,
                split=work.split,
                block=block,
                start=start,
                sample_rate=work.sample_rate,
                roles=roles,
                active=work.active,
                activity={stem: _share(mask, start, stop, work) for stem, mask in work.activity.items()},
                record=dict(work.record),
            )
        )


def _share(mask: np.ndarray, start: int, stop: int, work: Work) -> float:
    """Return the share of the momentary windows centred in the block in which the stem sounds."""
    centres = (np.arange(len(mask)) * work.activity_hop_seconds + 0.2) * work.sample_rate
    inside = mask[(centres >= start) & (centres < stop)]
    return float(np.mean(inside)) if inside.size else float(mask[-1])
