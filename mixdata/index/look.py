"""Looking at one file: its hash, what its header says, its peak and level. What builds ask of every track, asked once."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import audio
from mixdata.errors import AudioError, SongError
from mixdata.measures.reverberation import decay_times
from mixdata.song import Track

Facts = dict[str, Any]  # columns of one track, as in `manifest.LOOKED`


@dataclass(frozen=True)
class Wanted:
    """A file to look at: which of its audio streams, and whether to decode it for `peak_db`, `rms_db` (and `t60_seconds`)."""

    path: str
    streams: tuple[int, ...]
    measure: bool
    decay: bool = False


def look_at_all(batch: Sequence[Wanted]) -> list[list[Facts]]:
    """Look at several files; the work of one message to a worker process."""
    return [look_at(wanted) for wanted in batch]


def look_at(wanted: Wanted) -> list[Facts]:
    """Return the facts of each stream. A file that cannot be used has `reason` and `message`, and what is known of it nevertheless."""
    try:
        status = os.stat(wanted.path)
    except (OSError, ValueError):
        return [_refused(AudioError("missing", f"{Path(wanted.path)}: there is no such file")) for _ in wanted.streams]
    known = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return [known | _stream(Track(Path(wanted.path), stream), wanted) for stream in wanted.streams]


def _stream(track: Track, wanted: Wanted) -> Facts:
    facts: Facts = {"reason": None, "message": None}
    try:
        facts["sha256"] = track.sha256
        info = track.info()
        facts |= {"sample_rate": info.sample_rate, "channels": info.channels, "frames": info.frames, "codec": info.codec}
        if wanted.measure:
            facts |= _levels(track)
        if wanted.measure and wanted.decay:
            facts["t60_seconds"] = _t60(track)
    except SongError as error:
        facts |= _refused(error)
    return facts


def _levels(track: Track) -> Facts:
    peak, power, count = 0.0, 0.0, 0
    for block in audio.blocks(track.path, track.stream):
        peak = max(peak, float(block.max(initial=0)), -float(block.min(initial=0)))
        power += float(np.square(block, dtype=np.float64).sum())
        count += block.size
    return {"peak_db": _db(peak, 20), "rms_db": _db(power / max(count, 1), 10)}


def _t60(track: Track) -> float | None:
    """Return T30, or where the noise is too near T20, or EDT; None where all are lost in it."""
    samples, rate = track.read()
    decay = decay_times(samples, rate)
    return next((value for value in (decay.t30, decay.t20, decay.edt) if math.isfinite(value)), None)


def _db(value: float, factor: int) -> float:
    return factor * math.log10(value) if value > 0 else -math.inf


def _refused(error: SongError) -> Facts:
    return {"reason": error.reason, "message": error.message}
