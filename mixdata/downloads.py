"""Files fetched from the web: resumable, checked, and under their final name only when they are whole.

What has arrived lies in `NAME.part`; `NAME.part.json` notes what the server said of it (ETag, date, size), so that
a later run goes on with the rest (HTTP Range, If-Range) and begins anew where the server's file has changed.
Proxies are taken from the usual environment variables, certificates from `SSL_CERT_FILE`, `SSL_CERT_DIR`,
`REQUESTS_CA_BUNDLE` or `CURL_CA_BUNDLE`. User names, passwords and queries of URLs are never printed.
"""

import hashlib
import http.client
import json
import os
import re
import ssl
import stat
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

import mixdata
from mixdata.archives import looks_like_page, write_all
from mixdata.errors import MixdataError, UsageError
from mixdata.files import disk_errors, free_space, publish_bytes, sync_folder
from mixdata.locks import locked
from mixdata.progress import Progress
from mixdata.text import cleaned, shown
from mixdata.text import size as size_text

CHUNK = 1 << 18  # bytes
LONGEST_WAIT = 60.0  # seconds between two attempts
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it is fetched."""

    url: str
    path: Path
    bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def fail(self, why: str) -> NoReturn:
        raise MixdataError(f"{shown_url(self.url)}: {why}")


@dataclass(frozen=True)
class Note:
    """What the server said of the file of which a part is here. The URL is kept as a hash, it may hold a secret."""

    url: str
    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """What `If-Range` takes: a strong ETag, else the date."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified


class Transient(Exception):
    """A failure after which another attempt makes sense."""

    def __init__(self, why: str, wait_seconds: float | None = None):
        super().__init__(why)
        self.wait_seconds = wait_seconds


def shown_url(url: str) -> str:
    """Return a URL that can be printed: without user name, password, query and fragment.

    >>> shown_url("https://me:secret@zenodo.org/files/a.zip?token=secret")
    'https://zenodo.org/files/a.zip?…'
    """
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises where a word, perhaps a password, stands for a port)
        place = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "the URL"
    return shown(f"{parts.scheme}://{place}{parts.path}{'?…' if parts.query else ''}")


def fetch(
    url: str,
    path: Path,
    size: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
    *,
    retries: int = 6,
    timeout_seconds: float = 60.0,
    quiet: bool = True,
    wait: Callable[[float], Any] = time.sleep,
) -> Path:
    """Fetch a file to `path`, or go on with it, or find it there. Returns the path; raises `MixdataError`.

    `retries` counts attempts in a row that brought nothing new. Size and checksums, where given, are checked before the
    final name is taken; a file that is there already is checked too, and never overwritten.
    """
    _checked(url)
    wanted = Expected(url, Path(path), size, md5, sha256)
    if os.path.lexists(path):
        return _already_there(wanted, quiet)
    with disk_errors(wanted.path):
        wanted.path.parent.mkdir(parents=True, exist_ok=True)
    part = wanted.path.with_name(f"{wanted.path.name}.part")
    with locked(part, f"{path}: another process is fetching it; wait for it") as descriptor:
        if os.path.lexists(path):  # by another process, since the first look
            part.unlink()
            return _already_there(wanted, quiet)
        try:
            begun = os.fstat(descriptor).st_size
            _fill(descriptor, wanted, retries, timeout_seconds, quiet, wait)
            problem = _problem(descriptor, wanted, quiet)
            if problem and begun:  # what an earlier run left was perhaps not of this file
                os.ftruncate(descriptor, 0)
                _fill(descriptor, wanted, retries, timeout_seconds, quiet, wait)
                problem = _problem(descriptor, wanted, quiet)
            if problem:
                os.ftruncate(descriptor, 0)
                wanted.fail(f"{problem}; what was fetched is deleted")
            with disk_errors(wanted.path):
                os.fsync(descriptor)
                os.replace(part, wanted.path)
                sync_folder(wanted.path.parent)
        finally:
            if os.fstat(descriptor).st_size == 0 or not part.exists():
                _note_path(wanted).unlink(missing_ok=True)
                if not wanted.path.exists():
                    part.unlink(missing_ok=True)
    return wanted.path


def _checked(url: str) -> SplitResult:
    if re.search(r"[\x00-\x20\x7f]", url):
        raise UsageError(f"{shown_url(url)}: a URL has no spaces or control characters")
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 (raises for what is no port)
    except ValueError:
        raise UsageError(f"{shown_url(url)}: is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{shown_url(url)}: only http:// and https:// are fetched")
    if "@" in parts.netloc:
        raise UsageError(f"{shown_url(url)}: a URL with a user name or password is not fetched")
    return parts


def _already_there(wanted: Expected, quiet: bool) -> Path:
    if not stat.S_ISREG(os.lstat(wanted.path).st_mode):
        raise MixdataError(f"{wanted.path}: is there, and no regular file: move it away")
    descriptor = os.open(wanted.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        problem = _problem(descriptor, wanted, quiet)
    finally:
        os.close(descriptor)
    if problem:
        raise MixdataError(f"{wanted.path}: is there already, but is not the file expected ({problem}): move it away")
    return wanted.path


def _fill(descriptor: int, wanted: Expected, retries: int, timeout: float, quiet: bool, wait: Callable[[float], Any]) -> None:
    """Fetch what is missing, in as many attempts as it takes while each brings something new."""
    opener = _opener()
    failures, most = 0, os.fstat(descriptor).st_size
    with Progress(f"fetch {cleaned(wanted.path.name)}", (wanted.bytes or 0) / 1e6, "MB", quiet) as bar:
        while True:
            try:
                return _attempt(descriptor, wanted, opener, timeout, bar)
            except Transient as error:
                have = os.fstat(descriptor).st_size
                failures, most = (1, have) if have > most else (failures + 1, most)
                if failures > retries:
                    kept = f"; {size_text(have)} are kept, the same command goes on from there" if have else ""
                    raise MixdataError(f"{shown_url(wanted.url)}: {error} ({failures} attempts){kept}") from error
                wait(min(LONGEST_WAIT, 2.0 ** (failures - 1) if error.wait_seconds is None else error.wait_seconds))


def _attempt(descriptor: int, wanted: Expected, opener: urllib.request.OpenerDirector, timeout: float, bar: Progress) -> None:
    note, have = _read_note(wanted), os.fstat(descriptor).st_size
    resumable = note is not None and (note.validator or wanted.md5 or wanted.sha256) and wanted.bytes in (None, note.total)
    if have and (note is None or not resumable or have > (note.total or have)):
        have = 0
    if have and note and have == note.total:
        return
    request = urllib.request.Request(wanted.url, headers={"User-Agent": f"mixdata/{mixdata.__version__}", "Accept-Encoding": "identity"})
    if have and note:
        request.add_header("Range", f"bytes={have}-")
        if note.validator:
            request.add_header("If-Range", note.validator)
    try:
        with opener.open(request, timeout=timeout) as answer:
            have, total = _judge(answer, wanted, note, have)
            with disk_errors(wanted.path):
                os.ftruncate(descriptor, have)
                os.lseek(descriptor, have, os.SEEK_SET)
            _write_note(wanted, answer, total)
            _check_space(wanted, total, have)
            bar.bar.total = (total or 0) / 1e6
            bar.update(have / 1e6 - bar.bar.n)
            while data := answer.read(CHUNK):
                have += len(data)
                if have > (wanted.bytes or total or have):
                    os.ftruncate(descriptor, 0)
                    wanted.fail(f"the server sent more than the {wanted.bytes or total} bytes expected")
                with disk_errors(wanted.path):
                    write_all(descriptor, data)
                bar.update(len(data) / 1e6)
    except urllib.error.HTTPError as error:
        _judge_error(error, descriptor, wanted, have)
    except urllib.error.URLError as error:
        reason = error.reason
        if isinstance(reason, ssl.SSLCertVerificationError):
            wanted.fail(f"the server's certificate is not trusted ({reason.verify_message}); SSL_CERT_FILE names other authorities")
        raise Transient(f"no connection ({cleaned(str(reason))})") from error
    except (OSError, http.client.HTTPException) as error:
        raise Transient(f"the connection was cut ({cleaned(str(error)) or type(error).__name__})") from error
    except ValueError:  # urllib's, and its message may hold the URL and so a secret
        wanted.fail("the URL, or one that the server leads to, has a host that can be none, or letters that no request can hold")
    if total is not None and have < total:
        raise Transient(f"the connection was cut after {have} of {total} bytes")


def _judge(answer: Any, wanted: Expected, note: Note | None, have: int) -> tuple[int, int | None]:
    """Return from which byte on the answer is, and how many bytes the file has (None where the server does not say)."""
    length = _number(answer.headers.get("Content-Length", ""))
    if answer.status == 206:
        span = re.fullmatch(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", answer.headers.get("Content-Range", ""))
        total = int(span[3]) if span and span[3] != "*" else None
        same = note is not None and total in (None, note.total) and answer.headers.get("ETag", note.etag) == note.etag
        if not span or int(span[1]) != have or not same:
            _forget(wanted)
            raise Transient("the file has changed on the server", 0.0)
        return have, note.total if total is None and note else total
    if answer.status != 200:
        wanted.fail(f"the server answered {answer.status} instead of the file")
    if "html" in answer.headers.get("Content-Type", "") and (length is None or length != wanted.bytes):
        wanted.fail("the server sent a web page instead of the file (a form, a login, a notice): fetch it with a browser")
    if wanted.bytes is not None and length is not None and length != wanted.bytes:
        wanted.fail(f"the server's file has {length} bytes instead of {wanted.bytes}: it is another version, or not the file")
    return 0, length if length is not None else wanted.bytes


def _number(text: str) -> int | None:
    """Return the whole number that a header says; what is none, or has more digits than any file's size, says nothing."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _judge_error(error: urllib.error.HTTPError, descriptor: int, wanted: Expected, have: int) -> NoReturn:
    error.close()
    if error.code == 416 and have:
        _forget(wanted)
        raise Transient("the file has changed on the server", 0.0) from None
    if error.code in TRANSIENT:
        after = _number(error.headers.get("Retry-After", ""))
        raise Transient(f"the server answered {error.code} ({cleaned(error.reason)})", None if after is None else float(after)) from None
    if 300 <= error.code < 400:  # the reason holds the URL, and that perhaps a secret
        wanted.fail("the server leads elsewhere, but not to an http:// or https:// URL, or in a circle: not followed")
    hint = {401: ": it wants a login", 403: ": it does not give this file away", 404: ": it is not there (any more)", 410: ": it is gone"}
    wanted.fail(f"the server answered {error.code} ({cleaned(error.reason)}){hint.get(error.code, '')}")


def _check_space(wanted: Expected, total: int | None, have: int) -> None:
    free = free_space(wanted.path)
    if total is not None and total - have > free:
        raise MixdataError(f"{wanted.path}: needs {size_text(total - have)} more, the disk has {size_text(free)} free")


def _problem(descriptor: int, wanted: Expected, quiet: bool) -> str | None:
    """Return what is wrong with a fetched file, None where nothing is."""
    have = os.fstat(descriptor).st_size
    page = looks_like_page(os.pread(descriptor, 512, 0))
    sent = ": the server sent a web page instead of the file, fetch it with a browser" if page else ""
    if wanted.bytes is not None and have != wanted.bytes:
        return f"it has {have} bytes instead of {wanted.bytes}{sent}"
    sums = {name: value.lower() for name, value in (("md5", wanted.md5), ("sha256", wanted.sha256)) if value}
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in sums}
    with Progress(f"check {cleaned(wanted.path.name)}", have / 1e6, "MB", quiet or not sums) as bar:
        at = 0
        while sums and (data := os.pread(descriptor, 1 << 20, at)):
            at += len(data)
            for digest in hashes.values():
                digest.update(data)
            bar.update(len(data) / 1e6)
    for name, value in sums.items():
        if hashes[name].hexdigest() != value:
            return f"its {name} is {hashes[name].hexdigest()} instead of {value}{sent}"
    return None


def _note_path(wanted: Expected) -> Path:
    return wanted.path.with_name(f"{wanted.path.name}.part.json")


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


def _write_note(wanted: Expected, answer: Any, total: int | None) -> None:
    note = Note(_hash(wanted.url), answer.headers.get("ETag"), answer.headers.get("Last-Modified"), total)
    if note != _read_note(wanted):
        publish_bytes(_note_path(wanted), json.dumps(asdict(note)).encode())


def _read_note(wanted: Expected) -> Note | None:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        note = Note(**json.loads(_note_path(wanted).read_bytes()))
        if note.url == _hash(wanted.url) and isinstance(note.total, int | None):
            return note
    return None


def _forget(wanted: Expected) -> None:
    _note_path(wanted).unlink(missing_ok=True)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to http and https only, and never from https to http, where anybody on the way could change the file."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        newurl = newurl.replace(" ", "%20")
        try:
            parts = _checked(newurl)
        except UsageError as error:
            raise MixdataError(f"{shown_url(req.full_url)}: the server leads elsewhere, where mixdata does not go: {error}") from None
        if urlsplit(req.full_url).scheme == "https" and parts.scheme == "http":
            raise MixdataError(
                f"{shown_url(req.full_url)}: the server leads from https to http ({shown_url(newurl)}), which is not followed"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that knows HTTP and HTTPS and nothing else: no file://, ftp:// or data:."""
    bundle = next((os.environ[name] for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE") if os.environ.get(name)), None)
    try:
        context = ssl.create_default_context()
        if bundle:
            context.load_verify_locations(bundle if os.path.isfile(bundle) else None, bundle if os.path.isdir(bundle) else None)
    except (OSError, TypeError) as error:
        raise MixdataError(f"{bundle or os.environ.get('SSL_CERT_FILE')}: no certificates can be read from it") from error
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
