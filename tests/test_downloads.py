"""Laws of fetching: what lies under the final name is whole and right, and no byte is fetched twice without need."""

import fcntl
import hashlib
import io
import json
import random
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mixdata.cli import app
from mixdata.corpora import corpus_facts, corpus_names, load_corpus
from mixdata.corpora._download import chosen
from mixdata.corpora.base import Download
from mixdata.downloads import fetch, shown_url
from mixdata.errors import MixdataError, UsageError
from servers import http_server
from trees import musdb_hq

DATA = random.Random(0).randbytes(1_000_000)
SUMS = {"md5": hashlib.md5(DATA).hexdigest(), "sha256": hashlib.sha256(DATA).hexdigest()}
ALL = {"size": len(DATA), **SUMS}
PAGE = b"<!DOCTYPE html><html><body>Too many downloads, please type the letters below</body></html>"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def web(tmp_path):
    """A server of `song.bin`: its URL, its handler, its folder."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "song.bin").write_bytes(DATA)
    with http_server(folder) as (url, handler):
        handler.extra = {"ETag": '"one"'}
        yield f"{url}/song.bin", handler, folder


class Waits(list):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_fetched_checked_and_left_alone_at_its_name(tmp_path, web):
    url, handler, _ = web
    path = fetch(url, tmp_path / "to" / "song.bin", **ALL)
    assert path.read_bytes() == DATA and names(tmp_path / "to") == ["song.bin"]
    assert fetch(url, path, **ALL) == path  # it is there: nothing is asked
    assert handler.asked == [("/song.bin", "")]


def test_a_cut_connection_goes_on_with_the_rest_only(tmp_path, web):
    url, handler, _ = web
    handler.cuts = (300_000, 200_001, 0, 1)
    waits = Waits()
    fetch(url, tmp_path / "out.bin", **ALL, wait=waits)
    assert (tmp_path / "out.bin").read_bytes() == DATA
    assert [span for _, span in handler.asked] == ["", "bytes=300000-", "bytes=500001-", "bytes=500001-", "bytes=500002-"]
    assert waits == [1, 1, 2, 1]  # they grow only while nothing new comes


def test_a_later_run_fetches_the_rest_and_the_whole_is_the_same(tmp_path, web):
    url, handler, _ = web
    handler.cuts = (400_000, 0)
    with pytest.raises(MixdataError, match=r"cut after 400000 of 1000000 bytes.*400\.0 kB are kept"):
        fetch(url, tmp_path / "out.bin", **ALL, retries=1, wait=Waits())
    assert names(tmp_path) == ["out.bin.part", "out.bin.part.json", "web"]
    handler.asked.clear()
    fetch(url, tmp_path / "out.bin", **ALL)
    assert (tmp_path / "out.bin").read_bytes() == DATA
    assert handler.asked == [("/song.bin", "bytes=400000-")]
    assert names(tmp_path) == ["out.bin", "web"]


def test_a_kill_in_the_middle_is_gone_on_from(tmp_path, web):
    url, _, _ = web
    code = (
        "import os, signal, sys; from mixdata import downloads; real = downloads.write_all; n = []\n"
        "def write(*a):\n real(*a); n.append(1)\n if len(n) == 2: os.kill(os.getpid(), signal.SIGKILL)\n"
        "downloads.write_all = write; downloads.fetch(sys.argv[1], sys.argv[2])"
    )
    assert subprocess.run([sys.executable, "-c", code, url, str(tmp_path / "out.bin")]).returncode == -9
    assert names(tmp_path) == ["out.bin.part", "out.bin.part.json", "web"]
    have = (tmp_path / "out.bin.part").stat().st_size
    assert 0 < have < len(DATA)
    web[1].asked.clear()
    fetch(url, tmp_path / "out.bin")  # no checksum: the ETag alone carries it
    assert (tmp_path / "out.bin").read_bytes() == DATA and web[1].asked == [("/song.bin", f"bytes={have}-")]


def half(url: str, path: Path, handler: type, **known: object) -> None:
    """Leave the first 400,000 bytes as an earlier run would."""
    handler.cuts = (400_000, 0)
    with pytest.raises(MixdataError):
        fetch(url, path, **known, retries=1, wait=Waits())
    handler.asked.clear()


@pytest.mark.parametrize("obeys", [True, False])
def test_a_file_that_has_changed_is_begun_anew(tmp_path, web, obeys):
    """Whether the server knows If-Range, or sends the rest of the new file as if nothing were."""
    url, handler, folder = web
    half(url, tmp_path / "out.bin", handler)
    other = random.Random(1).randbytes(len(DATA))
    (folder / "song.bin").write_bytes(other)
    handler.extra = {"ETag": '"two"'}
    if not obeys:
        real = handler.parse_request
        handler.parse_request = lambda self: real(self) and (self.headers.__delitem__("If-Range") or True)
    fetch(url, tmp_path / "out.bin", wait=Waits())
    assert (tmp_path / "out.bin").read_bytes() == other
    assert handler.asked == [("/song.bin", "bytes=400000-"), *([] if obeys else [("/song.bin", "")])]


def test_a_file_of_another_length_is_begun_anew(tmp_path, web):
    url, handler, folder = web
    handler.extra = {}
    half(url, tmp_path / "out.bin", handler, md5=hashlib.md5(DATA[:500_000]).hexdigest())
    (folder / "song.bin").write_bytes(DATA[:500_000])
    fetch(url, tmp_path / "out.bin", md5=hashlib.md5(DATA[:500_000]).hexdigest(), wait=Waits())
    assert handler.asked == [("/song.bin", "bytes=400000-"), ("/song.bin", "")]
    half(url, tmp_path / "out2.bin", handler, md5="0" * 32)
    (folder / "song.bin").write_bytes(DATA[:300_000])  # shorter than what is here: 416
    fetch(url, tmp_path / "out2.bin", md5=hashlib.md5(DATA[:300_000]).hexdigest(), wait=Waits())
    assert handler.asked == [("/song.bin", "bytes=400000-"), ("/song.bin", "")]


def test_without_any_mark_of_the_file_and_no_checksum_nothing_is_joined(tmp_path, web):
    url, handler, _ = web
    handler.extra = {}
    half(url, tmp_path / "out.bin", handler)
    fetch(url, tmp_path / "out.bin")
    assert handler.asked == [("/song.bin", "")]


def test_a_part_of_another_url_or_without_a_note_is_not_gone_on_from(tmp_path, web):
    url, handler, folder = web
    half(url, tmp_path / "out.bin", handler)
    (folder / "other.bin").write_bytes(DATA[::-1])
    fetch(url.replace("song", "other"), tmp_path / "out.bin")
    assert handler.asked == [("/other.bin", "")] and (tmp_path / "out.bin").read_bytes() == DATA[::-1]
    for note in (b"", b"[]", b'{"url": 3}', b"\xff"):
        (tmp_path / "b.bin.part").write_bytes(b"something")
        (tmp_path / "b.bin.part.json").write_bytes(note)
        assert fetch(url, tmp_path / "b.bin", **ALL).read_bytes() == DATA
        (tmp_path / "b.bin").unlink()


def test_a_spoilt_part_is_fetched_once_more_from_its_beginning(tmp_path, web):
    """After a power cut a part may have the right length and wrong bytes."""
    url, handler, _ = web
    half(url, tmp_path / "out.bin", handler)
    with open(tmp_path / "out.bin.part", "r+b") as part:
        part.write(bytes(1000))
    fetch(url, tmp_path / "out.bin", **ALL)
    assert (tmp_path / "out.bin").read_bytes() == DATA
    assert handler.asked == [("/song.bin", "bytes=400000-"), ("/song.bin", "")]


def test_a_server_without_ranges_is_begun_anew(tmp_path, web):
    url, handler, _ = web
    half(url, tmp_path / "out.bin", handler)
    handler.knows_ranges = False
    fetch(url, tmp_path / "out.bin", **ALL)
    assert (tmp_path / "out.bin").read_bytes() == DATA


def test_a_server_that_never_gets_further_is_given_up(tmp_path, web):
    url, handler, _ = web
    handler.knows_ranges, handler.cuts, waits = False, (500_000,) * 50, Waits()
    with pytest.raises(MixdataError, match="7 attempts"):
        fetch(url, tmp_path / "out.bin", **ALL, wait=waits)
    assert waits == [1, 1, 2, 4, 8, 16, 32][1:] and names(tmp_path) == ["out.bin.part", "out.bin.part.json", "web"]


@pytest.mark.parametrize("name", ["md5", "sha256"])
def test_a_wrong_checksum_leaves_no_file(tmp_path, web, name):
    with pytest.raises(MixdataError, match=f"its {name} is {SUMS[name]} instead of 00"):
        fetch(web[0], tmp_path / "out.bin", **{**ALL, name: "0" * len(SUMS[name])})
    assert names(tmp_path) == ["web"]


def test_checksums_are_taken_in_either_case(tmp_path, web):
    assert fetch(web[0], tmp_path / "out.bin", md5=SUMS["md5"].upper(), sha256=SUMS["sha256"].upper()).exists()


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_wrong_size_is_told_before_anything_is_fetched(tmp_path, web, size):
    with pytest.raises(MixdataError, match=f"has 1000000 bytes instead of {size}"):
        fetch(web[0], tmp_path / "out.bin", size=size)
    assert names(tmp_path) == ["web"]


@pytest.mark.parametrize(
    ("size", "message"), [(len(DATA) - 1, "sent more than the 999999"), (len(DATA) + 1, "cut after 1000000 of 1000001")]
)
def test_a_wrong_size_is_told_where_the_server_names_none(tmp_path, web, size, message):
    web[1].extra = {"Content-Length": None}
    with pytest.raises(MixdataError, match=message):
        fetch(web[0], tmp_path / "out.bin", size=size, retries=1, wait=Waits())
    assert not (tmp_path / "out.bin").exists()


def test_without_a_length_the_end_is_the_end(tmp_path, web):
    web[1].extra = {"Content-Length": None}
    assert fetch(web[0], tmp_path / "out.bin", **SUMS).read_bytes() == DATA


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/zip"])
@pytest.mark.parametrize("known", [{}, {"size": 5000}, {"md5": "0" * 32}])
def test_a_web_page_instead_of_the_file_is_called_one(tmp_path, web, kind, known):
    url, handler, folder = web
    (folder / "song.bin").write_bytes(PAGE)
    handler.extra = {"Content-Type": kind}
    if known == {"size": 5000}:
        handler.extra["Content-Length"] = None
    if kind == "application/zip" and not known:
        return  # nothing tells it from a file
    if known == {"size": 5000} and kind == "application/zip":
        (folder / "song.bin").write_bytes(PAGE.ljust(5000))
        known = {**known, "md5": "0" * 32}
    with pytest.raises(MixdataError, match="web page"):
        fetch(url, tmp_path / "out.bin", **known)
    assert not (tmp_path / "out.bin").exists()


def test_errors_of_the_server_that_pass_are_tried_again_others_not(tmp_path, web):
    url, handler, _ = web
    handler.failures, waits = 3, Waits()
    fetch(url, tmp_path / "out.bin", **ALL, wait=waits)
    assert waits == [1, 2, 4]
    with pytest.raises(MixdataError, match=r"404.*not there"):
        fetch(url + "x", tmp_path / "other.bin", wait=waits)
    assert waits == [1, 2, 4]
    handler.failures = 99
    with pytest.raises(MixdataError, match=r"503.*\(3 attempts\)$"):
        fetch(url, tmp_path / "other.bin", retries=2, wait=waits)
    assert names(tmp_path) == ["out.bin", "web"]


def test_the_server_may_say_how_long_to_wait(tmp_path, web, monkeypatch):
    url, handler, _ = web
    monkeypatch.setattr(handler, "end_headers", lambda self: (self.send_header("Retry-After", "7"), super(handler, self).end_headers()))
    handler.failures, waits = 1, Waits()
    fetch(url, tmp_path / "out.bin", wait=waits)
    assert waits == [7]


def test_a_server_that_is_not_there_and_one_that_is_silent_are_told(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/x"  # bound, not listening
        with pytest.raises(MixdataError, match=r"no connection.*2 attempts"):
            fetch(url, tmp_path / "x", retries=1, wait=Waits())
        free.listen()
        with pytest.raises(MixdataError, match=r"(cut|no connection).*timed out"):
            fetch(url, tmp_path / "x", retries=0, timeout_seconds=0.2)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "place", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:text/plain,x", "http://me:hidden@127.0.0.1/x", "/loop"]
)
def test_a_redirect_leads_to_the_web_only(tmp_path, web, place):
    url, handler, _ = web
    handler.redirects = {"/loop": place}
    with pytest.raises(MixdataError, match="leads elsewhere") as error:
        fetch(url.replace("song.bin", "loop"), tmp_path / "out.bin")
    assert "hidden" not in str(error.value) and names(tmp_path) == ["web"]


def raw_server(answer: bytes) -> int:
    """Answer every request with these bytes; returns the port."""
    place = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = place.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return place.getsockname()[1]


@pytest.mark.parametrize(
    "header",
    [
        b"302 Found\r\nLocation: http://[bad/?token=hidden",
        b"302 Found\r\nLocation: http://a..b/x",
        b"302 Found\r\nLocation: http://" + b"x" * 70 + b".org/x",
        b"302 Found\r\nLocation: http://\xe9\xe9/x",
        b"503 Busy\r\nRetry-After: \xb2",
        b"206 Part\r\nContent-Range: bytes 0-5/" + b"9" * 5000,
    ],
)
def test_headers_that_say_nonsense_are_errors_not_tracebacks(tmp_path, header):
    port = raw_server(b"HTTP/1.1 " + header + b"\r\nContent-Length: 0\r\n\r\n")
    with pytest.raises(MixdataError) as error:
        fetch(f"http://127.0.0.1:{port}/x.zip", tmp_path / "x.zip", retries=1, wait=lambda seconds: None)
    assert "hidden" not in str(error.value) and names(tmp_path) == []


@pytest.mark.parametrize("length", [b"\xb2", b"9" * 5000, b"1e3"])
def test_a_length_that_is_no_number_says_nothing(tmp_path, length):
    port = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\nabc")
    assert fetch(f"http://127.0.0.1:{port}/x.zip", tmp_path / "x.zip").read_bytes() == b"abc"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/\u00e4.zip", "http://a..b/x"])
def test_a_url_that_no_request_can_hold_is_told(tmp_path, url):
    with pytest.raises(MixdataError, match="no request can hold"):
        fetch(url, tmp_path / "x")


def test_a_redirect_is_followed_with_its_range(tmp_path, web):
    url, handler, _ = web
    handler.redirects = {"/moved": "/song.bin"}
    url = url.replace("song.bin", "moved")
    half(url, tmp_path / "out.bin", handler)
    handler.cuts = ()
    fetch(url, tmp_path / "out.bin", **ALL)
    assert handler.asked == [("/moved", "bytes=400000-"), ("/song.bin", "bytes=400000-")]


def test_a_redirect_from_https_to_http_is_refused(tmp_path):
    from urllib.request import Request

    from mixdata.downloads import _Redirects

    with pytest.raises(MixdataError, match="from https to http") as error:
        _Redirects().redirect_request(Request("https://a.org/x?token=hidden"), None, 302, "", {}, "http://a.org/x?token=hidden")
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/x",
        "ftp://a.org/x",
        "a.org/x",
        "http://",
        "http://me:hidden@a.org/x",
        "http://a:hidden/x",
        "http://[a/x",
        "http://a/x y",
    ],
)
def test_only_urls_of_the_web_are_taken(tmp_path, url):
    with pytest.raises(UsageError) as error:
        fetch(url, tmp_path / "x")
    assert "me:h" not in str(error.value) and "hidden" not in str(error.value)


def test_secrets_of_a_url_are_neither_printed_nor_stored(tmp_path, web):
    url, handler, _ = web
    secret = f"{url}?token=hidden-words#hidden-words"
    handler.cuts = (1000, 0)
    with pytest.raises(MixdataError) as error:
        fetch(secret, tmp_path / "out.bin", **ALL, retries=1, wait=Waits())
    assert "hidden" not in str(error.value) and "song.bin?…" in str(error.value)
    assert b"hidden" not in (tmp_path / "out.bin.part.json").read_bytes()
    handler.failures = 9
    for broken in (secret.replace("song", "absent"), secret):
        with pytest.raises(MixdataError) as error:
            fetch(broken, tmp_path / "b.bin", retries=0)
        assert "hidden" not in str(error.value)
    assert shown_url("http://u:p@h:1/a\x1b?x") == "http://h:1/a�?…"


def test_a_file_that_is_there_is_never_overwritten(tmp_path, web):
    (tmp_path / "out.bin").write_bytes(b"of the user")
    with pytest.raises(MixdataError, match="11 bytes instead of 1000000"):
        fetch(web[0], tmp_path / "out.bin", **ALL)
    (tmp_path / "link.bin").symlink_to(tmp_path / "absent")
    (tmp_path / "b.bin.part").symlink_to(tmp_path / "out.bin")
    for name in ("link.bin", "b.bin"):
        with pytest.raises(MixdataError):
            fetch(web[0], tmp_path / name, **ALL)
    assert (tmp_path / "out.bin").read_bytes() == b"of the user" and web[1].asked == []


def test_two_at_once_the_second_is_refused(tmp_path, web):
    with open(tmp_path / "out.bin.part", "wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        code = "import sys; from mixdata.downloads import fetch; fetch(sys.argv[1], sys.argv[2])"
        done = subprocess.run([sys.executable, "-c", code, web[0], str(tmp_path / "out.bin")], capture_output=True, text=True)
        assert "another process is fetching it" in done.stderr and web[1].asked == []
    assert fetch(web[0], tmp_path / "out.bin", **ALL).exists()  # whose lock is gone with it


def test_a_full_disk_is_told_and_what_has_come_is_kept(tmp_path, web):
    """The largest file size allowed stands in for a full disk."""
    code = "import resource, sys; from mixdata.downloads import fetch; resource.setrlimit(resource.RLIMIT_FSIZE, (600000, 600000)); "
    code += "fetch(sys.argv[1], sys.argv[2])"
    done = subprocess.run([sys.executable, "-c", code, web[0], str(tmp_path / "out.bin")], capture_output=True, text=True)
    assert "MixdataError" in done.stderr and "largest size allowed" in done.stderr
    assert not (tmp_path / "out.bin").exists() and (tmp_path / "out.bin.part").stat().st_size == 600_000
    web[1].asked.clear()
    fetch(web[0], tmp_path / "out.bin", **ALL)
    assert web[1].asked == [("/song.bin", "bytes=600000-")]


def test_what_does_not_fit_is_told_before_it_is_fetched(tmp_path, web, monkeypatch):
    monkeypatch.setattr("mixdata.downloads.free_space", lambda path: 999_999)
    with pytest.raises(MixdataError, match=r"needs 1\.0 MB more"):
        fetch(web[0], tmp_path / "out.bin", **ALL)


def test_the_proxy_of_the_environment_is_used(tmp_path, web, monkeypatch):
    url, handler, folder = web
    place = folder / "http:" / "corpus.invalid"
    place.mkdir(parents=True)
    (place / "a.bin").write_bytes(DATA)
    monkeypatch.setenv("http_proxy", url.removesuffix("/song.bin"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert fetch("http://corpus.invalid/a.bin", tmp_path / "a.bin", **ALL).exists()
    assert handler.asked == [("http://corpus.invalid/a.bin", "")]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_certificates_of_the_environment_are_read(tmp_path, web, monkeypatch, name):
    (tmp_path / "ca.pem").write_text("no certificate")
    for path in ("ca.pem", "absent.pem"):
        monkeypatch.setenv(name, str(tmp_path / path))
        with pytest.raises(MixdataError, match=path):
            fetch(web[0], tmp_path / "out.bin")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("length", ["known", "unknown"])
def test_progress_is_shown_in_megabytes(tmp_path, web, monkeypatch, length):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    if length == "unknown":
        web[1].extra = {"Content-Length": None}
    fetch(web[0], tmp_path / "out.bin", **SUMS, quiet=False)
    assert "fetch out.bin" in screen.getvalue() and "MB" in screen.getvalue()


# -- mixdata corpora download ------------------------------------------------------------------------------------


def packed(kind: str, files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as bundle:
            for name, data in files.items():
                bundle.writestr(name, data)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as bundle:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def corpus(tmp_path, web, monkeypatch):
    """MUSDB18-HQ as if it lay on the test's server, in two archives. Gives a way to run the command, and the handler."""
    url, handler, folder = web
    tree = musdb_hq(tmp_path / "tree" / "hq", {"train": ["A - One"], "test": ["B - Two"]}, seconds=0.05)
    parts = []
    for kind, subset in (("zip", "train"), ("tar.gz", "test")):
        files = {str(path.relative_to(tree.parent)): path.read_bytes() for path in sorted((tree / subset).rglob("*.wav"))}
        data = packed(kind, files)
        (folder / f"{subset}.{kind}").write_bytes(data)
        parts.append(Download(url.replace("song.bin", f"{subset}.{kind}?download=1"), len(data), sha256=hashlib.sha256(data).hexdigest()))
    facts = replace(
        corpus_facts("musdb18hq"), downloads=tuple(parts), licence="CC-BY-4.0", citation="@misc{it,\n title={It}}", bytes=123_000
    )
    for place in ("mixdata.corpora.base", "mixdata.corpora._download"):
        monkeypatch.setattr(f"{place}.corpus_facts", lambda name: facts)

    def run(*words: str, code: int = 0, given: str | None = None):  # `main` gives the error's exit code
        done = CliRunner().invoke(app, ["corpora", "download", "musdb18hq", "--into", str(tmp_path / "my set"), *words], input=given)
        if isinstance(done.exception, MixdataError):
            done.exit_code = done.exception.exit_code
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run, handler, facts


def test_a_corpus_is_fetched_unpacked_and_named(tmp_path, corpus):
    run, handler, _ = corpus
    into = tmp_path / "my set"
    done = run("--yes")
    assert names(into) == [".mixdata-downloads.json", "hq"]
    assert done.stdout.splitlines()[-1] == f"corpus     musdb18hq:{into}"
    assert [song.title for song in load_corpus(f"musdb18hq:{into}")] == ["A - One", "B - Two"]
    for words in ("CC-BY-4.0", "commercial use: yes", "@misc{it,", "123.0 kB", "train.zip", "test.tar.gz"):
        assert words in done.stdout
    assert len(handler.asked) == 2
    run()  # it is here: nothing to accept, nothing to fetch
    assert len(handler.asked) == 2
    (into / "hq/test/B - Two/bass.wav").unlink()
    run("--yes")
    assert [path for path, _ in handler.asked[2:]] == ["/test.tar.gz?download=1"] and (into / "hq/test/B - Two/bass.wav").exists()


def test_a_run_that_was_cut_short_is_gone_on_from(tmp_path, corpus, monkeypatch):
    run, handler, _ = corpus
    monkeypatch.setattr("mixdata.corpora._download.fetch", lambda *args, **known: fetch(*args, **known, retries=0))
    handler.cuts = (100,)
    run("--yes", code=1)
    assert names(tmp_path / "my set") == ["train.zip.part", "train.zip.part.json"]
    run("--yes")
    assert [span for _, span in handler.asked] == ["", "bytes=100-", ""]


def test_nothing_is_fetched_before_the_licence_is_accepted(tmp_path, corpus, monkeypatch):
    run, handler, _ = corpus
    assert "--yes" in str(run(code=2).exception)
    monkeypatch.setattr("mixdata.cli.corpora_download._somebody_is_there", lambda: True)
    run(given="n\n", code=1)
    assert handler.asked == [] and not (tmp_path / "my set").exists()
    run(given="y\n")
    assert len(handler.asked) == 2


def test_a_dry_run_fetches_nothing(tmp_path, corpus):
    run, handler, facts = corpus
    assert "test.tar.gz" in run("--dry-run").stdout
    rows = json.loads(run("--dry-run", "--json").stdout)["files"]
    assert [(row["file"], row["bytes"], row["here"]) for row in rows] == [
        ("train.zip", facts.downloads[0].bytes, False),
        ("test.tar.gz", facts.downloads[1].bytes, False),
    ]
    assert handler.asked == [] and not (tmp_path / "my set").exists()


def test_one_file_may_be_chosen_and_archives_kept(tmp_path, corpus):
    run, handler, _ = corpus
    assert "train.zip, test.tar.gz" in str(run("--yes", "--file", "valid.zip", code=2).exception)
    done = json.loads(run("--yes", "--file", "*.zip", "--keep-archives", "--json").stdout)
    assert done["fetched"] == ["train.zip"] and done["spec"] == f"musdb18hq:{tmp_path}/my set" and done["recognized"]
    assert names(tmp_path / "my set") == [".mixdata-downloads.json", "hq", "train.zip"] and len(handler.asked) == 1
    done = json.loads(run("--yes", "--json").stdout)
    assert (done["fetched"], done["kept"]) == (["test.tar.gz"], ["train.zip"])


def test_a_hostile_archive_unpacks_nothing(tmp_path, corpus, web):
    run, _, facts = corpus
    evil = packed("zip", {"hq/train/x.wav": b"1", "../../evil": b"2"})
    (web[2] / "train.zip").write_bytes(evil)
    object.__setattr__(facts.downloads[0], "bytes", len(evil))
    object.__setattr__(facts.downloads[0], "sha256", None)
    before = {path for path in tmp_path.rglob("*") if "my set" not in str(path)}
    assert "leads out of its folder" in str(run("--yes", code=1).exception)
    assert names(tmp_path / "my set") == ["train.zip"] and {path for path in tmp_path.rglob("*") if "my set" not in str(path)} == before


def test_a_corpus_behind_a_form_says_how_to_get_it(tmp_path, corpus, monkeypatch):
    run, handler, facts = corpus
    closed = replace(facts, downloads=(), get="ask for it by mail", home="https://corpus.invalid")
    for place in ("mixdata.corpora.base", "mixdata.corpora._download"):
        monkeypatch.setattr(f"{place}.corpus_facts", lambda name: closed)
    told = str(run("--yes", code=2).exception)
    assert all(words in told for words in ("ask for it by mail", "https://corpus.invalid", "CC-BY-4.0")) and handler.asked == []


def test_what_holds_no_songs_is_told(tmp_path, corpus, web):
    run, _, facts = corpus
    data = packed("zip", {"notes.txt": b"1"})
    (web[2] / "train.zip").write_bytes(data)
    object.__setattr__(facts.downloads[0], "bytes", len(data))
    object.__setattr__(facts.downloads[0], "sha256", hashlib.sha256(data).hexdigest())
    assert "no songs are found yet" in run("--yes", "--file", "train.zip").stdout
    assert "no songs" not in run("--yes").stdout


def test_what_needs_no_unpacking_stays_as_it_is(tmp_path, corpus):
    run, handler, facts = corpus
    object.__setattr__(facts.downloads[0], "extract", False)
    run("--yes")
    run("--yes")
    assert names(tmp_path / "my set") == [".mixdata-downloads.json", "hq", "train.zip"] and len(handler.asked) == 2


def test_a_file_is_named_by_its_url():
    from mixdata.corpora._download import _file_name

    assert _file_name("https://a.org/api/records/1/files/set%20one.zip/content") == "set one.zip"
    assert _file_name("https://a.org/x/set.tar.gz?download=1") == "set.tar.gz"
    for url in (
        "https://a.org/x",
        "https://a.org/..",
        "https://a.org/..%2F..%2Fevil.zip",
        "https://a.org/a%0Ab.zip",
        "https://a.org/a%00.zip",
    ):
        with pytest.raises(UsageError):
            _file_name(url)


def test_what_shows_a_corpus_says_what_its_licence_allows():
    shown = CliRunner().invoke(app, ["corpora", "show", "slakh2100"]).stdout
    assert "CC-BY-4.0" in shown and "commercial use: yes" in shown and "@inproceedings{manilow2019cutting," in shown
    told = json.loads(CliRunner().invoke(app, ["corpora", "show", "slakh2100", "--json"]).stdout)
    assert told["terms"]["commercial"] == "yes" and told["songs"] == [] and told["downloads"]


def test_every_download_of_a_corpus_can_be_checked_and_named():
    for name in corpus_names():
        facts = corpus_facts(name)
        for download in chosen(facts).values() if facts.downloads else ():
            assert download.md5 or download.sha256, (name, download.url)
