"""A dataset's files, on this machine and behind URLs: the same bytes, or an error that says where."""

import multiprocessing
import pickle
from pathlib import Path

import numpy as np
import pytest

from mixdata.errors import MixdataError, UsageError
from mixdata.shards import storage
from mixdata.shards.storage import Folder, Remote, Storage, open_storage, redacted
from servers import http_server, s3_server

DATA = bytes(range(256)) * 40
SPANS = [(0, 3), (10_000, 10_240), (77, 78), (100, 100 + 256 * 10)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("storage") / "set"
    (path / "shards").mkdir(parents=True)
    (path / "shards" / "a.tar").write_bytes(DATA)
    return path


@pytest.fixture(scope="module")
def s3(folder: Path):
    import s3fs

    with s3_server():
        files = s3fs.S3FileSystem()
        files.mkdir("corpus")
        files.put(str(folder), "corpus/sets/one", recursive=True)
        yield "s3://corpus/sets/one"


@pytest.fixture(params=["folder", "file", "http", "s3"])
def anywhere(request: pytest.FixtureRequest, folder: Path):
    if request.param == "http":
        with http_server(folder) as (url, _):
            yield open_storage(url)
    elif request.param == "s3":
        yield open_storage(request.getfixturevalue("s3") + "/")
    else:
        yield open_storage(folder if request.param == "folder" else f"file://{folder}")


def test_spans_hold_the_files_bytes(anywhere: Storage) -> None:
    assert anywhere.read("shards/a.tar") == DATA
    for span, data in zip(SPANS, anywhere.ranges("shards/a.tar", SPANS), strict=True):
        assert data.dtype == np.uint8 and bytes(data) == DATA[slice(*span)]
    again = pickle.loads(pickle.dumps(anywhere))
    assert bytes(again.ranges("shards/a.tar", [(5, 9)])[0]) == DATA[5:9]


def test_what_is_not_there_is_told_with_its_place(anywhere: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        anywhere.read("dataset.json")
    with pytest.raises(MixdataError, match=r"shards/b\.tar: "):
        anywhere.ranges("shards/b.tar", [(0, 4)])
    with pytest.raises(MixdataError, match=r"shards/a\.tar: .*1024[05]"):
        anywhere.ranges("shards/a.tar", [(0, 4), (10_235, 10_245)])


def _read_in_child(files: Storage, queue) -> None:
    queue.put(bytes(files.ranges("shards/a.tar", [(256, 260)])[0]))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_storage_works_in_workers(s3: str, context: str) -> None:
    files = open_storage(s3)
    files.read("shards/a.tar")  # connections of the parent must not harm the child
    made = multiprocessing.get_context(context)
    queue = made.Queue()
    child = made.Process(target=_read_in_child, args=(files, queue))
    child.start()
    assert queue.get(timeout=60) == DATA[:4]
    child.join()
    assert bytes(files.ranges("shards/a.tar", [(0, 2)])[0]) == DATA[:2]


def test_a_server_that_fails_for_a_moment_is_asked_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSE", 0.01)
    with http_server(folder, failures=storage.TRIES - 1) as (url, handler):
        assert bytes(Remote(url).ranges("shards/a.tar", [(0, 2)])[0]) == DATA[:2]
        assert len(handler.asked) >= storage.TRIES
    with http_server(folder, failures=100) as (url, _), pytest.raises(MixdataError, match=r"a\.tar: cannot be read"):
        Remote(url).ranges("shards/a.tar", [(0, 2)])


def test_a_server_without_ranges_is_refused(folder: Path) -> None:
    with http_server(folder, knows_ranges=False) as (url, _), pytest.raises(MixdataError, match=r"range requests|cannot be read"):
        Remote(url).ranges("shards/a.tar", [(5, 9)])


def test_spans_are_asked_for_and_nothing_else(folder: Path) -> None:
    with http_server(folder) as (url, handler):
        Remote(url).ranges("shards/a.tar", [(5, 9), (4000, 5000)])
        spans = {span for _, span in handler.asked if span}
    assert spans == {"bytes=5-8", "bytes=4000-4999"}


def test_unknown_protocols_and_missing_packages_say_what_to_do() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        open_storage("nowhere://set")
    with pytest.raises(UsageError, match="pip install gcsfs"):
        open_storage("gs://bucket/set")


def test_secrets_of_a_url_are_not_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSE", 0.0)
    assert redacted("https://me:hidden@host:80/a/b?token=hidden") == "https://host:80/a/b"
    with http_server(folder) as (url, _):
        secret = url.replace("http://", "http://me:hidden@")
        with pytest.raises(MixdataError) as caught:
            Remote(secret).ranges("shards/missing.tar", [(0, 2)])
    assert "hidden" not in str(caught.value)


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(MixdataError, match="cannot be read"):
        Folder(tmp_path).read("a")
    with pytest.raises(MixdataError, match="cannot be read"):
        Folder(tmp_path).ranges("a", [(0, 1)])
