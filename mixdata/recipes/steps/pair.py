"""`pair`: the ready-made pairs of a corpus, such as real hardware's wet and dry recordings, checked before they are believed."""

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field
from scipy import fft

from mixdata import measures
from mixdata.errors import SongError
from mixdata.params import Params
from mixdata.recipes.registry import step
from mixdata.recipes.work import Work, read_stereo
from mixdata.separation.base import checked_stems
from mixdata.song import Track

MIXTURE = "mixture"
ROLES = ("input", "target")
SEARCH_SECONDS = 0.1  # to both sides
LISTEN_SECONDS = 10.0  # the loudest stretch of this length says the lag
SURE = 0.5  # correlation from which a lag is believed: a reverb's or a chorus's output may not be like its input at all
AGREE_MS = 1.0  # between the lag of the waveforms and that of their phases
PHAT = 0.8  # power of the magnitude that is taken off, as in mixdata/measures/alignment.py


def _names(take: list[str]) -> list[str]:
    rest = [name for name in take if name != MIXTURE]
    if len(take) != len(set(take)):
        raise ValueError("a name stands twice")
    return take if not rest else [*(name for name in take if name == MIXTURE), *checked_stems(rest)]


class PairStep(Params):
    """`take` names the stems of both roles; a pair that has none of them is left out.

    Input and target must start together: a pair whose lag is sure and above `max_lag_ms` is left out, one whose length differs by
    more than `slack_s` too; less is cut off the longer. A lag is sure where the waveforms are alike at it and their phases, all
    frequencies counted alike, say the same: a filter or a phaser moves the waveform of a single note by any part of its period.
    A pair that differs by less than `least_difference_db` (of the target's energy, after the best gain) has no effect in it.
    null switches a check off.
    """

    take: Annotated[list[str], Field(min_length=1, default_factory=lambda: [MIXTURE]), AfterValidator(_names)]
    max_lag_ms: Annotated[float, Field(ge=0, le=100)] | None = 1.0
    slack_s: Annotated[float, Field(ge=0)] | None = 0.5
    least_difference_db: Annotated[float, Field(ge=-200, le=0)] | None = -80.0
    relative_lu: Annotated[float, Field(gt=0, le=120)] = 35.0
    floor_lufs: Annotated[float, Field(ge=-120, le=0)] = -55.0


@step(
    "pair",
    PairStep,
    version=2,
    makes=("input", "input.active", "target", "target.active"),
    roles=lambda params, made: made | {role: list(params.take) for role in ROLES},
)
def pair(work: Work, params: PairStep, label: str) -> None:
    """Take a ready-made pair as roles `input` and `target`; measure lag, gain and difference of each stem."""
    song = work.song
    found = [name for name in params.take if all(name in song.pair.get(role, {}) for role in ROLES)]
    if not found:
        there = sorted({name for stems in song.pair.values() for name in stems})
        what = f"its pair has {', '.join(there)}" if there else "the song is no pair; use a corpus of pairs"
        raise SongError("no_pair", f"{song.title}: none of {', '.join(params.take)} is in it: {what}")
    read = {name: [_read(work, song.pair[role][name]) for role in ROLES] for name in found}
    frames = min(audio.shape[1] for both in read.values() for audio in both)
    longest = max(audio.shape[1] for both in read.values() for audio in both)
    if params.slack_s is not None and longest - frames > params.slack_s * work.sample_rate:
        off = (longest - frames) / work.sample_rate
        raise SongError("length", f"{song.title}: input and target differ by {off:.2f} s, more than slack_s ({params.slack_s:g})")
    work.mixture = np.ascontiguousarray(work.mixture[:, :frames])
    work.roles = {role: {name: np.zeros((2, frames), np.float32) for name in params.take} for role in ROLES}
    compared = {}
    for name, both in read.items():
        for role, audio in zip(ROLES, both, strict=True):
            work.roles[role][name] = np.ascontiguousarray(audio[:, :frames])
        compared[name] = _compared(work.roles["input"][name], work.roles["target"][name], work.sample_rate)
        _refuse(f"{song.title}: {name}", compared[name], params)
    loudness = max(measures.integrated_loudness(work.roles["target"][name], work.sample_rate) for name in found)
    for name in params.take:
        target = work.roles["target"][name]
        work.activity[name] = measures.activity_mask(target, work.sample_rate, loudness, params.relative_lu, params.floor_lufs)
    for role in ROLES:
        work.active[role] = {name: bool(work.roles[role][name].any()) for name in params.take}
    first = compared[found[0]]
    work.measures |= {f"pair_{name}": value for name, value in first.items()}
    work.note(label, compared=compared, source=song.wet)


def _read(work: Work, track: Track) -> np.ndarray:
    notes: list[str] = []
    samples = read_stereo(track, work.sample_rate, notes)
    work.warnings.extend(note for note in notes if note not in work.warnings)
    return samples


def _compared(wet: np.ndarray, dry: np.ndarray, sample_rate: int) -> dict[str, float | None]:
    """Return how the input follows the target: lag in ms, its correlation, the phases' lag, best gain and what it leaves, in dB."""
    lag, correlation, phase_lag = _lag(wet.mean(axis=0), dry.mean(axis=0), sample_rate)
    energy = float(np.square(dry, dtype=np.float64).sum())
    gain = float(np.sum(wet * dry, dtype=np.float64)) / energy if energy else 0.0
    left = float(np.square(wet - gain * dry.astype(np.float64)).sum())
    reference = gain * gain * energy
    difference = 10 * np.log10(left / reference) if left > 0 and reference > 0 else None
    return {
        "lag_ms": 1000 * lag / sample_rate,
        "correlation": correlation,
        "phase_lag_ms": 1000 * phase_lag / sample_rate,
        "gain_db": 20 * np.log10(abs(gain)) if gain else None,
        "difference_db": difference if left > 0 else -np.inf,
    }


def _lag(wet: np.ndarray, dry: np.ndarray, sample_rate: int) -> tuple[int, float, int]:
    """Return by how many frames `wet` comes after `dry` in its loudest stretch, how alike they are there, 0 to 1, and their phases' lag.

    That is that of the generalized cross-correlation with phase transform (Knapp and Carter 1976).
    """
    length, reach = min(round(LISTEN_SECONDS * sample_rate), len(dry)), round(SEARCH_SECONDS * sample_rate)
    power = np.cumsum(np.concatenate([[0.0], np.square(dry, dtype=np.float64)]))
    start = int(np.argmax(power[length:] - power[:-length])) if len(dry) > length else 0
    first, second = (audio[start : start + length].astype(np.float64) for audio in (wet, dry))
    scale = float(np.sqrt(np.square(first).sum() * np.square(second).sum()))
    around = _near(*_spectra(first, second, reach), reach)
    place = int(np.argmax(np.abs(around)))
    ramp = 0.5 + 0.5 * np.cos(np.pi * np.arange(min(reach, length // 4)) / min(reach, length // 4))
    for samples in (first, second):  # where both are cut off at the same place, that would say that nothing lags
        samples[length - len(ramp) :] *= ramp
        if start:
            samples[: len(ramp)] *= ramp[::-1]
    cross, size = _spectra(first, second, reach)
    phases = _near(cross / np.maximum(np.abs(cross), 1e-12 * np.abs(cross).max() + 1e-300) ** PHAT, size, reach)
    return place - reach, float(abs(around[place]) / scale) if scale else 0.0, int(np.argmax(np.abs(phases))) - reach


def _spectra(first: np.ndarray, second: np.ndarray, reach: int) -> tuple[np.ndarray, int]:
    """Return the cross spectrum of two signals, and the size of its transform, which leaves room for lags up to `reach`."""
    size = fft.next_fast_len(max(len(first), reach + 1) + reach, real=True)
    return fft.rfft(first, size) * np.conj(fft.rfft(second, size)), size


def _near(cross: np.ndarray, size: int, reach: int) -> np.ndarray:
    """Return the correlation at the lags from -reach to reach."""
    product = fft.irfft(cross, size)
    return np.concatenate([product[-reach:], product[: reach + 1]])


def _refuse(what: str, compared: dict[str, Any], params: PairStep) -> None:
    lag, difference = compared["lag_ms"], compared["difference_db"]
    sure = compared["correlation"] >= SURE and abs(lag - compared["phase_lag_ms"]) <= AGREE_MS
    if params.max_lag_ms is not None and sure and min(abs(lag), abs(compared["phase_lag_ms"])) > params.max_lag_ms:
        side = "after" if lag > 0 else "before"
        raise SongError(
            "unaligned", f"{what}: the input comes {abs(lag):.2f} ms {side} the target, more than max_lag_ms ({params.max_lag_ms:g})"
        )
    if params.least_difference_db is not None and difference is not None and difference < params.least_difference_db:
        raise SongError("no_effect", f"{what}: input and target are the same but for their gain ({difference:.0f} dB)")
