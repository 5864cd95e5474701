"""`stems`: the song's own stems, as they are."""

from collections.abc import Collection
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from mixdata import measures, taxonomy
from mixdata.errors import SongError
from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work, read_stereo
from mixdata.separation.base import FOUR_STEMS, REST, SLACK_SECONDS, checked_stems, stem_like, with_frames
from mixdata.song import Sum, Track, summed

MIXTURE = "mixture"
UNKNOWN = "unknown_stem"  # warning: the taxonomy does not know it, so it is counted as other


class Stems(Params):
    """`take` names the stems of every example, in their order; `[mixture]` takes the song's mix alone, as if it were a stem.

    Stems of a song that are not listed are added to the listed ones where they belong (`percussion` to `drums`, `manifests/taxonomy.yaml`),
    else to `other`, else left out. A listed stem that a song has not is silent. A stem sounds where its momentary loudness is within
    `relative_lu` of the mix's integrated loudness and above `floor_lufs`.
    """

    instead: ClassVar[str] = ", or `stems: {take: [mixture]}`"

    take: Annotated[list[str], Field(min_length=1, default_factory=lambda: [*FOUR_STEMS])]
    relative_lu: Annotated[float, Field(gt=0, le=120)] = 35.0
    floor_lufs: Annotated[float, Field(ge=-120, le=0)] = -55.0

    @field_validator("take")
    @classmethod
    def _names(cls, take: list[str]) -> list[str]:
        return take if take == [MIXTURE] else checked_stems(take)


@step("stems", Stems, version=2, makes=("dry", "dry.active"), roles=lambda params, made: made | {"dry": list(params.take)})
def stems(work: Work, params: Stems, label: str) -> None:
    """Take the song's own stems as role `dry`; note which of them exist and when they sound."""
    taken, found = take(work, params)
    work.roles["dry"] = taken
    work.active["dry"] = {name: bool(mask.any()) for name, mask in work.activity.items()}
    work.note(label, made_of=found, source=work.song.wet)


def take(work: Work, params: Any) -> tuple[dict[str, np.ndarray], dict[str, list[str]]]:
    """Return the stems that `params` (of `stems` or `wet_stems`) names and what each is made of; measure when they sound and their balance.

    Raises `SongError` where the song has no stems, or none of those sounds.
    """
    song = work.song
    if not song.stems and params.take != [MIXTURE]:
        raise SongError("no_stems", f"{song.title}: the song has a mixture only; use a corpus with stems{params.instead}")
    taken = {name: np.zeros_like(work.mixture) for name in params.take}
    found: dict[str, list[str]] = {name: [] for name in params.take}
    if MIXTURE in taken:
        taken[MIXTURE], found[MIXTURE] = work.mixture, [MIXTURE]
    for name, track in song.stems.items():
        for home, part in _homes(name, track, taken).items():
            if home is None and REST in taken:
                home = REST
                work.warnings.extend({UNKNOWN} - set(work.warnings))
            if home is not None:
                taken[home] = taken[home] + _stem(work, name, part)
                found[home].append(name)
    mix_loudness = measures.integrated_loudness(work.mixture, work.sample_rate)
    for name, audio in taken.items():
        work.activity[name] = measures.activity_mask(audio, work.sample_rate, mix_loudness, params.relative_lu, params.floor_lufs)
        if name != MIXTURE:
            balance = measures.integrated_loudness(audio, work.sample_rate) - mix_loudness
            work.measures[f"loudness_balance_{name}"] = balance if np.isfinite(balance) else None
    if not any(mask.any() for mask in work.activity.values()):
        raise SongError("no_active_stem", f"{song.title}: none of {', '.join(params.take)} sounds anywhere")
    return taken, found


def _homes(name: str, track: Track, taken: Collection[str]) -> dict[str | None, Track]:
    """Return where a stem falls. One made of several instruments is parted where they fall differently: a vibraphone is no drum."""
    if name in taken:
        return {name: track}
    falling: dict[str | None, list[Track]] = {}
    for part in track.parts if isinstance(track, Sum) else (track,):
        home = (
            taxonomy.home(part.instrument, taken) if part.instrument and taxonomy.group_of(part.instrument) else taxonomy.home(name, taken)
        )
        falling.setdefault(home, []).append(part)
    return {home: track if len(falling) == 1 else summed(parts) for home, parts in falling.items()}


def _stem(work: Work, name: str, track: Track) -> np.ndarray:
    """Return a stem as long as the mixture. Where that is the sum of the stems, or the corpus says so, each may end earlier."""
    info = track.info()
    short = work.song.free_lengths and info.frames / info.sample_rate < work.mixture.shape[1] / work.sample_rate - SLACK_SECONDS
    if short:
        work.warnings.extend({"unequal_lengths"} - set(work.warnings))
    if work.song.mixture is None or short:
        return with_frames(read_stereo(track, work.sample_rate, []), work.mixture.shape[1])
    return stem_like(track, work.mixture, work.sample_rate, f"{work.song.title}: stem {name!r}")[0]
