"""Tests of images from web servers that answer in unusual ways."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from clipfeat.errors import ClipfeatError, ReadError, StorageError
from clipfeat.images import open_source, readers
from clipfeat.images.readers import RemoteObject
from clipfeat.system import locations, web

pytest.importorskip("aiohttp")
CONTENT = bytes(range(100))


class Handler(BaseHTTPRequestHandler):
    """Handler whose behaviour depends on the path. Only ``/range`` supports ranges."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        kind = self.path.strip("/").removesuffix(".csv")
        if kind == "closed":
            self.close_connection = True
            return
        if kind == "slow-headers":
            self._trickle(b"HTTP/1.0 200 OK\r\nX-Long: " + bytes(100))
            return
        self.send_response(int(kind) if kind.isdecimal() else 206 if kind == "range" else 200)
        self.end_headers()
        if kind == "range":
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            self.wfile.write(CONTENT[first : last + 1])
        elif kind == "whole":
            self.wfile.write(CONTENT)
        elif kind == "silent":
            time.sleep(1.5)
        elif kind == "slow":
            self._trickle(CONTENT)
        elif kind == "table":
            self.wfile.write(b"path,label\nwhole,a\n")
        elif kind == "hosts":
            other = f"http://localhost:{self.server.server_port}"
            paths = ["whole", "closed", f"{other}/500", f"{other}/whole", "http://[/x"]
            self.wfile.write("\n".join(["path", *paths]).encode())
        elif kind == "endless":
            try:
                while True:
                    self.wfile.write(bytes(2**16))
            except OSError:
                pass

    def _trickle(self, content: bytes) -> None:
        """Send a byte every 0.2 s, until the client leaves."""
        try:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(0.2)
        except OSError:
            pass

    def log_message(self, *_: object) -> None:
        """Suppress the server's log."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(locations, "WEB_SECONDS", 0.5)
    monkeypatch.setattr(readers, "MAX_BYTES", 2**20)
    monkeypatch.setattr(web, "MAX_BODY", 2**20)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("kind", ["range", "whole"])
def test_ranges_do_not_depend_on_the_server(server: str, kind: str) -> None:
    """A range is read correctly, even if the server sends the whole object."""
    assert RemoteObject(f"{server}/{kind}", 10, 5).read() == CONTENT[10:15]
    assert RemoteObject(f"{server}/{kind}").read() == CONTENT


def test_reading_stops_at_the_limit(server: str) -> None:
    """An endless response is read only up to the limit."""
    with pytest.raises(ReadError, match="more bytes than the limit"):
        RemoteObject(f"{server}/endless").read()
    assert RemoteObject(f"{server}/endless", 10, 5).read() == bytes(5)


FAULTS = ["500", "403", "404", "429", "silent", "closed", "slow", "slow-headers"]


@pytest.mark.parametrize("kind", FAULTS)
def test_errors_of_the_server_are_one_line(server: str, kind: str) -> None:
    """A failing or silent server is one clear error, after a limited time."""
    start = time.monotonic()
    with pytest.raises(ClipfeatError, match=kind if kind == "500" else "."):
        RemoteObject(f"{server}/{kind}").read()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("kind", [*FAULTS, "endless"])
def test_a_table_on_a_server_that_fails(server: str, kind: str) -> None:
    """Opening such a table is one clear error, after a limited time."""
    start = time.monotonic()
    with pytest.raises(ClipfeatError) as caught:
        open_source(f"{server}/{kind}.csv")
    assert "\n" not in str(caught.value)
    assert time.monotonic() - start < 8


def test_a_table_on_a_server(server: str) -> None:
    """Relative paths in a remote table are addresses on its server."""
    (record,) = open_source(f"{server}/table.csv")
    assert (record.label, record.reader.read(), record.reader.stat()) == ("a", CONTENT, None)


def test_one_host_of_several_may_fail(server: str) -> None:
    """A failing server ends the run only if all images are on it."""
    source = open_source(f"{server}/hosts.csv", allow_remote=True)
    results = []
    for record in source:
        try:
            results.append(record.reader.read())
        except ReadError:
            results.append(b"failed")
    assert results == [CONTENT, b"failed", b"failed", CONTENT, b"failed"]
    with pytest.raises(StorageError):
        RemoteObject(f"{server}/closed").read()
