"""Songs and tracks: what a corpus hands to a recipe. Nothing is opened before it is asked for."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixdata import audio
from mixdata.errors import SongError
from mixdata.leaks.names import folded


@dataclass(frozen=True)
class Track:
    """One audio stream on disk. `stream` counts the audio streams of a container such as `.stem.mp4`.

    `instrument` is the corpus's own label; `facts` is what else it says of the track and belongs into a record, as plain JSON data
    (`{"component": "melody", "mixing_coefficient": 0.97, "stem": "S01"}`).
    """

    path: Path
    stream: int = 0
    instrument: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return (self.path,)

    def info(self) -> audio.AudioInfo:
        """Return rate, channels and frames, as far as the header and the file's size agree."""
        return audio.probe(self.path, stream=self.stream)

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Return `(channels, frames)` float32 at the track's own rate, and that rate."""
        return audio.read(self.path, start=start, frames=frames, stream=self.stream)

    @cached_property
    def sha256(self) -> str:
        """Hash of the content: of the file's bytes (and the stream's number)."""
        digest = audio.file_sha256(self.path)
        return digest if self.stream == 0 else hashlib.sha256(f"{digest}:{self.stream}".encode()).hexdigest()


@dataclass(frozen=True)
class Sum(Track):
    """The sum of several tracks, such as a stem that a corpus keeps as its sources. `summed` makes one.

    It is as long as the longest of them; shorter ones end in silence. A mono part is on every channel. Where rates differ, all are
    brought to the highest.
    """

    parts: tuple[Track, ...] = field(kw_only=True)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(path for part in self.parts for path in part.files))

    def info(self) -> audio.AudioInfo:
        """Return the highest rate, the most channels and the longest length of the parts."""
        infos = [part.info() for part in self.parts]
        rate = max(info.sample_rate for info in infos)
        frames = max(audio.resampled_frames(info.frames, info.sample_rate, rate) for info in infos)
        return audio.AudioInfo(rate, max(info.channels for info in infos), frames, "sum")

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Return the sum, computed in float64, as float32; a range is a slice of the whole."""
        info = self.info()
        stop = info.frames if frames is None else min(start + frames, info.frames)
        start = min(start, stop)
        total = np.zeros((info.channels, stop - start))
        for part in self.parts:
            samples = _at_rate(part, info.sample_rate, start, stop - start)
            if samples.shape[0] not in (1, info.channels):
                raise SongError("channels", f"{part.path}: {samples.shape[0]} channels cannot be added to {info.channels}")
            total[:, : samples.shape[1]] += samples
        return total.astype(np.float32), info.sample_rate

    @cached_property
    def sha256(self) -> str:
        """Hash of the parts' contents, in their order."""
        return hashlib.sha256("\n".join(["sum", *(part.sha256 for part in self.parts)]).encode()).hexdigest()


def summed(parts: Iterable[Track], **about: Any) -> Track:
    """Return the track that is the sum of the parts: the part itself where it is one."""
    parts = tuple(parts)
    return parts[0] if len(parts) == 1 else Sum(parts[0].path, parts=parts, **about)


def _at_rate(part: Track, rate: int, start: int, frames: int) -> np.ndarray:
    info = part.info()
    if info.sample_rate == rate:
        start = min(start, info.frames)
        return part.read(start, min(frames, info.frames - start))[0]
    samples, own = part.read()
    return audio.resample(samples, own, rate)[:, start : start + frames]


@dataclass(frozen=True)
class Song:
    """One piece of music: a mixture, or stems, or raw tracks, or a ready-made pair.

    `mixture` is what the stems sum to (as far as the corpus is right) and starts when they start; `published` is an engineer's mix
    that may start elsewhere than the raw tracks, and has to be aligned before it is used. `raw` are unmixed recordings.
    `pair` is what a corpus of pairs holds: role to stem to track (`{"input": {"guitar": …}, "target": {"guitar": …}}`).
    `free_lengths` says that stems and raw tracks may end before the mixture does.
    `split` is the corpus's own (`train`, `valid`, `test`) or None. `groups` are the labels that must not cross
    splits, the most important first (`{"artist": …, "album": …, "folder": …}`); a song without any is a group
    of its own. `wet` says whether the stems carry effects: wet, dry, rendered or unknown.
    `facts` is what else the corpus says, as plain JSON data for the record; `errata` are known faults that a user of the song should
    be told of; `unfit` says why it must not be used at all. A corpus need not set `corpus`: its name is put in when it is listed, as
    are its licence and wetness where the song has none of its own, and the errata of `manifests/errata.csv`.
    """

    title: str
    corpus: str = ""
    mixture: Track | None = None
    stems: Mapping[str, Track] = field(default_factory=dict)
    raw: Mapping[str, Track] = field(default_factory=dict)
    published: Track | None = None
    pair: Mapping[str, Mapping[str, Track]] = field(default_factory=dict)
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    licence: str = "unknown"
    wet: str = "unknown"
    free_lengths: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    errata: tuple[str, ...] = ()
    unfit: str = ""

    @cached_property
    def sha256(self) -> str:
        """Hash of the audio alone: neither names of folders nor of files are in it."""
        lines = [f"{name} {track.sha256}" for name, track in self.tracks()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def tracks(self) -> list[tuple[str, Track]]:
        """Return every track with its name, in a fixed order: mixture, published mix, stems, raw tracks, the pair's `role.stem`."""
        whole = [(name, track) for name, track in (("mixture", self.mixture), ("published", self.published)) if track is not None]
        pair = [(f"{role}.{stem}", track) for role, stems in sorted(self.pair.items()) for stem, track in sorted(stems.items())]
        return [*whole, *sorted(self.stems.items()), *sorted(self.raw.items()), *pair]

    @property
    def id(self) -> str:
        """Slug of the title and eight hex digits of the content: `falcon-69-1f0c94aa`."""
        return f"{slug(self.title)}-{self.sha256[:8]}"

    @property
    def group(self) -> str:
        """The label that decides the split where the corpus has none: first of the groups, else the song itself.

        Spellings of an artist's name are one group, with and without guests.
        """
        for kind, name in self.groups.items():
            return f"{kind}:{(kind == 'artist' and folded(name)) or _folded(name)}"
        return f"song:{self.sha256}"

    def main_track(self) -> Track:
        """The track that stands for the song's rate and length: the mixture, else the first of the others."""
        for _, track in self.tracks():
            return track
        raise SongError("empty", f"{self.title}: the song has neither mixture nor stems")


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def slug(text: str, longest: int = 40) -> str:
    """Return `text` in [a-z0-9_-], at most `longest` characters, never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:longest].strip("-") or "song"
