"""Remixes in the loader: each stem of an item from a place of its own, with a gain, a channel swap and a polarity of its own.

What Demucs does to a batch (Remix, Scale, FlipChannels, FlipSign), done to an item: it depends on nothing but the seed, the epoch and
the item. Demucs' Shift has no word here, because every crop lies at a random place already.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixdata.errors import MixdataError, UsageError
from mixdata.kernels import kernel
from mixdata.loading.crops import Crop
from mixdata.loading.remix_words import read_words
from mixdata.recipes.distributions import draw
from mixdata.rng import stream, unit_draw
from mixdata.text import nearest

MIXTURE = "mixture"
CHUNK = 2048  # frames that are mixed at a time: they stay in the processor's first cache


@dataclass(frozen=True)
class Part:
    """Where a stem of an item comes from, and what is done to it. `scale` is the gain as a factor, a float32."""

    crop: Crop
    gain_db: float = 0.0
    scale: float = 1.0
    swapped: bool = False
    flipped: bool = False

    def record(self, key: str) -> dict[str, Any]:
        """Return what was drawn as plain data; `key` is the example that the crop's middle was drawn in."""
        drawn = {"gain_db": self.gain_db, "scale": self.scale, "swapped": self.swapped, "flipped": self.flipped}
        return {"key": key, "start": self.crop.start, "frames": self.crop.frames, **drawn}


@dataclass(frozen=True)
class Role:
    """What of a role is read and mixed.

    `given` are the stems that an item holds, `total` is the one that is the sum of the others, if that is among them; then `unseen` are
    those that are read for it alone. `sources` are the given and unseen stems without the total, in stored order; `places` says where
    each lies: among the given from 0 on, among the unseen from -1 down. Only a role that is `gained` gets the gains.
    """

    given: tuple[str, ...]
    total: str | None
    unseen: tuple[str, ...]
    sources: tuple[str, ...]
    places: np.ndarray
    gained: bool


class Remix:
    """Remixes the `roles` of a dataset that holds the roles `stored`, in which `sums` names totals (role: stem).

    A total that is asked for is made anew, as the sum of all other stems of its role. Raises `RecipeError` for words that mean nothing,
    `UsageError` for a mixture that is not said to be such a sum.
    """

    def __init__(
        self,
        words: str | Path | Mapping[str, Any],
        seed: int,
        channels: int,
        roles: Mapping[str, Sequence[str]],
        stored: Mapping[str, Sequence[str]],
        sums: Mapping[str, str],
    ):
        self.words, self.seed, self.channels = read_words(words), seed, channels
        self._stems = list(dict.fromkeys(stem for role, held in stored.items() for stem in held if stem != sums.get(role, MIXTURE)))
        _known("stem", self.words.stems, self._stems)
        _known("gain role", self.words.gain_roles, roles)
        gained = roles if self.words.gain_roles is None else self.words.gain_roles
        self.roles = {role: _role(role, tuple(stems), stored[role], sums.get(role), role in gained) for role, stems in roles.items()}
        read = {stem for role in self.roles.values() for stem in role.sources}
        moved = self._stems if self.words.stems is None else self.words.stems
        self._read = [(row, stem, stem in moved) for row, stem in enumerate(self._stems) if stem in read]

    @property
    def has_totals(self) -> bool:
        """Whether any role holds a mixture that is made anew."""
        return any(role.total for role in self.roles.values())

    def draw(self, epoch: int, item: int, attempt: int, own: Crop, elsewhere: Callable[[float, float], Crop]) -> dict[str, Part] | None:
        """Return the parts of an item by stem, or None where it is not remixed.

        `own` is the item's crop, `elsewhere` gives another by two numbers in [0, 1), for the block and the place in it. What is drawn for
        a stem does not depend on which others are read or take part.
        """
        words = self.words
        if unit_draw(item, self.seed, "remixed", epoch) >= words.probability:
            return None
        rng = stream(self.seed, "remix", epoch, item, attempt)
        numbers = rng.random((len(self._stems), 5)).tolist()
        gains = [self._gain(rng) for _ in self._stems]
        parts = {}
        for row, stem, moved in self._read:
            if not moved:
                parts[stem] = Part(own)
                continue
            stays, block, place, swap, flip = numbers[row]
            crop = own if stays < words.same_song else elsewhere(block, place)
            parts[stem] = Part(crop, *gains[row], swap < words.swap_channels and self.channels > 1, flip < words.flip_polarity)
        return parts

    def _gain(self, rng: np.random.Generator) -> tuple[float, float]:
        """Draw a gain: in dB, and as a factor rounded to float32."""
        if self.words.scale is not None:
            scale = float(np.float32(draw(self.words.scale, rng)))
            return 20 * float(np.log10(scale)), scale
        gain_db = 0.0 if self.words.gain_db is None else float(draw(self.words.gain_db, rng))
        return gain_db, float(np.float32(10 ** (gain_db / 20)))

    def fill(
        self, parts: Mapping[str, Part], audio: Mapping[str, np.ndarray], read: Callable[[Crop, list[str], list[np.ndarray]], None]
    ) -> None:
        """Write a remixed item into its arrays `(stems, channels, frames)` by role.

        `read(crop, names, arrays)` reads members `role.stem` of a crop. Stems of one place are read together.
        """
        wanted: dict[Crop, tuple[list[str], list[np.ndarray]]] = {}
        unseen = {}
        for name, samples in audio.items():
            role = self.roles[name]
            unseen[name] = np.empty((len(role.unseen), *samples.shape[1:]), np.float32)
            for stem, place in zip(role.sources, role.places, strict=True):
                names, arrays = wanted.setdefault(parts[stem].crop, ([], []))
                names.append(f"{name}.{stem}")
                arrays.append(samples[place] if place >= 0 else unseen[name][-1 - place])
        for crop, (names, arrays) in wanted.items():
            read(crop, names, arrays)
        for name, samples in audio.items():
            role = self.roles[name]
            factors, swaps = _turns([parts[stem] for stem in role.sources], role.gained)
            mix(samples, unseen[name], role.places, factors, swaps, -1 if role.total is None else role.given.index(role.total))

    def turn(self, role: str, part: Part, audio: np.ndarray) -> None:
        """Do to one stem's audio `(channels, frames)`, in place, what was drawn for it."""
        alone = audio[None]
        mix(alone, alone[:0], np.zeros(1, np.int64), *_turns([part], self.roles[role].gained), -1)

    def about(
        self, parts: Mapping[str, Part], name: str, exists: Callable[[Crop, str], bool], sounding: Callable[[Crop], np.ndarray]
    ) -> dict[str, Any]:
        """Return `mask` and `activity` of a role's stems, each in its own crop, and `valid_frames`, those of the longest crop.

        A total exists where any of its stems does; how much it sounds was not measured, which counts as all the time.
        """
        role = self.roles[name]
        mask = [
            exists(parts[stem].crop, f"{name}.{stem}")
            if stem != role.total
            else any(exists(parts[source].crop, f"{name}.{source}") for source in role.sources)
            for stem in role.given
        ]
        activity = [
            float(sounding(parts[stem].crop)[place]) if stem != role.total else float(mask[place]) for place, stem in enumerate(role.given)
        ]
        valid = max(part.crop.frames for part in parts.values())
        return {"mask": np.array(mask), "activity": np.array(activity, np.float32), "valid_frames": valid}


def sums_of(meta: Mapping[str, Any], path: Path | str) -> dict[str, str]:
    """Return by role which stem is the sum of the others, as dataset.json says."""
    try:
        return {str(entry["role"]): str(entry["total"]) for entry in meta.get("sums", ())}
    except (TypeError, KeyError):
        raise MixdataError(f"{path}: dataset.json is damaged, see sums; run `mixdata verify`") from None


def _role(name: str, given: tuple[str, ...], stored: Sequence[str], total: str | None, gained: bool) -> Role:
    if MIXTURE in given and total != MIXTURE:
        said = f"role {name} holds a mixture that the dataset does not promise to be the sum of its stems, so it cannot be made anew"
        raise UsageError(f"remix: {said}: leave it out (stems=…)")
    asked = total if total in given else None
    sources = tuple(stem for stem in stored if stem != total and (asked or stem in given))
    if not sources:
        raise UsageError(f"remix: role {name} holds no stems to make its {total} of")
    unseen = tuple(stem for stem in sources if stem not in given)
    places = np.array([given.index(stem) if stem in given else -1 - unseen.index(stem) for stem in sources])
    return Role(given, asked, unseen, sources, places, gained)


def _known(what: str, names: Sequence[str] | None, known: Iterable[str]) -> None:
    known = list(known)
    for name in names or ():
        if name not in known:
            meant = nearest(name, known)
            raise UsageError(
                f"remix: unknown {what} {name!r}{f'; did you mean {meant!r}?' if meant else ''} (there are {', '.join(known)})"
            )


def _turns(parts: Sequence[Part], gained: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return factors and swaps for `mix`."""
    factors = [(-1 if part.flipped else 1) * (part.scale if gained else 1) for part in parts]
    return np.array(factors, np.float32), np.array([part.swapped for part in parts], np.bool_)


@kernel
def mix(given, unseen, places, factors, swaps, total):  # type: ignore[no-untyped-def]
    """Swap the channels of stems `(stems, channels, frames)`, multiply them, and write the sum of all into given stem `total` (if ≥ 0).

    `places` is as in `Role`. All in place; the sum in float64, in the order of `places`, rounded once.
    """
    channels, frames = given.shape[1], given.shape[2]
    room = np.empty(CHUNK)
    for begin in range(0, frames, CHUNK):
        end = min(begin + CHUNK, frames)
        for number in range(len(places)):
            audio = _stem(given, unseen, places[number])
            for channel in range(channels // 2 if swaps[number] else 0):
                _swap(audio[channel, begin:end], audio[channels - 1 - channel, begin:end])
            for channel in range(channels if factors[number] != 1 else 0):
                _multiply(audio[channel, begin:end], factors[number])
        for channel in range(channels if total >= 0 else 0):
            sums = room[: end - begin]
            sums[:] = 0
            for number in range(len(places)):
                _add(sums, _stem(given, unseen, places[number])[channel, begin:end])
            given[total, channel, begin:end] = sums


@kernel
def _stem(given, unseen, place):  # type: ignore[no-untyped-def]
    return given[place] if place >= 0 else unseen[-1 - place]


# Loops over whole rows, which the compiler turns into vector instructions: ten times as fast as with the rows' indices inside.


@kernel
def _swap(left, right):  # type: ignore[no-untyped-def]
    for frame in range(len(left)):
        left[frame], right[frame] = right[frame], left[frame]


@kernel
def _multiply(row, factor):  # type: ignore[no-untyped-def]
    for frame in range(len(row)):
        row[frame] *= factor


@kernel
def _add(sums, row):  # type: ignore[no-untyped-def]
    for frame in range(len(sums)):
        sums[frame] += row[frame]
