"""Images from a web server that answers in odd ways."""

import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from clipfeat.errors import ClipfeatError, ReadError
from clipfeat.images import readers
from clipfeat.images.readers import RemoteObject
from clipfeat.system import locations

pytest.importorskip("aiohttp")
CONTENT = bytes(range(100))


class Handler(BaseHTTPRequestHandler):
    """The path selects the behaviour. Ranges are ignored, except by ``/range``."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        kind = self.path.strip("/")
        self.send_response(int(kind) if kind.isdecimal() else 206 if kind == "range" else 200)
        self.end_headers()
        if kind == "range":
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            self.wfile.write(CONTENT[first : last + 1])
        elif kind == "whole":
            self.wfile.write(CONTENT)
        elif kind == "silent":
            time.sleep(1.5)
        elif kind == "endless":
            try:
                while True:
                    self.wfile.write(bytes(2**16))
            except OSError:
                pass

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(locations, "WEB_SECONDS", 0.5)
    monkeypatch.setattr(readers, "MAX_BYTES", 2**20)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("kind", ["range", "whole"])
def test_ranges_do_not_depend_on_the_server(server: str, kind: str) -> None:
    """A server may send the whole object for a range."""
    assert RemoteObject(f"{server}/{kind}", 10, 5).read() == CONTENT[10:15]
    assert RemoteObject(f"{server}/{kind}").read() == CONTENT


def test_reading_stops_at_the_limit(server: str) -> None:
    """An endless answer does not fill the memory."""
    with pytest.raises(ReadError, match="more bytes than the limit"):
        RemoteObject(f"{server}/endless").read()
    assert RemoteObject(f"{server}/endless", 10, 5).read() == bytes(5)


@pytest.mark.parametrize("kind", ["500", "403", "404", "silent"])
def test_errors_of_the_server_are_one_line(server: str, kind: str) -> None:
    """A server that fails or does not answer is a clear error, after a limited time."""
    start = time.monotonic()
    with pytest.raises(ClipfeatError, match=kind if kind == "500" else "."):
        RemoteObject(f"{server}/{kind}").read()
    assert time.monotonic() - start < 5
