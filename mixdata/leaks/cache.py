"""Fingerprints of tracks, kept by the hash of the track's content: decoding is what they cost."""

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from mixdata.errors import MixdataError, SongError
from mixdata.files import publish_bytes
from mixdata.leaks.fingerprint import VERSION, Fingerprint, fingerprint_track
from mixdata.progress import Progress
from mixdata.song import Track


def fingerprints(tracks: Sequence[Track], folder: Path | None = None, quiet: bool = False) -> list[Fingerprint | None]:
    """Return the fingerprint of each track, from the folder where it has it; None where the track cannot be read."""
    with (
        ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as threads,
        Progress("listening for leaks", total=len(tracks), unit="track", quiet=quiet) as progress,
    ):
        found = []
        for each in threads.map(lambda track: _fingerprint(track, folder), tracks):
            found.append(each)
            progress.update(1)
    return found


def _fingerprint(track: Track, folder: Path | None) -> Fingerprint | None:
    try:
        place = None if folder is None else folder / f"{VERSION}" / track.sha256[:2] / f"{track.sha256}.npy"
        kept = None if place is None else _read(place)
        if kept is None:
            kept = fingerprint_track(track)
            if place is not None:
                data = io.BytesIO()
                np.save(data, np.stack([kept.hashes, kept.frames]), allow_pickle=False)
                with suppress(MixdataError):  # a full disk, or a folder of somebody else's: it is made again next time
                    publish_bytes(place, data.getvalue())
        return kept
    except (SongError, OSError):
        return None


def _read(place: Path) -> Fingerprint | None:
    """Return what was kept; None where it is absent or damaged."""
    try:
        rows = np.load(place, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = isinstance(rows, np.ndarray) and rows.dtype == np.uint32 and rows.ndim == 2 and len(rows) == 2
    return Fingerprint(rows[0], rows[1]) if whole else None
