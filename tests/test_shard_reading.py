"""Reading crops out of shards: whatever is asked, in whatever way, is what whole members hold."""

import errno
import io
import os
import pickle
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tiny_dataset
from mixdata.errors import MixdataError, UsageError
from mixdata.rng import stream
from mixdata.shards import flac, mapped
from mixdata.shards.convert import convert, spread
from mixdata.shards.format import MEMBER_SCHEMA
from mixdata.shards.members import Members
from mixdata.shards.reader import Dataset, open_dataset
from mixdata.shards.spans import merged
from mixdata.torch import ShardDataset
from tiny_dataset import STEMS, write_tiny

CODECS = ("flac16", "flac24", "npy16", "npyf32")
NAMES = tuple(f"{role}.{stem}" for role, stems in tiny_dataset.ROLES.items() for stem in stems)
SHARD = "train-000000"
PLAIN = {"npy16": "<i2", "npyf32": "<f4"}


def stored(path: Path) -> dict[str, np.ndarray]:
    """Return what the members of the first shard hold, by tarfile, numpy and libsndfile alone."""
    found = {}
    with tarfile.open(path / "shards" / f"{SHARD}.tar") as tar:
        for info in tar:
            data = io.BytesIO(tar.extractfile(info).read())
            if info.name.endswith(".npy"):
                found[info.name[:-4]] = np.load(data)
            elif info.name.endswith(".flac"):
                wide = soundfile.info(data).subtype == "PCM_24"
                data.seek(0)
                samples = soundfile.read(data, dtype="int32" if wide else "int16", always_2d=True)[0].T
                found[info.name[:-5]] = samples >> 8 if wide else samples
    return found


def true_level(integers: np.ndarray, scale: float, codec: str) -> np.ndarray:
    """Return the quotient, correctly rounded to float32 by float64 of twice its width."""
    full = {"flac16": 2**15, "flac24": 2**23, "npy16": 2**15, "npyf32": 1}[codec]
    return (integers.astype(np.float64) / np.float64(np.float32(scale * full))).astype(np.float32)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, np.ndarray]]]:
    """Write one set per codec, with a silent stem, audio above full scale and a short last block."""
    made = {}
    for codec in CODECS:
        path = tmp_path_factory.mktemp(codec) / "set"
        write_tiny(path, {"train": [2500, 1900]}, codec=codec, block=1000, loud=20.0, gated=("bass",))
        made[codec] = path, stored(path)
    return made


@pytest.fixture(scope="module")
def opened(sets: dict, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Dataset]:
    caches = {"none": {}, "whole": {}, "partly": {"cache_bytes": 60_000}}
    return {
        (codec, access, cache): open_dataset(
            path, access=access, **options, **({} if cache == "none" else {"cache_dir": tmp_path_factory.mktemp("cache")})
        )
        for codec, (path, _) in sets.items()
        for access in ("map", "pread")
        for cache, options in caches.items()
    }


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_pieces_by_any_way_are_slices_of_whole_members(sets: dict, opened: dict, data: st.DataObject) -> None:
    codec = data.draw(st.sampled_from(CODECS))
    path, whole = sets[codec]
    dataset = opened[codec, data.draw(st.sampled_from(["map", "pread"])), data.draw(st.sampled_from(["none", "whole", "partly"]))]
    shard = dataset.shard(SHARD)
    table = pq.read_table(path / "shards" / f"{SHARD}.parquet").to_pandas()
    lengths = table[table["role"] == "record"].set_index("key")["frames"]
    names = tuple(data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=9)))
    pieces, expected, total = [], [], 0
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from(list(lengths.index)))
        start = data.draw(st.integers(0, int(lengths[key])))
        frames = data.draw(st.integers(0, int(lengths[key]) - start))
        total += data.draw(st.integers(0, 20))
        pieces.append((key, start, frames, total))
        total += frames
    total += data.draw(st.integers(0, 20))
    expected = np.zeros((len(names), 2, total), np.float32)
    for key, start, frames, to in pieces:
        scale = float(table[table["key"] == key]["scale"].iloc[0])
        for row, name in enumerate(names):
            expected[row, :, to : to + frames] = true_level(whole[f"{key}.{name}"][:, start : start + frames], scale, codec)
    data.draw(st.randoms(use_true_random=False)).shuffle(pieces)  # their order says nothing
    audio = np.full(expected.shape, np.nan, np.float32)
    cut = data.draw(st.integers(0, len(names)))
    parts = [audio[:cut], *(audio[row] for row in range(cut, len(names)))]
    members = shard.table_of([key for key, *_ in pieces], names)
    shard.read_into(
        members,
        np.array([piece[1:] for piece in pieces], np.int64),
        parts,
        check=data.draw(st.booleans()),
        threads=data.draw(st.integers(1, 2)),
    )
    assert np.array_equal(audio, expected)


def test_conversion_is_the_correctly_rounded_quotient() -> None:
    every = np.arange(-(2**15), 2**15, dtype=np.int16)
    wide = stream(0, "wide").integers(-(2**23), 2**23, 20_000).astype(np.int32)
    out, wide_out = np.empty(len(every), np.float32), np.empty((1, len(wide)), np.float32)
    for scale in [1.0, 0.5, *stream(0, "scales").random(200)]:
        divisor = np.float32(scale * 2**15)
        convert(every, 1 / np.float64(divisor), out)
        assert np.array_equal(out.view(np.uint32), (every / divisor).view(np.uint32))  # NumPy divides in float32
        divisor = np.float32(scale * 2**23)
        spread((wide << 8)[:, None], 1 / np.float64(divisor) / 256, wide_out)
        assert np.array_equal(wide_out[0], (wide / np.float64(divisor)).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_any_number_of_channels_is_read(tmp_path: Path, channels: int) -> None:
    for codec in CODECS:
        path = tmp_path / codec
        write_tiny(path, {"train": [1500]}, codec=codec, block=1000, channels=channels)
        whole = stored(path)
        for access in ("map", "pread"):
            example = open_dataset(path, access=access)[1]
            for role, stem, audio in example.members():
                assert np.array_equal(audio, true_level(whole[f"{example.key}.{role}.{stem}"], example.scale, codec))


@pytest.mark.parametrize("codec", CODECS)
def test_a_usual_crop_is_one_read_over_blocks_that_lie_together(tmp_path: Path, codec: str) -> None:
    write_tiny(tmp_path / "set", {"train": [24000]}, codec=codec)
    data = ShardDataset(tmp_path / "set", crop=1.2, access="pread", verify="off")
    data[0]
    crossed = 0
    for index in range(8):
        before = data.dataset.counts.total()
        crop = data.place(index)
        crossed += len(crop.parts) > 1
        data[index]
        after = data.dataset.counts.total()
        assert after["reads"] - before["reads"] == 1
        assert after["decoded"] - before["decoded"] == (9 * len(crop.parts) if codec.startswith("flac") else 0)
        assert 0 < after["bytes_read"] - before["bytes_read"] < (tmp_path / "set" / "shards" / f"{SHARD}.tar").stat().st_size
    assert crossed > 3


def test_bytes_of_mapped_reads_are_those_of_the_samples(tmp_path: Path) -> None:
    write_tiny(tmp_path / "set", {"train": [24000]}, gated=("bass",))
    data = ShardDataset(tmp_path / "set", crop=0.5, roles=["input"], verify="off")
    before = data.dataset.counts.total()["bytes_read"]
    data[0]
    assert data.dataset.counts.total()["bytes_read"] - before == 3 * 2 * 2 * 4000  # three stems sound


@pytest.mark.parametrize(
    ("spans", "joined"),
    [
        ([], []),
        ([(0, 5)], [(0, 5)]),
        ([(9, 12), (0, 5)], [(0, 12)]),
        ([(0, 5), (15, 20)], [(0, 5), (15, 20)]),  # as many bytes as the limit are not worth reading
        ([(0, 5), (14, 20)], [(0, 20)]),
        ([(0, 100), (10, 20), (105, 106)], [(0, 106)]),
    ],
)
def test_spans_nearer_than_the_gap_are_joined(spans: list, joined: list) -> None:
    assert merged(spans, 10) == joined


@pytest.mark.parametrize("codec", ["npy16", "npyf32"])
@pytest.mark.parametrize("more", [1, 2, 3, 65])
def test_headers_of_any_length_are_stepped_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, more: int) -> None:
    plain = tiny_dataset.encode

    def longer(audio: np.ndarray, sample_rate: int, codec: str) -> bytes:
        data = plain(audio, sample_rate, codec)
        length = int.from_bytes(data[8:10], "little")
        header = data[10 : 10 + length - 1] + b" " * more + b"\n"
        return data[:8] + (length + more).to_bytes(2, "little") + header + data[10 + length :]

    write_tiny(tmp_path / "plain", {"train": [2500]}, codec=codec, block=1000)
    monkeypatch.setattr(tiny_dataset, "encode", longer)
    write_tiny(tmp_path / "odd", {"train": [2500]}, codec=codec, block=1000)
    for access in ("map", "pread"):
        for plain_example, odd in zip(open_dataset(tmp_path / "plain"), open_dataset(tmp_path / "odd", access=access), strict=True):
            for (_, _, one), (_, _, other) in zip(plain_example.members(), odd.members(), strict=True):
                assert np.array_equal(one, other)


@pytest.mark.parametrize("access", ["map", "pread"])
@pytest.mark.parametrize("codec", ["npy16", "flac16"])
def test_a_shard_that_is_cut_while_it_is_in_use_is_an_error(tmp_path: Path, codec: str, access: str) -> None:
    write_tiny(tmp_path / "set", {"train": [16000]}, codec=codec)
    data = ShardDataset(tmp_path / "set", crop=None, access=access, verify="off")
    before = data[1]["target"].numpy().copy()
    tar = tmp_path / "set" / "shards" / f"{SHARD}.tar"
    whole = tar.read_bytes()
    os.truncate(tar, 4096)
    with pytest.raises(
        MixdataError, match=r"train-000000\.tar: ends before byte \d+.*song-1-4bf5122f_00001\.\w+\.\w+ \(bytes \d+ to \d+\)"
    ):
        data[1]
    tar.write_bytes(whole)
    assert np.array_equal(data[1]["target"].numpy(), before)


@pytest.mark.parametrize("access", ["map", "pread"])
@pytest.mark.parametrize("codec", ["npy16", "npyf32"])
def test_a_member_too_small_for_its_frames_is_named(tmp_path: Path, codec: str, access: str) -> None:
    path = write_tiny(tmp_path / "set", {"train": [2000]}, codec=codec, block=1000).path
    file = path / "shards" / f"{SHARD}.parquet"
    table = pq.read_table(file)
    sizes = table["byte_size"].to_pylist()
    sizes[3] = 2 * 1000 * np.dtype(PLAIN[codec]).itemsize  # all of it samples: then there is no header
    pq.write_table(table.set_column(table.column_names.index("byte_size"), "byte_size", pa.array(sizes)), file)
    dataset = open_dataset(path, access=access)
    key, offset = dataset.examples["key"][0], table["byte_offset"][3].as_py()
    where = rf"{SHARD}.tar: {key}.input.other \(bytes {offset} to {offset + sizes[3]}\): too small for 1000 frames"
    with pytest.raises(MixdataError, match=where):
        dataset.load(key, verify=False)


@pytest.mark.parametrize("codec", CODECS)
def test_with_checksums_the_damaged_member_is_named(tmp_path: Path, codec: str) -> None:
    path = write_tiny(tmp_path / "set", {"train": [2000]}, codec=codec, block=1000, gated=("bass",)).path
    members = pq.read_table(path / "shards" / f"{SHARD}.parquet").to_pylist()
    for row in (3, 2):  # the second is silent: it is compared, too
        tar = path / "shards" / f"{SHARD}.tar"
        whole = tar.read_bytes()
        hit = members[row]
        place = hit["byte_offset"] + hit["byte_size"] - 3
        tar.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        where = rf"{hit['key']}.input.{hit['stem']} \(bytes {hit['byte_offset']} to \d+\): damaged"
        for access in ("map", "pread"):
            with pytest.raises(MixdataError, match=where):
                ShardDataset(path, crop=None, verify="crc", access=access)[0]
        tar.write_bytes(whole)


@pytest.mark.parametrize(("change", "message"), [("channels", "1 channels"), ("short", "frames"), ("junk", "decoded")])
def test_flac_members_that_hold_something_else_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, message: str
) -> None:
    plain = tiny_dataset.encode

    def other(audio: np.ndarray, sample_rate: int, codec: str) -> bytes:
        if change == "junk":
            return b"fLaC" + bytes(400)
        return plain(audio[:1] if change == "channels" else audio[:, :-1], sample_rate, codec)

    monkeypatch.setattr(tiny_dataset, "encode", other)
    dataset = open_dataset(write_tiny(tmp_path / "set", {"train": [2000]}, codec="flac16", block=1000).path)
    with pytest.raises(
        MixdataError,
        match=rf"input.vocals \(bytes 512 to \d+\): cannot be decoded \(.*{message}" if change != "junk" else "cannot be decoded",
    ):
        dataset[0]


@pytest.mark.parametrize("codec", ["npy16", "flac16"])
def test_threads_forks_and_pickles_read_the_same(tmp_path: Path, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "MOST", 2)
    write_tiny(tmp_path / "set", {"train": [20000, 9000, 12000, 8000, 10000]}, codec=codec, songs_per_shard=1)
    data = ShardDataset(tmp_path / "set", crop=1.3, access="map")
    alone = [data[index]["target"].numpy() for index in range(40)]
    assert len(set(data.blocks.shard)) > 2, "more shards than stay mapped"
    with ThreadPoolExecutor(4) as pool:
        for index, item in enumerate(pool.map(data.__getitem__, [*range(40)] * 3)):
            assert np.array_equal(item["target"].numpy(), alone[index % 40])
    again = pickle.loads(pickle.dumps(data))
    assert all(np.array_equal(again[index]["target"].numpy(), alone[index]) for index in range(10))
    shard, key = data.dataset.shard("train-000000"), data.blocks.key[0]
    members, pieces = shard.table_of([key], NAMES), np.array([[0, 8000, 0]])
    out = np.empty((9, 2, 8000), np.float32)
    shard.read_into(members, pieces, [out], threads=2)
    child = os.fork()
    if not child:
        inside = np.empty_like(out)
        shard.read_into(members, pieces, [inside], threads=2)  # the parent's threads are not there
        os._exit(0 if np.array_equal(inside, out) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_more_files_stay_mapped_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "MOST", 3)
    write_tiny(tmp_path / "set", {"train": [4000] * 12}, songs_per_shard=1)
    data = ShardDataset(tmp_path / "set", crop=None, verify="off")
    for index in range(24):
        data[index]
    files = [os.readlink(f"/proc/self/fd/{file}") for file in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{file}")]
    assert 0 < sum(file.startswith(str(tmp_path)) for file in files) <= 3


def test_examples_with_other_members_than_the_rest_are_found() -> None:
    layout = {"a": ["vocals", "drums"], "b": ["drums", "vocals"], "c": ["vocals", "drums", "bass"]}
    rows = [{"key": key, "role": "input", "stem": stem} for key, stems in layout.items() for stem in stems]
    rest = {"codec": "npy16", "byte_offset": 0, "byte_size": 9, "channels": 2, "frames": 1, "scale": 1.0, "active": True, "crc32c": 0}
    members = Members(pa.Table.from_pylist([row | rest for row in rows], schema=MEMBER_SCHEMA), "tar", "table")
    assert members.table_of(["c", "b", "a"], ("input.drums", "input.vocals")).tolist() == [[5, 4], [2, 3], [1, 0]]
    assert members.rows("c") == [4, 5, 6] and members.rows("c", ["input.bass"]) == [6]
    with pytest.raises(MixdataError, match=r"table: a lacks one of input.bass"):
        members.table_of(["c", "a"], ("input.bass",))
    with pytest.raises(MixdataError, match="table: has no example d"):
        members.table_of(["c", "d"], ("input.drums",))


def test_arrays_of_any_strides_are_filled_and_wrong_ones_refused(sets: dict) -> None:
    path, whole = sets["npy16"]
    dataset = open_dataset(path)
    shard, key = dataset.shard(SHARD), dataset.examples["key"][0]
    members = shard.table_of([key], ("input.vocals", "input.drums"))
    pieces = np.array([[0, 1000, 0]])
    expected = np.stack([true_level(whole[f"{key}.input.{stem}"], dataset.examples["scale"][0], "npy16") for stem in STEMS[:2]])
    for wide in (np.empty((1000, 2, 2), np.float32).T, np.empty((2, 2, 3000), np.float32)[..., 1::3]):
        shard.read_into(members, pieces, [wide])
        assert np.array_equal(wide, expected)
    fine = np.empty((2, 2, 1000), np.float32)
    for audio in ([fine[:1]], [fine, fine], [fine[:, :1]], [fine.astype(np.float64)], [fine[..., :999]]):
        with pytest.raises(ValueError):
            shard.read_into(members, pieces, audio)
    for wrong in (members + 10_000, members - 10_000):
        with pytest.raises(ValueError):
            shard.read_into(wrong, pieces, [fine])


@pytest.mark.parametrize("access", ["map", "pread"])
@pytest.mark.parametrize("codec", CODECS)
def test_frames_that_a_member_does_not_hold_are_an_error_by_every_way(sets: dict, tmp_path: Path, codec: str, access: str) -> None:
    for cache in (None, tmp_path / "cache"):
        dataset = open_dataset(sets[codec][0], access=access, cache_dir=cache)
        shard, key = dataset.shard(SHARD), dataset.examples["key"][0]
        for names in (("input.vocals",), ("input.bass",)):  # the second is silent
            for piece in ([1, 1000, 0], [-1, 10, 0], [0, 1001, 0], [2**62, 1, 0]):
                with pytest.raises(MixdataError, match="holds 1000 frames"):
                    shard.read_into(shard.table_of([key], names), np.array([piece]), [np.empty((1, 2, 1001), np.float32)])


def test_how_to_read_is_checked(sets: dict) -> None:
    with pytest.raises(UsageError, match="unknown access 'ftp': use one of map, pread"):
        open_dataset(sets["npy16"][0], access="ftp")
    with pytest.raises(UsageError, match="cache_bytes must not be negative"):
        open_dataset(sets["npy16"][0], cache_bytes=-1)


def test_as_many_threads_decode_as_torch_may_use_but_one_beside_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ShardDataset(write_tiny(tmp_path / "set", codec="flac16").path, crop=1.5, verify="off")
    seen: list[str] = []
    decode = flac.decoded

    def noted(*arguments: Any) -> np.ndarray:
        seen.append(threading.current_thread().name)
        return decode(*arguments)

    monkeypatch.setattr(flac, "decoded", noted)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    alone = data[0]["target"]
    assert set(seen) == {"MainThread"}
    seen.clear()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert torch.equal(data[0]["target"], alone)
    assert seen and all(name.startswith("mixdata-decode") for name in seen)
    seen.clear()
    with ThreadPoolExecutor(1, "loader") as pool:
        assert torch.equal(pool.submit(data.__getitem__, 0).result()["target"], alone)
    assert seen and all(name.startswith("loader") for name in seen)


def test_where_no_more_files_can_be_open_its_own_are_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = ShardDataset(write_tiny(tmp_path / "set", {"train": [16000] * 4}, songs_per_shard=1).path, crop=1.0, damaged="skip")
    expected = [data[index]["input"] for index in range(len(data))]
    data = pickle.loads(pickle.dumps(data))
    opening, failing = os.open, [errno.EMFILE]

    def once(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith("000003.tar") and failing:
            raise OSError(failing[-1] if len(failing) > 1 else failing.pop(), "Too many open files", str(path))
        return opening(path, *arguments, **named)

    monkeypatch.setattr(mapped.os, "open", once)
    assert all(torch.equal(data[index]["input"], audio) for index, audio in enumerate(expected)) and not failing
    failing += [errno.EMFILE, errno.EMFILE]
    data = pickle.loads(pickle.dumps(data))
    with pytest.raises(MixdataError, match="too many open files; raise the limit"):  # no damage, so nothing to skip
        [data[index] for index in range(len(data))]
