"""The laws of the loader."""

import json
import pickle
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import example as given_example
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from mixdata.errors import MixdataError, UsageError
from mixdata.loading.crops import Blocks, find_blocks, place_crop
from mixdata.shards.reader import open_dataset
from mixdata.torch import CropSampler, ShardDataset
from tiny_dataset import STEMS, Tiny, write_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(
        tmp_path_factory.mktemp("loader") / "set", {"train": [20100, 8000, 27000, 3000], "valid": [16000], "test": []}, loud=20.0
    )


@pytest.fixture(scope="module")
def songs(tiny: Tiny) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Every song as it reads when its blocks are laid end to end."""
    whole: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for example in open_dataset(tiny.path):
        roles = whole.setdefault(example.song, {role: {} for role in example.roles})
        for role, stem, audio in example.members():
            before = roles[role].get(stem)
            roles[role][stem] = audio if before is None else np.concatenate([before, audio], axis=1)
    return whole


@pytest.mark.parametrize("crop", [0.1, 0.9, 1.5, 2.4, 5.0])
def test_a_crop_is_a_slice_of_its_song_across_blocks(tiny: Tiny, songs: dict, crop: float) -> None:
    data = ShardDataset(tiny.path, crop=crop)
    crossed = 0
    for index in range(3 * len(data)):
        item = data[index]
        song = item["key"][:-6]
        start, valid = item["start"], item["valid_frames"]
        crossed += start // 8000 != (start + valid - 1) // 8000
        assert valid == min(round(crop * 8000), songs[song]["input"]["drums"].shape[1])
        for role, names in data.roles.items():
            assert item[role].shape == (len(names), 2, round(crop * 8000)) and item[role].dtype == torch.float32
            expected = np.stack([songs[song][role][stem][:, start : start + valid] for stem in names])
            assert np.array_equal(item[role][..., :valid].numpy(), expected)
            assert not item[role][..., valid:].any()
    assert crossed > 5 or crop == 0.1


def test_codecs_give_the_same_crops(tmp_path: Path) -> None:
    sets = [ShardDataset(write_tiny(tmp_path / codec, codec=codec, loud=20.0).path, crop=1.5) for codec in ("npy16", "flac16", "flac24")]
    for index in range(12):
        planar, flac16, flac24 = (data[index] for data in sets)
        assert planar["start"] == flac16["start"] == flac24["start"]
        assert torch.equal(planar["input"], flac16["input"])
        scale = sets[0].dataset.load(planar["key"]).scale
        assert (planar["input"] - flac24["input"]).abs().max() <= (0.5 + 2**-8) * 2.0**-15 / scale


def test_crops_stay_inside_blocks_where_the_set_is_not_continuous(tmp_path: Path) -> None:
    data = ShardDataset(write_tiny(tmp_path / "set", continuous=False).path, crop=0.6)
    for index in range(4 * len(data)):
        item = data[index]
        block = int(item["key"][-5:])
        assert block * 8000 <= item["start"] and item["start"] + item["valid_frames"] <= (block + 1) * 8000
    assert {data[index]["valid_frames"] for index in range(len(data))} == {4800, 4100, 3000}


def test_material_shorter_than_the_crop_is_followed_by_zeros(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=10.0)
    item = data[len(data) - 1]
    assert item["valid_frames"] == 3000 and item["input"].shape[-1] == 80000
    assert item["input"][..., 2990:3000].any() and not item["input"][..., 3000:].any()


def test_no_crop_gives_whole_examples(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=None)
    dataset = open_dataset(tiny.path)
    assert len(data) == 9
    for item, example in zip(data, dataset, strict=False):
        assert (item["key"], item["start"], item["valid_frames"]) == (example.key, example.start, example.frames)
        assert np.array_equal(item["input"][1].numpy(), example.roles["input"]["drums"])


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_any_number_of_workers_gives_the_same_items(tiny: Tiny, context: str) -> None:
    data = ShardDataset(tiny.path, crop=1.5, records=True)
    data[0]  # tables and shards of the parent must not harm the children
    epochs = {}
    for workers in (0, 1, 2) if context == "fork" else (0, 1):
        sampler = CropSampler(data)
        extra = {"multiprocessing_context": context, "persistent_workers": True} if workers else {}
        loader = DataLoader(data, batch_size=4, sampler=sampler, num_workers=workers, **extra)
        epochs[workers] = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            epochs[workers].append(list(loader))
    for workers, batches in epochs.items():
        for epoch in range(2):
            for batch, expected in zip(batches[epoch], epochs[0][epoch], strict=True):
                assert batch["input"].shape[1:] == (4, 2, 12000)
                assert batch["key"] == expected["key"] and batch["record"] == expected["record"], workers
                assert all(
                    torch.equal(batch[name], expected[name]) for name in ("input", "target", "mask", "activity", "valid_frames", "start")
                )
    starts = [torch.cat([batch["start"] for batch in batches]).tolist() for batches in epochs[0]]
    assert sorted(starts[0]) != sorted(starts[1]), "a new epoch brings new crops"


def test_an_item_is_a_function_of_seed_epoch_and_item(tiny: Tiny) -> None:
    data, again, other = (ShardDataset(tiny.path, crop=1.0, seed=seed) for seed in (3, 3, 4))
    places = [data.place(index) for index in range(40)]
    assert [again.place(index) for index in reversed(range(40))] == places[::-1]
    assert [other.place(index) for index in range(40)] != places
    assert [pickle.loads(pickle.dumps(data)).place(index) for index in range(40)] == places


def test_an_epoch_takes_every_block_once(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=1.0)
    for epoch in range(3):
        sampler = CropSampler(data)
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert sorted(order) == list(range(epoch * len(data), (epoch + 1) * len(data)))
        assert order != sorted(order)
    orders = [[item % len(data) for item in _epoch(data, epoch)] for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2] != orders[0], "every epoch is shuffled anew"


def test_epoch_items_go_through_all_blocks_before_any_comes_again(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=0.01, epoch_items=6)
    assert len(data) == 6 and len(data.blocks) == 9
    # crops of one run draw from equal shares of it, so count the shares: each comes once in nine items
    blocks = [_share(data, index) for index in range(18)]
    assert sorted(blocks[:9]) == sorted(blocks[9:]) == list(range(9))
    assert blocks[:9] != blocks[9:]


def test_item_and_its_place_do_not_depend_on_the_length_of_a_first_epoch(tiny: Tiny) -> None:
    short, long = (ShardDataset(tiny.path, crop=1.0, epoch_items=items) for items in (10, 400))
    assert [short.place(index) for index in range(10)] == [long.place(index) for index in range(10)]


def test_two_ranks_share_one_order(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=1.0)
    alone = CropSampler(data)
    ranks = [CropSampler(data, rank=rank, world_size=2) for rank in range(2)]
    for sampler in (alone, *ranks):
        sampler.set_epoch(5)
    first, second = (list(rank) for rank in ranks)
    assert len(first) == len(second) == len(ranks[0]) == 4
    assert [item for pair in zip(first, second, strict=True) for item in pair] == list(alone)[:8]


def test_the_sampler_goes_on_where_its_state_was_taken(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=1.0)
    sampler = CropSampler(data, seed=7)
    sampler.set_epoch(2)
    order = list(sampler)
    sampler.advance(5)
    other = CropSampler(data)
    other.load_state_dict(sampler.state_dict())
    other.set_epoch(2)
    assert list(other) == order[5:] and len(other) == len(order) - 5
    other.set_epoch(3)
    assert len(list(other)) == len(data)
    with pytest.raises(MixdataError, match="another dataset"):
        CropSampler(ShardDataset(tiny.path, "valid", crop=1.0)).load_state_dict(sampler.state_dict())


def test_unshuffled_order_is_the_order_on_disk(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=None)
    keys = [data[index]["key"] for index in CropSampler(data, shuffle=False)]
    assert keys == list(open_dataset(tiny.path).examples["key"][:9])


def test_rows_of_the_table_may_come_in_any_order(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [20100, 8000]}).path
    before = [ShardDataset(path, crop=1.5)[index] for index in range(4)]
    table = pq.read_table(path / "examples.parquet")
    pq.write_table(pa.Table.from_batches(table.take([2, 0, 3, 1]).to_batches()), path / "examples.parquet")
    after = [ShardDataset(path, crop=1.5)[index] for index in range(4)]
    for one, two in zip(before, after, strict=True):
        assert one["key"] == two["key"] and torch.equal(one["input"], two["input"]) and torch.equal(one["activity"], two["activity"])


def test_mask_and_activity_speak_of_the_input_stems(tmp_path: Path) -> None:
    data = ShardDataset(write_tiny(tmp_path / "set", {"train": [16000]}, gated=("bass",)).path, crop=1.0)
    item = data[0]
    assert item["mask"].tolist() == [True, True, False, True] and not item["input"][2].any()
    share = min(item["start"], 8000) / 8000  # of the second block, whose activity is 0.2; the first has 0.1
    assert item["activity"].tolist() == pytest.approx([0.1 + 0.1 * share, 0.1 + 0.1 * share, 0, 0.1 + 0.1 * share])


def test_a_stem_exists_where_any_block_of_the_crop_holds_it(tmp_path: Path) -> None:
    data = ShardDataset(write_tiny(tmp_path / "set", {"train": [24000]}, enters={"drums": 16000}, gated=("bass",)).path, crop=1.5)
    seen = set()
    for index in range(12):
        item = data[index]
        sounds = item["start"] + item["valid_frames"] > 16000
        seen.add((sounds, item["start"] < 16000))
        assert item["mask"].tolist() == [True, sounds, False, True]
    assert seen == {(False, True), (True, True)}
    whole = ShardDataset(data.dataset.path, crop=3.0)[0]
    assert whole["mask"].tolist() == [True, True, False, True]


def test_activity_is_a_share_of_the_audio_not_of_the_padding(tmp_path: Path) -> None:
    data = ShardDataset(write_tiny(tmp_path / "set", {"train": [16000]}).path, crop=5.0)
    assert data[0]["valid_frames"] == 16000 and data[0]["activity"].tolist() == pytest.approx([0.15] * 4)


def test_key_and_record_are_of_the_block_that_holds_the_middle(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=1.5, records=True)
    lengths = open_dataset(tiny.path).examples.groupby("song")["frames"].sum()
    later = 0
    for index in range(3 * len(data)):
        item = data[index]
        start, valid, song = item["start"], item["valid_frames"], item["key"][:-6]
        if 0 < start < lengths[song] - valid:  # not shifted inside
            middle = start + valid // 2
            assert int(item["key"][-5:]) == middle // 8000
            later += start // 8000 != middle // 8000
        assert json.loads(item["record"])["key"] == item["key"]
    assert later > 3


def test_crops_run_over_blocks_that_follow_each_other_in_one_shard() -> None:
    rows = [
        ("a", "train-000000", 0),
        ("a", "train-000000", 100),
        ("a", "train-000000", 300),  # a block is left out before it
        ("a", "train-000001", 400),  # another shard
        ("a", "train-000001", 500),
        ("b", "train-000001", 600),  # another song
    ]
    songs, shards, starts = zip(*rows, strict=True)
    table = pa.table({"key": [*"012345"], "song": songs, "shard": shards, "start": starts, "frames": [100] * 6})
    blocks = find_blocks(table, continuous=True)
    assert list(zip(blocks.first.tolist(), blocks.last.tolist(), strict=True)) == [(0, 2), (0, 2), (2, 3), (3, 5), (3, 5), (5, 6)]
    alone = find_blocks(table, continuous=False)
    assert list(zip(alone.first.tolist(), alone.last.tolist(), strict=True)) == [(block, block + 1) for block in range(6)]


def test_a_song_that_lies_in_two_shards_is_read_from_both(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [16000]}).path
    for kind in ("tar", "parquet"):
        (path / "shards" / f"train-000001.{kind}").write_bytes((path / "shards" / f"train-000000.{kind}").read_bytes())
    table = pq.read_table(path / "examples.parquet")
    moved = pa.array(["train-000000", "train-000001"])
    pq.write_table(table.set_column(table.column_names.index("shard"), "shard", moved), path / "examples.parquet")
    data = ShardDataset(path, crop=5.0)
    assert [(item["key"][-5:], item["start"], item["valid_frames"]) for item in data] == [("00000", 0, 8000), ("00001", 8000, 8000)]


def test_roles_and_stems_are_chosen_in_the_order_asked(tiny: Tiny) -> None:
    everything = ShardDataset(tiny.path, crop=1.0)[0]
    some = ShardDataset(tiny.path, crop=1.0, stems=["drums", "vocals"])
    assert some.roles == {"input": ("drums", "vocals"), "target": ("drums", "vocals")}
    assert torch.equal(some[0]["input"], everything["input"][[1, 0]]) and torch.equal(some[0]["mask"], everything["mask"][[1, 0]])
    mix = ShardDataset(tiny.path, crop=1.0, stems={"target": ["mixture"]})
    assert mix.roles == {"input": STEMS, "target": ("mixture",)} and torch.equal(mix[0]["target"], everything["target"][:1])
    assert "input" not in ShardDataset(tiny.path, crop=1.0, roles=["target"])[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "dev"}, "unknown split 'dev': use one of train, valid, test"),
        ({"split": "test"}, "split 'test' holds no examples; non-empty: train, valid"),
        ({"roles": ["wet"]}, "unknown role 'wet': use one of input, target"),
        ({"roles": []}, "no role chosen"),
        ({"stems": ["flute"]}, "unknown stem 'flute': use one of vocals, drums, bass, other, mixture"),
        ({"stems": ["mixture"]}, "no stem chosen of role input: use some of vocals"),
        ({"stems": []}, "no stem chosen of role input"),
        ({"stems": {"input": ["mixture"]}}, "unknown stem of role input 'mixture'"),
        ({"stems": {"wet": ["drums"]}}, "unknown role 'wet'"),
        ({"crop": 0}, "longer than 0"),
        ({"crop": float("nan")}, "longer than 0"),
        ({"crop": 1e9}, "at most 3600"),
        ({"epoch_items": 0}, "at least 1"),
    ],
)
def test_wrong_arguments_say_what_there_is(tiny: Tiny, arguments: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ShardDataset(tiny.path, **arguments)


def test_wrong_ranks_are_refused(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path)
    with pytest.raises(UsageError, match="rank must be in"):
        CropSampler(data, rank=2, world_size=2)
    with pytest.raises(UsageError, match="too few for 10 ranks"):
        CropSampler(data, world_size=10)


@settings(max_examples=60, deadline=None)
@given_example([5, 5], 1, 0, 0.06, 1)
@given_example([5, 5], 1, 3, 1 - 2**-53, 1)
@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.integers(1, 120),
    st.integers(0, 30),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 5),
)
def test_a_crop_is_full_inside_its_song_and_holds_the_drawn_block(lengths, frames, offset, draw, block) -> None:
    blocks = _blocks(lengths, offset)
    crop = place_crop(blocks, block % len(lengths), frames, draw)
    assert crop.frames == min(frames, sum(lengths)) == sum(part[2] for part in crop.parts)
    assert offset <= crop.start and crop.start + crop.frames <= offset + sum(lengths)
    assert crop.block in [part[0] for part in crop.parts]
    place = 0
    for block, start, count, to in crop.parts:
        assert to == place and start >= 0 and count > 0 and start + count <= lengths[block]
        assert blocks.start[block] + start == crop.start + to
        place += count


def test_every_frame_of_a_song_is_drawn_about_equally() -> None:
    blocks = _blocks([50, 50, 50, 50, 11], 0)
    covered = np.zeros(211)
    draws = 400
    for block in range(5):
        for draw in range(draws):
            crop = place_crop(blocks, block, 40, (draw + 0.5) / draws)
            covered[crop.start : crop.start + crop.frames] += 1
    mean = 5 * draws * 40 / 211
    assert np.allclose(covered[40:-40], mean, rtol=0.05)
    assert covered.min() >= 0.48 * mean and covered.max() <= 1.55 * mean


def test_a_crop_costs_the_same_in_a_run_of_any_length() -> None:
    blocks = _blocks([10] * 100_000, 0)
    begin = time.perf_counter()
    for block in range(0, 100_000, 500):
        assert len(place_crop(blocks, block, 20, 0.5).parts) <= 3
    assert time.perf_counter() - begin < 2  # it takes some milliseconds; with a look at every block it took 15 s


def _epoch(data: ShardDataset, epoch: int) -> list[int]:
    sampler = CropSampler(data)
    sampler.set_epoch(epoch)
    return list(sampler)


def _blocks(lengths: list[int], offset: int) -> Blocks:
    count = len(lengths)
    start = offset + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    keys = [str(block) for block in range(count)]
    return Blocks(keys, ["s"] * count, start, np.array(lengths), np.zeros(count, int), np.full(count, count))


def _share(data: ShardDataset, index: int) -> int:
    crop = data.place(index)
    first, last = int(data.blocks.first[crop.block]), int(data.blocks.last[crop.block])
    total = int(data.blocks.start[last - 1] + data.blocks.frames[last - 1])
    return first + int((crop.start + crop.frames / 2) / total * (last - first))


def test_shares_are_counted_right(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=0.01)
    assert Counter(_share(data, index) for index in range(9)) == Counter(range(9))


@pytest.mark.parametrize("where", [None, "block != 1"])
def test_an_order_by_shards_walks_each_from_front_to_back(tmp_path: Path, where: str | None) -> None:
    tiny = write_tiny(tmp_path / "set", {"train": [20100, 30000] * 12}, songs_per_shard=1)
    data = ShardDataset(tiny.path, crop=1.0, where=where)
    orders = []
    for epoch in range(2):
        sampler = CropSampler(data, shuffle="shards")
        sampler.set_epoch(epoch)
        order = [item % len(data) for item in sampler]
        assert sorted(order) == list(range(len(data)))
        shards: dict[str, list[int]] = {}
        for item in order:
            block = data.place(item).block if where is None else data._picks.block(item)
            shards.setdefault(data.blocks.shard[block], []).append(item)
        assert len(shards) == 24 and all(items == sorted(items) for items in shards.values())
        walked = [data.blocks.shard[data._picks.block(item)] for item in order]
        firsts, lasts = ([walk.index(shard) for shard in shards] for walk in (walked, walked[::-1]))
        open_at = [sum(first <= n <= len(walked) - 1 - last for first, last in zip(firsts, lasts, strict=True)) for n in range(len(walked))]
        assert max(open_at) <= 8 and len(set(walked[:8])) > 4
        orders.append(order)
    assert orders[0] != orders[1]
    assert list(CropSampler(ShardDataset(tiny.path, crop=1.0, where=where), shuffle="shards")) == orders[0]
    ranks = [list(CropSampler(data, shuffle="shards", rank=rank, world_size=2)) for rank in range(2)]
    assert [item for pair in zip(*ranks, strict=True) for item in pair] == orders[0][: len(ranks[0]) * 2]


def test_an_order_by_shards_needs_blocks_that_come_once(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="leave out epoch_items"):
        CropSampler(ShardDataset(tiny.path, crop=1.0, epoch_items=5), shuffle="shards")
    with pytest.raises(UsageError, match="'shards'"):
        CropSampler(ShardDataset(tiny.path, crop=1.0), shuffle="songs")


def test_numpy_indices_are_indices(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=1.0)
    for kind in (np.int64, np.int32):
        assert torch.equal(data[kind(3)]["input"], data[3]["input"])
    subset = torch.utils.data.Subset(data, np.arange(4))
    assert next(iter(DataLoader(subset, batch_size=4)))["key"] == [data[index]["key"] for index in range(4)]


@pytest.mark.parametrize("other", [{"seed": 3}, {"where": "block < 3 OR block >= 3"}, {"missing": "require"}])
def test_a_state_is_refused_by_a_dataset_that_draws_other_items(tiny: Tiny, other: dict) -> None:
    state = CropSampler(ShardDataset(tiny.path, crop=1.0)).state_dict()
    CropSampler(ShardDataset(tiny.path, crop=2.0, records=True)).load_state_dict(state)
    with pytest.raises(MixdataError, match=r"another dataset, split, seed"):
        CropSampler(ShardDataset(tiny.path, crop=1.0, **other)).load_state_dict(state)
    for wrong in ({"position": -5}, {"position": 10**6}, {"epoch": -1}):
        with pytest.raises(MixdataError, match="cannot be"):
            CropSampler(ShardDataset(tiny.path, crop=1.0)).load_state_dict(state | wrong)


def test_only_damage_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = write_tiny(tmp_path / "set", codec="flac16")
    data = ShardDataset(tiny.path, crop=1.0, damaged="skip", access="pread")

    def unreachable(*_: object, **__: object) -> None:
        raise MixdataError("the server does not answer")

    shard = data.dataset.shard("train-000000")
    monkeypatch.setattr(type(shard), "read_into", unreachable)
    with pytest.raises(MixdataError, match=r"^the server does not answer$"):  # not the last of many attempts
        data[0]


def test_what_a_cut_shard_lacks_is_named(tmp_path: Path) -> None:
    for codec in ("npy16", "flac16"):
        tiny = write_tiny(tmp_path / codec, codec=codec)
        tar = tiny.path / "shards" / "train-000000.tar"
        tar.write_bytes(tar.read_bytes()[:60_000])
        for access in ("map", "pread"):
            with pytest.raises(
                MixdataError, match=r"train-000000\.tar: ends before byte \d+.*song-\d-[0-9a-f]{8}_\d{5}\.\w+\.\w+ \(bytes \d+ to \d+\)"
            ):
                data = ShardDataset(tiny.path, crop=1.0, access=access)
                for index in range(len(data)):
                    data[index]
