"""Crops of sets whose songs have tracks of varying number: a role has as many places as asked for, and the first of them are filled."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mixdata.errors import UsageError
from mixdata.loading.crops import Crop
from mixdata.loading.reading import Reader, decoding_threads
from mixdata.loading.table import Rows
from mixdata.rng import stream
from mixdata.shards.format import MOST_TRACKS, track_names
from mixdata.shards.reader import Dataset

Roles = dict[str, tuple[str, ...]]


class TrackReader(Reader):
    """Reads crops whose roles in `varying` hold as many stems as the song has tracks; the places behind them are zero.

    `draws`, a seed and the items of an epoch, brings each item's tracks in an order of their own.
    """

    def __init__(
        self, dataset: Dataset, rows: Rows, roles: Roles, records: bool, varying: Sequence[str], draws: tuple[int, int] | None = None
    ):
        super().__init__(dataset, rows.blocks, rows.activity, roles, records)
        assert rows.tracks is not None
        self.tracks = rows.tracks
        self._roles = [(role, stems, role in varying) for role, stems in roles.items()]
        self._places = len(roles[varying[0]])
        self._draws = draws
        self._by_count: dict[int, tuple[str, ...]] = {}

    def read(self, crop: Crop, audio: Sequence[np.ndarray], verify: bool, names: Sequence[str] | None = None, index: int = 0) -> np.ndarray:
        """As `Reader.read`; the rows that are returned are those of the tracks that there are, in the item's order."""
        if names is not None:
            return super().read(crop, audio, verify, names)
        held = int(self.tracks[crop.block])
        members = self._in_order(crop, index)
        filled = [array[:held] if varies else array for array, (_, _, varies) in zip(audio, self._roles, strict=True)]
        pieces = np.array([part[1:] for part in crop.parts], np.int64)
        self._shard(crop).read_into(members, pieces, filled, check=verify, threads=decoding_threads())
        for array, (_, _, varies) in zip(audio, self._roles, strict=True):
            if varies:
                array[held:] = 0
        return members

    def about(self, crop: Crop, members: np.ndarray | None = None, index: int = 0) -> dict[str, Any]:
        """As `Reader.about`, with `tracks`, how many there are, and, where they are shuffled, their `order`."""
        about = super().about(crop, self._in_order(crop, index) if members is None else members)
        held, order = int(self.tracks[crop.block]), self.order(crop, index)
        if self._roles[0][2]:
            mask = np.zeros(self._places, bool)
            mask[:held] = about["mask"][:held]
            about["mask"] = mask
            if order is not None:
                about["activity"] = np.concatenate([about["activity"][order], about["activity"][held:]])
        if order is not None:
            about["order"] = np.concatenate([order, np.full(self._places - held, -1)])
        return about | {"tracks": held}

    def order(self, crop: Crop, index: int) -> np.ndarray | None:
        """Return which track stands in which of the filled places, None where they stand as they are stored."""
        if self._draws is None:
            return None
        seed, items = self._draws
        return stream(seed, "tracks", *divmod(index, items)).permutation(int(self.tracks[crop.block]))

    def _in_order(self, crop: Crop, index: int) -> np.ndarray:
        """Return the rows `(parts, members)` of the members that the item has, role after role."""
        held = int(self.tracks[crop.block])
        if (names := self._by_count.get(held)) is None:
            names = tuple(f"{role}.{stem}" for role, stems, varies in self._roles for stem in (stems[:held] if varies else stems))
            self._by_count[held] = names
        members = self._members(self._shard(crop), crop, names)
        if (order := self.order(crop, index)) is None:
            return members
        columns: list[np.ndarray] = []
        begin = 0
        for _, stems, varies in self._roles:
            columns.append(begin + (order if varies else np.arange(len(stems))))
            begin += len(columns[-1])
        return np.ascontiguousarray(members[:, np.concatenate(columns)])


def choose_tracks(dataset: Dataset, roles: Roles, tracks: int | None, shuffle: bool) -> tuple[Roles, tuple[str, ...]]:
    """Return the roles with `tracks` places (None: as many as any example needs) where that varies, and the roles where it does."""
    varying = tuple(role for role in roles if role in dataset.variable)
    for name, asked in (("tracks", tracks is not None), ("shuffle_tracks", shuffle)):
        if asked and not varying:
            raise UsageError(f"{name}: every example has the same stems ({', '.join(roles)}); choose among them with stems=")
    if tracks is None:
        return roles, varying
    if isinstance(tracks, bool) or not isinstance(tracks, int) or not 1 <= tracks <= MOST_TRACKS:
        raise UsageError(f"tracks must be a whole number of 1 to {MOST_TRACKS}, got {tracks!r}")
    return {role: track_names(tracks) if role in varying else stems for role, stems in roles.items()}, varying


def refuse_longer(rows: Rows, places: int, split: str, where: str | None) -> None:
    """Raise `UsageError` where a block that may be drawn has more tracks than there are places."""
    assert rows.tracks is not None
    held = rows.tracks if rows.chosen is None else rows.tracks[rows.chosen]
    if more := int((held > places).sum()):
        condition = f"tracks <= {places}" if where is None else f"({where}) AND tracks <= {places}"
        raise UsageError(
            f"tracks={places}: {more} of the {len(held)} blocks of split {split!r} have more tracks, up to {int(held.max())}: "
            f'leave them out with where="{condition}", or ask for more'
        )
