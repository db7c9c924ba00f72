"""Tests of images that the server downloads."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("fastapi")

from clipfeat.errors import ReadError
from clipfeat.serving import remote


class _Handler(BaseHTTPRequestHandler):
    """Handler of one image, which may redirect or never respond."""

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.2:1/secret")
            self.end_headers()
        elif self.path == "/image":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 1000)
        elif self.path == "/slow":
            self.server.stop.wait(60)  # type: ignore[attr-defined]
        else:
            self.send_error(404)

    def log_message(self, *args: object) -> None:
        """Suppress the server's log."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    server.stop = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.stop.set()  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "url", ["http://{}/image", "http://localhost:1/", "http://169.254.169.254/"]
)
def test_private_addresses_are_refused(url: str, address: str) -> None:
    """The server never connects to this machine or its network."""
    with pytest.raises(ReadError, match=remote.NOT_PUBLIC):
        remote.download(url.format(address), 2000, 10)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "/etc/passwd", "s3://bucket/1.png", "memory://1.png", "",
            "zip://a::http://example.org/a.zip", "http://a::http://example.org/a.zip",
            "http://example.org/a#b", "http://[::1]/"]
)  # fmt: skip
def test_only_plain_web_addresses_are_allowed(url: str) -> None:
    """Local files and object stores cannot be read."""
    with pytest.raises(ReadError, match="not a plain URL of http or https"):
        remote.download(url, 2000, 10)


@pytest.mark.parametrize("url", ["http:///", "http://["])
def test_addresses_without_a_public_host_are_refused(url: str) -> None:
    """Malformed addresses are errors of single images."""
    with pytest.raises(ReadError, match=f"{remote.NOT_PUBLIC}|cannot be downloaded"):
        remote.download(url, 2000, 10)


def test_limits_and_redirections(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size and time are limited, and every redirect is checked."""
    monkeypatch.setattr(remote, "is_public", lambda host: host == "127.0.0.1")
    assert remote.download(f"http://{address}/image", 1000, 10) == b"x" * 1000
    for path, limit, seconds, reason in (
        ("image", 999, 10, "more than 999 bytes"),
        ("missing", 999, 10, "does not exist"),
        ("moved", 999, 10, "not public"),
        ("slow", 999, 0.2, "takes too long"),
    ):
        with pytest.raises(ReadError, match=reason):
            remote.download(f"http://{address}/{path}", limit, seconds)
