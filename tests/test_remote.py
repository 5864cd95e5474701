"""Datasets behind URLs: the same items as from the folder, by few requests, and clear errors."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import mixdata
from mixdata.errors import MixdataError, UsageError
from mixdata.torch import CropLoader, CropSampler, ShardDataset
from servers import http_server, s3_server
from tiny_dataset import Tiny, write_tiny

CODECS = ("flac16", "npy16", "flac24")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tiny]:
    folder = tmp_path_factory.mktemp("remote")
    return {codec: write_tiny(folder / codec, codec=codec, loud=20.0) for codec in CODECS}


@pytest.fixture(scope="module")
def bucket(sets: dict[str, Tiny]):
    import s3fs

    with s3_server():
        files = s3fs.S3FileSystem()
        files.mkdir("corpus")
        for codec, tiny in sets.items():
            files.put(str(tiny.path), f"corpus/{codec}", recursive=True)
        yield "s3://corpus"


def same(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(
        torch.equal(value, two[name]) if isinstance(value, torch.Tensor) else value == two[name] for name, value in one.items()
    )


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("cached", [False, True])
def test_items_from_s3_are_those_of_the_folder(sets: dict[str, Tiny], bucket: str, codec: str, cached: bool, tmp_path: Path) -> None:
    here = ShardDataset(sets[codec].path, crop=1.5, records=True, verify="crc")
    there = ShardDataset(f"{bucket}/{codec}", crop=1.5, records=True, verify="crc", cache_dir=tmp_path / "cache" if cached else None)
    for index in [*range(len(here)), *range(len(here))]:
        assert same(here[index], there[index])
    assert same(pickle.loads(pickle.dumps(there))[3], here[3])


def test_the_second_epoch_needs_no_server(sets: dict[str, Tiny], tmp_path: Path) -> None:
    with http_server(sets["flac16"].path) as (url, handler):
        data = ShardDataset(url, crop=1.5, cache_dir=tmp_path / "cache", verify="off")
        first = [data[index] for index in range(len(data))]
        handler.asked.clear()
        again = [data[index] for index in range(len(data))]
        assert not [path for path, _ in handler.asked if path.endswith(".tar")]
    assert all(same(one, two) for one, two in zip(first, again, strict=True))


def test_a_crop_is_one_request(sets: dict[str, Tiny]) -> None:
    with http_server(sets["flac16"].path) as (url, handler):
        data = ShardDataset(url, crop=1.5, verify="off")
        data[0]
        for index in range(1, len(data)):
            before = data.dataset.counts.total()
            handler.asked.clear()
            data[index]
            spans = [span for path, span in handler.asked if path.endswith(".tar") and span]
            assert len(spans) == 1
            first, last = map(int, spans[0].removeprefix("bytes=").split("-"))
            after = data.dataset.counts.total()
            assert (after["reads"] - before["reads"], after["bytes_read"] - before["bytes_read"]) == (1, last + 1 - first)


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_from_s3(sets: dict[str, Tiny], bucket: str, context: str) -> None:
    here, there = (ShardDataset(path, crop=1.0) for path in (sets["flac16"].path, f"{bucket}/flac16"))
    there[0]  # connections of the parent must not harm the children
    loader = DataLoader(there, batch_size=3, sampler=CropSampler(there), num_workers=1, multiprocessing_context=context)
    for batch, expected in zip(loader, DataLoader(here, batch_size=3, sampler=CropSampler(here)), strict=True):
        assert same(batch, expected)


@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_crop_loader_reads_from_s3(sets: dict[str, Tiny], bucket: str, mode: str) -> None:
    here, there = (ShardDataset(path, crop=1.0) for path in (sets["flac16"].path, f"{bucket}/flac16"))
    batches = list(CropLoader(there, batch_size=3, num_workers=2, mode=mode))
    assert batches and all(same(one, two) for one, two in zip(batches, CropLoader(here, batch_size=3, num_workers=0), strict=True))


def test_tables_and_examples_are_read_from_s3(sets: dict[str, Tiny], bucket: str) -> None:
    here, there = mixdata.open_dataset(sets["flac16"].path), mixdata.open_dataset(f"{bucket}/flac16")
    assert there.examples.equals(here.examples) and there.songs.equals(here.songs) and there.recipe == here.recipe
    assert there.members("train-000000").equals(here.members("train-000000"))
    for role, stem, audio in there[2].members():
        assert np.array_equal(audio, here[2].roles[role][stem])
    data = ShardDataset(f"{bucket}/flac16", crop=1.0, where="block > 0")
    assert len(data) == int((here.examples.query("split == 'train'")["block"] > 0).sum())


def test_what_is_no_dataset_is_said(sets: dict[str, Tiny], bucket: str) -> None:
    with pytest.raises(UsageError, match=r"s3://corpus/nothing: holds no mixdata dataset"):
        mixdata.open_dataset(f"{bucket}/nothing")
    with pytest.raises(UsageError, match="copy it here first"):
        mixdata.verify(f"{bucket}/flac16")


@pytest.mark.parametrize("name", ["examples.parquet", "shards/train-000000.parquet", "shards/train-000000.tar"])
def test_files_that_are_missing_or_cut_are_named(tmp_path: Path, name: str) -> None:
    path = write_tiny(tmp_path / "set", codec="flac16").path
    file = path / name
    for damage in (lambda: file.write_bytes(file.read_bytes()[:700]), file.unlink):
        damage()
        with http_server(path) as (url, _), pytest.raises(MixdataError, match=file.name.replace(".", r"\.")):
            data = ShardDataset(url, crop=1.0)
            for index in range(len(data)):
                data[index]
