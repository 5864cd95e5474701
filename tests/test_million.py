"""A dataset of very many examples: what is kept of each, and what a worker costs."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from mixdata.errors import MixdataError
from mixdata.loading import compact
from mixdata.loading.order import shuffled
from mixdata.rng import stream
from mixdata.shards.format import EXAMPLE_FIELDS
from mixdata.torch import ShardDataset

ROWS = 200_000
BLOCKS = 40  # of a song
STEMS = ("vocals", "drums", "bass", "other")


def write_table_of(path: Path, rows: int) -> Path:
    """Write a dataset that has a table of examples, and no shards."""
    path.mkdir(parents=True)
    rng = stream(1, "million")
    song, block = np.divmod(np.arange(rows), BLOCKS)
    names = np.array([f"a-song-with-a-title-of-usual-len-{number:05d}-{number:08x}" for number in range(-(-rows // BLOCKS))])
    blocks = np.array([f"_{number:05d}" for number in range(BLOCKS)])
    shards = np.array([f"train-{number:06d}" for number in range(rows // 10_000 + 1)])
    columns = {
        "key": np.strings.add(names[song], blocks[block]),
        "song": names[song],
        "corpus": np.where(song % 3 == 0, "musdb18hq", "slakh2100"),
        "split": np.where(np.arange(rows) < rows - 1000, "train", "valid"),
        "shard": shards[song * BLOCKS // 10_000],
        "block": block,
        "start": block * 220_500,
        "frames": np.full(rows, 220_500),
        "sample_rate": np.full(rows, 44_100),
        "byte_offset": np.arange(rows) * 7_000_000,
        "byte_size": np.full(rows, 7_000_000),
        "scale": rng.random(rows),
        "licence": np.full(rows, "CC-BY-4.0"),
    }
    fields = [*EXAMPLE_FIELDS, *((f"activity_{stem}", pa.float32()) for stem in STEMS)]
    columns |= {f"activity_{stem}": rng.random(rows) for stem in STEMS}
    for measure in ("loudness", "peak", "width", "crest"):  # that the builder adds and no loader needs
        columns |= {f"{measure}_{stem}": rng.random(rows) for stem in STEMS}
        fields += [(f"{measure}_{stem}", pa.float64()) for stem in STEMS]
    pq.write_table(pa.table({name: pa.array(columns[name], kind) for name, kind in fields}), path / "examples.parquet")
    splits = {"train": {"examples": rows - 1000}, "valid": {"examples": 1000}}
    meta = {"format": "mixdata", "format_version": 1, "sample_rate": 44_100, "channels": 2, "codec": "npy16", "continuous": True}
    (path / "dataset.json").write_text(json.dumps(meta | {"roles": {"input": list(STEMS)}, "splits": splits}))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table_of(tmp_path_factory.mktemp("million") / "large", ROWS)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table_of(tmp_path_factory.mktemp("million") / "small", 2000)


def arrays_of(data: ShardDataset) -> dict[str, np.ndarray]:
    parts = {"key": data.blocks.key, "shard": data.blocks.shard, "blocks": data.blocks, "picks": data._picks, "reader": data._reader}
    found = {(part, name): value for part, holder in parts.items() for name, value in vars(holder).items()}
    return {f"{part}.{name}": value for (part, name), value in found.items() if isinstance(value, np.ndarray)}


def test_blocks_are_those_of_the_table(large: Path) -> None:
    table = pq.read_table(large / "examples.parquet")
    for split, rows in (("train", slice(0, ROWS - 1000)), ("valid", slice(ROWS - 1000, ROWS))):
        data = ShardDataset(large, split, stems=["bass", "vocals"])
        expected = {name: table[name].to_pylist()[rows] for name in ("key", "shard", "start", "frames", "activity_bass", "activity_vocals")}
        assert list(data.blocks.key) == expected["key"] and list(data.blocks.shard) == expected["shard"]
        assert data.blocks.start.tolist() == expected["start"] and data.blocks.frames.tolist() == expected["frames"]
        assert (
            data._reader.activity[:, 0].tolist() == expected["activity_bass"]
            and data._reader.activity[:, 1].tolist() == expected["activity_vocals"]
        )
        first = np.arange(len(data)) // BLOCKS * BLOCKS
        assert np.array_equal(data.blocks.first, first) and np.array_equal(data.blocks.last, np.minimum(first + BLOCKS, len(data)))


QUERY = {"where": "activity_vocals > 0.1", "weights": "1 + activity_bass"}
OPENING = """
import gc, sys, tracemalloc
from mixdata.torch import ShardDataset
small, large, arguments = sys.argv[1], sys.argv[2], eval(sys.argv[3])
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024
ShardDataset(small, **arguments)  # whatever is loaded when it is first needed
before, objects = peak(), len(gc.get_objects())
data = ShardDataset(large, **arguments)
print(peak() - before, len(gc.get_objects()) - objects)
tracemalloc.start()
data = ShardDataset(large, **arguments)
print(tracemalloc.get_traced_memory()[0], len(tracemalloc.take_snapshot().traces))
"""


@pytest.mark.parametrize("arguments", [{}, QUERY | {"epoch_items": 1000, "missing": "require"}], ids=["all", "query"])
def test_opening_takes_little_memory_and_no_object_for_each_row(small: Path, large: Path, arguments: dict) -> None:
    """500 MB for a million rows are 500 bytes for each; what is kept are the key's bytes (48 here) and some numbers."""
    done = subprocess.run([sys.executable, "-c", OPENING, small, large, repr(arguments)], check=True, capture_output=True, text=True)
    peak, objects, kept, traces = map(int, done.stdout.split())
    assert peak < 500 * ROWS
    assert kept < 130 * ROWS
    assert objects < 1000 and traces < 5000


def test_only_stems_that_are_read_are_kept(large: Path) -> None:
    assert arrays_of(ShardDataset(large, stems=["bass"]))["reader.activity"].shape == (ROWS - 1000, 1)


def test_a_small_split_keeps_nothing_of_the_others(large: Path) -> None:
    for array in arrays_of(ShardDataset(large, "valid", **QUERY)).values():
        base = array if array.base is None else array.base
        assert memoryview(base).nbytes < 200 * 1000, "nor is it a view of them"


class Probe(torch.utils.data.Dataset):
    """What a worker sees of a dataset, and how much memory is its own after it has looked at all of it."""

    def __init__(self, data: ShardDataset):
        self.data = data

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict:
        blocks = self.data.blocks
        texts = sum(len(blocks.key[row]) + len(blocks.shard[row]) for row in range(0, len(blocks), 7))
        arrays = arrays_of(self.data)
        sums = {name: float(array.sum(dtype=np.float64)) for name, array in arrays.items()}
        rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
        private = sum(int(line.split()[1]) * 1024 for line in rollup if line.startswith(("Private_Clean", "Private_Dirty")))
        return {"private": private, "texts": texts, "sums": sums, "pid": os.getpid(), "crop": str(self.data.place(index * 1000 + 1))}


def look(data: ShardDataset, context: str, workers: int) -> list[dict]:
    loader = DataLoader(Probe(data), batch_size=None, num_workers=workers, multiprocessing_context=context)
    return list(loader)


def test_workers_that_are_forked_share_what_is_known_of_the_blocks(small: Path, large: Path) -> None:
    data = ShardDataset(large, epoch_items=4000, **QUERY)
    seen = look(data, "fork", 2)
    _see(seen, data, look(ShardDataset(small, epoch_items=4000, **QUERY), "fork", 1))


def test_workers_that_are_spawned_share_it_too_and_so_does_their_parent(small: Path, large: Path) -> None:
    before = _open_files()
    data = ShardDataset(large, epoch_items=4000, **QUERY)
    expected = Probe(data)[2]
    seen = look(data, "spawn", 2)
    _see(seen, data, look(ShardDataset(small, epoch_items=4000, **QUERY), "spawn", 1))
    shared = data.blocks.key._memory["data"]
    assert data.blocks.key.data is shared.array and not shared.array.flags.writeable
    again = pickle.loads(pickle.dumps(data))
    assert Probe(data)[2]["sums"] == Probe(again)[2]["sums"] == expected["sums"] and again.blocks.key[5] == data.blocks.key[5]
    assert "_memory" not in vars(again.blocks.key)
    assert 2 * 6 <= _open_files() - before <= 2 * 10, "one for each array and one for its map, not for each worker"
    del data, shared
    assert _open_files() == before


def _see(seen: list[dict], data: ShardDataset, alone: list[dict]) -> None:
    """Two workers saw what is there, and each has hardly more memory of its own than `alone`, with a small dataset."""
    size = sum(array.nbytes for array in arrays_of(data).values())
    assert size > 90 * ROWS
    assert len({each["pid"] for each in seen}) == 2 and os.getpid() not in {each["pid"] for each in seen}
    for index, each in enumerate(seen):
        expected = Probe(data)[index]
        assert all(each[name] == expected[name] for name in ("texts", "sums", "crop"))
    added = max(each["private"] for each in seen) - min(each["private"] for each in alone)
    assert added < 0.3 * size, f"{added} of {size} bytes are a worker's own"


def _open_files() -> int:
    links = [file for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]
    return sum("memfd:mixdata" in os.readlink(file) for file in links)


def test_a_copy_for_anything_but_a_new_process_is_a_copy(small: Path) -> None:
    data = ShardDataset(small)
    again = pickle.loads(pickle.dumps(data))
    for name, array in arrays_of(data).items():
        assert np.array_equal(arrays_of(again)[name], array) and not np.shares_memory(arrays_of(again)[name], array)
    assert "_memory" not in vars(again.blocks)


def test_memory_that_cannot_be_shared_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", none_left)
    files = len(os.listdir("/proc/self/fd"))
    with pytest.raises(MixdataError, match="no 800000 bytes of memory to share with workers"):
        compact.Memory.holding(np.zeros(100_000))
    assert len(os.listdir("/proc/self/fd")) == files


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(max_size=5), max_size=6), max_size=4), st.integers(0, 8), st.integers(0, 12))
def test_columns_of_text_keep_what_is_in_them(chunks: list[list[str]], start: int, count: int) -> None:
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks], pa.string()).slice(start, count)
    expected = column.to_pylist()
    each = [pa.array(chunk, pa.string()).dictionary_encode() for chunk in chunks]  # with names of their own
    coded = pa.chunked_array(each, pa.dictionary(pa.int32(), pa.string())).slice(start, count)
    for form in (column, column.dictionary_encode(), coded):
        names = compact.Names(form)
        assert list(names) == expected and len(names) == len(expected)
    texts = compact.Texts(column)
    assert list(texts) == expected and [texts[row] for row in range(len(texts))] == expected
    assert texts.data.nbytes == sum(len(text.encode()) for text in expected)
    with pytest.raises(IndexError):
        texts[len(texts)]
    with pytest.raises(IndexError):
        texts[-1]


def test_numbers_take_32_bits_where_they_fit() -> None:
    for values, kind in (
        ([0, 2**31 - 1], np.int32),
        ([0, 2**31], np.int64),
        ([-(2**31) - 1], np.int64),
        ([-(2**31)], np.int32),
        ([], np.int32),
    ):
        small = compact.smaller(np.array(values, np.int64))
        assert small.dtype == kind and small.tolist() == values


def test_crops_of_songs_of_any_length_are_placed(tmp_path: Path) -> None:
    """Near 2**31 frames the sum of two numbers of 32 bits is wrong."""
    path = write_table_of(tmp_path / "set", 2000)
    table = pq.read_table(path / "examples.parquet")
    for name, value in (("start", 2**31 - 5), ("frames", 2**31 - 1)):
        table = table.set_column(table.column_names.index(name), name, pa.array([value] * len(table), pa.int64()))
    pq.write_table(table, path / "examples.parquet")
    crop = ShardDataset(path, crop=6.0).place(len(table) // 3)
    assert 2**31 - 5 <= crop.start <= 2**32 - 6 - crop.frames and crop.frames == 264_600


def test_an_epochs_order_is_the_generators_permutation_in_half_the_memory() -> None:
    expected = stream(3, "order", 7).permutation(1000)
    found = shuffled(1000, 3, "order", 7)
    assert np.array_equal(found, expected) and found.dtype == np.int32 and not found.flags.writeable
