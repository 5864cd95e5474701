"""Samples of somebody's tar as roles and stems, and what all samples of a dataset must share."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import google_crc32c

from mixdata.audio import HIGHEST_RATE, LOWEST_RATE
from mixdata.errors import MixdataError, UsageError
from mixdata.interchange.headers import AUDIO, UNREAD, AudioFacts, audio_facts
from mixdata.interchange.source import licence_of
from mixdata.interchange.tars import Sample, samples
from mixdata.shards.format import NAME
from mixdata.song import slug
from mixdata.text import readable, shown

LONGEST_KEY = 500  # characters
LONGEST_RECORD = 2**26  # bytes
MOST_STEMS = 1000  # of all roles; every sample has a row for each in the index


@dataclass(frozen=True)
class Stored:
    """A member's place and checksum."""

    byte_offset: int
    byte_size: int
    crc32c: int

    def row(self) -> dict[str, int]:
        """Return these columns of the member table."""
        return {"byte_offset": self.byte_offset, "byte_size": self.byte_size, "crc32c": self.crc32c}


@dataclass(frozen=True)
class Named:
    """A sample: key in the tar, id of ours, its audio by (role, stem), all of one length, and the record, if it has one."""

    where: str
    key: str
    song: str
    sha256: str
    start: int
    end: int
    audio: dict[tuple[str, str], Stored]
    facts: AudioFacts
    record: Stored | None
    licence: str | None

    @property
    def frames(self) -> int:
        return self.facts.frames


@dataclass(frozen=True)
class Layout:
    """What all samples of a dataset share."""

    roles: dict[str, tuple[str, ...]]
    codec: str
    channels: int
    sample_rate: int

    @property
    def members(self) -> list[tuple[str, str]]:
        return [(role, stem) for role, stems in self.roles.items() for stem in stems]

    @classmethod
    def of(cls, found: Sequence[Named]) -> "Layout":
        """Return what the samples share. Raises `MixdataError` that names the first that differs."""
        first = found[0]
        for sample in found:
            for what in ("codec", "channels", "sample_rate"):
                mine, theirs = getattr(sample.facts, what), getattr(first.facts, what)
                if mine != theirs:
                    raise MixdataError(
                        f"{sample.where}: its {what} is {mine}, that of {first.where} is {theirs}; one dataset has one: "
                        "import them apart, or convert them"
                    )
        if first.facts.sample_rate is None:
            raise UsageError(f"{first.where}: an npy does not tell its sample rate: give it with sample_rate= (--sample-rate)")
        roles: dict[str, dict[str, None]] = {}
        for role, stem in dict.fromkeys(name for sample in found for name in sample.audio):
            roles.setdefault(role, {})[stem] = None
        if (count := sum(map(len, roles.values()))) > MOST_STEMS:
            raise MixdataError(
                f"{first.where} and the others: {count} different stems are too many ({MOST_STEMS}); "
                "members are named <key>.<stem>.<ending>, and the key ends at the first dot"
            )
        return cls({role: tuple(stems) for role, stems in roles.items()}, first.facts.codec, first.facts.channels, first.facts.sample_rate)


def named_samples(path: Path, file: BinaryIO, role: str, sample_rate: int | None, ignored: Counter[str]) -> Iterator[Named]:
    """Yield the samples of an open tar. Members that are neither audio nor `json` are counted in `ignored` by their suffix."""
    for sample in samples(path, file):
        yield _named(path, file, sample, role, sample_rate, ignored)


def _named(path: Path, file: BinaryIO, sample: Sample, role: str, sample_rate: int | None, ignored: Counter[str]) -> Named:
    where = f"{path}: {shown(sample.key)}"
    if len(sample.key) > LONGEST_KEY:
        raise MixdataError(f"{where[:200]}…: a key of {len(sample.key)} characters is too long ({LONGEST_KEY})")
    audio: dict[tuple[str, str], Stored] = {}
    facts: dict[AudioFacts, str] = {}
    record, content = None, {}
    digest = hashlib.sha256(sample.key.encode("utf-8", "backslashreplace"))
    for suffix, member in sample.members.items():
        name, _, ending = suffix.rpartition(".")
        member_where = f"{where}.{shown(suffix)} ({member.place})"
        if f".{ending}" in UNREAD:
            raise MixdataError(f"{member_where}: .{ending} cannot be read in place; convert it to FLAC, WAV or npy")
        if f".{ending}" not in AUDIO and suffix != "json":
            ignored[shown(suffix)] += 1
            continue
        if suffix == "json" and member.byte_size > LONGEST_RECORD:
            raise MixdataError(f"{member_where}: too large for a record")
        file.seek(member.byte_offset)
        data = file.read(member.byte_size)
        stored = Stored(member.byte_offset, member.byte_size, google_crc32c.value(data))
        digest.update(f"\n{suffix} {member.byte_size} {stored.crc32c}".encode("utf-8", "backslashreplace"))
        if suffix == "json":
            record, content = stored, _json(data, member_where)
            continue
        place = _role_and_stem(name, role, member_where)
        if place in audio:
            raise MixdataError(f"{member_where}: {'.'.join(place)} stands twice in its sample")
        audio[place] = stored
        facts.setdefault(audio_facts(data, f".{ending}", member_where), member_where)
    if not audio:
        raise MixdataError(f"{where}: has no audio ({', '.join(map(shown, sample.members))}); members end in .flac, .wav or .npy")
    if len(facts) > 1:
        told = "; ".join(f"{at}: {fact.codec}, {fact.channels} x {fact.frames}, {fact.sample_rate} Hz" for fact, at in facts.items())
        raise MixdataError(f"{where}: its members differ in codec, channels, length or rate: {told}")
    (fact,) = facts
    if fact.sample_rate is None:
        known = content.get("sample_rate")
        rate = known if isinstance(known, int) and not isinstance(known, bool) and known > 0 else sample_rate
        if rate is not None and not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise MixdataError(f"{where}: its sample rate is {rate} Hz, not {LOWEST_RATE} to {HIGHEST_RATE}")
        fact = AudioFacts(fact.codec, fact.channels, fact.frames, rate)
    sha256 = digest.hexdigest()
    song = f"{slug(sample.key, 1000)[-40:].strip('-') or 'song'}-{sha256[:8]}"
    return Named(where, readable(sample.key), song, sha256, sample.start, sample.end, audio, fact, record, licence_of(content))


def _role_and_stem(name: str, role: str, where: str) -> tuple[str, str]:
    given, dot, stem = name.rpartition(".")
    place = (given if dot else role, stem or "mixture")
    if not all(NAME.fullmatch(part) for part in place):
        raise MixdataError(f"{where}: is not named <key>.<stem>.<ending> or <key>.<role>.<stem>.<ending> with names in [a-z0-9_-]")
    if dot and given.isdecimal():
        raise MixdataError(f"{where}: would be of the role {given!r}: the key ends at the first dot. Write keys without dots")
    return place


def _json(data: bytes, where: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MixdataError(f"{where}: is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise MixdataError(f"{where}: is no JSON object")
    return content
