"""What a separator is, and the registry that recipes, CLI and docs read."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from pydantic import ValidationError

from mixdata.audio import resample
from mixdata.errors import SongError, UsageError
from mixdata.params import Params
from mixdata.shards.format import NAME
from mixdata.song import Song, Track
from mixdata.text import nearest

SLACK_SECONDS = 0.05  # by which a stem may be longer or shorter than its mixture
REST = "other"  # the stem that takes what no other owns
FOUR_STEMS = ("vocals", "drums", "bass", "other")


class Separator(Protocol):
    """A loaded separator. Call it with `(channels, frames)` float32 audio.

    `stems` names what it returns; `fingerprint` is a hash of all that decides its output (weights, settings, versions of
    its own algorithm); `describe()` goes into the record: what it is, weights, licence. `licence` is the id in `manifests/licences.yaml` of
    the terms of its weights (None: it has none), `trained_on` what is known of the music that they were trained on.
    """

    stems: tuple[str, ...]
    fingerprint: str
    licence: str | None = "unknown"
    trained_on: tuple[str, ...] = ()

    def __call__(
        self, audio: np.ndarray, sample_rate: int, *, song: Song | None = None, notes: list[str] | None = None
    ) -> dict[str, np.ndarray]:
        """Return one estimate per stem, shape and rate of the input, float32, neither clipped nor rescaled.

        What was used all the same but is worth a warning about this song is appended to `notes`, a sentence each.
        """
        ...

    def describe(self) -> dict[str, Any]: ...

    def song_fingerprint(self, song: Song | None) -> str:
        """Hash of all that decides the output for this song beside its own content: the key for caches.

        The separator's own fingerprint, unless it reads files of its own for the song.
        """
        return self.fingerprint


class SeparatorSettings(Params):
    """Base of each separator's settings: the fields that a recipe's `separate` step may set.

    A subclass narrows `separator: Literal["its name"]`, says in `main` which field `name:VALUE` sets, and loads.
    """

    separator: str
    cache: Literal["flac24", "float32", "off"] = "flac24"
    main: ClassVar[str | None] = None
    example: ClassVar[str] = ""

    def load(self) -> Separator:
        """Load weights and return the separator. Raises `MixdataError` with what to do where it cannot."""
        raise NotImplementedError

    def pinned(self, separator: Any) -> Self:
        """Return the settings with what `separator`, loaded from them, was really made of: hashes of weights."""
        return self


SEPARATORS: dict[str, type[SeparatorSettings]] = {}


def register(settings: type[SeparatorSettings]) -> type[SeparatorSettings]:
    """Add a separator's settings class to the registry under the literal of its `separator` field."""
    SEPARATORS[settings.model_fields["separator"].default] = settings
    return settings


def parse(spec: str) -> dict[str, Any]:
    """Split `demucs:htdemucs_ft` into the settings it stands for: `{"separator": "demucs", "model": "htdemucs_ft"}`."""
    name, _, value = spec.partition(":")
    settings = _settings_class(name)
    main = settings.main
    if main and not value and settings.model_fields[main].is_required():
        raise UsageError(f"separator {name!r} needs its {main}: write {name}:{settings.example}")
    if value and main is None:
        raise UsageError(f"separator {name!r} takes nothing after the colon, got {value!r}")
    return {"separator": name, **({main: value} if value and main else {})}


def load(spec: str | Mapping[str, Any]) -> Separator:
    """Load a separator from `name[:value]` or from a mapping of its settings.

    >>> separate = load("builtin")                                        # doctest: +SKIP
    >>> stems = separate(audio, 44100)                                    # doctest: +SKIP
    """
    settings = parse(spec) if isinstance(spec, str) else dict(spec)
    kind = _settings_class(settings.get("separator"))
    try:
        checked = kind(**settings)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"separator {settings['separator']!r}: {wrong}") from None
    return checked.load()


def _settings_class(name: Any) -> type[SeparatorSettings]:
    if name not in SEPARATORS:
        close = nearest(str(name), list(SEPARATORS))
        raise UsageError(
            f"unknown separator {name!r}{f'; did you mean {close!r}?' if close else ''} Use one of {', '.join(sorted(SEPARATORS))}"
        )
    return SEPARATORS[name]


def checked_stems(stems: list[str]) -> list[str]:
    """Return the names if each can be a stem's: they become file names, and `mixture` is the whole. Raises `ValueError`."""
    wrong = [name for name in stems if not NAME.fullmatch(name) or name in ("mixture", "record")]
    if wrong:
        raise ValueError(f"{wrong[0]!r} cannot be a stem's name: use [a-z0-9_-], at most 30 characters, and neither mixture nor record")
    if len(set(stems)) != len(stems):
        raise ValueError("two stems have the same name")
    return stems


def stem_like(track: Track, like: np.ndarray, sample_rate: int, what: str) -> tuple[np.ndarray, int]:
    """Read a stem in the shape and rate of the mixture `like` `(channels, frames)`.

    Up to 50 ms are padded or cut off at the end; the second value is how many frames (cut off above 0). Raises `SongError("length")`
    for more, before anything is decoded, so that a small file of hours of silence costs nothing.
    """
    info = track.info()
    off = info.frames / info.sample_rate - like.shape[-1] / sample_rate
    if abs(off) > SLACK_SECONDS:
        raise SongError("length", f"{what} is {abs(off):.2f} s {'longer' if off > 0 else 'shorter'} than the mixture")
    stem, rate = track.read()
    stem = with_channels(resample(stem, rate, sample_rate), like.shape[0], what)
    return with_frames(stem, like.shape[-1]), stem.shape[-1] - like.shape[-1]


def fingerprint_of(*parts: Any) -> str:
    """SHA-256 over plain values, as hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def checked_audio(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return `audio` as contiguous float32 `(channels, frames)`; refuse other shapes, no frames and non-finite samples."""
    if np.ndim(audio) != 2 or audio.shape[0] < 1:
        raise UsageError(f"audio must have the shape (channels, frames), got {np.shape(audio)}")
    if sample_rate <= 0:
        raise UsageError(f"sample_rate must be above 0, got {sample_rate}")
    if audio.shape[1] < 1:
        raise SongError("empty", "the audio has no frames")
    audio = np.ascontiguousarray(audio, dtype=np.float32)
    if not np.isfinite(audio).all():
        raise SongError("nonfinite", "the audio has samples that are not finite numbers")
    return audio


def with_channels(audio: np.ndarray, channels: int, what: str) -> np.ndarray:
    """Return `(channels, frames)`: one channel is duplicated, several are averaged to one; else `SongError("channels")`."""
    if audio.shape[0] == channels:
        return audio
    if audio.shape[0] == 1:
        return np.repeat(audio, channels, axis=0)
    if channels == 1:
        return audio.mean(axis=0, keepdims=True, dtype=np.float32)
    raise SongError("channels", f"{what} has {audio.shape[0]} channels where {channels} are needed: mix it down first")


def with_frames(audio: np.ndarray, frames: int) -> np.ndarray:
    """Return `(channels, frames)`: the end is cut off or filled with zeros."""
    if audio.shape[-1] >= frames:
        return audio[..., :frames]
    return np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(0, frames - audio.shape[-1])])
