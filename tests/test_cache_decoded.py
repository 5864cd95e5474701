"""The cache of decoded samples: it changes speed and nothing else, whatever happens to it."""

import errno
import gc
import json
import os
import warnings
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixdata.errors import MixdataError
from mixdata.shards import cache as caching
from mixdata.torch import ShardDataset
from tiny_dataset import write_tiny

LENGTHS = {"train": [20100, 8000, 27000, 12000]}
ITEMS = 18


def opened(path: Path, cache: Path | None, **options: object) -> ShardDataset:
    return ShardDataset(path, cache_dir=cache, **{"crop": 1.3, "verify": "off", **options})


def audio_of(data: ShardDataset) -> list[np.ndarray]:
    return [data[index]["target"].numpy() for index in range(ITEMS)]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def bytes_on_disk(folder: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*.pcm"))


@pytest.fixture
def flac(tmp_path: Path) -> Path:
    return write_tiny(tmp_path / "set", LENGTHS, codec="flac16", loud=20.0, gated=("bass",)).path


@pytest.mark.parametrize("codec", ["flac16", "flac24"])
def test_a_second_epoch_decodes_nothing_and_gives_the_same(tmp_path: Path, codec: str) -> None:
    path = write_tiny(tmp_path / "set", LENGTHS, codec=codec, loud=20.0).path
    plain, data = opened(path, None), opened(path, tmp_path / "cache")
    expected = audio_of(plain)
    assert same(audio_of(data), expected)
    first = data.dataset.counts.total()
    assert first["cache_fills"] == first["decoded"] > 0
    assert same(audio_of(data), expected)
    second = data.dataset.counts.total()
    assert (second["decoded"], second["reads"], second["cache_fills"]) == (first["decoded"], first["reads"], first["cache_fills"])
    assert second["cache_hits"] > first["cache_hits"]
    again = opened(path, tmp_path / "cache")  # as another process finds it
    assert same(audio_of(again), expected)
    assert again.dataset.counts.total()["decoded"] == again.dataset.counts.total()["reads"] == 0


def test_planar_shards_of_this_machine_are_not_cached(tmp_path: Path) -> None:
    data = opened(write_tiny(tmp_path / "set", LENGTHS, codec="npy16").path, tmp_path / "cache")
    data[0]
    assert not list((tmp_path / "cache").rglob("*.pcm"))


def test_planar_shards_that_are_not_mapped_are_cached(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "set", codec="npy16").path
    data = opened(path, tmp_path / "cache", access="pread")
    first = audio_of(data)
    before = data.dataset.counts.total()
    assert before["cache_fills"] > 0 and same(audio_of(data), first) and same(first, audio_of(opened(path, None)))
    assert data.dataset.counts.total()["bytes_read"] == before["bytes_read"], "the second epoch comes from the cache"


def test_the_file_holds_planar_samples_with_their_checksums(flac: Path, tmp_path: Path) -> None:
    data = ShardDataset(flac, crop=None, cache_dir=tmp_path / "cache", verify="off")
    scale = data.dataset.examples["scale"][0]
    item = data[0]["input"][0].numpy()
    (file,) = (tmp_path / "cache").rglob("train-000000.pcm")
    content = file.read_bytes()
    members = len(data.dataset.shard("train-000000"))
    head = -(-(64 + 8 * members) // 4096) * 4096
    samples = np.frombuffer(content, "<i2", 2 * 8000, head).reshape(2, 8000)
    assert np.array_equal(samples / np.float32(scale * 2**15), item)
    assert np.frombuffer(content, "<u4", 2, 64)[1] == google_crc32c.value(samples.tobytes())


@pytest.mark.parametrize("where", ["samples", "marks", "head", "cut", "empty", "gone"])
def test_damage_to_the_cache_costs_a_second_decoding_and_nothing_else(flac: Path, tmp_path: Path, where: str) -> None:
    expected = audio_of(opened(flac, None))
    audio_of(opened(flac, tmp_path / "cache"))
    for file in (tmp_path / "cache").rglob("*.pcm"):
        content = bytearray(file.read_bytes())
        if where == "samples":
            content[4096 + 5000] ^= 1
        elif where == "marks":
            content[64:3000] = os.urandom(2936)
        elif where == "head":
            content[3] ^= 1
        elif where == "cut":
            content = content[: len(content) // 2]
        file.unlink() if where == "gone" else file.write_bytes(b"" if where == "empty" else content)
    data = opened(flac, tmp_path / "cache")
    assert same(audio_of(data), expected)
    decoded = data.dataset.counts.total()["decoded"]
    assert decoded > 0
    assert same(audio_of(data), expected) and data.dataset.counts.total()["decoded"] == decoded, "it is whole again"


@pytest.mark.parametrize("how", ["cut", "cut and grown", "removed"])
def test_a_cache_that_is_taken_away_in_use_costs_speed_only(flac: Path, tmp_path: Path, how: str) -> None:
    expected = audio_of(opened(flac, None))
    data = opened(flac, tmp_path / "cache")
    assert same(audio_of(data), expected)
    for file in (tmp_path / "cache").rglob("*.pcm"):
        size = file.stat().st_size
        if how == "removed":
            file.unlink()
            continue
        os.truncate(file, 5000)
        if how == "cut":
            continue
        assert same(audio_of(data), expected)  # it is seen in passing
        os.truncate(file, size)
    assert same(audio_of(data), expected)
    assert same(audio_of(data), expected)


def test_with_checksums_cached_samples_are_compared_and_mended(flac: Path, tmp_path: Path) -> None:
    expected = audio_of(opened(flac, None))
    data = opened(flac, tmp_path / "cache", verify="crc")
    assert same(audio_of(data), expected)
    before = data.dataset.counts.total()["decoded"]
    for file in (tmp_path / "cache").rglob("*.pcm"):
        with open(file, "r+b") as handle:  # under the map of a process that found it whole
            handle.seek(4096 + 5000)
            byte = handle.read(1)
            handle.seek(-1, 1)
            handle.write(bytes([byte[0] ^ 1]))
    assert same(audio_of(data), expected)
    assert data.dataset.counts.total()["decoded"] > before


@pytest.mark.parametrize("most", [0, 50_000, 400_000])
def test_the_limit_is_kept_to(flac: Path, tmp_path: Path, most: int) -> None:
    expected = audio_of(opened(flac, None))
    data = opened(flac, tmp_path / "cache", cache_bytes=most)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a limit is nothing to warn of
        assert same(audio_of(data), expected)
        used = bytes_on_disk(tmp_path)
        assert used <= most and (used > most / 2 or most == 0)
        assert same(audio_of(data), expected)
    total = data.dataset.counts.total()
    assert (total["cache_hits"] > total["cache_fills"] > 0) == (most > 0)
    again = opened(flac, tmp_path / "cache", cache_bytes=most)
    assert same(audio_of(again), expected)
    assert used <= bytes_on_disk(tmp_path) <= most, "what is there stays, and counts"


def test_without_a_limit_half_of_what_is_free_is_taken(flac: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "_free", lambda folder: 200_000)
    data = opened(flac, tmp_path / "cache")
    audio_of(data)
    assert 50_000 < bytes_on_disk(tmp_path) <= 100_000


@pytest.mark.parametrize("failing", ["pwrite", "ftruncate", "posix_fallocate", "mkdir"])
def test_a_full_disk_or_a_folder_that_cannot_be_written_is_one_warning(
    flac: Path, tmp_path: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = audio_of(opened(flac, None))
    if failing == "mkdir":
        (tmp_path / "cache").write_text("")
    else:

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, failing, full)
    data = opened(flac, tmp_path / "cache")
    with pytest.warns(UserWarning, match=r"the cache cannot be written \(.*\); going on without") as caught:
        assert same(audio_of(data), expected)
    assert len(caught) == 1


def test_a_disk_that_fills_up_keeps_what_is_there(flac: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = audio_of(opened(flac, None))
    real, calls = os.pwrite, []

    def filling(*arguments: object) -> int:
        calls.append(1)
        if len(calls) > 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, "pwrite", filling)
    data = opened(flac, tmp_path / "cache")
    with pytest.warns(UserWarning, match="No space left"):
        assert same(audio_of(data), expected)
    assert same(audio_of(data), expected) and data.dataset.counts.total()["cache_hits"] > 0


def test_room_is_made_of_other_datasets_caches_the_oldest_first(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    paths = [write_tiny(tmp_path / f"set{n}", {"train": [20100 + n]}, codec="flac16").path for n in range(4)]
    users = []
    for age, path in enumerate(paths[:3]):
        data = opened(path, cache, crop=None)
        data[0]  # nine members of eight pages
        users.append(data)
        folder = data.dataset._how.cache.own
        os.utime(folder / "in-use", (1000 + age, 1000 + age))
    folders = [data.dataset._how.cache.own for data in users]
    in_use, used = users[0], bytes_on_disk(cache)
    del data, users
    gc.collect()  # two of three are used by nobody any more
    (cache / "mine").mkdir()
    (cache / "mine" / "song.pcm").write_bytes(bytes(10_000))
    (cache / ("0" * 40)).mkdir()
    last = opened(paths[3], cache, cache_bytes=used + 9 * 4096 + 8192, crop=None)
    last[0]
    assert folders[0].is_dir(), "the oldest is in use"
    assert not folders[1].exists() and folders[2].is_dir(), "the next is enough"
    assert (cache / "mine" / "song.pcm").is_file() and (cache / ("0" * 40)).is_dir(), "and nothing else is touched"
    assert in_use[0]["key"]


def test_another_dataset_of_the_same_name_is_never_served(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = opened(write_tiny(tmp_path / "a", LENGTHS, codec="flac16").path, cache)
    audio_of(first)
    path = write_tiny(tmp_path / "b", LENGTHS, codec="flac16", loud=0.5).path
    expected = audio_of(opened(path, None))
    assert same(audio_of(opened(path, cache)), expected)
    # Even where dataset.json says that it is the same.
    (path / "dataset.json").write_text((tmp_path / "a" / "dataset.json").read_text())
    assert same(audio_of(opened(path, cache)), expected)
    assert same(audio_of(opened(tmp_path / "a", cache)), audio_of(opened(tmp_path / "a", None)))


def test_a_damaged_member_is_named_and_not_kept(flac: Path, tmp_path: Path) -> None:
    members = pq.read_table(flac / "shards" / "train-000000.parquet")
    wrong = [crc ^ (row == 0) for row, crc in enumerate(members["crc32c"].to_pylist())]
    column = members.column_names.index("crc32c")
    pq.write_table(members.set_column(column, "crc32c", pa.array(wrong, pa.uint32())), flac / "shards" / "train-000000.parquet")
    data = ShardDataset(flac, crop=None, cache_dir=tmp_path / "cache", verify="off")
    for _ in range(2):
        with pytest.raises(MixdataError, match=r"00000.input.vocals \(bytes 512 to \d+\): damaged"):
            data[0]


def test_processes_that_fill_it_at_once_agree(flac: Path, tmp_path: Path) -> None:
    expected = audio_of(opened(flac, None))
    data = opened(flac, tmp_path / "cache")
    data[0]  # a process that was forked has its parent's files
    children = []
    for child in range(3):
        if not (process := os.fork()):
            rounds = [same(audio_of(data if child else opened(flac, tmp_path / "cache")), expected) for _ in range(2)]
            os._exit(0 if all(rounds) else 1)
        children.append(process)
    assert [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in children] == [0, 0, 0]
    last = opened(flac, tmp_path / "cache")
    assert same(audio_of(last), expected) and last.dataset.counts.total()["decoded"] == 0


def test_absurd_tables_turn_the_cache_off_not_the_reader(flac: Path, tmp_path: Path) -> None:
    members = pq.read_table(flac / "shards" / "train-000000.parquet")
    frames = members["frames"].to_pylist()
    frames[0] = 2**62
    pq.write_table(
        members.set_column(members.column_names.index("frames"), "frames", pa.array(frames)), flac / "shards" / "train-000000.parquet"
    )
    data = ShardDataset(flac, crop=None, cache_dir=tmp_path / "cache", verify="off", roles=["target"])
    plain = ShardDataset(flac, crop=None, verify="off", roles=["target"])
    with pytest.warns(UserWarning, match="the cache cannot be written"):
        assert np.array_equal(data[0]["target"], plain[0]["target"])


def test_the_folder_is_of_the_content_not_of_the_place(flac: Path, tmp_path: Path) -> None:
    data = opened(flac, tmp_path / "cache")
    audio_of(data)
    moved = flac.rename(tmp_path / "moved")
    again = opened(moved, tmp_path / "cache")
    audio_of(again)
    assert again.dataset.counts.total()["decoded"] == 0
    assert json.loads((moved / "dataset.json").read_text())["codec"] == "flac16"
