"""Which blocks are drawn and how often: `where`, `weights`, `missing="require"`, and the arithmetic below them."""

import subprocess
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example as given_example
from hypothesis import given, settings
from hypothesis import strategies as st

from mixdata.errors import MixdataError, UsageError
from mixdata.loading import order
from mixdata.loading.crops import Blocks, place_crop
from mixdata.loading.order import Picks
from mixdata.torch import CropSampler, ShardDataset
from tiny_dataset import Tiny, write_tiny

LENGTHS = {"train": [20100, 8000, 27000, 3000], "valid": [16000]}  # of songs: 3, 1, 4 and 1 blocks of up to 8000 frames; 2
BLOCKS = 9


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """Do not write into it. The first block of a song has activity 0.1, the second 0.2, …; the odd rows are of another corpus."""
    tiny = write_tiny(tmp_path_factory.mktemp("query") / "set", LENGTHS)
    change(tiny.path, corpus=["musdb18hq" if row % 2 else "slakh2100" for row in range(BLOCKS + 2)])
    songs = [{"song": song, "loudness": -20.0 + 5 * place, "licence": "X"} for place, song in enumerate(tiny.songs["train"])]
    pq.write_table(pa.Table.from_pylist([*songs, {"song": None, "loudness": None}]), tiny.path / "songs.parquet")
    return tiny


def change(path: Path, **columns: list) -> None:
    """Set columns of examples.parquet."""
    table = pq.read_table(path / "examples.parquet")
    for name, values in columns.items():
        kind = table[name].type if name in table.column_names else None
        column = pa.array(values, kind)
        here = table.column_names.index(name) if name in table.column_names else None
        table = table.append_column(name, column) if here is None else table.set_column(here, name, column)
    pq.write_table(table, path / "examples.parquet")


def drawn(data: ShardDataset, epochs: int = 1) -> Counter:
    """How often each row of the split is drawn."""
    rows = {key: row for row, key in enumerate(data.blocks.key)}
    return Counter(rows[data[index]["key"]] for index in range(epochs * len(data)))


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("activity_vocals > 0.25", [2, 6, 7]),
        ("ACTIVITY_VOCALS > 0.25 and Corpus = 'musdb18hq'", [7]),
        ("corpus = 'musdb18hq' -- the odd ones", [1, 3, 5, 7]),
        ("start BETWEEN 8000 AND 16000 OR frames < 4000", [1, 2, 5, 6, 7, 8]),
        ("activity_drums > 0.9 * (SELECT avg(activity_drums) FROM examples)", [1, 2, 5, 6, 7]),
        ("songs.loudness > -16 AND frames = 8000", [3, 4, 5, 6]),
        ("songs.licence = 'X' AND licence = 'CC0-1.0' AND songs.song = song", [*range(9)]),
        ('"songs"."loudness" = -5', [8]),
        ("list_max([*COLUMNS('activity_.*')]) > 0.35", [7]),
        ("CASE WHEN block < 1 THEN NULL WHEN block < 2 THEN FALSE ELSE TRUE END", [2, 6, 7]),
        ("true", [*range(9)]),
    ],
)
def test_where_picks_the_blocks_for_which_it_holds(tiny: Tiny, where: str, rows: list[int]) -> None:
    data = ShardDataset(tiny.path, crop=0.5, where=where)
    assert len(data) == len(rows)
    assert drawn(data, 2) == dict.fromkeys(rows, 2)
    assert sorted(index % len(data) for index in CropSampler(data)) == list(range(len(rows)))


def test_a_song_that_its_table_does_not_name_has_no_measures(tiny: Tiny) -> None:
    assert len(ShardDataset(tiny.path, "valid", crop=0.5, where="songs.loudness IS NULL")) == 2


def test_a_query_sees_its_split_alone_and_rows_in_stored_order(tmp_path: Path, tiny: Tiny) -> None:
    assert len(ShardDataset(tiny.path, "valid", where="(SELECT count(*) FROM examples) = 2")) == 2
    path = write_tiny(tmp_path / "set", LENGTHS).path
    expected = drawn(ShardDataset(path, crop=0.5, where="activity_vocals > 0.15"), 3)
    table = pq.read_table(path / "examples.parquet")
    pq.write_table(table.take([10, 3, 0, 8, 9, 5, 7, 2, 1, 6, 4]), path / "examples.parquet")
    assert drawn(ShardDataset(path, crop=0.5, where="activity_vocals > 0.15"), 3) == expected


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"where": "activty_vocals > 0.5"}, r"where='activty_vocals > 0.5': there is no column 'activty_vocals'; there is activity_vocals"),
        ({"where": "examples.licnce = 'x'"}, r"no column 'licnce'; there is licence"),
        ({"where": 'licence = "CC0"'}, r"no column 'CC0'.*text stands in single quotes"),
        ({"where": "songs.loudnes > 3"}, r"no column 'loudnes'; there is loudness"),
        ({"where": "activity_vocals >"}, r"where='activity_vocals >': Parser Error: syntax error at or near \"\)\"$"),
        ({"where": ""}, r"where='': "),
        ({"where": "frobnicate(start)"}, r"frobnicate does not exist"),
        ({"where": "licence > 3"}, r"Cannot compare"),
        ({"where": "true; SELECT 1"}, r"syntax error"),
        ({"where": "start < 0"}, r"where='start < 0' picks none of the 9 blocks of split 'train'"),
        ({"where": "count(*) > 1"}, r"gives one value for several blocks; it must give one for each: write … OVER"),
        ({"where": "unnest([true, true])"}, r"gives 18 values for 9 blocks"),
        ({"weights": "licence"}, r"weights='licence': .*could not convert"),
        ({"weights": "block - 1"}, r"weights='block - 1' gives -1 for song-1-.*_00000; each block needs a finite number of at least 0"),
        ({"weights": "1 / block"}, r"gives inf for song-1-.*_00000;"),
        ({"weights": "CASE block WHEN 0 THEN 1 END"}, r"gives no number for song-1-.*_00001;"),
        ({"weights": "0"}, r"weights='0' gives each of the 9 chosen blocks the weight 0"),
        ({"where": "block > 0", "weights": "CASE WHEN block = 0 THEN 1 ELSE 0 END"}, r"each of the 5 chosen blocks the weight 0"),
    ],
)
def test_a_query_that_cannot_be_answered_says_why(tiny: Tiny, query: dict, message: str) -> None:
    with pytest.raises(UsageError, match=f"(?i){message}"):
        ShardDataset(tiny.path, crop=0.5, **query)


@pytest.mark.parametrize("source", ["read_csv('{}')", "read_text('{}')", "'{}'", "outside", '"table"', "read_parquet('{}')"])
def test_a_query_reaches_no_file_and_no_variable(tiny: Tiny, tmp_path: Path, source: str) -> None:
    outside = pa.table({"x": [1]})
    pq.write_table(outside, file := tmp_path / "other.parquet")
    with pytest.raises(UsageError, match=r"Permission Error|Catalog Error"):
        ShardDataset(tiny.path, crop=0.5, where=f"(SELECT count(*) FROM {source.format(file)}) > 0")


def test_a_query_gives_the_same_answer_every_time(tiny: Tiny) -> None:
    sets = [ShardDataset(tiny.path, crop=0.5, where="random() < 0.5") for _ in range(3)]
    assert 0 < len(sets[0]) < BLOCKS
    assert drawn(sets[0]) == drawn(sets[1]) == drawn(sets[2])


def test_without_a_query_its_database_is_not_loaded(tiny: Tiny) -> None:
    code = f"import sys; from mixdata.torch import ShardDataset; ShardDataset({str(tiny.path)!r}); sys.exit('duckdb' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_songs_that_cannot_be_queried_are_an_error(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [8000]}).path  # its table calls the column `id`
    with pytest.raises(MixdataError, match=r"songs.parquet cannot be queried .*mixdata verify"):
        ShardDataset(path, where="songs.loudness > 3")


def test_weights_say_how_often_a_block_comes(tiny: Tiny) -> None:
    weights = "CASE corpus WHEN 'musdb18hq' THEN 3 ELSE 1 END"  # 4 blocks of 3, 5 of 1: 17 in all
    data = ShardDataset(tiny.path, crop=0.5, weights=weights, epoch_items=34)
    for epoch in range(2):
        counts = Counter(data._picks.block(epoch * 34 + item) for item in range(34))
        assert counts == {row: 6 if row % 2 else 2 for row in range(BLOCKS)}
    assert drawn(data) == counts, "a crop lies in the block that it was drawn for"
    assert sum(drawn(ShardDataset(tiny.path, crop=0.5, weights=weights)).values()) == BLOCKS, "an epoch is as long as without"


def test_weights_speak_of_the_blocks_that_where_picks(tiny: Tiny) -> None:
    data = ShardDataset(tiny.path, crop=0.5, where="block > 0", weights="block - 1", epoch_items=8)  # blocks 1 2 | 1 2 3: 0 1 0 1 2
    assert drawn(data) == {2: 2, 6: 2, 7: 4}


def test_a_block_of_weight_0_is_never_drawn_though_its_neighbours_are(tiny: Tiny) -> None:
    """The song's third block has 4,100 frames of 20,100; by shares of the song, items of its neighbour would fall into it."""
    data = ShardDataset(tiny.path, crop=0.01, weights="CASE WHEN frames = 8000 THEN 1 ELSE 0 END")
    assert set(drawn(data, 20)) == {0, 1, 3, 4, 5, 6} and len(data) == 6


def test_require_takes_blocks_in_which_every_chosen_stem_sounds(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [40000]}).path
    change(path, activity_vocals=[0.0, 0.5, 0.5, None, 0.5], activity_bass=[0.5, 0.5, 0.0, 0.2, np.nan])
    data = ShardDataset(path, crop=0.3, missing="require")
    assert drawn(data, 2) == {1: 2, 3: 2, 4: 2}
    assert all((data[index]["activity"] > 0).all() for index in range(len(data)))
    assert drawn(ShardDataset(path, crop=0.3, missing="require", stems=["vocals", "drums"])) == {1: 1, 2: 1, 3: 1, 4: 1}
    assert len(ShardDataset(path, crop=0.3, missing="require", stems={"input": ["drums"]})) == 5
    assert drawn(ShardDataset(path, crop=0.3, missing="require", where="block < 3", weights="block")) == {1: 3 - 2}
    assert len(ShardDataset(path, crop=0.3)) == 5
    with pytest.raises(UsageError, match=r"none of the blocks that where='block = 2' picks of split 'train' has vocals, .* all sounding"):
        ShardDataset(path, missing="require", where="block = 2")
    change(path, activity_vocals=[0.0] * 5)
    with pytest.raises(UsageError, match=r"none of the blocks of split 'train' has vocals, drums, bass, other all sounding"):
        ShardDataset(path, missing="require")


def test_activity_that_was_not_measured_counts_as_sounding_throughout(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [16000]}).path
    change(path, activity_vocals=[None, 0.5])
    table = pq.read_table(path / "examples.parquet").drop_columns(["activity_other"])
    pq.write_table(table, path / "examples.parquet")
    assert ShardDataset(path, crop=5.0)[0]["activity"].tolist() == pytest.approx([0.75, 0.15, 0.15, 1.0])


@settings(max_examples=80, deadline=None)
@given_example([8, 3, 9], 20, 1, 1 - 2**-53)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 120), st.integers(0, 5), st.floats(0, 1, exclude_max=True))
def test_a_crop_asked_of_a_block_has_its_middle_there(lengths: list[int], frames: int, block: int, draw: float) -> None:
    count = len(lengths)
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    blocks = Blocks([""] * count, [""] * count, start, np.array(lengths), np.zeros(count, int), np.full(count, count))
    block %= count
    crop = place_crop(blocks, block, frames, draw, inside=True)
    low, high = int(start[block]), int(start[block]) + lengths[block]
    assert crop.block == block and crop.frames == min(frames, sum(lengths))
    if 0 < crop.start < sum(lengths) - crop.frames:
        assert low <= crop.start + frames // 2 < high
    assert crop.start < high and crop.start + crop.frames > low, "some of the block is heard"
    if count == 1:
        assert crop == place_crop(blocks, block, frames, draw)


def test_places_in_a_block_that_was_asked_for_are_even() -> None:
    blocks = Blocks([""] * 3, [""] * 3, np.array([0, 100, 130]), np.array([100, 30, 100]), np.zeros(3, int), np.full(3, 3))
    middles = [place_crop(blocks, 1, 2, (draw + 0.5) / 300, inside=True).start + 1 for draw in range(300)]
    assert Counter(middles) == dict.fromkeys(range(100, 130), 10)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.one_of(st.floats(1e-6, 1e6), st.integers(1, 9)), min_size=1, max_size=30),
    st.integers(1, 200),
    st.integers(0, 3),
    st.integers(0, 2),
)
def test_an_epoch_takes_a_block_as_often_as_its_share_rounded_down_or_up(weights: list, items: int, seed: int, epoch: int) -> None:
    picks = Picks(seed, 99, np.arange(len(weights)) * 3, items, np.array(weights, float))
    counts = Counter(picks.block(epoch * items + item) for item in range(items))
    total = sum(map(Fraction, weights))
    for place, weight in enumerate(weights):
        share = float(items * Fraction(weight) / total)
        assert np.floor(share - 1e-9) <= counts[3 * place] <= np.ceil(share + 1e-9)
    assert set(counts) <= set(picks.blocks)


@pytest.mark.parametrize("weight", [1.0, 0.1, 1 / 3, 1e-300, 1e300, 5e-324])
@pytest.mark.parametrize("draw", [0.0, 1e-16, 0.5, 1 - 2**-53])
def test_equal_weights_take_each_block_once(monkeypatch: pytest.MonkeyPatch, weight: float, draw: float) -> None:
    """Whatever the draw: sums of 0.1 in floating point would give one block twice and another not at all."""
    monkeypatch.setattr(order, "unit_draw", lambda *_: draw)
    picks = Picks(0, 1009, None, None, np.full(1009, weight))
    assert [picks.block(item) for item in range(1009)] == list(range(1009))


@pytest.mark.parametrize("draw", [0.0, 2**-53, 1 - 2**-53])
def test_whole_weights_are_met_exactly_at_the_ends_of_the_draw(monkeypatch: pytest.MonkeyPatch, draw: float) -> None:
    monkeypatch.setattr(order, "unit_draw", lambda *_: draw)
    weights = np.array([3.0, 1, 7, 2, 5] * 40)
    picks = Picks(0, 200, None, int(weights.sum()) * 2, weights)
    counts = Counter(picks.block(item) for item in range(len(picks)))
    assert counts == {place: 2 * weight for place, weight in enumerate(weights)}


def test_shares_below_one_are_met_over_epochs() -> None:
    """Standard error of a count of share p over 2000 epochs: sqrt(2000 p (1 - p)), at most 22."""
    weights = np.array([0.5, 0.1, 3.0, 0.4, 1.0])
    picks = Picks(4, 5, None, 2, weights)
    counts = Counter(picks.block(index) for index in range(4000))
    for place, weight in enumerate(weights):
        assert abs(counts[place] - 4000 * weight / 5) < 4 * 22
    again = Picks(5, 5, None, 2, weights)
    assert [picks.block(index) for index in range(100)] != [again.block(index) for index in range(100)], "the seed moves the draws"


def test_weights_far_apart_leave_none_out_for_good() -> None:
    picks = Picks(0, 3, None, 10, np.array([1e-30, 1.0, 1e30]))
    assert picks.ends.tolist() == sorted(set(picks.ends.tolist())) and picks.ends[0] >= 1


def test_window_functions_answer_for_the_block_they_speak_of(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", {"train": [20100, 30000, 27000]}).path
    rows = pq.read_table(path / "examples.parquet").to_pandas()
    data = ShardDataset(path, crop=0.5, where="row_number() OVER (PARTITION BY song ORDER BY start DESC) <= 2")
    last = rows.sort_values("start", ascending=False).groupby("song").head(2)
    assert {data.blocks.key[data._picks.block(item)] for item in range(len(data))} == set(last["key"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"where": "columns('activity_.*') > 0.1"}, "gives 4 values for each block"),
        ({"where": "  "}, "is empty"),
        ({"weights": ""}, "is empty"),
    ],
)
def test_a_query_gives_one_value(tmp_path: Path, asked: dict, message: str) -> None:
    path = write_tiny(tmp_path / "set").path
    with pytest.raises(UsageError, match=message):
        ShardDataset(path, crop=0.5, **asked)
