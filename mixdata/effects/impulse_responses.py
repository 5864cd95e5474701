"""Folders of impulse responses: which there are, which rooms they belong to, and which split may hear which room.

    responses = ImpulseResponses.open("rooms")        # rooms/hall/left.wav, rooms/hall/right.wav, rooms/plate.wav: rooms hall and plate
    Convolution(responses.responses[0].sha256, mix=0.4)(dry, sample_rate)

A response is known by the SHA-256 of its file. Opening a folder makes its responses known in this process, and in those that the opened
folder is sent to; they are read when they are first used.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mixdata.audio import file_sha256, inside, probe, read
from mixdata.errors import AudioError, EffectError
from mixdata.rng import unit_hash
from mixdata.text import cleaned, readable

EXTENSIONS = frozenset({".wav", ".wave", ".flac", ".aif", ".aiff"})
SHORTEST_SECONDS, LONGEST_SECONDS = 0.001, 20.0
QUIETEST_PEAK = 1e-7
CHANNELS = 2  # what an effect uses of a response

# J. Eaton, N. D. Gaubitch, A. H. Moore, P. A. Naylor, "The ACE challenge: corpus description and performance evaluation", WASPAA 2015
ACE_ARRAYS = frozenset({"Single", "Mobile", "Chromebook", "Crucif", "Lin8Ch", "EM32"})

_paths: dict[str, str] = {}


@dataclass(frozen=True)
class ImpulseResponse:
    """One file: its path below the folder, and the room that it was measured in."""

    path: str
    room: str
    sha256: str
    seconds: float
    channels: int
    sample_rate: int


@dataclass(frozen=True)
class ImpulseResponses:
    """The responses of a folder, sorted by path, and why others were left out (path and reason)."""

    root: str
    responses: tuple[ImpulseResponse, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @classmethod
    def open(cls, folder: str | Path) -> "ImpulseResponses":
        """Read every WAV, FLAC and AIFF file in a folder and below.

        Its room is the first sub-folder, or the file's name without the ending where files lie loose. What is no response (silent, not
        finite, shorter than 1 ms or longer than 20 s, unreadable, a file that was there already) is left out, with one warning.
        Raises `EffectError` where no response is left.
        """
        root = Path(folder)
        if not root.is_dir():
            raise EffectError(f"{readable(folder)}: there is no such folder of impulse responses")
        found: dict[str, ImpulseResponse] = {}
        skipped = []
        for path in _files(root):
            name = readable(path.relative_to(root).as_posix())
            try:
                response = _measured(root, path)
                if response.sha256 in found:
                    raise AudioError("duplicate", f"the same file as {found[response.sha256].path}")
                found[response.sha256] = response
            except AudioError as error:
                skipped.append((name, error.message))
        if not found:
            raise EffectError(f"{readable(folder)}: no usable impulse response in it ({_reasons(skipped) or 'no WAV, FLAC or AIFF file'})")
        if skipped:
            warnings.warn(f"{readable(folder)}: {len(skipped)} files left out: {_reasons(skipped)}", stacklevel=2)
        return cls(os.path.abspath(root), tuple(found.values()), tuple(skipped))

    def __post_init__(self) -> None:
        for response in self.responses:
            _paths[response.sha256] = os.path.join(self.root, response.path)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms, sorted."""
        return tuple(sorted({response.room for response in self.responses}))

    @property
    def fingerprint(self) -> str:
        """A SHA-256 over every response and its room: equal where the same responses would be drawn for each split."""
        pairs = sorted([response.sha256, response.room] for response in self.responses)
        return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()

    def for_split(self, split: str, shares: Mapping[str, float]) -> tuple[ImpulseResponse, ...]:
        """Return the responses of the rooms that belong to a split.

        Rooms are dealt in an order fixed by their names, each to one split: one to each split with a share, the rest as `shares` wants it.
        Raises `EffectError` where there are fewer rooms than splits, or the split has no share.
        """
        rooms = _dealt(self.rooms, shares).get(split)
        if rooms is None:
            raise EffectError(
                f"{readable(self.root)}: no room for the split {split!r}: give it a share above 0, as {dict(shares)} does not"
            )
        return tuple(response for response in self.responses if response.room in rooms)


def path_of(sha256: str) -> str:
    """Return where a response lies. Raises `EffectError` where no opened folder has it."""
    if sha256 not in _paths:
        raise EffectError(
            f"convolution.impulse_response {sha256[:12]}… is not known: open the folder that has it first, "
            "by mixdata.effects.impulse_responses.ImpulseResponses.open(folder)"
        )
    return _paths[sha256]


@lru_cache(maxsize=32)
def load(sha256: str) -> tuple[np.ndarray, int]:
    """Return the first two channels of a known response and its sample rate. Raises `EffectError` where the file has changed."""
    path = path_of(sha256)
    try:
        if file_sha256(path) != sha256:
            raise EffectError(f"{readable(path)}: the file has changed since its folder was opened: open it again")
        response, rate = read(path)
    except AudioError as error:
        raise EffectError(f"an impulse response cannot be read any more: {error}") from error
    return np.ascontiguousarray(response[:CHANNELS]), rate


def _files(root: Path) -> Iterator[Path]:
    """Yield what has the name of an audio file, sorted by path; folders behind links are not entered."""
    found = [Path(folder) / name for folder, _, names in os.walk(root) for name in names if not name.startswith(".")]
    yield from sorted(path for path in found if path.suffix.lower() in EXTENSIONS)


def _measured(root: Path, path: Path) -> ImpulseResponse:
    """Return a file's facts. Raises `AudioError` where it is no impulse response."""
    if not inside(root, path):
        raise AudioError("outside_root", "a link to a place outside the folder")
    info = probe(path)
    if not SHORTEST_SECONDS <= info.seconds <= LONGEST_SECONDS:
        raise AudioError("length", f"{info.seconds:.4g} s long; an impulse response has {SHORTEST_SECONDS:g} to {LONGEST_SECONDS:g} s")
    sha256 = file_sha256(path)
    response, rate = read(path)
    if np.abs(response[:CHANNELS]).max() < QUIETEST_PEAK:
        raise AudioError("silent", "silent")
    inner = path.relative_to(root)
    return ImpulseResponse(inner.as_posix(), room_of(inner), sha256, info.seconds, info.channels, rate)


def room_of(inner: PurePath) -> str:
    """Return the room of a response at this place in its folder: the first sub-folder, else its own name.

    The sub-folders of the ACE corpus name the microphone array first (`Single/Office_1/1/Single_403_1_RIR.wav`): there it is the second.
    """
    parts = inner.parts[1:] if inner.parts[0] in ACE_ARRAYS and len(inner.parts) > 2 else inner.parts
    return cleaned(parts[0] if len(parts) > 1 else inner.stem)


def _dealt(rooms: tuple[str, ...], shares: Mapping[str, float]) -> dict[str, set[str]]:
    """Return the rooms of each split with a share."""
    splits = sorted(split for split, share in shares.items() if share > 0)
    if len(rooms) < len(splits):
        raise EffectError(
            f"{len(rooms)} rooms of impulse responses cannot be dealt to {len(splits)} splits ({', '.join(splits)}): none may be in two. "
            "Add responses from other rooms, each room in a sub-folder of its own, or give fewer splits a share (--set 'splits={train: 1}')"
        )
    total = sum(shares[split] for split in splits)
    counts = dict.fromkeys(splits, 1)
    for _ in range(len(rooms) - len(splits) if splits else 0):
        counts[max(splits, key=lambda split: shares[split] / total * len(rooms) - counts[split])] += 1
    queue = sorted(rooms, key=lambda room: unit_hash("room", room))
    dealt = {}
    for split in splits:
        dealt[split], queue = set(queue[: counts[split]]), queue[counts[split] :]
    return dealt


def _reasons(skipped: list[tuple[str, str]]) -> str:
    shown = [f"{name}: {reason}" for name, reason in skipped[:5]]
    return "; ".join(shown + ["…"] * (len(skipped) > 5))
