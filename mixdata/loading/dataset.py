"""Crops of a dataset as a map-style torch dataset."""

import hashlib
import json
import operator
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset as TorchDataset

from mixdata.errors import DamageError, MixdataError, UsageError
from mixdata.loading.adapt import adapting
from mixdata.loading.choice import choose_stems, known
from mixdata.loading.compact import Shared
from mixdata.loading.crops import Crop, place_crop, pre_rolled, song_of
from mixdata.loading.order import Picks, crop_draw
from mixdata.loading.reading import Reader
from mixdata.loading.table import open_rows
from mixdata.loading.tracks import TrackReader, choose_tracks, refuse_longer
from mixdata.rng import unit_draw
from mixdata.shards.reader import open_dataset

LONGEST_CROP = 3600  # seconds
VERIFY = {"off": 0.0, "sample": 0.001, "crc": 1.0}  # share of the items whose members are compared with their checksums
MOST_DAMAGED = 100  # items in a row that may be replaced before it is no longer a matter of a few bad members

Item = dict[str, Any]


class ShardDataset(Shared, TorchDataset[Item]):
    """Crops of a dataset's split, as a map-style torch dataset.

    `path` is a folder or a URL (`s3://…`, `https://…`, `hf://…`).
    `crop` is the length in seconds; None gives whole examples. Where the dataset is continuous, crops run over the borders of a song's
    blocks; elsewhere they stay inside one. Material shorter than the crop is followed by zeros, see `valid_frames`.
    `roles` (default: all) and `stems` (for all roles, or by role) choose what is read, in this order.

    Which blocks: `where` is a condition in SQL on the columns of examples.parquet, `weights` an SQL expression by which blocks are drawn
    more or less often, see `mixdata.loading.query`; `missing="require"` takes only blocks in which every chosen stem of the first role
    sounds. With any of them the crop's middle lies in the block itself. `epoch_items` sets the length of an epoch (default: the number
    of blocks); blocks then come in a shuffled order that goes on over epochs, each once per pass.

    `channels` (1: their mean, 2) and `sample_rate` say what comes out, also in the dataset's attributes of those names; frames and places
    in an item are of that rate. A crop is the same as in the whole song resampled, to 1e-5 of full scale. Effects work on what is stored.

    An item holds one `(stems, channels, frames)` float32 tensor per role, and
    `mask` (stems,) bool: which stems of the first role exist; `activity` (stems,): the share of time in which they sound;
    `valid_frames`: frames before the padding; `key`: the example that the crop's middle was drawn in; `start`: the crop's first frame in
    the song; with `records=True` also `record`: that example's JSON as text.

    Where songs have tracks of varying number (role `input` of `automix`), such a role has as many places as any example has tracks, or
    `tracks` of them: a song's tracks come first, the places behind them are zero, with `mask` False and `activity` 0. The item's
    `tracks` says how many there are; a `mask` that is False before that is of a track that is there and silent. Blocks with more than
    `tracks` are refused: leave them out with `where`. `shuffle_tracks` brings each item's tracks in an order of its own, so that a model
    cannot learn places: `order` (places,) then says which of the stored t000, t001, … stands where, -1 for none.

    `effects` makes wet/dry pairs of role `dry` on the fly: a recipe with an `effects` step, or that step's words. The item then holds
    `input` and `target` in place of `dry`, and with `records=True` also `effects`: the pairs' records as JSON text.

    `remix` makes an item's stems of places of their own, with gains, channel swaps and polarities of their own: words as in
    `mixdata.loading.remix.Words`, or a YAML file of them. The first role's `mask` and `activity` are then those of each stem's own crop,
    `valid_frames` those of the longest, and mixtures are summed anew; with `records=True` the item also holds `remix`: what was drawn for
    each stem as JSON text, `{}` where the item is not remixed. With `effects`, dry stems are remixed first.

    `verify` compares members with their checksums: "crc" each that is read, "sample" those of one item in a thousand, "off" none.
    A damaged or missing member is an error that names it; with `damaged="skip"` the item is made of another block, and `skipped` in the
    item says how many were tried in vain. A server that does not answer is an error in either case.

    `cache_dir` keeps decoded samples on a local disk, at most `cache_bytes`: from the second epoch on, FLAC and remote sets are read as
    fast as `npy16`. `access="pread"` reads where the default maps files into memory: for network file systems, on which a mapped file
    that changes kills the process.
    """

    def __init__(
        self,
        path: str | Path,
        split: str = "train",
        crop: float | None = 6.0,
        roles: Sequence[str] | None = None,
        stems: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
        seed: int = 0,
        records: bool = False,
        epoch_items: int | None = None,
        effects: str | Path | Mapping[str, Any] | None = None,
        *,
        remix: str | Path | Mapping[str, Any] | None = None,
        where: str | None = None,
        weights: str | None = None,
        missing: str = "mask",
        channels: int | None = None,
        sample_rate: int | None = None,
        verify: str = "sample",
        damaged: str = "raise",
        access: str = "map",
        cache_dir: str | Path | None = None,
        cache_bytes: int | None = None,
        storage_options: Mapping[str, Any] | None = None,
        tracks: int | None = None,
        shuffle_tracks: bool = False,
    ):
        for name, value, choices in (
            ("verify", verify, VERIFY),
            ("damaged", damaged, ("raise", "skip")),
            ("missing", missing, ("mask", "require")),
        ):
            known(name, value, choices)
        self.dataset = open_dataset(path, access=access, cache_dir=cache_dir, cache_bytes=cache_bytes, storage_options=storage_options)
        self._adapt = adapting(self.dataset, sample_rate, channels)
        self.sample_rate = self._adapt.to_rate
        self.channels = self._adapt.to_channels
        self.seed = int(seed)
        self.records = records
        self.roles = choose_stems(self.dataset.roles, roles, stems, self.dataset.variable)
        if crop is not None and not 1 / self.sample_rate <= crop <= LONGEST_CROP:
            raise UsageError(f"crop must be longer than 0 and at most {LONGEST_CROP} seconds, got {crop}")
        self._effects: Any = None if effects is None else self._on_the_fly(effects)
        self.crop_frames = None if crop is None else round(crop * self.sample_rate)
        self._stored_frames = None if self.crop_frames is None else self._adapt.least(self.crop_frames)
        if epoch_items is not None and epoch_items < 1:
            raise UsageError(f"epoch_items must be at least 1, got {epoch_items}")
        known("split", split, self.dataset.splits)
        self.split = split
        self._verify, self._skip = VERIFY[verify], damaged == "skip"
        self.roles, self._varying = choose_tracks(self.dataset, self.roles, tracks, shuffle_tracks)
        varies = next(iter(self.roles)) in self._varying
        rows = open_rows(self.dataset, split, self.first_stems, where=where, weights=weights, require=missing == "require", varying=varies)
        self.blocks = rows.blocks
        self._picks = Picks(self.seed, len(rows.blocks), rows.chosen, epoch_items, rows.weights)
        self._arrays = ("mask", "activity", "order") if shuffle_tracks else ("mask", "activity")  # in an item, besides audio
        self._reader: Reader
        if self._varying:
            refuse_longer(rows, len(self.roles[self._varying[0]]), split, where)
            draws = (self.seed, len(self._picks)) if shuffle_tracks else None
            self._reader = TrackReader(self.dataset, rows, self.roles, records, self._varying, draws)
        else:
            self._reader = Reader(self.dataset, rows.blocks, rows.activity, self.roles, records)
        self._asked = rows.asked
        order = [self.dataset.meta.get("identity"), split, self.seed, where, weights, missing, epoch_items]
        self.fingerprint = hashlib.sha256(json.dumps(order).encode()).hexdigest()[:16]  # of what says which items there are
        if remix is not None and self._adapt.resamples:
            raise UsageError("sample_rate: a remix is made of crops at the stored rate; leave it out, or build the dataset at that rate")
        self._remix: Any = None if remix is None else self._remixes(remix)

    @property
    def first_stems(self) -> tuple[str, ...]:
        """The stems of the first role: what `mask` and `activity` speak of."""
        return next(iter(self.roles.values()))

    @property
    def shapes(self) -> dict[str, tuple[int, int, int]]:
        """The shape `(stems, channels, frames)` of every audio tensor in an item, by name. Raises `UsageError` for whole examples."""
        if self.crop_frames is None:
            raise UsageError("whole examples have lengths of their own: give a crop in seconds")
        return {role: (len(stems), self.channels, self.crop_frames) for role, stems in self._given.items()}

    def items_per_shard(self) -> tuple[int, ...]:
        """Return how many items of an epoch lie in each shard, one shard after the other. Raises `UsageError` where items are drawn."""
        if not self._picks.each_once:
            raise UsageError("an order by shards takes every block once: leave out epoch_items and weights")
        return self.blocks.per_shard(self._picks.blocks)

    @property
    def in_python(self) -> bool:
        """Whether items are made by Python code that holds the interpreter: worker processes serve it better than threads."""
        return self._effects is not None

    def __len__(self) -> int:
        return len(self._picks)

    def __iter__(self) -> Iterator[Item]:
        """Iterate over epoch 0."""
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Item:
        """Return item `index % len` of epoch `index // len`."""
        frames = self._adapt.stretch(self.blocks, self.place(index), None).frames if self.crop_frames is None else self.crop_frames
        try:
            audio = {role: np.empty((len(stems), self.channels, frames), np.float32) for role, stems in self._given.items()}
        except (MemoryError, ValueError) as error:  # ValueError: more bytes than there are addresses
            raise MixdataError(f"{self.dataset.where}: items of {frames} samples do not fit into memory; run `mixdata verify`") from error
        about = self.fill(index, audio)
        for name in self._arrays:
            about[name] = torch.from_numpy(about[name])
        return {role: torch.from_numpy(samples) for role, samples in audio.items()} | about

    def fill(self, index: int, audio: Mapping[str, np.ndarray]) -> Item:
        """Write the item's audio into these float32 arrays `(stems, channels, frames)`, by role; return what else it holds.

        `mask` and `activity` are NumPy arrays. Called from several threads at once.
        """
        index = operator.index(index)
        for attempt in range(MOST_DAMAGED if self._skip else 1):
            try:
                about = self._adapted(index, attempt, self.place(index, attempt), audio)
            except DamageError as error:
                if not self._skip:
                    raise
                damage = error
            else:
                return about | {"skipped": attempt} if self._skip else about
        raise MixdataError(f"{MOST_DAMAGED} items in a row are damaged, the last one: {damage}") from damage

    def place(self, index: int, attempt: int = 0) -> Crop:
        """Return where this item's crop lies, without reading it. An `attempt` above 0 is what replaces a damaged item."""
        index = operator.index(index)
        if index < 0:
            raise IndexError(f"index {index} is negative")
        epoch, item = divmod(index, len(self))
        if not attempt:
            return place_crop(self.blocks, self._picks.block(index), self._stored_frames, crop_draw(self.seed, epoch, item), self._asked)
        other = epoch * len(self) + int(unit_draw(item, self.seed, "instead", epoch, attempt) * len(self))
        draw = unit_draw(item, self.seed, "instead at", epoch, attempt)
        return place_crop(self.blocks, self._picks.block(other), self._stored_frames, draw, self._asked)

    @property
    def _given(self) -> dict[str, tuple[str, ...]]:
        """Roles and stems of an item, which are those read, or the pairs made of them."""
        return self.roles if self._effects is None else self._effects.roles(self.roles["dry"])

    def _adapted(self, index: int, attempt: int, crop: Crop, audio: Mapping[str, np.ndarray]) -> Item:
        """Write the item with the channels and the rate that were asked for."""
        if self._adapt.changes_nothing:
            return self._fill(index, attempt, crop, audio)
        stretch = self._adapt.stretch(self.blocks, crop, self.crop_frames) if self._adapt.resamples else None
        of = {role: out.shape[-1] if stretch is None else stretch.stored.frames for role, out in audio.items()}
        stored = {role: np.empty((len(out), self.dataset.channels, of[role]), np.float32) for role, out in audio.items()}
        about = self._fill(index, attempt, crop if stretch is None else stretch.stored, stored)
        for role, out in audio.items():
            held = about["tracks"] if role in self._varying else len(out)
            self._adapt(stored[role][:held], stretch, out[:held])
            out[held:] = 0
        if stretch is None:
            return about
        if self._effects is None:
            about |= self._reader.about(crop, index=index)  # in place of what is said of all that was read
        return about | {"start": stretch.start, "valid_frames": stretch.frames}

    def _fill(self, index: int, attempt: int, crop: Crop, audio: Mapping[str, np.ndarray]) -> Item:
        """Write the item's crop as it is stored, or the pairs made of it."""
        verify = self._verify > 0 and unit_draw(index, self.seed, "verify") < self._verify
        parts = members = None
        if self._remix is not None:
            elsewhere = partial(self._elsewhere, self._stored_frames or crop.frames)
            parts = self._remix.draw(*divmod(int(index), len(self)), attempt, crop, elsewhere)
        if self._effects is not None:
            return self._paired(index, crop, parts, audio, verify)
        if parts is None:
            members = self._reader.read(crop, list(audio.values()), verify, index=index)
        else:
            self._remix.fill(parts, audio, lambda place, names, stems: self._reader.read(place, stems, verify, names))
        return self._reader.about(crop, members, index) | self._about_remix(parts)

    def _about_remix(self, parts: Mapping[str, Any] | None) -> Item:
        """Return what is told of an item remixed of these parts (None: it is not) in place of what is told of its crop."""
        if self._remix is None:
            return {}
        about: Item = {} if parts is None else self._remix.about(parts, next(iter(self.roles)), self._reader.exists, self._reader.sounding)
        if self.records:
            drawn = {stem: part.record(self.blocks.key[part.crop.block]) for stem, part in (parts or {}).items()}
            about["remix"] = json.dumps(drawn)
        return about

    def _on_the_fly(self, words: str | Path | Mapping[str, Any]) -> Any:
        from mixdata.loading.on_the_fly import OnTheFly  # effects compile code, which a loader without them need not load

        if "dry" not in self.dataset.roles:
            raise UsageError(f"{self.dataset.where}: has no role 'dry' to make pairs of; build it with the recipe dry_stems")
        if "dry" in self.dataset.variable:
            raise UsageError("effects: chains are drawn for stems of known names; this set has tracks of each song's own")
        self.roles = {"dry": self.roles.get("dry", self.dataset.roles["dry"])}
        songs = self.dataset.songs
        self._sources = dict(zip(songs["song"], songs["wet"].fillna("unknown"), strict=True)) if "wet" in songs else {}
        return OnTheFly(words, self.dataset.sample_rate, self.seed)

    def _paired(self, index: int, crop: Crop, parts: Mapping[str, Any] | None, audio: Mapping[str, np.ndarray], verify: bool) -> Item:
        """Write pairs made of the crop's dry stems, or of the remix's."""
        from mixdata.loading.on_the_fly import Dry

        stems = self.roles["dry"]
        crops = {stem: crop if parts is None else parts[stem].crop for stem in stems}
        frames = max(each.frames for each in crops.values())
        dry: dict[str, Any] = {}
        for place in dict.fromkeys(crops.values()):
            extended, pre_roll = pre_rolled(self.blocks, place, self._effects.pre_roll)
            here = [stem for stem in stems if crops[stem] == place]
            samples = np.empty((len(here), self.dataset.channels, pre_roll + frames), np.float32)
            self._reader.read(extended, list(samples), verify, [f"dry.{stem}" for stem in here])
            source = self._sources.get(song_of(self.blocks.key[place.block]), "unknown")
            dry |= {stem: Dry(each, pre_roll, source) for stem, each in zip(here, samples, strict=True)}
        for stem, part in (parts or {}).items():
            self._remix.turn("dry", part, dry[stem].audio)
        roles, records = self._effects({stem: dry[stem] for stem in stems}, *divmod(int(index), len(self)))
        for role, made in roles.items():
            for row, each in enumerate(made.values()):
                audio[role][row, :, :frames] = each
            audio[role][..., frames:] = 0
        about = self._reader.about(crop) | self._about_remix(parts)
        sounding = dict(zip(stems, about["activity"].tolist(), strict=True))
        about["mask"] = np.array([stem in records or (stem not in sounding and bool(records)) for stem in roles["input"]])
        about["activity"] = np.array([sounding.get(stem, 1.0) for stem in roles["input"]], np.float32) * about["mask"]
        if self.records:
            about["effects"] = json.dumps(records)
        return about

    def _remixes(self, words: str | Path | Mapping[str, Any]) -> Any:
        from mixdata.loading.remix import Remix, sums_of  # compiles code, see `_on_the_fly`

        if self.dataset.variable:
            raise UsageError("remix: exchanges stems of one name between songs; this set has tracks of each song's own")
        chosen = range(len(self.blocks)) if self._picks.blocks is None else self._picks.blocks
        song = song_of(self.blocks.key[int(chosen[0])])
        if all(song_of(self.blocks.key[int(block)]) == song for block in chosen):
            raise UsageError(f"remix: takes stems of several songs, and split {self.split!r} offers blocks of {song} only")
        stored = self.dataset
        remix = Remix(words, self.seed, stored.channels, self.roles, stored.roles, sums_of(stored.meta, stored.where))
        if self._effects is not None and remix.has_totals:
            raise UsageError("remix: with effects, only stems are remixed: leave the mixture out (stems=…)")
        return remix

    def _elsewhere(self, frames: int, block: float, place: float) -> Crop:
        """Return a crop of a block drawn as items are, by two numbers in [0, 1)."""
        return place_crop(self.blocks, self._picks.anywhere(block), frames, place, self._asked)
