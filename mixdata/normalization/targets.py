"""Targets: what the features of each kind of stem are on average. Fitted on training songs; one small file that travels with a dataset.

The file is a NumPy `.npz` of plain arrays: `hz` (the bands), `<stem>.spectrum_db`, `<stem>.spectrum_spread_db`, `<stem>.similarity`,
`<stem>.similarity_spread`, `<stem>.values` (loudness_lufs, its spread, onset_peak_lu, its spread, songs) and `about`, a JSON text as bytes.
Equal targets are equal bytes. Spreads are standard deviations over songs, NaN where they are not known.
"""

import hashlib
import io
import json
import math
import os
import tokenize
import zipfile
from collections.abc import Iterable, Mapping, Sequence
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
from mixdata.shards.format import NAME
from mixdata.text import nearest, readable, shown

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
        words = {key: readable(str(self.about.get(key, ""))) for key in ABOUT}  # those that are read back: what is loaded hashes the same
        about = json.dumps({"format": "mixdata targets", "version": VERSION, **words}, sort_keys=True, ensure_ascii=False)
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
    try:
        path = Path(os.path.expanduser(text))
        if path.is_dir():
            path = path / "targets.npz"
            if not path.is_file():
                raise UsageError(
                    f"{readable(text)}: the folder has no targets.npz; give a dataset whose recipe normalizes, or a targets file"
                )
        elif not path.exists():
            close = nearest(text, target_names())
            hint = f"did you mean {close!r}?" if close else f"give a file, a dataset, or one of {', '.join(target_names())}"
            raise UsageError(f"there are no targets {readable(text)!r}: {hint}")
    except OSError as error:  # a name too long, a folder that is closed to us
        raise UsageError(f"{readable(text)}: cannot look for targets there: {error.strerror or error}") from None
    return _read(path, readable(path))


def _read(path: Path, source: str) -> Targets:
    try:
        if not path.is_file():  # a pipe would never end
            raise ValueError("not a regular file")
        if path.stat().st_size > LARGEST:
            raise ValueError(f"larger than {LARGEST} bytes")
        return from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        why = f"it holds no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        raise UsageError(f"{source}: not a file of targets ({shown(str(why))}); make one with `mixdata targets fit`") from None


@lru_cache(maxsize=8)
def from_bytes(data: bytes) -> Targets:
    """Read a file's content. Raises `ValueError`, `KeyError` or what `zipfile` raises for anything else; unpacks nothing large."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        if any(info.compress_type != zipfile.ZIP_STORED for info in members):  # what it would unpack to, only unpacking tells
            raise ValueError("it is compressed, which files of targets never are")
        if sum(info.file_size for info in members) > LARGEST:
            raise ValueError("it unpacks to more than targets hold")
        arrays = {info.filename.removesuffix(".npy"): _array(archive.read(info)) for info in members}
    about = json.loads(arrays.pop("about").astype(np.uint8).tobytes())
    if not isinstance(about, dict) or about.get("format") != "mixdata targets" or about.get("version") != VERSION:
        raise ValueError(f"not of version {VERSION} of the format")
    bands = arrays.pop("hz")
    if bands.shape != CENTRES_HZ.shape or not np.allclose(bands, CENTRES_HZ):
        raise ValueError("its bands are others")
    names = sorted({name.rpartition(".")[0] for name in arrays})
    _check_names(names)
    return Targets({name: _stem(name, arrays) for name in names}, {key: readable(str(about.get(key, ""))) for key in ABOUT})


def _array(data: bytes) -> np.ndarray:
    """Read a `.npy` of numbers. NumPy's own reader makes room for whatever size a header claims, so only its header is read by it."""
    member = io.BytesIO(data)
    try:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError("an array of another version")
        shape, transposed, dtype = np.lib.format.read_array_header_1_0(member)
    except (SyntaxError, tokenize.TokenError):
        raise ValueError("an array's header is damaged") from None
    if dtype.kind not in "fiu":
        raise ValueError("an array that is not of plain numbers")
    return np.frombuffer(data, dtype, offset=member.tell()).reshape(shape, order="F" if transposed else "C")  # read-only, as the bytes are


def _check_names(names: Sequence[str]) -> None:
    """Raise `ValueError` where these cannot be the stems of one file."""
    if not 0 < len(names) <= MOST_STEMS:
        raise ValueError(f"targets for {len(names)} stems")
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a stem's name: use [a-z0-9_-], at most 30 characters")


def _stem(name: str, arrays: Mapping[str, np.ndarray]) -> StemTarget:
    curves: dict[str, Any] = {curve: np.asarray(arrays[f"{name}.{curve}"], np.float64) for curve in CURVES}
    values = np.asarray(arrays[f"{name}.values"], np.float64)
    if any(curve.shape != CENTRES_HZ.shape for curve in curves.values()) or values.shape != (len(VALUES),):
        raise ValueError(f"{name}: curves of another length")
    numbers: dict[str, Any] = dict(zip(VALUES, (float(value) for value in values), strict=True))
    known = np.isfinite(curves["spectrum_db"]) & np.isfinite(curves["similarity"])
    spreads = [curves["spectrum_spread_db"], curves["similarity_spread"], numbers["loudness_spread_lu"], numbers["onset_peak_spread_lu"]]
    sane = (
        known.any()
        and _within(curves["spectrum_db"], -300, 300)
        and _within(curves["similarity"], -1e-6, 1 + 1e-6)
        and _within(numbers["onset_peak_lu"], -200, 200)
        and all(_within(spread, 0, 300) for spread in spreads)
        and -100 < numbers["loudness_lufs"] < 20
        and 0 <= numbers["songs"] < 1e9
    )
    if not sane:
        raise ValueError(f"{name}: values that no stem has")
    return StemTarget(**curves, **{key: numbers[key] for key in VALUES[:-1]}, songs=int(numbers["songs"]))


def _within(values: Any, least: float, most: float) -> bool:
    """Say whether all values that are known (not NaN) lie in the range."""
    known = np.asarray(values)[~np.isnan(values)]
    return bool(((least <= known) & (known <= most)).all())


def mean_targets(songs: Iterable[Mapping[str, Features]], about: Mapping[str, str]) -> Targets:
    """Average the features of many songs' stems. Raises `UsageError` where there is no stem at all.

    Curves in dB and numbers by their mean over songs; silent stems (no loudness) do not count. Raises `UsageError` for names that cannot
    be a stem's in a file, too.
    """
    found: dict[str, list[Features]] = {}
    for stems in songs:
        for name, features in stems.items():
            if math.isfinite(features.loudness_lufs):
                found.setdefault(name, []).append(features)
    if not found:
        raise UsageError("no stem of the training songs sounds, so there is nothing to fit targets to")
    try:
        _check_names(sorted(found))
    except ValueError as error:
        raise UsageError(f"{error}") from None
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
        return mean, np.sqrt(np.where(count > 1, variance, np.nan))


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
