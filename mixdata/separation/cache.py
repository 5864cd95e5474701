"""The cache of separated stems: addressed by content, so that it can be shared, copied and deleted at will.

What the build uses is always what the cache gives back (written, then read), so that a fresh build and one from the cache
have the same bytes. An entry is a folder `<hash>/` with a file per stem, renamed into place when it is whole.
"""

import hashlib
import json
import os
import shutil
import uuid
from pathlib import Path
from typing import Literal

import numpy as np

from mixdata.errors import MixdataError, SongError
from mixdata.example import Audio
from mixdata.files import disk_errors, sync_folder, write_synced
from mixdata.separation.base import Separator
from mixdata.shards import format
from mixdata.song import Song

CacheMode = Literal["flac24", "float32", "off"]
VERSION = 1


def separate_cached(
    separator: Separator, mixture: Audio, sample_rate: int, song: Song, mode: CacheMode, folder: Path | None
) -> tuple[dict[str, Audio], list[str]]:
    """Return the separator's estimates for a song and its notes about it, from the cache where it has them."""
    notes: list[str] = []
    if mode == "off" or folder is None:
        return _checked(separator(mixture, sample_rate, song=song, notes=notes), mixture, song), notes
    entry = folder / mode / _address(separator, mixture, sample_rate, song)
    found = _read(entry, separator.stems, mode, mixture.shape)
    if found is None:
        _write(entry, _checked(separator(mixture, sample_rate, song=song, notes=notes), mixture, song), notes, sample_rate, mode)
        found = _read(entry, separator.stems, mode, mixture.shape)
        if found is None:
            raise SongError("failed", f"{entry}: the cache entry was written but does not read back; delete the folder and try again")
    return found


def _address(separator: Separator, mixture: Audio, sample_rate: int, song: Song) -> str:
    parts = [VERSION, hashlib.sha256(np.ascontiguousarray(mixture).data).hexdigest(), sample_rate, separator.song_fingerprint(song)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def _checked(stems: dict[str, Audio], mixture: Audio, song: Song) -> dict[str, Audio]:
    for stem, audio in stems.items():
        if audio.shape != mixture.shape or audio.dtype != np.float32:
            raise SongError("failed", f"{song.title}: the separator gave {stem} as {audio.dtype} {audio.shape}, not {mixture.shape}")
        if not np.isfinite(audio).all():
            raise SongError("nonfinite", f"{song.title}: the separator gave NaN or infinite samples in {stem}")
    return stems


def _write(entry: Path, stems: dict[str, Audio], notes: list[str], sample_rate: int, mode: CacheMode) -> None:
    building = entry.with_name(f".{entry.name}.{uuid.uuid4().hex[:8]}")
    scale = 1.0
    if mode == "flac24":
        peak = max(float(np.abs(audio).max(initial=0)) for audio in stems.values())
        scale = 2.0 ** np.floor(np.log2(format.headroom_scale(peak, mode)))  # a power of two: undoing it is exact
    with disk_errors(entry.parent):
        building.mkdir(parents=True)
        try:
            hashes = {}
            for stem, audio in stems.items():
                flac = mode == "flac24"
                data = format.encode(audio * np.float32(scale), sample_rate, mode) if flac else np.ascontiguousarray(audio).tobytes()
                hashes[stem] = hashlib.sha256(data).hexdigest()
                write_synced(building / f"{stem}.{mode}", data)
            write_synced(building / "entry.json", json.dumps({"scale": scale, "sha256": hashes, "notes": notes}).encode())
            sync_folder(building)
            try:
                os.rename(building, entry)
            except OSError:
                if not entry.is_dir():
                    raise  # else another worker was first, and its entry is as good
            sync_folder(entry.parent)
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _read(entry: Path, stems: tuple[str, ...], mode: CacheMode, shape: tuple[int, ...]) -> tuple[dict[str, Audio], list[str]] | None:
    """Return the entry's stems and notes, or None where it is absent or damaged (it is then removed, to be made again)."""
    try:
        facts = json.loads((entry / "entry.json").read_text(encoding="utf-8"))
        result: dict[str, Audio] = {}
        for stem in stems:
            data = (entry / f"{stem}.{mode}").read_bytes()
            if hashlib.sha256(data).hexdigest() != facts["sha256"][stem]:
                raise ValueError(f"{stem} is damaged")
            if mode == "flac24":
                result[stem] = format.decode(data, mode) / np.float32(facts["scale"])
            else:
                result[stem] = np.frombuffer(data, dtype=np.float32).reshape(shape).copy()
            if result[stem].shape != shape or not np.isfinite(result[stem]).all():
                raise ValueError(f"{stem} is not what was stored")
        return result, [str(note) for note in facts["notes"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        return None
    except OSError as error:  # out of handles, a disk that fails: the entry may be sound, and it was costly
        raise MixdataError(
            f"{entry}: the cache cannot be read: {error.strerror or error}; mend that, or choose another --cache-dir"
        ) from error
