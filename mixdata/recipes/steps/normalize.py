"""`normalize`: even out the effects that stems carry, so that a model can learn to put them back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from mixdata.errors import UsageError
from mixdata.normalization.eq import band_power, guarded_bands
from mixdata.normalization.normalize import DEFAULT_TARGETS, normalize_stem
from mixdata.normalization.settings import Settings
from mixdata.normalization.targets import Targets, load_targets, target_names
from mixdata.recipes.registry import step
from mixdata.recipes.steps.effects import opened_responses, responses_licence
from mixdata.recipes.work import Work, not_summing

IN_DATASET = "targets.npz"


class Normalize(Settings):
    """What stems are brought to, and how.

    `targets` is a name (`musdb18`: as FxNorm published them), a file that `mixdata targets fit` made, or a dataset. The dataset gets them
    as `targets.npz`, and `targets_sha256` says which they were. `responses_sha256` says which folder of impulse responses was used.
    """

    local: ClassVar[frozenset[str]] = frozenset({"impulse_responses"})

    targets: str = DEFAULT_TARGETS
    targets_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    responses_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
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
            f"{str(params.targets_sha256)[:12]}…); set normalize.targets to the dataset that the recipe is from, "
            "or normalize.targets_sha256 to null for others"
        )
    return targets


def _rooms(params: Normalize) -> str | None:
    """Return the fingerprint of the impulse responses; raises `UsageError` where they are not those that the recipe names by their hash."""
    rooms = opened_responses(params.impulse_responses).fingerprint if params.impulse_responses is not None else None
    if params.reverb is not None and params.responses_sha256 not in (None, rooms):
        found = "their folder is not given" if rooms is None else f"{params.impulse_responses!r} holds others"
        raise UsageError(
            f"this recipe's reverb uses impulse responses (SHA-256 {str(params.responses_sha256)[:12]}…), and {found}: set "
            "normalize.impulse_responses to it, or normalize.responses_sha256 to null"
        )
    return rooms


def _fingerprint(params: Normalize) -> str:
    opened_responses.cache_clear()  # the folder may have changed since another build in this process
    return opened_targets(params).sha256 + (_rooms(params) or "")


def _pinned(params: Normalize) -> Normalize:
    opened_responses.cache_clear()
    return params.model_copy(update={"targets_sha256": opened_targets(params).sha256, "responses_sha256": _rooms(params)})


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
    version=2,
    needs=lambda params: {params.role, f"{params.role}.active"},
    fingerprint=_fingerprint,
    pin=_pinned,
    warm_up=_warm_up,
    fits=_fits,
    files=lambda params: {IN_DATASET: opened_targets(params).to_bytes()},
    licences=lambda params: responses_licence(params.impulse_responses if params.reverb is not None else None),
)
def normalize(work: Work, params: Normalize, label: str) -> None:
    """Bring every stem of the role to its targets: reverb send, EQ, dynamics, panning, loudness; fitted once per song."""
    targets = opened_targets(params)
    _rooms(params)
    prefix = "normalize" if label == "normalize" else f"normalize_{label}"  # another step may measure the same stems
    done: dict[str, Any] = {}
    mix_power = _mix_power(work, params)
    for stem, audio in work.roles[params.role].items():
        if not work.active[params.role][stem]:
            continue
        work.roles[params.role][stem], done[stem] = normalize_stem(
            audio,
            work.sample_rate,
            stem,
            targets,
            params,
            no_boost=_hiss(work, params, stem, audio, mix_power),
            generator=work.rng(label, stem),
            responses=_drawable(work, params),
        )
        for feature, (before, after) in done[stem].get("distance", {}).items():
            column = f"{prefix}_{feature}_{stem}"
            work.measures |= {f"{column}_before": before, f"{column}_after": after}
    work.note(label, targets={"name": targets.about["name"], "sha256": targets.sha256}, stems=done)


def _mix_power(work: Work, params: Normalize) -> np.ndarray | None:
    if params.eq is None or params.eq.guard_db is None:
        return None
    return band_power(work.roles.get("target", {}).get("mixture", work.mixture), work.sample_rate)


def _hiss(work: Work, params: Normalize, stem: str, audio: np.ndarray, mix_power: np.ndarray | None) -> np.ndarray | None:
    """Return in which bands the stem, as it was before anything was added to it, lies far under the mix."""
    if mix_power is None or params.eq is None or params.eq.guard_db is None:
        return None
    return guarded_bands(work.roles.get("target", {}).get(stem, audio), mix_power, work.sample_rate, params.eq.guard_db)


def _drawable(work: Work, params: Normalize) -> tuple[str, ...]:
    if params.impulse_responses is None:
        return ()
    return tuple(response.sha256 for response in opened_responses(params.impulse_responses).for_split(work.split, work.shares))
