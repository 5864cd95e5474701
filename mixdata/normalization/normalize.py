"""The whole normalization: reverb send, EQ, dynamics, panning, loudness, in this order, each fitted once per stem and song.

Compression and expansion move what the EQ matched, so a small second EQ, the trim, follows them where they acted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mixdata.errors import UsageError
from mixdata.example import Audio
from mixdata.measures import sample_peak_db
from mixdata.measures.long_term import long_term
from mixdata.measures.spectrum import effective_bandwidth_hz
from mixdata.normalization.dynamics import PUBLISHED, match_dynamics
from mixdata.normalization.eq import band_power, guarded_bands, invert_spectrum, match_spectrum
from mixdata.normalization.features import Features, measure, panning_distance, spectral_distance_db
from mixdata.normalization.loudness import match_loudness
from mixdata.normalization.panning import invert_panning, match_panning
from mixdata.normalization.reverb import send_reverb
from mixdata.normalization.settings import Equalizer, Settings
from mixdata.normalization.targets import StemTarget, Targets, load_targets

DEFAULT_TARGETS = "musdb18"
TRIM_DB = 6.0


@dataclass(frozen=True)
class Normalized:
    """The normalized stems, and by stem the record of what was done: status, steps, features before and after, distances to the target.

    `status` is `normalized`, `quiet` (too quiet to be measured: left as it is) or `no_target`. A distance is [before, after].
    """

    stems: dict[str, Audio]
    records: dict[str, dict[str, Any]]


def normalize(
    stems: Mapping[str, Audio],
    sample_rate: int,
    targets: Targets | str | None = None,
    settings: Settings | None = None,
    *,
    mixture: Audio | None = None,
    estimates: Mapping[str, Audio] | None = None,
    generator: np.random.Generator | None = None,
    responses: Sequence[str] = (),
) -> Normalized:
    """Bring each stem, mono or stereo `(channels, frames)`, to the targets of its kind. Nothing is fitted across stems.

    `targets`: MUSDB18's, as FxNorm published them, by default. With `settings.eq.guard_db`, `mixture` is what the stems were separated from
    and `estimates` what the separator returned (default: the stems). `generator` draws the reverb, `responses` are impulse responses
    for it (see `send_reverb`). Silent stems and those without a target are returned as they are, and the record says so.
    """
    targets = targets if isinstance(targets, Targets) else load_targets(targets or DEFAULT_TARGETS)
    settings = settings or Settings()
    done: dict[str, Audio] = {}
    records: dict[str, dict[str, Any]] = {}
    mix_power = None
    for stem, audio in stems.items():
        no_boost = None
        if mixture is not None and settings.eq is not None and settings.eq.guard_db is not None:
            estimate = (estimates or stems).get(stem)
            if estimate is None or estimate.shape[-1] != mixture.shape[-1]:
                problem = "has no estimate" if estimate is None else f"has {estimate.shape[-1]} frames, the mixture {mixture.shape[-1]}"
                raise UsageError(f"{stem} {problem}: the guard compares what a separator returned with the whole of what it was given")
            mix_power = band_power(mixture, sample_rate) if mix_power is None else mix_power
            no_boost = guarded_bands(estimate, mix_power, sample_rate, settings.eq.guard_db)
        done[stem], records[stem] = normalize_stem(
            audio, sample_rate, stem, targets, settings, no_boost=no_boost, generator=generator, responses=responses
        )
    return Normalized(done, records)


def normalize_stem(
    audio: Audio,
    sample_rate: int,
    stem: str,
    targets: Targets,
    settings: Settings,
    *,
    no_boost: np.ndarray | None = None,
    generator: np.random.Generator | None = None,
    responses: Sequence[str] = (),
) -> tuple[Audio, dict[str, Any]]:
    """Normalize one stem; `no_boost` marks the bands that must not be boosted. Returns the audio and its record."""
    found = targets.of(stem)
    if found is None:
        return audio, {"status": "no_target"}
    if sample_peak_db(audio) < settings.quiet_dbfs:
        return audio, {"status": "quiet"}
    kind, target = found
    picture = long_term(audio, sample_rate)
    before = measure(audio, sample_rate, picture)
    if not math.isfinite(before.loudness_lufs):
        return audio, {"status": "quiet"}
    steps: dict[str, Any] = {}
    if settings.reverb is not None and stem in settings.reverb.stems:
        if generator is None:
            raise UsageError("a reverb is drawn at random: pass a generator, such as numpy.random.default_rng(seed)")
        audio, steps["reverb"] = send_reverb(audio, sample_rate, settings.reverb, generator, responses)
        picture = long_term(audio, sample_rate)
    if settings.eq is not None:
        audio, steps["eq"] = match_spectrum(
            audio,
            sample_rate,
            target.spectrum_db,
            most_db=settings.eq.most_db,
            least_db=settings.eq.least_db,
            flat_above_hz=settings.eq.flat_above_hz,
            bandwidth_hz=effective_bandwidth_hz(audio, sample_rate),
            no_boost=no_boost,
            picture=picture,
        )
    if settings.dynamics is not None and math.isfinite(target.onset_peak_lu):
        spread = settings.dynamics.tolerance * (target.onset_peak_spread_lu if math.isfinite(target.onset_peak_spread_lu) else 0.0)
        audio, steps["dynamics"] = match_dynamics(
            audio, sample_rate, target.onset_peak_lu, spread, PUBLISHED.get(stem, PUBLISHED["other"]), expand=settings.dynamics.expand
        )
        if settings.eq is not None and steps["dynamics"]["action"] != "none":
            audio, steps["trim"] = _trimmed(audio, sample_rate, target, settings.eq, no_boost, steps["eq"])
    if settings.panning is not None and audio.shape[0] == 2:
        # Neither EQ nor dynamics change how alike the channels are: both do the same to both.
        audio, steps["panning"] = match_panning(audio, sample_rate, target.similarity, settings.panning.mode, picture=picture)
    if settings.loudness is not None:
        audio, steps["loudness"] = match_loudness(audio, sample_rate, target.loudness_lufs, ceiling_db=settings.loudness.ceiling_db)
    after = measure(audio, sample_rate)
    features = {"before": before.record(), "after": after.record()}
    return audio, {"status": "normalized", "target": kind, "steps": steps, **features, "distance": distances(before, after, target)}


def _trimmed(
    audio: Audio, sample_rate: int, target: StemTarget, settings: Equalizer, no_boost: np.ndarray | None, done: Mapping[str, Any]
) -> tuple[Audio, dict[str, Any]]:
    """Match the spectrum again after dynamics moved it: by `TRIM_DB` at most, and both corrections together within the caps."""
    first = np.array(done["correction_db"])
    return match_spectrum(
        audio,
        sample_rate,
        target.spectrum_db,
        most_db=np.clip(settings.most_db - first, 0.0, TRIM_DB),
        least_db=np.clip(settings.least_db - first, -TRIM_DB, 0.0),
        flat_above_hz=settings.flat_above_hz,
        bandwidth_hz=done["limit_hz"],
        no_boost=no_boost,
    )


def distances(before: Features, after: Features, target: StemTarget) -> dict[str, list[float | None]]:
    """Return how far from the target a stem was and is: EQ (RMS dB), panning (RMS similarity), dynamics and loudness (LU)."""
    pairs = {
        "eq_db": [spectral_distance_db(each.spectrum_db, target.spectrum_db) for each in (before, after)],
        "dynamics_lu": [abs(each.onset_peak_lu - target.onset_peak_lu) for each in (before, after)],
        "panning": [panning_distance(each.similarity, target.similarity, each.spectrum_db) for each in (before, after)],
        "loudness_lu": [abs(each.loudness_lufs - target.loudness_lufs) for each in (before, after)],
    }
    return {name: [round(value, 4) if math.isfinite(value) else None for value in values] for name, values in pairs.items()}


def undo(audio: Audio, sample_rate: int, record: Mapping[str, Any]) -> Audio:
    """Take a stem's normalization back, by its record: gain, panning and EQ.

    Raises `UsageError` where something was done that cannot be: reverb, dynamics, mono.
    """
    steps = record.get("steps", {})
    if "reverb" in steps:
        raise UsageError("this stem was sent into a reverb, which cannot be taken out again")
    if steps.get("dynamics", {}).get("action", "none") != "none":
        raise UsageError("this stem's dynamics were changed, which cannot be undone from the record; build with `dynamics: null` for that")
    if "loudness" in steps:
        audio = audio * np.float32(10 ** (-steps["loudness"]["gain_db"] / 20))
    if "panning" in steps:
        audio = invert_panning(audio, sample_rate, steps["panning"])
    return invert_spectrum(audio, sample_rate, steps["eq"]) if "eq" in steps else audio
