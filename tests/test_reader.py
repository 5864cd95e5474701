"""Reading a dataset back: what was put in comes out, and damage is named."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset

from mixdata.errors import MixdataError, UsageError
from mixdata.shards.format import BITS, MEMBER_SCHEMA, decode_flac
from mixdata.shards.reader import open_dataset
from mixdata.shards.shard import Piece
from mixdata.torch import ShardDataset
from tiny_dataset import STEMS, write_tiny

SHORT = {"train": [20100, 8000], "valid": [9000]}


@pytest.mark.parametrize("loud", [1.0, 20.0])
@pytest.mark.parametrize("codec", ["npy16", "flac16", "flac24"])
def test_examples_come_back_within_half_a_step(tmp_path: Path, codec: str, loud: float) -> None:
    tiny = write_tiny(tmp_path / "set", SHORT, codec=codec, loud=loud)
    dataset = open_dataset(tiny.path)
    assert len(dataset) == len(dataset.examples) == 6
    for example in dataset:
        assert (example.scale < 1) == (loud > 1)
        for role, stem, audio in example.members():
            source = tiny.song(example.song)[role][stem][:, example.start : example.start + example.frames]
            assert audio.dtype == np.float32 and audio.shape == source.shape
            # Half a step, undone by the scale; and the rounding of float32 on both ways.
            bound = 0.5 * 2.0 ** (1 - BITS[codec]) / example.scale + 2.0**-22 * np.abs(source).max()
            assert np.abs(audio - source).max() <= bound


def test_an_example_knows_its_place_activity_and_record(tmp_path: Path) -> None:
    tiny = write_tiny(tmp_path / "set", SHORT, gated=("bass",))
    example = open_dataset(tiny.path)[1]
    assert (example.split, example.block, example.start, example.frames, example.sample_rate) == ("train", 1, 8000, 8000, 8000)
    assert list(example.roles) == ["input", "target"] and list(example.roles["target"]) == ["mixture", *STEMS]
    assert example.active["input"] == {"vocals": True, "drums": True, "bass": False, "other": True}
    assert example.activity == pytest.approx({"vocals": 0.2, "drums": 0.2, "bass": 0.0, "other": 0.2})
    assert example.record == {"key": example.key, "song": example.song}


def test_load_by_key_is_the_same_example(tmp_path: Path) -> None:
    dataset = open_dataset(write_tiny(tmp_path / "set", SHORT).path)
    key = dataset.examples["key"][4]
    assert np.array_equal(dataset.load(key).roles["input"]["drums"], dataset[4].roles["input"]["drums"])
    with pytest.raises(UsageError, match="no example 'nothing'"):
        dataset.load("nothing")


def test_tables_and_recipe_are_read(tmp_path: Path) -> None:
    tiny = write_tiny(tmp_path / "set", SHORT)
    dataset = open_dataset(str(tiny.path))
    assert dataset.recipe == {"name": "tiny", "steps": []}
    assert list(dataset.songs["id"]) == [song for songs in tiny.songs.values() for song in songs]
    assert dataset.members("train-000000").num_rows == 4 * 10
    assert dataset.splits["valid"]["examples"] == 2


@pytest.mark.parametrize("codec", ["npy16", "flac16", "flac24"])
def test_parts_of_members_are_slices_of_the_whole(tmp_path: Path, codec: str) -> None:
    dataset = open_dataset(write_tiny(tmp_path / "set", SHORT, codec=codec, loud=20.0).path)
    shard = dataset.shard("train-000000")
    members = tuple(shard.rows(dataset.examples["key"][0], ["input.drums", "target.mixture"]))
    whole = shard.read([Piece(members, 0, 8000, 0)], 8000)
    part = shard.read([Piece(members, 1234, 4000, 10)], 4020)
    assert np.array_equal(part[..., 10:4010], whole[..., 1234:5234])
    assert not part[..., :10].any() and not part[..., 4010:].any()


def test_a_dataset_is_picklable_without_its_tables(tmp_path: Path) -> None:
    dataset = open_dataset(write_tiny(tmp_path / "set").path)
    assert dataset[0].frames and len(dataset.songs)
    pickled = pickle.dumps(dataset)
    assert len(pickled) < 5000
    assert np.array_equal(pickle.loads(pickled)[0].roles["input"]["bass"], dataset[0].roles["input"]["bass"])


def test_nothing_is_opened_before_the_first_read(tmp_path: Path) -> None:
    tiny = write_tiny(tmp_path / "set")
    (tiny.path / "examples.parquet").rename(tiny.path / "elsewhere")
    dataset = open_dataset(tiny.path)
    (tiny.path / "elsewhere").rename(tiny.path / "examples.parquet")
    assert dataset[0].frames == 8000


def test_an_unfinished_build_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"build is not finished.*same `mixdata build` again"):
        open_dataset(write_tiny(tmp_path / "set", SHORT, drop=("dataset.json",)).path)


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        open_dataset(tmp_path / "none")
    with pytest.raises(UsageError, match="not a mixdata dataset"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(MixdataError, match=r"dataset.json: cannot be read"):
        open_dataset(tmp_path)
    (tmp_path / "dataset.json").write_text("[]")
    with pytest.raises(UsageError, match="not a mixdata dataset"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2, this mixdata reads 1"),
        ({"codec": "mp3"}, "damaged, see codec"),
        ({"roles": None}, "damaged, see roles"),
        ({"roles": {"input": 5}}, "damaged, see roles"),
        ({"roles": {"input": ["../drums"]}}, "damaged, see roles"),
        ({"roles": {"../input": ["drums"]}}, "damaged, see roles"),
        ({"splits": {"train": {}}}, "damaged, see splits"),
        ({"sample_rate": 0}, "damaged, see sample_rate"),
        ({"channels": -1}, "damaged, see channels"),
    ],
)
def test_a_foreign_description_is_an_error(tmp_path: Path, change: dict, message: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    meta = json.loads((path / "dataset.json").read_text())
    (path / "dataset.json").write_text(json.dumps({**meta, **change}))
    with pytest.raises(MixdataError, match=message):
        open_dataset(path)


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
def test_a_changed_byte_names_shard_key_and_range(tmp_path: Path, codec: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT, codec=codec).path
    members = pq.read_table(path / "shards" / "train-000000.parquet").to_pylist()
    hit = next(m for m in members if m["role"] == "target" and m["stem"] == "drums" and m["key"].endswith("00001"))
    _flip(path / "shards" / "train-000000.tar", hit["byte_offset"] + hit["byte_size"] // 2)
    dataset = open_dataset(path)
    assert dataset[0].frames == 8000
    where = rf"train-000000.tar: {hit['key']}.target.drums \(bytes {hit['byte_offset']} to {hit['byte_offset'] + hit['byte_size']}\)"
    with pytest.raises(MixdataError, match=where):
        dataset[1]


def test_a_broken_flac_is_an_error_without_checksums_too(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", SHORT, codec="flac16").path
    _flip(path / "shards" / "train-000000.tar", 512, b"junk")
    dataset = open_dataset(path)
    with pytest.raises(MixdataError, match=r"input.vocals \(bytes 512 to \d+\): cannot be decoded"):
        dataset.load(dataset.examples["key"][0], verify=False)


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
def test_a_cut_or_missing_shard_is_an_error(tmp_path: Path, codec: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT, codec=codec).path
    tar = path / "shards" / "train-000000.tar"
    tar.write_bytes(tar.read_bytes()[:2000])
    dataset = open_dataset(path)
    with pytest.raises(MixdataError, match=r"train-000000.tar: ends before byte"):
        dataset[0]
    with pytest.raises(MixdataError, match=r"train-000000.tar: ends before byte"):
        dataset.load(dataset.examples["key"][0], verify=False)
    tar.unlink()
    with pytest.raises(MixdataError, match=r"train-000000.tar: cannot be read"):
        dataset[0]


def test_an_index_that_asks_too_much_is_an_error(tmp_path: Path) -> None:
    dataset = open_dataset(write_tiny(tmp_path / "set", SHORT).path)
    shard = dataset.shard("train-000000")
    with pytest.raises(MixdataError, match="holds 8000 frames"):
        shard.read([Piece((0,), 1, 8000, 0)], 8000)
    with pytest.raises(MixdataError, match=r"lacks one of input.flute"):
        shard.rows(dataset.examples["key"][0], ["input.flute"])


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
def test_webdataset_reads_the_same(tmp_path: Path, codec: str) -> None:
    dataset = open_dataset(write_tiny(tmp_path / "set", SHORT, codec=codec).path)
    pipeline = webdataset.WebDataset(str(dataset.path / "shards" / "train-000000.tar"), shardshuffle=False).decode(decode_flac)
    samples = list(pipeline)
    assert [sample["__key__"] for sample in samples] == list(dataset.examples["key"][:4])
    for sample, row in zip(samples, range(4), strict=True):
        example = dataset[row]
        assert sample["json"] == example.record
        for role, stem, audio in example.members():
            read = sample[f"{role}.{stem}.{'npy' if codec == 'npy16' else 'flac'}"]
            assert np.array_equal(read.astype(np.float32) * np.float32(2.0**-15 if codec == "npy16" else 1), audio)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("key", "../../../../escaped"),
        ("key", "song-1-00000000_00000\n"),
        ("key", "x" * 41 + "-00000000_00000"),
        ("shard", "../../elsewhere"),
        ("shard", "train-000000/../../x"),
        ("shard", "train-1"),
    ],
)
def test_keys_and_shards_that_no_builder_gives_are_refused(tmp_path: Path, column: str, value: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    _change(path / "examples.parquet", column, value)
    for read in _readers(path):
        with pytest.raises(MixdataError, match=rf"examples.parquet: .* is no {column} that mixdata gives"):
            read()


@pytest.mark.parametrize(
    ("column", "value"), [("role", "../input"), ("role", ""), ("role", "a.b"), ("stem", "../../drums"), ("stem", "Drums"), ("stem", "")]
)
def test_roles_and_stems_that_no_builder_gives_are_refused(tmp_path: Path, column: str, value: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    _change(path / "shards" / "train-000000.parquet", column, value)
    for read in _readers(path)[1:]:
        with pytest.raises(MixdataError, match=r"train-000000.parquet: '.*' is no name of a role and a stem"):
            read()


@pytest.mark.parametrize("column", ["key", "split", "shard", "start", "frames", "scale", "byte_offset", "licence"])
def test_a_table_of_examples_without_a_column_is_an_error(tmp_path: Path, column: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    file = path / "examples.parquet"
    whole = pq.read_table(file)
    nothing = pa.nulls(len(whole), whole[column].type)
    other = pa.array([b"x"] * len(whole))
    place = whole.column_names.index(column)
    for table in (whole.drop_columns([column]), whole.set_column(place, column, nothing), whole.set_column(place, column, other)):
        pq.write_table(table, file)
        for read in _readers(path):
            with pytest.raises(MixdataError, match=rf"examples.parquet: has no whole column {column} of type .*mixdata verify"):
                read()


@pytest.mark.parametrize("column", MEMBER_SCHEMA.names)
def test_a_member_table_without_a_column_is_an_error(tmp_path: Path, column: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    file = path / "shards" / "train-000000.parquet"
    whole = pq.read_table(file)
    place = whole.column_names.index(column)
    for table in (whole.drop_columns([column]), whole.set_column(place, column, pa.nulls(len(whole), whole[column].type))):
        pq.write_table(table, file)
        for read in _readers(path)[1:]:
            with pytest.raises(MixdataError, match=rf"train-000000.parquet: has no whole column {column} of type"):
                read()


@pytest.mark.parametrize(
    ("column", "value"),
    [("frames", 0), ("frames", -5), ("frames", 2**62), ("start", -1), ("start", 2**62), ("sample_rate", 0), ("activity_drums", "loud")],
)
def test_examples_with_a_value_that_cannot_be_are_refused(tmp_path: Path, column: str, value: int | str) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    _change(path / "examples.parquet", column, value)
    for read in _readers(path):
        with pytest.raises(MixdataError, match=f"column {column} "):
            read()


@pytest.mark.parametrize(("column", "value"), [("byte_offset", -1), ("byte_size", -1), ("frames", -1), ("scale", 0.0), ("scale", np.nan)])
def test_members_with_a_value_that_cannot_be_are_refused(tmp_path: Path, column: str, value: float) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    _change(path / "shards" / "train-000000.parquet", column, value, row=1)
    for read in _readers(path)[1:]:
        with pytest.raises(MixdataError, match=f"train-000000.parquet: row 1 has a {column} that cannot be"):
            read()


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
@pytest.mark.parametrize("value", [10**14, 2**63 - 1])
@pytest.mark.parametrize("column", ["byte_offset", "byte_size"])
def test_members_beyond_the_end_of_their_tar_take_no_memory(tmp_path: Path, codec: str, column: str, value: int) -> None:
    path = write_tiny(tmp_path / "set", SHORT, codec=codec).path
    _change(path / "shards" / "train-000000.parquet", column, value)
    for read in _readers(path)[1:]:
        with pytest.raises(MixdataError, match=r"train-000000.tar: ends before byte \d+"):
            read()


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
def test_absurd_lengths_are_an_error(tmp_path: Path, codec: str) -> None:
    path = write_tiny(tmp_path / "set", SHORT, codec=codec).path
    absurd = 10**14  # 400 TB a channel
    _change(path / "examples.parquet", "frames", absurd)
    dataset = open_dataset(path)
    key = dataset.examples["key"][0]
    with pytest.raises(MixdataError, match=f"holds 8000 frames, .* {absurd}"):
        dataset.load(key, verify=False)
    pq.write_table(_with(pq.read_table(file := path / "shards" / "train-000000.parquet"), "frames", absurd), file)
    with pytest.raises(MixdataError, match=r"samples do not fit into memory.*mixdata verify"):
        open_dataset(path).load(key, verify=False)
    with pytest.raises(MixdataError, match=r"samples do not fit into memory"):
        ShardDataset(path, crop=None)[0]


def test_a_record_that_is_no_json_is_an_error(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    record = next(m for m in pq.read_table(path / "shards" / "train-000000.parquet").to_pylist() if m["role"] == "record")
    dataset = open_dataset(path)
    for junk, message in ((b"{]", "the record of .* cannot be read"), (b"\xff\xff", r"record \(bytes .*\): is no text")):
        _flip(path / "shards" / "train-000000.tar", record["byte_offset"], junk)
        with pytest.raises(MixdataError, match=message):
            dataset.load(record["key"], verify=False)


def test_text_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    table = pq.read_table(file := path / "examples.parquet")
    junk = pa.array([b"\xff"] * len(table)).cast(pa.binary()).view(pa.string())
    pq.write_table(table.set_column(table.column_names.index("song"), "song", junk), file)
    for read in _readers(path):
        with pytest.raises(MixdataError, match=r"examples.parquet: cannot be read"):
            read()


def test_the_recipe_is_read_as_strictly_as_recipes_are(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", SHORT).path
    (path / "recipe.yaml").write_text("name: no\nat: 12:30\n")
    assert open_dataset(path).recipe == {"name": "no", "at": "12:30"}
    for text, message in (("a: &x [1]\nb: *x\n", "anchors"), ("a: 1\na: 2\n", "twice"), ("- a", "is no recipe"), ("", "is no recipe")):
        (path / "recipe.yaml").write_text(text)
        with pytest.raises(MixdataError, match=rf"recipe.yaml.*{message}"):
            _ = open_dataset(path).recipe
    (path / "recipe.yaml").write_bytes(b"\xff")
    with pytest.raises(MixdataError, match=r"recipe.yaml: cannot be read"):
        _ = open_dataset(path).recipe


def _readers(path: Path) -> list[Callable[[], object]]:
    """What reads the examples' table; all but the first read a shard too."""
    return [lambda: open_dataset(path).examples, lambda: open_dataset(path)[0], lambda: ShardDataset(path, crop=None)[0]]


def _change(file: Path, column: str, value: object, row: int = 0) -> None:
    """Put a value into one row of a table."""
    table = pq.read_table(file)
    values = table[column].to_pylist()
    values[row] = value
    kind = pa.string() if isinstance(value, str) else table[column].type
    values = [str(v) for v in values] if kind == pa.string() else values
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values, kind)), file)


def _with(table: pa.Table, column: str, value: int) -> pa.Table:
    return table.set_column(table.column_names.index(column), column, pa.array([value] * len(table), table[column].type))


def _flip(path: Path, offset: int, data: bytes | None = None) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        new = data or bytes([file.read(1)[0] ^ 0xFF])
        file.seek(offset)
        file.write(new)
