"""`gate`: which stems does this song have, and when do they sound?"""

from typing import Annotated

import numpy as np
from pydantic import Field

from mixdata import measures
from mixdata.errors import SongError
from mixdata.example import Audio
from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work
from mixdata.separation.base import REST
from mixdata.separation.consistency import merge_into_rest

WINDOW = 0.4  # seconds, of momentary loudness


class Gate(Params):
    """A stem sounds where its momentary loudness is within `relative_lu` of the mix's integrated loudness and above `floor_lufs`.

    It exists where it sounds for `min_seconds` in all (or for all of a song that is no longer). The limits on the mix leave whole
    songs out (null: no limit): `min_mix_plr` is the least peak-to-loudness ratio in LU, `max_clipped` the most samples at full scale.
    """

    relative_lu: Annotated[float, Field(gt=0, le=120)] = 35.0
    floor_lufs: Annotated[float, Field(ge=-120, le=0)] = -55.0
    min_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0
    min_mix_plr: Annotated[float, Field(ge=-120, le=120)] | None = None
    max_clipped: Annotated[int, Field(ge=0)] | None = None


@step("gate", Gate, needs=lambda params: {"input", "target"}, makes=("input.active", "target.active"))
def gate(work: Work, params: Gate, label: str) -> None:
    """Measure mix and raw estimates; merge stems that do not exist into the rest; note when the others sound."""
    mix_loudness = measures.integrated_loudness(work.mixture, work.sample_rate)
    _measure_mix(work, params, mix_loudness)
    estimates = work.roles["input"]
    masks = {stem: _mask(audio, work, params, mix_loudness) for stem, audio in estimates.items()}
    gated = {stem for stem, mask in masks.items() if _seconds(mask, work.activity_hop_seconds) < params.min_seconds}
    for stem, audio in estimates.items():
        loudness = measures.integrated_loudness(audio, work.sample_rate)
        work.measures[f"loudness_balance_{stem}"] = _finite(loudness - mix_loudness)
        work.measures[f"gated_{stem}"] = stem in gated
    if len(gated) == len(masks):
        raise SongError("no_active_stem", f"{work.song.title}: no separated stem passes the gate")
    # Nothing is subtracted from the mix: what fails joins the rest, and a failing rest joins the loudest stem that is left.
    kept = [stem for stem in masks if stem not in gated]
    rest = REST if REST in kept else max(kept, key=lambda stem: work.measures[f"loudness_balance_{stem}"])
    for role in ("input", "target"):
        stems = {stem: audio for stem, audio in work.roles[role].items() if stem != "mixture"}
        work.roles[role].update(merge_into_rest(stems, gated, rest))
        work.active[role] = {stem: stem not in gated for stem in work.roles[role]}
    if gated:
        masks[rest] = _mask(work.roles["input"][rest], work, params, mix_loudness)
    work.activity = {stem: np.zeros_like(mask) if stem in gated else mask for stem, mask in masks.items()}
    work.note(label, gated=sorted(gated), merged_into=rest if gated else None, mix_loudness=_finite(mix_loudness))


def _measure_mix(work: Work, params: Gate, loudness: float) -> None:
    title = work.song.title
    if loudness == -np.inf:
        raise SongError("silent", f"{title}: nothing in it is above the absolute gate of BS.1770 (-70 LUFS)")
    true_peak = measures.true_peak(work.mixture, work.sample_rate)
    clipped = measures.clipped_samples(work.mixture)
    work.measures |= {
        "mix_loudness": loudness,
        "mix_true_peak": true_peak,
        "mix_plr": true_peak - loudness,
        "mix_clipped_samples": clipped,
    }
    if clipped:
        work.warnings.append("clipped")
    if params.min_mix_plr is not None and true_peak - loudness < params.min_mix_plr:
        raise SongError("crushed", f"{title}: peak-to-loudness ratio {true_peak - loudness:.1f} LU is under {params.min_mix_plr:g}")
    if params.max_clipped is not None and clipped > params.max_clipped:
        raise SongError("clipped", f"{title}: {clipped} samples at full scale, more than {params.max_clipped}")


def _mask(audio: Audio, work: Work, params: Gate, mix_loudness: float) -> np.ndarray:
    return measures.activity_mask(audio, work.sample_rate, mix_loudness, params.relative_lu, params.floor_lufs)


def _seconds(mask: np.ndarray, hop: float) -> float:
    """Return the time in which a stem sounds: a hop per window, and once what the window is longer than a hop."""
    return float(mask.sum() * hop + (WINDOW - hop if mask.any() else 0) + 1e-9)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
