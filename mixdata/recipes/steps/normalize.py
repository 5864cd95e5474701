"""`normalize`: even out the effects that stems carry, so that a model can learn to put them back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from mixdata.errors import UsageError
from mixdata.normalization.eq import guarded_bands
from mixdata.normalization.normalize import DEFAULT_TARGETS, normalize_stem
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import Targets, load_targets, target_names
from mixdata.recipes.registry import step
from mixdata.recipes.steps.effects import opened_responses
from mixdata.recipes.work import Work, not_summing

IN_DATASET = "targets.npz"


class Normalize(Settings):
    """What stems are brought to, and how.

    `targets` is a name (`musdb18`: as FxNorm published them), a file that `mixdata targets fit` made, or a dataset. The dataset gets them
    as `targets.npz`, and `targets_sha256` says which they were.
    """

    local: ClassVar[frozenset[str]] = frozenset({"impulse_responses"})

    targets: str = DEFAULT_TARGETS
    targets_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    role: Annotated[str, AfterValidator(not_summing)] = "input"

    def located(self, folder: Path) -> "Normalize":
        """Find the targets of a dataset's own recipe beside it."""
        beside = folder / IN_DATASET
        return self.model_copy(update={"targets": str(beside)}) if self.targets == IN_DATASET and beside.is_file() else self

    def portable(self) -> "Normalize":
        """Return the settings without the path of this machine: in a dataset the targets lie beside the recipe."""
        return self if self.targets in target_names() else self.model_copy(update={"targets": IN_DATASET})


def opened_targets(params: Normalize) -> Targets:
    """Return the targets; raises `UsageError` where they are not those that the recipe names by their hash."""
    targets = load_targets(params.targets)
    if params.targets_sha256 not in (None, targets.sha256):
        raise UsageError(
            f"the targets {params.targets!r} are not those of this recipe (SHA-256 {targets.sha256[:12]}…, wanted "
            f"{str(params.targets_sha256)[:12]}…); set normalize.targets to the dataset that the recipe is from"
        )
    return targets


def _fingerprint(params: Normalize) -> str:
    opened_responses.cache_clear()  # the folder may have changed since another build in this process
    rooms = opened_responses(params.impulse_responses).fingerprint if params.impulse_responses is not None else ""
    return opened_targets(params).sha256 + rooms


def _fits(params: Normalize, sample_rate: int, earlier: dict[str, Any]) -> Iterator[str]:
    """Say where two steps ask for different targets: a dataset carries one file of them."""
    other = earlier.get("normalize")
    if other is not None and other.targets != params.targets:
        yield f"another step normalizes to {other.targets!r} already; all must use the same targets"


def _warm_up(params: Normalize) -> None:
    """Compile what every worker needs."""
    random = np.random.default_rng(0)
    noise = (random.normal(0, 0.1, (2, 88_200)) * np.linspace(0.1, 1, 88_200)).astype(np.float32)
    normalize_stem(noise, 44_100, "vocals", opened_targets(params), params, generator=random)


@step(
    "normalize",
    Normalize,
    needs=lambda params: {params.role, f"{params.role}.active"},
    fingerprint=_fingerprint,
    pin=lambda params: params.model_copy(update={"targets_sha256": opened_targets(params).sha256}),
    warm_up=_warm_up,
    fits=_fits,
    files=lambda params: {IN_DATASET: opened_targets(params).to_bytes()},
)
def normalize(work: Work, params: Normalize, label: str) -> None:
    """Bring every stem of the role to its targets: reverb send, EQ, dynamics, panning, loudness; fitted once per song."""
    targets = opened_targets(params)
    done: dict[str, Any] = {}
    for stem, audio in work.roles[params.role].items():
        if not work.active[params.role][stem]:
            continue
        work.roles[params.role][stem], done[stem] = normalize_stem(
            audio,
            work.sample_rate,
            stem,
            targets,
            params,
            no_boost=_hiss(work, params, stem, audio),
            generator=work.rng(label, stem),
            responses=_drawable(work, params),
        )
        for feature, (before, after) in done[stem].get("distance", {}).items():
            work.measures |= {f"normalize_{feature}_{stem}_before": before, f"normalize_{feature}_{stem}_after": after}
    work.note(label, targets={"name": targets.about["name"], "sha256": targets.sha256}, stems=done)


def _hiss(work: Work, params: Normalize, stem: str, audio: np.ndarray) -> np.ndarray | None:
    """Return in which bands the stem, as it was before anything was added to it, lies far under the mix."""
    if params.eq is None or params.eq.guard_db is None:
        return None
    stems = work.roles.get("target", {})
    return guarded_bands(stems.get(stem, audio), stems.get("mixture", work.mixture), work.sample_rate, params.eq.guard_db)


def _drawable(work: Work, params: Normalize) -> tuple[str, ...]:
    if params.impulse_responses is None:
        return ()
    return tuple(response.sha256 for response in opened_responses(params.impulse_responses).for_split(work.split, work.shares))
