"""Songs of mirdata's datasets.

A multitrack's tracks are its raw tracks, and their sums by instrument its stems. Where a track has several files, these are either
players of one part (phenicx_anechoic), all of which are summed, or pictures of the same source by several microphones (dagstuhl_choirset),
of which the one is summed that mirdata would mix (`track_audio_property`), else the first; the others are raw tracks alone. Files of the
multitrack itself are its mix (key `mix` or `audio`) or raw tracks that hold the whole. A dataset without multitracks is read likewise,
each track with its files, where the keys name instruments.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mixdata import audio
from mixdata.corpora._files import track
from mixdata.corpora._mirdata import LABELS, SPLITS, Dataset, audio_of, told
from mixdata.errors import SongError
from mixdata.song import Song, Track, slug
from mixdata.taxonomy import group_of, grouped
from mixdata.text import cleaned, readable

MIXES = ("mix", "audio")  # keys, without "audio_" or "audio-" before them


@dataclass(frozen=True)
class Channel(Track):
    """One channel of a file, for corpora that keep stems in channels."""

    channel: int = 0

    def info(self) -> audio.AudioInfo:
        """Return what the file's header says, of one channel. Raises `SongError` where the file has no such channel."""
        info = super().info()
        self._check(info.channels)
        return audio.AudioInfo(info.sample_rate, 1, info.frames, info.codec)

    def read(self, start: int = 0, frames: int | None = None) -> tuple[np.ndarray, int]:
        """Return `(1, frames)`, and the rate."""
        samples, rate = super().read(start, frames)
        self._check(samples.shape[0])
        return samples[self.channel : self.channel + 1], rate

    @property
    def sha256(self) -> str:
        """Hash of the file and the channel's number."""
        return f"{super().sha256}:{self.channel}"

    def _check(self, channels: int) -> None:
        if channels <= self.channel:
            raise SongError("channels", f"{readable(self.path)}: {channels} channels, so there is no channel {self.channel}")


def multitrack(of: Dataset, name: str) -> Song:
    """Return the song of a multitrack."""
    entry, about = of.index["multitracks"][name], of.about("multitrack", name)
    raw: dict[str, Track] = {}
    summed: dict[str, Track] = {}
    mixed = told(about, "track_audio_property")
    for member in entry.get("tracks", []):
        found = audio_of(of.index.get("tracks", {}).get(member, {}))
        short = member.removeprefix(name).strip("-_ .") or member
        label = told(of.about("track", member), *LABELS) or (short if group_of(short) else of.notes.label or short)
        keys = list(found)
        if mixed in of.index.get("tracks", {}).get(member, {}):  # one file of each track is mixed, so the others show the same
            keys = [mixed] if mixed in found else keys[:1]
        for key, path in found.items():
            part = _part(key)
            called = short if len(found) == 1 and part == "" else part if slug(part).startswith(slug(short)) else f"{short}_{part}"
            raw[free := _free(called, raw)] = replace(track(of.root, of.root / path), instrument=label)
            if key in keys:
                summed[free] = raw[free]
    whole = audio_of(entry)
    mix = next((path for key, path in whole.items() if (_part(key) or "audio") in MIXES), None)
    for key, path in whole.items():
        if path != mix:
            raw[_free(_part(key) or key, raw)] = replace(track(of.root, of.root / path), facts={"of": "the whole"})
    return _song(of, name, about, raw, summed, mix)


def single(of: Dataset, name: str) -> Song:
    """Return the song of a track."""
    about, found = of.about("track", name), audio_of(of.index["tracks"][name])
    if len(found) == 1:
        (path,) = found.values()
        stems = {stem: Channel(of.root / path, instrument=stem, channel=at) for stem, at in of.notes.channels.items()}
        if not stems:
            song = _song(of, name, about, {}, {}, path)
            return replace(song, mixture=song.mixture or song.published, published=None)  # it is all there is of the song
        return replace(_song(of, name, about, {}, {}, None), stems=stems)
    mix = next((path for key, path in found.items() if _part(key) == "mix"), None)
    parts = {_part(key) or key: path for key, path in found.items() if path != mix}
    named = any(group_of(part) for part in parts)
    label = of.notes.label or told(about, *LABELS)
    raw: dict[str, Track] = {}
    for part, path in parts.items():
        raw[_free(part, raw)] = replace(track(of.root, of.root / path), instrument=_instrument(part) if named else label)
    return _song(of, name, about, raw, raw if named else {}, mix)


def _song(of: Dataset, name: str, about: Any, raw: dict[str, Track], summed: Mapping[str, Track], mix: str | None) -> Song:
    stems, unknown = grouped(summed) if of.notes.sources else ({}, [])
    mixed = None if mix is None else track(of.root, of.root / mix)
    is_sum = of.notes.mix == "mixture"
    groups = {"artist": told(about, of.notes.artist) if of.notes.artist else None, "piece": _piece(of, name)}
    return Song(
        cleaned(name),
        mixture=mixed if is_sum else None,
        published=None if is_sum else mixed,
        stems=stems,
        raw=raw,
        split=SPLITS.get((told(about, "split") or "").lower()),
        groups={kind: f"{of.name} {value}" for kind, value in groups.items() if value},
        licence=of.licence or "unknown",
        wet=of.notes.wet,
        free_lengths=True,
        facts={"dataset": of.name, "version": str(of.index.get("version", "")), "id": name},
        errata=tuple(f"unknown instrument {label!r}: counted as other" for label in unknown),
    )


def _piece(of: Dataset, name: str) -> str | None:
    found = re.search(of.notes.piece, name) if of.notes.piece else None
    return found[1] if found else None


def _part(key: str) -> str:
    """Return what a key says beside being audio: `audio_horn1` is `horn1`, `audio` is nothing."""
    return re.sub(r"^audio[-_]?", "", key)


def _instrument(part: str) -> str:
    """Return an instrument's name without the side of a pair of microphones: `mridangam-left` is `mridangam`."""
    return re.sub(r"[-_](left|right|[slr]|[0-9]+)$", "", part)


def _free(name: str, taken: Mapping[str, Track]) -> str:
    name = slug(name)
    return name if name not in taken else next(free for i in range(2, len(taken) + 3) if (free := f"{name}_{i}") not in taken)
