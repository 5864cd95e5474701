"""Songs, artists and recordings that several sets or splits share."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Literal

from mixdata.leaks import overlaps
from mixdata.leaks.cache import fingerprints
from mixdata.leaks.fingerprint import Match, match
from mixdata.leaks.index import candidates
from mixdata.leaks.names import folded, known_artist, words
from mixdata.song import Song, Track, slug
from mixdata.text import cleaned

UNKNOWN = "unknown"  # the split of a song of which nothing but a build can tell
Kind = Literal["same_song", "artist", "recording", "loop", "trained_on"]


@dataclass(frozen=True)
class Entry:
    """A song as far as leaks go: where it is, its split, what it is known as, and its tracks where they can be heard."""

    place: str
    corpus: str
    title: str
    split: str
    artist: str = ""
    labels: frozenset[str] = frozenset()
    tracks: tuple[tuple[str, Track], ...] = ()

    @classmethod
    def of(cls, song: Song, split: str, place: str, listen: bool = True) -> "Entry":
        """Return the entry of a song."""
        tracks = tuple(song.tracks()) if listen else ()
        return cls(place, song.corpus, cleaned(song.title), split, song.groups.get("artist") or "", overlaps.known_as(song), tracks)

    @property
    def name(self) -> str:
        """What the song goes by in the names of leaks. Titles of which a slug leaves out letters are told apart by a hash."""
        lost = "" if folded(self.title).isascii() else f"-{sha256(self.title.encode()).hexdigest()[:6]}"
        return f"{self.corpus}/{slug(self.title, 80)}{lost}"

    def __str__(self) -> str:
        return f"{self.corpus}: {self.title}"


@dataclass(frozen=True)
class Leak:
    """Something that two songs share. It is a leak where their splits differ; `name` is how it can be allowed.

    `within`: both are of one corpus, as its makers parted it. A `loop` is no leak: two songs may have it from the same shelf.
    """

    kind: Kind
    name: str
    split_a: str
    split_b: str
    song_a: str
    song_b: str
    evidence: str
    within: bool = False

    @property
    def crosses(self) -> bool:
        """Whether it is a leak between splits, as far as both are known."""
        return self.kind != "loop" and self.split_a != self.split_b and UNKNOWN not in (self.split_a, self.split_b)


@dataclass(frozen=True)
class Found:
    """The leaks, those between splits first; the tracks that could not be read, and how many have no fingerprint."""

    leaks: tuple[Leak, ...] = ()
    unread: tuple[str, ...] = ()
    silent: int = 0
    heard: int = 0


def find_leaks(sets: Sequence[Sequence[Entry]], audio: bool = True, cache: Path | None = None, quiet: bool = False) -> Found:
    """Compare all songs of the sets by what they are known as, by artist and (with `audio`) by fingerprint."""
    entries = [entry for songs in sets for entry in songs]
    named = list(_same_songs(entries))
    known = {_pair(leak) for leak in named}
    leaks = [*named, *_artists(entries)]
    found = _recordings(entries, cache, quiet) if audio else Found()
    leaks += [leak for leak in found.leaks if _pair(leak) not in known]
    return replace(found, leaks=tuple(sorted(leaks, key=lambda leak: (not leak.crosses, leak.within, leak.kind, leak.name))))


def separated_leaks(entries: Iterable[Entry], separator: str) -> list[Leak]:
    """Return the splits that hold songs on which the separator of their stems was trained, one leak for each.

    Such stems are cleaner than any that the trained model will meet. In a test split, what is measured there is wrong.
    """
    seen = overlaps.seen_by(separator)
    songs: dict[tuple[str, tuple[str, str]], list[Entry]] = defaultdict(list)
    for entry in entries:
        place = overlaps.place_of(entry.corpus, entry.split, entry.labels)
        if place in seen:
            songs[entry.split, place].append(entry)
    return [
        Leak(
            "trained_on",
            f"trained_on:{separator}~{split}",
            "train",
            split,
            separator,
            str(found[0]),
            f"{separator} was trained on {len(found)} songs of the split {split} ({corpus} {official}): stems too clean to be true",
        )
        for (split, (corpus, official)), found in sorted(songs.items())
    ]


def _same_songs(entries: Sequence[Entry]) -> Iterator[Leak]:
    by_label = defaultdict(list)
    for entry in entries:
        for label in sorted(entry.labels):
            by_label[label].append(entry)
    told = set()
    for _, group in sorted(by_label.items()):
        for one, other in _apart(group):
            name = f"song:{'~'.join(sorted((one.name, other.name)))}"
            if (key := (name, one.split, other.split)) not in told:
                told.add(key)
                yield _leak("same_song", name, one, other, "the same artist and title, or known to be the same")


def _artists(entries: Sequence[Entry]) -> Iterator[Leak]:
    by_artist = defaultdict(list)
    for entry in entries:
        if artist := known_artist(entry.artist):
            by_artist[artist].append(entry)
    for _, group in sorted(by_artist.items()):
        # Where two sets hold a song in the same split, the second adds nothing to what the first shares between its splits.
        if pairs := _apart(_once(group)) or _apart(group):
            one, other = min(pairs, key=lambda pair: (pair[0].split == pair[1].split, pair[0].place == pair[1].place))
            counts = Counter((entry.corpus, entry.split) for entry in group)
            evidence = f"{one.artist}: " + ", ".join(f"{count} in {corpus} {split}" for (corpus, split), count in sorted(counts.items()))
            yield _leak("artist", f"artist:{words(one.artist)}", one, other, evidence)


def _recordings(entries: Sequence[Entry], cache: Path | None, quiet: bool) -> Found:
    owners = [number for number, entry in enumerate(entries) for _ in entry.tracks]
    tracks = [named for entry in entries for named in entry.tracks]
    prints = fingerprints([track for _, track in tracks], cache, quiet)
    unread = tuple(f"{entries[owner]} ({name})" for owner, (name, _), found in zip(owners, tracks, prints, strict=True) if found is None)
    heard = [number for number, found in enumerate(prints) if found]
    sides = {side: number for number, side in enumerate(dict.fromkeys((entry.place, entry.split) for entry in entries))}
    kinds = [sides[entries[owners[number]].place, entries[owners[number]].split] for number in heard]
    best: dict[tuple[int, int], tuple[Match, str, str]] = {}
    for a, b in candidates([found for found in prints if found], kinds):
        one, other = heard[a], heard[b]
        first, second = prints[one], prints[other]
        agreement = match(first, second) if first is not None and second is not None else Match()
        pair = owners[one], owners[other]
        worth = agreement.same, agreement.matched
        if (agreement.same or agreement.loop) and (pair not in best or worth > (best[pair][0].same, best[pair][0].matched)):
            best[pair] = agreement, tracks[one][0], tracks[other][0]
    return Found(
        tuple(_recording(entries, pair, *found) for pair, found in sorted(best.items())),
        unread,
        len(prints) - len(heard) - len(unread),
        len(heard),
    )


def _recording(entries: Sequence[Entry], pair: tuple[int, int], agreement: Match, track_a: str, track_b: str) -> Leak:
    one, other = (entries[number] for number in pair)
    kind: Kind = "recording" if agreement.same else "loop"
    what = "are the same recording" if agreement.same else "sound the same, but repeat themselves: perhaps one loop in two songs"
    evidence = (
        f"{track_a} and {track_b} {what}; {agreement.matched} landmarks agree, {agreement.score:.0%} of them, "
        f"{agreement.offset_seconds:+.2f} s apart"
    )
    return _leak(kind, f"{kind}:{'~'.join(sorted((one.name, other.name)))}", one, other, evidence)


def _leak(kind: Kind, name: str, one: Entry, other: Entry, evidence: str) -> Leak:
    return Leak(kind, name, one.split, other.split, str(one), str(other), evidence, within=one.place == other.place)


def _pair(leak: Leak) -> frozenset[tuple[str, str]]:
    return frozenset(((leak.song_a, leak.split_a), (leak.song_b, leak.split_b)))


def _once(group: Sequence[Entry]) -> list[Entry]:
    """Return the songs without those that an earlier one of the same split is."""
    seen, kept = set[tuple[str, str]](), []
    for entry in group:
        labels = {(entry.split, label) for label in entry.labels}
        if not labels & seen:
            kept.append(entry)
        seen |= labels
    return kept


def _apart(group: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    """Return pairs of songs that differ in set or split, one for each two sets and splits."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in group:
        first.setdefault((entry.place, entry.split), entry)
    return list(combinations(first.values(), 2))
