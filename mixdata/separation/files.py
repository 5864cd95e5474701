"""Stems that another tool separated, read from files and checked against the mixture before they are believed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy import fft

from mixdata import audio as audio_files
from mixdata.errors import SongError, UsageError
from mixdata.separation.base import (
    FOUR_STEMS,
    Separator,
    SeparatorSettings,
    checked_audio,
    checked_stems,
    fingerprint_of,
    register,
    stem_like,
)
from mixdata.song import Song, Track

VERSION = 1
LAG_WINDOW_SECONDS = 10.0
LAG_SEARCH_SECONDS = 1.0
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@register
class FilesSettings(SeparatorSettings):
    """Stems on disk: `files:ROOT/{song}/{stem}.wav`, with the tool's model and licence as you declare them.

    `{song}` stands for the song's title, else its id, else the name of the mixture's file without extension: the first under which any stem
    lies. ROOT is the path before the first placeholder; nothing outside it is read.
    """

    separator: Literal["files"] = "files"
    main: ClassVar[str | None] = "pattern"
    example: ClassVar[str] = "ROOT/{song}/{stem}.wav"
    pattern: str
    model: str = "unknown"
    licence: str = "unknown"
    stems: Annotated[list[str], Field(min_length=1, default_factory=lambda: [*FOUR_STEMS])]
    max_lag_ms: Annotated[float, Field(ge=0, le=1000)] = 1.0
    max_residual_db: float = -10.0
    local: ClassVar[frozenset[str]] = frozenset({"pattern"})

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, pattern: str) -> str:
        names = PLACEHOLDER.findall(pattern)
        if sorted(set(names)) != ["song", "stem"] or re.search(r"[{}]", PLACEHOLDER.sub("", pattern)):
            raise ValueError("write it as ROOT/{song}/{stem}.wav: with {song} and {stem}, and no other braces")
        if ".." in Path(pattern).parts:
            raise ValueError("must not contain '..'")
        return pattern

    @field_validator("stems")
    @classmethod
    def _stems(cls, stems: list[str]) -> list[str]:
        return checked_stems(stems)

    def load(self) -> "Files":
        root = _root(self.pattern)
        if not root.is_dir():
            raise UsageError(f"files: the folder {root} does not exist (from the pattern {self.pattern!r})")
        return Files(self)


class Files(Separator):
    """Reads the stems of the song it is called for; needs `song`."""

    def __init__(self, settings: FilesSettings):
        self.settings = settings
        self.stems = tuple(settings.stems)
        self.licence = settings.licence
        self.root = _root(settings.pattern)
        kept = settings.model_dump(exclude={"pattern"})  # where the files lie does not matter, what they hold does
        self.fingerprint = fingerprint_of("files", VERSION, kept)

    def __call__(
        self, audio: np.ndarray, sample_rate: int, *, song: Song | None = None, notes: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Raises `SongError`: missing, outside_root, channels, length (over 50 ms), lag (over `max_lag_ms`) or sum.

        `sum`: what the stems leave of the mixture is louder than `max_residual_db` relative to it.
        """
        audio = checked_audio(audio, sample_rate)
        if song is None:
            raise UsageError("files: needs the song whose stems it shall read")
        notes = [] if notes is None else notes
        stems = {name: self._read(path, name, audio, sample_rate, song, notes) for name, path in self.paths(song).items()}
        total = np.zeros_like(audio)
        for stem in stems.values():
            total += stem
        self._check(total, audio, sample_rate, song, notes)
        return stems

    def describe(self) -> dict[str, Any]:
        return {
            "separator": "files",
            "kind": "stems separated elsewhere, model and licence as declared by the user",
            "version": VERSION,
            "model": self.settings.model,
            "licence": self.settings.licence,
            "stems": list(self.stems),
            "max_residual_db": self.settings.max_residual_db,
        }

    def song_fingerprint(self, song: Song | None) -> str:
        """Settings and the content of the song's stem files."""
        if song is None:
            raise UsageError("files: needs the song whose stems it shall read")
        return fingerprint_of(self.fingerprint, {name: audio_files.file_sha256(path) for name, path in self.paths(song).items()})

    def paths(self, song: Song) -> dict[str, Path]:
        """Return the file of every stem. Raises `SongError("missing")` naming what was looked for."""
        tried = []
        for name in _names(song):
            found = {stem: Path(_fill(self.settings.pattern, name, stem)) for stem in self.stems}
            there = {stem: path for stem, path in found.items() if path.is_file()}
            if len(there) == len(found):
                return {stem: self._inside(path, song) for stem, path in there.items()}
            if there:
                absent = ", ".join(str(path) for stem, path in found.items() if stem not in there)
                raise SongError("missing", f"{song.title}: stems are missing: {absent}")
            tried.append(str(found[self.stems[0]]))
        raise SongError("missing", f"{song.title}: no separated stems; looked for {', '.join(tried)}")

    def _inside(self, path: Path, song: Song) -> Path:
        if not audio_files.inside(self.root, path):
            raise SongError("outside_root", f"{song.title}: {path} leads out of {self.root}: put the file itself there")
        return path

    def _read(self, path: Path, name: str, mixture: np.ndarray, sample_rate: int, song: Song, notes: list[str]) -> np.ndarray:
        stem, off = stem_like(Track(path), mixture, sample_rate, f"{song.title}: {path}")
        if off:
            notes.append(f"stem {name}: {abs(off)} frames {'cut off' if off > 0 else 'of silence added'} at the end")
        return stem

    def _check(self, total: np.ndarray, mixture: np.ndarray, sample_rate: int, song: Song, notes: list[str]) -> None:
        energy = float(np.square(mixture, dtype=np.float64).sum())
        residual = float(np.square(mixture - total, dtype=np.float64).sum())
        if residual < 1e-6 * energy or residual == 0:
            return  # a sum this exact leaves nothing to look for
        level = 10 * np.log10(residual / energy) if energy > 0 else np.inf
        lag_ms, likeness = worst_lag(mixture, total, sample_rate)
        if likeness > 0.5 and abs(lag_ms) > self.settings.max_lag_ms:
            word = "late" if lag_ms > 0 else "early"
            raise SongError("lag", f"{song.title}: the stems are {abs(lag_ms):.1f} ms {word} against the mixture: align or separate again")
        if level > self.settings.max_residual_db:
            why = " (their polarity is inverted)" if likeness < -0.5 else ""
            raise SongError(
                "sum",
                f"{song.title}: the stems do not add up to the mixture{why}: {level:.1f} dB of it are left over, "
                f"allowed are {self.settings.max_residual_db:.1f} dB; were they rescaled, or are they of another song?",
            )
        notes.append(f"stems sum to the mixture but for {level:.1f} dB")


def worst_lag(mixture: np.ndarray, total: np.ndarray, sample_rate: int) -> tuple[float, float]:
    """Return the largest lag of `total` behind `mixture` in ms, and the correlation coefficient (with sign) found there.

    Cross-correlation of the channel means within ±1 s, in the first, middle and last part of the song (up to 10 s each), so that a drift
    shows. Parts that resemble each other too little to say (under 0.5) do not count, unless none resembles.
    """
    first, second = mixture.mean(axis=0), total.mean(axis=0)
    width = min(len(first), round(LAG_WINDOW_SECONDS * sample_rate))
    starts = sorted({0, (len(first) - width) // 2, len(first) - width})
    found = [_lag(first[s : s + width], second[s : s + width], round(LAG_SEARCH_SECONDS * sample_rate)) for s in starts]
    clear = [(lag, likeness) for lag, likeness in found if abs(likeness) > 0.5]
    lag, likeness = max(clear, key=lambda item: abs(item[0])) if clear else max(found, key=lambda item: abs(item[1]))
    return 1000 * lag / sample_rate, likeness


def _lag(first: np.ndarray, second: np.ndarray, most: int) -> tuple[int, float]:
    norm = float(np.linalg.norm(first)) * float(np.linalg.norm(second))
    if norm <= 0:
        return 0, 0.0
    most = min(most, len(first) - 1)
    size = fft.next_fast_len(len(first) + most, real=True)
    product = np.conj(fft.rfft(first, size)) * fft.rfft(second, size)
    correlation = fft.irfft(product, size)
    near = np.concatenate([correlation[size - most :], correlation[: most + 1]]) if most else correlation[:1]
    best = int(np.argmax(np.abs(near)))
    return best - most, float(near[best]) / norm


def _names(song: Song) -> Iterator[str]:
    """The names that `{song}` may stand for, in order, as far as each is a plain file name."""
    names = [song.title, song.id]
    if song.mixture is not None:
        names.append(song.mixture.path.name.removesuffix(song.mixture.path.suffix))
    yield from dict.fromkeys(name for name in names if _safe(name))


def _safe(name: str) -> bool:
    return name not in ("", ".", "..") and not re.search(r"[/\\\x00-\x1f{}]", name)


def _fill(pattern: str, song: str, stem: str) -> str:
    return PLACEHOLDER.sub(lambda found: song if found[1] == "song" else stem, pattern)


def _root(pattern: str) -> Path:
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if "{" in part)
    return Path(*parts[:first]) if first else Path(".")
