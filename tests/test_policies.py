"""Other channels and another rate than are stored: what an item then holds, and that it is what the whole song would give."""

import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import mixdata
from mixdata.effects.base import from_record
from mixdata.errors import UsageError
from mixdata.loading.adapt import Adapt
from mixdata.loading.crops import Blocks, place_crop
from mixdata.recipes import load_recipe
from mixdata.shards.reader import open_dataset
from mixdata.torch import ShardDataset
from pair_sets import RATE, SMALL
from tiny_dataset import Tiny, write_tiny

STORED = 8000  # Hz, of the tiny dataset
LENGTHS = {"train": [20100, 8000, 27001, 3000], "valid": [16000]}  # frames


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("policies") / "set", LENGTHS, loud=4.0, gated=("bass",), enters={"drums": 16000})


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("policies") / "mono", LENGTHS, channels=1)


def songs_of(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Every song as it is read, by name and role: `(stems, channels, frames)`."""
    songs: dict[str, dict[str, list[np.ndarray]]] = {}
    for example in open_dataset(path):
        for role, stems in example.roles.items():
            songs.setdefault(example.song, {}).setdefault(role, []).append(np.stack(list(stems.values())))
    return {song: {role: np.concatenate(parts, axis=2) for role, parts in roles.items()} for song, roles in songs.items()}


def resampled(audio: np.ndarray, from_rate: int, to_rate: int, quality: str = "HQ") -> np.ndarray:
    """The whole song at another rate, by the resampler itself."""
    frames = np.ascontiguousarray(audio.reshape(-1, audio.shape[-1]).T)
    return soxr.resample(frames, from_rate, to_rate, quality=quality).T.reshape(*audio.shape[:2], -1)


@pytest.mark.parametrize("rate", [16000, 11025, 12000, 44100, 8001])
@pytest.mark.parametrize("crop", [0.05, 0.9, 2.6])
def test_a_crop_is_that_stretch_of_the_whole_song_resampled(tiny: Tiny, rate: int, crop: float) -> None:
    songs = songs_of(tiny.path)
    whole = {song: {role: resampled(audio, STORED, rate) for role, audio in roles.items()} for song, roles in songs.items()}
    data = ShardDataset(tiny.path, crop=crop, sample_rate=rate)
    frames = round(crop * rate)
    assert data.sample_rate == rate and data.channels == 2
    assert data.shapes == {"input": (4, 2, frames), "target": (5, 2, frames)}
    begins = ends = 0
    for index in range(2 * len(data)):
        item = data[index]
        song = whole[item["key"][:-6]]
        start, valid = item["start"], item["valid_frames"]
        length = (2 * songs[item["key"][:-6]]["input"].shape[-1] * rate + STORED) // (2 * STORED)
        assert valid == min(frames, length) and 0 <= start <= length - valid
        begins, ends = begins + (start == 0), ends + (start == length - valid)
        for role in ("input", "target"):
            assert tuple(item[role].shape) == data.shapes[role] and item[role].dtype == torch.float32
            expected = song[role][..., start : start + valid]
            assert np.abs(item[role][..., :valid].numpy() - expected).max() < 1e-5
            assert not item[role][..., valid:].any()
    assert crop < 0.1 or (begins > 0 and ends > 0)


def test_a_lower_rate_holds_the_same_within_the_reach_of_its_filter(tmp_path: Path) -> None:
    """Half the rate: the filter reaches twice as many stored frames."""
    path = write_tiny(tmp_path / "set", {"train": [40100]}, sample_rate=44100, block=16000, loud=4.0).path
    (song,) = songs_of(path).values()
    for rate in (8000, 22050, 32000):
        whole = resampled(song["input"], 44100, rate)
        data = ShardDataset(path, crop=0.2, sample_rate=rate)
        for index in range(3 * len(data)):
            item = data[index]
            expected = whole[..., item["start"] : item["start"] + item["valid_frames"]]
            assert np.abs(item["input"].numpy() - expected).max() < 1e-5


def test_a_place_in_a_resampled_song_is_the_same_instant(tiny: Tiny) -> None:
    data, plain = ShardDataset(tiny.path, crop=0.5, sample_rate=11025), ShardDataset(tiny.path, crop=0.5)
    for index in range(2 * len(data)):
        item, stored = data[index], plain[index]
        assert item["key"] == stored["key"] and abs(item["start"] / 11025 - stored["start"] / 8000) < 1.5 / 8000
        assert torch.equal(item["mask"], stored["mask"])
        assert torch.allclose(item["activity"], stored["activity"], atol=1e-3)


def test_whole_examples_join_to_the_whole_song(tiny: Tiny) -> None:
    rate = 11025
    data = ShardDataset(tiny.path, crop=None, sample_rate=rate)
    joined: dict[str, list[np.ndarray]] = {}
    for item in data:
        assert item["input"].shape[-1] == item["valid_frames"]
        parts = joined.setdefault(item["key"][:-6], [])
        assert item["start"] == sum(part.shape[-1] for part in parts)
        parts.append(item["input"].numpy())
    for song, roles in songs_of(tiny.path).items():
        if song in joined:
            found = np.concatenate(joined[song], axis=2)
            expected = resampled(roles["input"], STORED, rate)
            assert found.shape == mixdata.audio.resample(roles["input"][0], STORED, rate)[None].repeat(4, 0).shape
            count = min(found.shape[-1], expected.shape[-1])
            assert np.abs(found[..., :count] - expected[..., :count]).max() < 1e-5


def test_a_run_that_begins_within_its_song_keeps_the_songs_time(tmp_path: Path) -> None:
    """Its first block, of 7,001 frames, lies elsewhere: what is read begins at a frame that the new rate does not have."""
    path = write_tiny(tmp_path / "set", {"train": [21003]}, block=7001).path
    (song,) = songs_of(path).values()
    table = pq.read_table(path / "examples.parquet")
    pq.write_table(table.slice(1), path / "examples.parquet")
    silent = song["input"].copy()
    silent[..., :7001] = 0
    whole = resampled(silent, STORED, 11025)
    data = ShardDataset(path, crop=0.7, sample_rate=11025)
    first = round(7001 * 11025 / 8000)
    starts = set()
    for index in range(8 * len(data)):
        item = data[index]
        starts.add(item["start"])
        expected = whole[..., item["start"] : item["start"] + item["valid_frames"]]
        assert np.abs(item["input"].numpy() - expected).max() < 1e-5
    assert min(starts) == first and len(starts) > 5


def test_the_mask_speaks_of_the_crop_not_of_what_is_read_around_it(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [16000]}, enters={"drums": 8000}).path
    data = ShardDataset(path, crop=None, sample_rate=16000)
    assert [item["mask"].tolist() for item in data] == [[True, False, True, True], [True, True, True, True]]
    plain = ShardDataset(path, crop=None)
    assert all(torch.equal(item["activity"], stored["activity"]) for item, stored in zip(data, plain, strict=True))


def test_mono_is_the_mean_and_stereo_of_mono_is_the_same_twice(tiny: Tiny, mono: Tiny) -> None:
    plain, mixed = ShardDataset(tiny.path, crop=1.5), ShardDataset(tiny.path, crop=1.5, channels=1)
    assert mixed.channels == 1 and mixed.shapes["target"] == (5, 1, 12000)
    for index in range(len(plain)):
        item, stored = mixed[index], plain[index]
        assert torch.equal(item["input"][:, 0], (stored["input"][:, 0] + stored["input"][:, 1]) / 2)
        assert all(torch.equal(torch.as_tensor(item[name]), torch.as_tensor(stored[name])) for name in ("mask", "activity", "start"))
        assert item["valid_frames"] == stored["valid_frames"] and item["key"] == stored["key"]
    plain, doubled = ShardDataset(mono.path, crop=1.5), ShardDataset(mono.path, crop=1.5, channels=2)
    assert plain.channels == 1 and doubled.shapes["input"] == (4, 2, 12000)
    for index in range(len(plain)):
        item, stored = doubled[index], plain[index]
        assert torch.equal(item["input"][:, 0], stored["input"][:, 0]) and torch.equal(item["input"][:, 1], stored["input"][:, 0])


def test_channels_and_rate_change_together(tiny: Tiny, mono: Tiny) -> None:
    for path, channels in ((tiny.path, 1), (mono.path, 2)):
        both = ShardDataset(path, crop=1.0, sample_rate=12000, channels=channels)
        rate = ShardDataset(path, crop=1.0, sample_rate=12000)
        for index in range(4):
            item, expected = both[index]["input"], rate[index]["input"].mean(dim=1, keepdim=True)
            assert item.shape == (4, channels, 12000) and (item - expected).abs().max() < 1e-6


def test_what_is_stored_is_given_as_it_is(tiny: Tiny) -> None:
    plain, asked = ShardDataset(tiny.path, crop=1.0), ShardDataset(tiny.path, crop=1.0, channels=2, sample_rate=STORED)
    for index in range(4):
        assert all(torch.equal(plain[index][role], asked[index][role]) for role in ("input", "target"))


def test_workers_and_batches_give_the_same_items(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=0.8, sample_rate=11025, channels=1)
    again = pickle.loads(pickle.dumps(data))
    batches = list(DataLoader(data, batch_size=4, num_workers=1, multiprocessing_context="fork"))
    found = torch.cat([batch["input"] for batch in batches])
    assert torch.equal(found, torch.stack([again[index]["input"] for index in range(len(again))]))


def test_a_block_that_replaces_a_damaged_one_is_resampled_too(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [16000]}, codec="flac16", songs_per_shard=1, continuous=False).path
    table = pq.read_table(path / "shards" / "train-000000.parquet")
    damaged = [value ^ (row == 0) for row, value in enumerate(table["crc32c"].to_pylist())]
    place = table.column_names.index("crc32c")
    pq.write_table(table.set_column(place, "crc32c", pa.array(damaged, pa.uint32())), path / "shards" / "train-000000.parquet")
    data = ShardDataset(path, crop=0.5, sample_rate=16000, verify="crc", damaged="skip")
    first, second = data[0], data[1]
    assert first["skipped"] > 0 and second["skipped"] == 0 and first["key"] == second["key"]
    assert first["valid_frames"] == 8000 and first["input"].any()


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dry") / "set"
    return mixdata.build(load_recipe("dry_stems", SMALL), out, ["synth:songs=2,seconds=7,sample_rate=16000"], workers=0, quiet=True).path


def test_effects_come_before_the_change_of_rate_and_channels(dry: Path) -> None:
    """Echoes 0.3 s late, of the song as it is stored: an item is a stretch of the whole song processed, then resampled."""
    words = {"remove": {"from": ["delay"], "count": 1}, "delay": {"time_s": 0.3, "feedback": 0.0, "mix": 0.4}, "pre_roll": 0.3}
    data = ShardDataset(dry, crop=0.5, effects=words, records=True, sample_rate=11025, channels=1)
    assert data.shapes == {"input": (4, 1, 5512), "target": (4, 1, 5512)} and data.sample_rate == 11025
    songs = songs_of(dry)
    plain = {song: resampled(roles["dry"].mean(axis=1, keepdims=True), RATE, 11025) for song, roles in songs.items()}
    compared = 0
    for index in range(len(data)):
        item = data[index]
        song, place = item["key"][:-6], slice(item["start"], item["start"] + item["valid_frames"])
        assert item["valid_frames"] == 5512
        for stem, record in json.loads(item["effects"]).items():
            (link,) = record["chain"]
            row = data.roles["dry"].index(stem)
            delay = from_record({name: value for name, value in link.items() if name not in ("label", "removed")})
            wet = resampled(delay(songs[song]["dry"][row], RATE).mean(axis=0)[None, None], RATE, 11025)[0]
            assert item["mask"][row] and np.abs(item["input"][row].numpy() - wet[:, place]).max() < 1e-4
            assert np.abs(item["target"][row].numpy() - plain[song][row][:, place]).max() < 1e-4
            compared += 1
        assert not item["input"][~item["mask"]].any()
    assert compared > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 0}, "channels must be 1 or 2, got 0"),
        ({"channels": 3}, "channels must be 1 or 2, got 3"),
        ({"channels": True}, "channels must be 1 or 2, got True"),
        ({"sample_rate": 0}, "sample_rate must be a whole number of 8000 to 384000 Hz, got 0"),
        ({"sample_rate": 1_000_000}, "sample_rate must be"),
        ({"sample_rate": 16000.5}, "sample_rate must be"),
        ({"sample_rate": 16000, "remix": {}}, "sample_rate: a remix is made of crops at the stored rate"),
    ],
)
def test_impossible_policies_are_refused(tiny: Tiny, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ShardDataset(tiny.path, crop=1.0, **arguments)


def test_four_channels_become_one_but_not_two(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [8000]}, channels=4).path
    assert ShardDataset(path, crop=0.5, channels=1)[0]["input"].shape == (4, 1, 4000)
    with pytest.raises(UsageError, match="4 stored channels cannot become 2; 1 takes their mean"):
        ShardDataset(path, crop=0.5, channels=2)


def test_the_last_half_frame_of_a_song_is_given_too(tmp_path: Path) -> None:
    """3,120 frames at 48 kHz are 2,866.5 at 44.1 kHz, of which the resampler itself returns 2,866."""
    path = write_tiny(tmp_path / "set", {"train": [3120]}, sample_rate=48000).path
    item = ShardDataset(path, crop=None, sample_rate=44100)[0]
    assert item["valid_frames"] == item["input"].shape[-1] == 2867
    (song,) = songs_of(path).values()
    assert np.abs(item["input"][..., :2866].numpy() - resampled(song["input"], 48000, 44100)).max() < 1e-5


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([(44100, 48000), (48000, 44100), (44100, 16000), (8000, 8001), (8001, 8000), (8000, 48000)]),
    st.lists(st.integers(1, 9000), min_size=1, max_size=4),
    st.integers(0, 9000),
    st.integers(1, 9000),
    st.floats(0, 1, exclude_max=True),
)
def test_a_stretch_lies_in_its_run_and_is_as_long_as_asked(rates: tuple, lengths: list[int], origin: int, frames: int, draw: float) -> None:
    adapt, count = Adapt(*rates, 2, 2), len(lengths)
    start = origin + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    blocks = Blocks([""] * count, [""] * count, start, np.array(lengths), np.zeros(count, int), np.full(count, count))
    first, last = adapt.at(origin), adapt.at(origin + sum(lengths))
    for block in range(count):
        stretch = adapt.stretch(blocks, place_crop(blocks, block, adapt.least(frames), draw), frames)
        assert stretch.frames == min(frames, last - first)
        assert first <= stretch.start and stretch.start + stretch.frames <= last
        assert origin <= stretch.stored.start and stretch.stored.start + stretch.stored.frames <= origin + sum(lengths)


def test_frames_that_join_at_one_rate_join_at_another() -> None:
    for from_rate, to_rate in ((44100, 48000), (48000, 44100), (44100, 16000), (8000, 8001)):
        adapt = Adapt(from_rate, to_rate, 2, 2)
        for frame in (0, 1, 2, 441, 12345, 2**40 + 7):
            assert abs(adapt.at(frame) * from_rate - frame * to_rate) * 2 <= from_rate, "the nearest"
            assert adapt.least(frame) * to_rate >= frame * from_rate > (adapt.least(frame) - 1) * to_rate
