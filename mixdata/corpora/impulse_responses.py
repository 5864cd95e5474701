"""A folder of impulse responses: rooms as groups, so that none is in two splits. What `mixdata index` adds is their decay time."""

from collections.abc import Iterator
from pathlib import Path

from mixdata.corpora.base import Folder, corpus, track, walk
from mixdata.effects.impulse_responses import room_of
from mixdata.song import Song, Track
from mixdata.text import cleaned

NOT_RESPONSES = ("babble", "fan", "ambient", "noise", "speech")  # what the ACE corpus has beside its `…_RIR.wav`


@corpus("impulse_responses")
def songs(root: Path) -> Iterator[Song]:
    """Every WAV, FLAC and AIFF file below, in the groups that the effect `convolution` deals to splits."""
    for found in _tracks(root, walk(root)):
        inner = found.path.relative_to(root)
        if inner.stem.lower().rpartition("_")[2] not in NOT_RESPONSES:
            yield Song(cleaned(inner.with_suffix("").as_posix()), mixture=found, groups={"room": room_of(inner)})


def _tracks(root: Path, folder: Folder) -> Iterator[Track]:
    yield from (track(root, path) for path in folder.files)
    yield from folder.refused
    for sub in folder.folders:
        yield from _tracks(root, sub)
