"""Targets: what the features of each kind of stem are on average. Fitted on training songs; one small file that travels with a dataset.

The file is a NumPy `.npz` of plain arrays: `hz` (the bands), `<stem>.spectrum_db`, `<stem>.spectrum_spread_db`, `<stem>.similarity`,
`<stem>.similarity_spread`, `<stem>.values` (loudness_lufs, its spread, onset_peak_lu, its spread, songs) and `about`, a JSON text as bytes.
Equal targets are equal bytes. Spreads are standard deviations over songs, NaN where they are not known.
"""

import hashlib
import io
import json
import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mixdata.errors import UsageError
from mixdata.files import publish_bytes
from mixdata.measures.bands import CENTRES_HZ
from mixdata.normalization.features import Features, shape_db
from mixdata.resources import folder, resource
from mixdata.separation.base import REST
from mixdata.text import nearest, readable

VERSION = 1
LARGEST = 2**20  # bytes; a file of ours has some ten thousand
MOST_STEMS = 64
EARLIEST = (1980, 1, 1, 0, 0, 0)  # no time of day in the file
CURVES = ("spectrum_db", "spectrum_spread_db", "similarity", "similarity_spread")
VALUES = ("loudness_lufs", "loudness_spread_lu", "onset_peak_lu", "onset_peak_spread_lu", "songs")
ABOUT = ("name", "source", "licence", "note")


@dataclass(frozen=True)
class StemTarget:
    """What one kind of stem is brought to: curves over the bands, and numbers as in `Features`, with their spreads.

    `songs` says over how many songs; 0 where that is not known.
    """

    spectrum_db: np.ndarray
    spectrum_spread_db: np.ndarray
    similarity: np.ndarray
    similarity_spread: np.ndarray
    loudness_lufs: float
    loudness_spread_lu: float
    onset_peak_lu: float
    onset_peak_spread_lu: float
    songs: int

    def features(self) -> Features:
        """Return the target as the features it asks for."""
        return Features(self.loudness_lufs, self.spectrum_db, self.similarity, self.onset_peak_lu)


@dataclass(frozen=True)
class Targets:
    """The targets of several kinds of stems, and where they are from: name, source, licence, note."""

    stems: Mapping[str, StemTarget]
    about: Mapping[str, str]

    def of(self, stem: str) -> tuple[str, StemTarget] | None:
        """Return the target for a stem and its name: the stem's own, else that of `other`; None where there is neither."""
        name = stem if stem in self.stems else REST
        return (name, self.stems[name]) if name in self.stems else None

    def to_bytes(self) -> bytes:
        """Return the file's content: the same for the same targets, whenever and wherever it is made (so it is not compressed)."""
        about = json.dumps({"format": "mixdata targets", "version": VERSION, **self.about}, sort_keys=True, ensure_ascii=False)
        arrays = {"hz": CENTRES_HZ, "about": np.frombuffer(about.encode(), np.uint8)}
        for name, target in sorted(self.stems.items()):
            arrays |= {f"{name}.{curve}": getattr(target, curve).astype(np.float64) for curve in CURVES}
            arrays[f"{name}.values"] = np.array([getattr(target, value) for value in VALUES], np.float64)
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
                archive.writestr(zipfile.ZipInfo(f"{name}.npy", EARLIEST), member.getvalue())
        return out.getvalue()

    @property
    def sha256(self) -> str:
        """Hash of the file's content."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Write the file, whole or not at all."""
        publish_bytes(Path(path), self.to_bytes())


def target_names() -> list[str]:
    """Names of the targets that come with mixdata."""
    return sorted(path.stem for path in folder("manifests").glob("targets/*.npz"))


def load_targets(where: str | Path) -> Targets:
    """Load targets by name (`musdb18`), from a file, or from a dataset's folder. Raises `UsageError` for what is no such file."""
    text = str(where)
    if text in target_names():
        return _read(resource("manifests", f"targets/{text}.npz"), text)
    path = Path(text).expanduser()
    if path.is_dir():
        path = path / "targets.npz"
        if not path.is_file():
            raise UsageError(f"{readable(text)}: the folder has no targets.npz; give a dataset whose recipe normalizes, or a targets file")
    elif not path.exists():
        close = nearest(text, target_names())
        hint = f"did you mean {close!r}?" if close else f"give a file, a dataset, or one of {', '.join(target_names())}"
        raise UsageError(f"there are no targets {readable(text)!r}: {hint}")
    return _read(path, readable(path))


def _read(path: Path, source: str) -> Targets:
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        return from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{source}: not a file of targets ({error}); make one with `mixdata targets fit`") from None


@lru_cache(maxsize=8)
def from_bytes(data: bytes) -> Targets:
    """Read a file's content. Raises `ValueError` or `KeyError` for anything else."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > LARGEST:
            raise ValueError("it unpacks to more than targets hold")
        arrays = {info.filename.removesuffix(".npy"): _array(archive.read(info)) for info in archive.infolist()}
    about = json.loads(arrays.pop("about").astype(np.uint8).tobytes())
    if not isinstance(about, dict) or about.get("format") != "mixdata targets" or about.get("version") != VERSION:
        raise ValueError(f"not of version {VERSION} of the format")
    if not np.allclose(arrays.pop("hz"), CENTRES_HZ):
        raise ValueError("its bands are others")
    names = sorted({name.rpartition(".")[0] for name in arrays})
    if not 0 < len(names) <= MOST_STEMS:
        raise ValueError(f"targets for {len(names)} stems")
    return Targets({name: _stem(name, arrays) for name in names}, {key: str(about.get(key, "")) for key in ABOUT})


def _array(data: bytes) -> np.ndarray:
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _stem(name: str, arrays: Mapping[str, np.ndarray]) -> StemTarget:
    curves: dict[str, Any] = {curve: np.asarray(arrays[f"{name}.{curve}"], np.float64) for curve in CURVES}
    values = np.asarray(arrays[f"{name}.values"], np.float64)
    if any(curve.shape != CENTRES_HZ.shape for curve in curves.values()) or values.shape != (len(VALUES),):
        raise ValueError(f"{name}: curves of another length")
    numbers: dict[str, Any] = dict(zip(VALUES, (float(value) for value in values), strict=True))
    known = np.isfinite(curves["spectrum_db"]) & np.isfinite(curves["similarity"])
    sane = (np.abs(curves["spectrum_db"][known]) < 300).all() and (np.abs(curves["similarity"][known] - 0.5) < 0.5 + 1e-6).all()
    count = numbers.pop("songs")
    if not known.any() or not sane or not -100 < numbers["loudness_lufs"] < 20 or not 0 <= count < 1e9 or np.isinf(values).any():
        raise ValueError(f"{name}: values that no stem has")
    return StemTarget(**curves, **numbers, songs=int(count))


def mean_targets(songs: Iterable[Mapping[str, Features]], about: Mapping[str, str]) -> Targets:
    """Average the features of many songs' stems. Raises `UsageError` where there is no stem at all.

    Curves in dB and numbers by their mean over songs; silent stems (no loudness) do not count.
    """
    found: dict[str, list[Features]] = {}
    for stems in songs:
        for name, features in stems.items():
            if math.isfinite(features.loudness_lufs):
                found.setdefault(name, []).append(features)
    if not found:
        raise UsageError("no stem of the training songs sounds, so there is nothing to fit targets to")
    return Targets({name: _mean(each) for name, each in sorted(found.items())}, dict(about))


def _mean(all_features: list[Features]) -> StemTarget:
    spectrum, spectrum_spread = _moments([each.spectrum_db for each in all_features])
    similarity, similarity_spread = _moments([each.similarity for each in all_features])
    loudness, loudness_spread = _moments([np.array(each.loudness_lufs) for each in all_features])
    onset_peak, onset_spread = _moments([np.array(each.onset_peak_lu) for each in all_features])
    spectrum = shape_db(10 ** (spectrum / 20))
    numbers = (float(loudness), float(loudness_spread), float(onset_peak), float(onset_spread))
    return StemTarget(spectrum, spectrum_spread, similarity, similarity_spread, *numbers, songs=len(all_features))


def _moments(values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation over songs of what is finite; NaN where nothing is, and a spread of NaN for a single song."""
    table = np.array(values, np.float64)
    finite = np.isfinite(table)
    count = finite.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(finite, table, 0.0).sum(axis=0) / count
        variance = np.where(finite, np.square(table - mean), 0.0).sum(axis=0) / (count - 1)
        return mean, np.sqrt(variance)


def published_targets(
    curves: Mapping[str, np.ndarray],
    similarities: Mapping[str, np.ndarray],
    loudness_lufs: Mapping[str, float],
    onset_peaks_db: Mapping[str, tuple[float, float]],
    spacing_hz: float,
    about: Mapping[str, Any],
    songs: int,
) -> Targets:
    """Turn FxNorm's averaged features into targets: linear magnitudes and similarities per bin, loudness, mean and spread of onset peaks.

    Its onset peaks and its loudness are of the same audio (each stem at a peak of -10 dBFS): their difference is free of that level.
    """
    from mixdata.measures.bands import to_bands

    stems = {}
    unknown = np.full(CENTRES_HZ.shape, np.nan)
    for name, curve in curves.items():
        spectrum = shape_db(to_bands(np.asarray(curve, np.float64), spacing_hz))
        similarity = to_bands(np.asarray(similarities[name], np.float64), spacing_hz)
        peak, spread = onset_peaks_db[name]
        numbers = (loudness_lufs[name], math.nan, peak - loudness_lufs[name], spread)
        stems[name] = StemTarget(spectrum, unknown, similarity, unknown, *numbers, songs=songs)
    return Targets(stems, {key: str(about.get(key, "")) for key in ABOUT})
