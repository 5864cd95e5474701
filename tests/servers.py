"""Servers that tests read datasets from: an S3 one in a process of its own, and HTTP ones with the manners asked for."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import s3fs

KEYS = {"AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "hidden-words", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def s3_server() -> Iterator[str]:
    """Run moto's S3 server and point this process's environment at it. Gives the endpoint."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    before = dict(os.environ)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1200):  # its first start compiles some thousand files
            if server.poll() is not None:
                raise RuntimeError(f"the S3 server ended with exit code {server.returncode}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        else:
            raise RuntimeError("the S3 server does not answer")
        os.environ.update(KEYS, AWS_ENDPOINT_URL=endpoint)
        s3fs.S3FileSystem.clear_instance_cache()  # those of a server before this one
        yield endpoint
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.terminate()
        server.wait()


class RangeHandler(SimpleHTTPRequestHandler):
    """Serves a folder, with byte ranges. `asked` notes (path, range); the first `failures` reads are answered by 503.

    `extra` are headers of every answer (an ETag among them is what If-Range is held against; Content-Length None leaves that
    out); each of `cuts` ends one body after so many bytes; `redirects` are paths and where they lead.
    """

    asked: list[tuple[str, str]]
    knows_ranges = True
    failures = 0
    extra: dict[str, str | None] = {}  # noqa: RUF012 (replaced, never changed)
    cuts: tuple[int, ...] = ()
    redirects: dict[str, str] = {}  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        kind = type(self)
        span = self.headers.get("Range", "")
        kind.asked.append((self.path, span))
        file = Path(self.translate_path(self.path))
        if kind.failures > 0:
            kind.failures -= 1
            self.send_error(503)
        elif self.path in kind.redirects:
            self.send_response(302)
            self.send_header("Location", kind.redirects[self.path])
            self.end_headers()
        elif not file.is_file():
            self.send_error(404)
        else:
            data = file.read_bytes()
            same = self.headers.get("If-Range") in (None, kind.extra.get("ETag"), kind.extra.get("Last-Modified"))
            whole = not (span and kind.knows_ranges and same)
            if not whole:
                first, _, last = span.removeprefix("bytes=").partition("-")
                low, high = int(first), min(int(last) + 1 if last else len(data), len(data))
                if low >= len(data):
                    self.send_error(416)
                    return
            self.send_response(200 if whole else 206)
            if not whole:
                self.send_header("Content-Range", f"bytes {low}-{high - 1}/{len(data)}")
                data = data[low:high]
            for name, value in {"Content-Length": str(len(data)), **kind.extra}.items():
                if value is not None:
                    self.send_header(name, value)
            self.end_headers()
            if kind.cuts:
                data, kind.cuts = data[: kind.cuts[0]], kind.cuts[1:]
            with suppress(OSError):
                self.wfile.write(data)


@contextmanager
def http_server(folder: Path, *, knows_ranges: bool = True, failures: int = 0) -> Iterator[tuple[str, type[RangeHandler]]]:
    """Serve a folder. Gives its URL and the handler's class, which counts what was asked."""
    handler = type("Handler", (RangeHandler,), {"asked": [], "knows_ranges": knows_ranges, "failures": failures})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)  # seconds until it sees that it is to end
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()
