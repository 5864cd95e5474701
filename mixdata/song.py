"""Songs and tracks: what a corpus hands to a recipe. Nothing is opened before it is asked for."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from mixdata import audio
from mixdata.errors import SongError


@dataclass(frozen=True)
class Track:
    """One audio stream on disk. `stream` counts the audio streams of a container such as `.stem.mp4`."""

    path: Path
    stream: int = 0
    instrument: str | None = None

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
class Song:
    """One piece of music: a mixture, or stems, or both.

    `split` is the corpus's own (`train`, `valid`, `test`) or None. `groups` are the labels that must not cross
    splits, the most important first (`{"artist": …, "album": …, "folder": …}`); a song without any is a group
    of its own. `wet` says whether the stems carry effects: wet, dry, rendered or unknown.
    """

    title: str
    corpus: str
    mixture: Track | None = None
    stems: Mapping[str, Track] = field(default_factory=dict)
    raw: Mapping[str, Track] = field(default_factory=dict)
    split: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    licence: str = "unknown"
    wet: str = "unknown"

    @cached_property
    def sha256(self) -> str:
        """Hash of the audio alone: neither names of folders nor of files are in it."""
        lines = [f"{name} {track.sha256}" for name, track in self.tracks()]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def tracks(self) -> list[tuple[str, Track]]:
        """Return every track with its name, in a fixed order: mixture, stems, raw tracks."""
        whole = [] if self.mixture is None else [("mixture", self.mixture)]
        return [*whole, *sorted(self.stems.items()), *sorted(self.raw.items())]

    @property
    def id(self) -> str:
        """Slug of the title and eight hex digits of the content: `falcon-69-1f0c94aa`."""
        return f"{slug(self.title)}-{self.sha256[:8]}"

    @property
    def group(self) -> str:
        """The label that decides the split where the corpus has none: first of the groups, else the song itself."""
        for kind, name in self.groups.items():
            return f"{kind}:{_folded(name)}"
        return f"song:{self.sha256}"

    def main_track(self) -> Track:
        """The track that stands for the song's rate and length: the mixture, else the first stem."""
        if self.mixture is not None:
            return self.mixture
        for track in (*self.stems.values(), *self.raw.values()):
            return track
        raise SongError("empty", f"{self.title}: the song has neither mixture nor stems")


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def slug(text: str, longest: int = 40) -> str:
    """Return `text` in [a-z0-9_-], at most `longest` characters, never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:longest].strip("-") or "song"
