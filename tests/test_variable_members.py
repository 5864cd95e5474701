"""Songs with tracks of varying number: what is stored, what is checked, and what a training loop gets."""

import io
import json
import pickle
import re
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_verify import change, forge, shards_of
from torch.utils.data import DataLoader

from mixdata.errors import DamageError, MixdataError, UsageError
from mixdata.shards.format import EXAMPLE_FIELDS, MEMBER_SCHEMA, track_names
from mixdata.shards.index import example_rows, example_table, in_families, index_tar
from mixdata.shards.members import Members
from mixdata.shards.reader import open_dataset
from mixdata.shards.verify import verify
from mixdata.shards.writer import publish_table
from mixdata.torch import CropLoader, CropSampler, ShardDataset
from servers import http_server
from tiny_tracks import COUNTS, RATE, Tracks, from_tars, write_tracks


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    """Return a set with songs of 2, 5, 9 and, for validation, 3 tracks. Do not write into it."""
    return write_tracks(tmp_path_factory.mktemp("tracks") / "set")


@pytest.fixture(scope="module")
def flac(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    return write_tracks(tmp_path_factory.mktemp("tracks") / "flac", codec="flac16")


@pytest.fixture
def copy(tracks: Tracks, tmp_path: Path) -> Path:
    shutil.copytree(tracks.path, tmp_path / "set")
    return tmp_path / "set"


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(
        torch.equal(value, two[name]) if isinstance(value, torch.Tensor) else value == two[name] for name, value in one.items()
    )


# On disk


def test_an_example_holds_its_songs_tracks_and_the_tables_tell_how_many(tracks: Tracks) -> None:
    dataset = open_dataset(tracks.path)
    assert dataset.meta["variable"] == ["input"] and dataset.variable == ("input",)
    assert dataset.roles == {"input": track_names(9), "target": ("mixture",)}
    assert dataset.examples["tracks"].tolist() == [COUNTS[song] for song in dataset.examples["song"]]
    for example, row in zip(dataset, dataset.examples.to_dict("records"), strict=True):
        count = COUNTS[example.song]
        assert list(example.roles["input"]) == list(example.active["input"]) == list(track_names(count))
        assert set(example.activity) == set(track_names(count)) and not any(map(np.isnan, example.activity.values()))
        assert [np.isnan(row[f"activity_{name}"]) for name in track_names(9)] == [False] * count + [True] * (9 - count)
        whole = tracks.songs[example.song]["input"]
        for name, audio in example.roles["input"].items():
            assert np.abs(audio - whole[name][:, example.start : example.start + example.frames]).max() < 1 / 32768


def test_columns_of_one_measure_lie_side_by_side_and_absent_ones_are_null(tracks: Tracks) -> None:
    table = pq.read_table(tracks.path / "examples.parquet")
    assert table.schema.field("tracks").type == pa.int32() and not table["tracks"].null_count
    own = table.column_names[len(EXAMPLE_FIELDS) :]
    loudness = [*(f"loudness_input_{name}" for name in track_names(9)), "loudness_target_mixture"]
    assert own == ["tracks", *(f"activity_{name}" for name in track_names(9)), *loudness]
    assert table["activity_t008"].null_count == sum(song != "song-3-00000003" for song in table["song"].to_pylist())


def test_the_tables_can_be_made_again_from_the_tars_alone(tracks: Tracks) -> None:
    for name in shards_of(tracks.path):
        assert index_tar(tracks.path / "shards" / f"{name}.tar")[0].equals(pq.read_table(tracks.path / "shards" / f"{name}.parquet"))
    made = example_table(example_rows(tracks.path, shards_of(tracks.path), ["input"]))
    assert in_families(made).equals(pq.read_table(tracks.path / "examples.parquet"))


def test_other_sets_say_nothing_of_tracks(built: Path) -> None:
    meta = json.loads((built / "dataset.json").read_text())
    assert "variable" not in meta and "tracks" not in pq.read_schema(built / "examples.parquet").names
    assert open_dataset(built).variable == ()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_members_are_found_whatever_the_examples_hold(counts: list[int], random) -> None:
    rows, place = [], 0
    truth: dict[str, dict[str, int]] = {}
    for number, count in enumerate(counts):
        key = f"song-{number:08x}_00000"
        for name in [*(f"input.{name}" for name in track_names(count)), "target.mixture", "record."]:
            role, _, stem = name.partition(".")
            truth.setdefault(key, {})[name] = len(rows)
            row = {"key": key, "role": role, "stem": stem, "codec": "npy16", "byte_offset": place, "byte_size": 8, "channels": 2}
            rows.append({**row, "frames": 1, "scale": 1.0, "active": True, "crc32c": 0})
            place += 512
    members = Members(pa.Table.from_pylist(rows, schema=MEMBER_SCHEMA), "tar", "table")
    for key, held in truth.items():
        names = random.sample([name for name in held if name != "record."], random.randint(1, len(held) - 1))
        for _ in range(2):  # looked for, and remembered
            assert members.table_of([key], tuple(names)).tolist() == [[held[name] for name in names]]
    shared = ("target.mixture", "input.t000")
    assert members.table_of(list(truth), shared).tolist() == [[held[name] for name in shared] for held in truth.values()]
    with pytest.raises(DamageError, match="lacks one of"):
        members.table_of([next(iter(truth))], (f"input.t{counts[0]:03d}",))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=12, unique=True))
def test_putting_columns_side_by_side_loses_none(numbers: list[int]) -> None:
    names = [f"{family}_t{n:03d}" for n in numbers for family in ("activity", "loudness_input")]
    made = in_families(pa.table({name: [float(place)] for place, name in enumerate(["key", *names, "loudness_target_mixture"])}))
    ordered = [f"{family}_t{n:03d}" for family in ("activity", "loudness_input") for n in sorted(numbers)]
    assert made.column_names == ["key", *ordered, "loudness_target_mixture"]
    assert all(made[name][0].as_py() == float(1 + names.index(name)) for name in ordered)


# What verify finds


def told(folder: Path) -> str:
    return "\n".join(map(str, verify(folder)))


def rewrite(folder: Path, leave_out: str = "$^", edit=lambda name, data: data, tables: bool = True, **content: object) -> None:
    """Take members out of the tars, or change them, with all tables and hashes made right."""
    for shard in shards_of(folder):
        path = folder / "shards" / f"{shard}.tar"
        with tarfile.open(path) as tar:
            members = [(info.name, edit(info.name, tar.extractfile(info).read())) for info in tar if not re.search(leave_out, info.name)]
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        with suppress(MixdataError):
            publish_table(path.with_suffix(".parquet"), index_tar(path)[0])
    if tables:
        publish_table(folder / "examples.parquet", example_table(example_rows(folder, shards_of(folder), ["input"])))
    forge(folder, **content)


def without_track(*lost: str):
    """Return an edit that takes tracks out of the records of song 2."""

    def edit(name: str, data: bytes) -> bytes:
        if not (name.startswith("song-2") and name.endswith(".json")):
            return data
        record = json.loads(data)
        record["tracks"] = {track: about for track, about in record["tracks"].items() if track not in lost}
        return json.dumps(record).encode()

    return edit


def test_a_fresh_set_is_clean(tracks: Tracks, flac: Tracks, tmp_path: Path) -> None:
    assert verify(tracks.path) == [] and verify(flac.path, workers=2) == []
    assert verify(write_tracks(tmp_path / "set", continuous=False, codec="npyf32").path) == []


def test_a_track_missing_in_between_is_named_though_every_hash_is_right(copy: Path) -> None:
    rewrite(copy, r"song-2-00000002_00001\.input\.t002")
    assert "train-000000.tar song-2-00000002_00001: lacks input.t002, though it has input.t004" in told(copy)
    rewrite(copy, r"song-2-0000000.*t002", without_track("t002"))
    assert told(copy).count("lacks input.t002") == 3
    with pytest.raises(DamageError, match=r"song-2-00000002_0000\d lacks one of"):
        data = ShardDataset(copy, crop=None)
        [data[index] for index in range(len(data))]


def test_blocks_of_one_song_with_other_numbers_of_tracks_are_named(copy: Path) -> None:
    rewrite(copy, r"song-2-00000002_00001\.input\.t004")
    assert "song-2-00000002 has blocks of 4 and 5 tracks" in told(copy)
    assert "song-2-00000002_00001: its record does not tell of its 4 tracks, t000 to t003, and no others" in told(copy)


def test_a_last_track_missing_throughout_is_known_from_the_records(copy: Path) -> None:
    rewrite(copy, r"song-2-0000000.*t004")
    text = told(copy)
    assert text.count("its record does not tell of its 4 tracks") == 3 and "song-2-00000002 has blocks" not in text
    rewrite(copy, "$^", without_track("t004"))  # and where it is taken out of them too, it is another set, whole in itself
    assert told(copy) == ""


def test_a_record_that_tells_of_no_tracks_is_named(copy: Path) -> None:
    rewrite(copy, edit=lambda name, data: json.dumps(json.loads(data) | {"tracks": None}).encode() if name.endswith("json") else data)
    assert told(copy).count("its record does not tell of its") == 12


@pytest.mark.parametrize("count", [8, 10])
def test_roles_list_as_many_tracks_as_the_example_with_the_most(copy: Path, count: int) -> None:
    forge(copy, roles={"input": list(track_names(count)), "target": ["mixture"]})
    assert f"dataset.json: lists {count} tracks of input, the example with the most has 9" in told(copy)
    if count == 8:
        assert "song-3-00000003_00000: has members" in told(copy)


def test_a_count_of_tracks_that_is_not_the_examples_is_named(copy: Path) -> None:
    table = pq.read_table(copy / "examples.parquet")
    place = table.column_names.index("tracks")
    counts = table["tracks"].to_pylist()
    for wrong in (pa.array([3, *counts[1:]], pa.int32()), pa.array([None, *counts[1:]], pa.int32()), pa.array(counts, pa.float32())):
        publish_table(copy / "examples.parquet", table.set_column(place, "tracks", wrong))
        forge(copy)
        assert "examples.parquet: its rows of shard train-000000 are not what the tar's records say" in told(copy)
    publish_table(copy / "examples.parquet", table.drop_columns(["tracks"]))
    forge(copy)
    assert "examples.parquet: has no whole column tracks" in told(copy)
    with pytest.raises(MixdataError, match="no single column tracks"):
        ShardDataset(copy)


@pytest.mark.parametrize("wrong", [[0, *[2] * 2], [10, *[2] * 2], [None, *[2] * 2]])
def test_a_count_of_tracks_that_cannot_be_is_refused_when_opened(copy: Path, wrong: list) -> None:
    table = pq.read_table(copy / "examples.parquet")
    counts = pa.array([*wrong, *table["tracks"].to_pylist()[3:]], pa.int32())
    publish_table(copy / "examples.parquet", table.set_column(table.column_names.index("tracks"), "tracks", counts))
    with pytest.raises(MixdataError, match=r"column tracks .*mixdata verify"):
        ShardDataset(copy)


def test_a_track_shorter_than_the_others_is_named(copy: Path) -> None:
    def edit(name: str, data: bytes) -> bytes:
        if name != "song-3-00000003_00000.input.t006.npy":
            return data
        shorter = io.BytesIO()
        np.save(shorter, np.load(io.BytesIO(data))[:, :-1])
        return shorter.getvalue()

    rewrite(copy, edit=edit)
    assert "song-3-00000003_00000: input.t006 has shape (2, 7999), the record says (2, 8000)" in told(copy)


def test_members_vary_only_where_dataset_json_says_so(copy: Path) -> None:
    forge(copy, variable=[])
    assert told(copy).count("has members") == 9  # all but those of the song with the most


@pytest.mark.parametrize("variable", ["input", [1], ["nothing"], ["target"], None, {"input": 1}, [["input"]]])
def test_roles_that_cannot_vary_are_refused_when_opened(copy: Path, variable: object) -> None:
    change(copy, variable=variable)
    with pytest.raises(MixdataError, match="variable"):
        open_dataset(copy)


@pytest.mark.parametrize("stems", [["t000", "t002"], ["t001", "t000"], ["a"], [], 3, None, {}])
def test_tracks_are_numbered_from_zero_without_gaps(copy: Path, stems: object) -> None:
    change(copy, roles={"input": stems, "target": ["mixture"]})
    with pytest.raises(MixdataError, match=r"variable|roles"):
        open_dataset(copy)


# In a training loop


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
@pytest.mark.parametrize(
    "options", [{}, {"access": "pread"}, {"cache_dir": "cache"}, {"verify": "crc"}, {"channels": 1}, {"roles": ["target", "input"]}]
)
def test_items_hold_the_songs_tracks_and_zeros_behind_them(tracks: Tracks, flac: Tracks, codec: str, options: dict, tmp_path: Path) -> None:
    folder = {"npy16": tracks, "flac16": flac}[codec].path
    options = {name: tmp_path / value if name == "cache_dir" else value for name, value in options.items()}
    data, songs = ShardDataset(folder, crop=1.5, **options), from_tars(folder)
    seen, over_borders = set(), 0
    for index in range(3 * len(data)):
        item = data[index]
        song = item["key"][:-6]
        count, start, stop = COUNTS[song], item["start"], item["start"] + item["valid_frames"]
        assert item["tracks"] == count and item["input"].shape == (9, data.channels, 12_000) == (*data.shapes["input"],)
        wanted = np.stack([songs[song][f"input.{name}"][:, start:stop] for name in track_names(count)])
        mixture = songs[song]["target.mixture"][:, start:stop]
        if options.get("channels") == 1:
            wanted, mixture = wanted.mean(axis=1, keepdims=True), mixture.mean(axis=0, keepdims=True)
        assert np.abs(item["input"][:count].numpy() - wanted).max() < 1e-6 and not item["input"][count:].any()
        assert np.abs(item["target"][0].numpy() - mixture).max() < 1e-6
        if "roles" not in options:
            assert item["mask"].tolist() == [place < count and place != 1 for place in range(9)]  # t001 is there and silent
            shares = [(place + 1) / 10 if place < count and place != 1 else 0 for place in range(9)]
            assert np.allclose(item["activity"], shares)
        seen.add(song)
        over_borders += start // 8000 != (stop - 1) // 8000
    assert seen == {"song-1-00000001", "song-2-00000002", "song-3-00000003"} and over_borders


def test_crops_stay_inside_blocks_that_do_not_join_and_short_ones_end_in_zeros(tmp_path: Path) -> None:
    folder = write_tracks(tmp_path / "set", continuous=False).path
    data, songs = ShardDataset(folder, crop=1.5, shuffle_tracks=True), from_tars(folder)
    for index in range(len(data)):
        item = data[index]
        song, start, frames = item["key"][:-6], item["start"], item["valid_frames"]
        assert frames <= 8000 and not item["input"][..., frames:].any()
        for place, number in enumerate(item["order"][: item["tracks"]].tolist()):
            stored = songs[song][f"input.t{number:03d}"][:, start : start + frames]
            assert np.abs(item["input"][place, :, :frames].numpy() - stored).max() < 1e-6


def test_whole_examples_come_with_as_many_places(tracks: Tracks) -> None:
    items = list(ShardDataset(tracks.path, crop=None))
    assert [item["input"].shape for item in items] == [(9, 2, item["valid_frames"]) for item in items]


def test_another_rate_gives_the_resampled_tracks_and_the_right_places(tracks: Tracks) -> None:
    data, songs = ShardDataset(tracks.path, crop=1.0, sample_rate=12_000, shuffle_tracks=True), from_tars(tracks.path)
    for index in range(len(data)):
        item = data[index]
        song, start = item["key"][:-6], item["start"]
        assert not item["input"][item["tracks"] :].any()
        for place, number in enumerate(item["order"][: item["tracks"]].tolist()):
            whole = soxr.resample(songs[song][f"input.t{number:03d}"].T, RATE, 12_000, quality="HQ").T
            assert np.abs(item["input"][place].numpy() - whole[:, start : start + 12_000]).max() < 1e-4
            assert bool(item["mask"][place]) == (number != 1)
            assert np.isclose(item["activity"][place], (number + 1) / 10 if number != 1 else 0)


@pytest.mark.parametrize("shuffle_tracks", [False, True])
def test_batches_are_the_items_stacked_by_threads_processes_and_a_data_loader(tracks: Tracks, shuffle_tracks: bool) -> None:
    data = ShardDataset(tracks.path, crop=1.0, shuffle_tracks=shuffle_tracks, records=True)
    sampler = CropSampler(data)
    batches = [
        list(CropLoader(data, 3, sampler=CropSampler(data))),
        list(CropLoader(data, 3, num_workers=0, sampler=CropSampler(data))),
        list(CropLoader(data, 3, mode="processes", sampler=CropSampler(data))),
        list(DataLoader(pickle.loads(pickle.dumps(data)), 3, sampler=sampler, num_workers=1)),
    ]
    for order, batch in enumerate(batches[0]):
        assert ("order" in batch) == shuffle_tracks and batch["tracks"].dtype == torch.int64
        assert all(same(batch, other[order]) for other in batches[1:])
        for row, index in enumerate(list(sampler)[3 * order : 3 * order + 3]):
            item = data[index]
            assert torch.equal(batch["input"][row], item["input"]) and int(batch["tracks"][row]) == item["tracks"]
    assert len(batches[0]) == 3


def test_memory_that_was_used_before_is_silent_where_there_is_no_track(tracks: Tracks) -> None:
    data = ShardDataset(tracks.path, crop=1.0)
    audio = {name: np.full(shape, np.nan, np.float32) for name, shape in data.shapes.items()}
    for index in range(len(data)):
        about = data.fill(index, audio)
        assert np.isfinite(audio["input"]).all() and not audio["input"][about["tracks"] :].any()


def test_shuffled_tracks_are_the_same_tracks_in_an_order_of_the_items_own(tracks: Tracks) -> None:
    plain, data = ShardDataset(tracks.path, crop=1.0, seed=3), ShardDataset(tracks.path, crop=1.0, seed=3, shuffle_tracks=True)
    orders: dict[int, list[tuple[int, ...]]] = {}
    for index in range(30 * len(data)):
        one, two = plain[index], data[index]
        count, order = one["tracks"], two["order"].tolist()
        assert sorted(order[:count]) == list(range(count)) and order[count:] == [-1] * (9 - count)
        for name in ("input", "mask", "activity"):
            assert torch.equal(two[name][:count], one[name][order[:count]]) and not two[name][count:].any()
        assert torch.equal(one["target"], two["target"]) and one["key"] == two["key"]
        orders.setdefault(count, []).append(tuple(order[:count]))
    assert set(orders[2]) == {(0, 1), (1, 0)} and len(set(orders[9])) > 80
    first = np.bincount([order[0] for order in orders[5]], minlength=5)
    assert first.min() > 5  # 90 draws of five places, 18 of each expected: fewer than 6 come once in 3,000 times
    again = ShardDataset(tracks.path, crop=1.0, seed=3, shuffle_tracks=True)
    assert same(again[40], data[40])
    assert any(
        ShardDataset(tracks.path, crop=1.0, seed=4, shuffle_tracks=True)[i]["order"].tolist() != data[i]["order"].tolist() for i in range(9)
    )


def test_fewer_places_are_read_where_no_block_needs_more(tracks: Tracks) -> None:
    whole = ShardDataset(tracks.path, crop=1.0)
    data = ShardDataset(tracks.path, crop=1.0, tracks=5, where="tracks <= 5")
    assert data.shapes == {"input": (5, 2, 8000), "target": (1, 2, 8000)} and len(data) == 6 < len(whole)
    assert {data[index]["tracks"] for index in range(len(data))} == {2, 5} and data[0]["mask"].shape == (5,)
    wide = ShardDataset(tracks.path, crop=1.0, tracks=16)
    for index in range(len(wide)):
        one, two = whole[index], wide[index]
        assert two["input"].shape == (16, 2, 8000) and torch.equal(two["input"][:9], one["input"]) and not two["input"][9:].any()
        assert two["mask"].tolist() == [*one["mask"].tolist(), *[False] * 7] and not two["activity"][9:].any()
    (batch,) = CropLoader(ShardDataset(tracks.path, split="valid", crop=1.0, tracks=3), 3)
    assert batch["input"].shape == (3, 3, 2, 8000)


def test_blocks_with_more_tracks_than_places_are_refused_with_the_words_that_leave_them_out(tracks: Tracks) -> None:
    with pytest.raises(UsageError, match=r'tracks=5: 3 of the 9 blocks of split .train. have more tracks, up to 9: .*where="tracks <= 5"'):
        ShardDataset(tracks.path, tracks=5)
    with pytest.raises(UsageError, match="tracks=8: 3 of the 9 blocks"):
        ShardDataset(tracks.path, tracks=8)
    ShardDataset(tracks.path, tracks=9)
    with pytest.raises(UsageError, match=r"where=\"\(activity_t000 > 0\) AND tracks <= 4\""):
        ShardDataset(tracks.path, tracks=4, where="activity_t000 > 0")
    ShardDataset(tracks.path, tracks=4, where="(activity_t000 > 0) AND tracks <= 4")
    for wrong in (0, -1, 1001, 2.0, True, "9"):
        with pytest.raises(UsageError, match="tracks must be a whole number of 1 to 1000"):
            ShardDataset(tracks.path, tracks=wrong)  # type: ignore[arg-type]


def test_what_a_set_cannot_give_is_refused(tracks: Tracks, built: Path) -> None:
    for words in ({"tracks": 4}, {"shuffle_tracks": True}):
        with pytest.raises(UsageError, match=f"{next(iter(words))}: every example has the same stems"):
            ShardDataset(built, **words)
        with pytest.raises(UsageError, match=r"every example has the same stems \(target\)"):
            ShardDataset(tracks.path, roles=["target"], **words)
    with pytest.raises(UsageError, match="each song's own tracks, not stems to choose by name; tracks= takes"):
        ShardDataset(tracks.path, stems={"input": ["t003"]})
    with pytest.raises(UsageError, match="unknown stem 't003'"):
        ShardDataset(tracks.path, stems=["t003"])
    with pytest.raises(UsageError, match=r"remix: .* tracks of each song's own"):
        ShardDataset(tracks.path, remix={"probability": 1.0})
    with pytest.raises(UsageError, match="no role 'dry'"):
        ShardDataset(tracks.path, effects="effect_removal")


def test_effects_on_the_fly_are_refused_where_dry_tracks_vary(tracks: Tracks, tmp_path: Path) -> None:
    shutil.copytree(tracks.path, tmp_path / "set")
    change(tmp_path / "set", roles={"dry": list(track_names(9)), "target": ["mixture"]}, variable=["dry"])
    with pytest.raises(UsageError, match="effects: chains are drawn for stems of known names"):
        ShardDataset(tmp_path / "set", effects="effect_removal")


def test_stems_speak_of_the_other_roles_and_fixed_roles_are_read_alone(tracks: Tracks) -> None:
    data = ShardDataset(tracks.path, crop=1.0, stems=["mixture"])
    assert data.shapes == {"input": (9, 2, 8000), "target": (1, 2, 8000)}
    alone = ShardDataset(tracks.path, crop=1.0, roles=["target"])
    assert alone.shapes == {"target": (1, 2, 8000)} and "tracks" not in alone[0]
    assert all(torch.equal(alone[index]["target"], data[index]["target"]) for index in range(len(data)))


def test_queries_see_no_activity_where_there_is_no_track(tracks: Tracks) -> None:
    data = ShardDataset(tracks.path, crop=1.0, where="activity_t005 > 0")
    assert len(data) == 3 and {data[index]["tracks"] for index in range(3)} == {9}
    assert len(ShardDataset(tracks.path, crop=1.0, where="activity_t005 IS NULL")) == 6
    weighted = ShardDataset(tracks.path, crop=1.0, weights="tracks", epoch_items=160)
    counts = [weighted[index]["tracks"] for index in range(160)]
    assert (counts.count(2), counts.count(5), counts.count(9)) == (20, 50, 90)  # 3 blocks each: 6, 15 and 27 parts of 48


def test_required_tracks_are_those_that_there_are(tracks: Tracks, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none of the blocks of split 'train'"):
        ShardDataset(tracks.path, missing="require")  # t001 is silent in every song
    some = write_tracks(tmp_path / "set", silent=("t004",)).path
    data = ShardDataset(some, crop=1.0, missing="require")
    assert {data[index]["tracks"] for index in range(len(data))} == {2} and len(data) == 3


def test_shards_are_walked_in_sequence_and_records_name_the_tracks(tracks: Tracks) -> None:
    data = ShardDataset(tracks.path, crop=1.0, records=True)
    batches = list(CropLoader(data, 3, shuffle="shards"))
    for batch in batches:
        for record, count in zip(batch["record"], batch["tracks"].tolist(), strict=True):
            assert list(json.loads(record)["tracks"]) == list(track_names(count))
    assert sum(len(batch["key"]) for batch in batches) == 9


def test_a_damaged_track_is_named_or_another_block_is_taken(copy: Path) -> None:
    path = copy / "shards" / "train-000001.tar"
    row = next(row for row in pq.read_table(path.with_suffix(".parquet")).to_pylist() if row["stem"] == "t007")
    with open(path, "r+b") as file:
        file.seek(row["byte_offset"] + 4000)
        file.write(b"\xff\x01\xff")
    with pytest.raises(DamageError, match=r"song-3-00000003_00000.input.t007"):
        list(ShardDataset(copy, crop=None, verify="crc"))
    skipping = ShardDataset(copy, crop=1.0, verify="crc", damaged="skip", shuffle_tracks=True)
    items = [skipping[index] for index in range(4 * len(skipping))]
    replaced = [item for item in items if item["skipped"]]
    assert replaced and all(sorted(item["order"][: item["tracks"]].tolist()) == list(range(item["tracks"])) for item in replaced)
    assert all(not item["input"][item["tracks"] :].any() for item in items)


def test_items_from_a_server_are_those_of_the_folder(flac: Tracks, tmp_path: Path) -> None:
    here = ShardDataset(flac.path, crop=1.0, verify="crc", shuffle_tracks=True)
    with http_server(flac.path) as (url, _):
        for options in ({}, {"cache_dir": tmp_path / "cache"}):
            there = ShardDataset(url, crop=1.0, verify="crc", shuffle_tracks=True, **options)
            assert all(same(here[index], there[index]) for index in [*range(len(here))] * 2)
