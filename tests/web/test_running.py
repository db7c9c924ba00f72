"""Tests of the server: address, token, and shutdown."""

import http.client
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("fastapi")

from clipfeat.errors import UsageError
from clipfeat.web.running import address_of, bind, is_loopback, token_for

SERVER = """
import asyncio, signal, sys
from fastapi import HTTPException, Request
from clipfeat.cli.exits import report_stopping
from clipfeat.system.interrupts import handle_stop_signals
from clipfeat.web.access import Access
from clipfeat.web.application import create_application
from clipfeat.web import running
from clipfeat.web.running import bind, run

running.IDLE_SECONDS, running.REPEAT_SECONDS = 1, float(sys.argv[1])
drain_seconds = float(sys.argv[2])
application = create_application("test", Access())

@application.get("/slow")
async def slow(seconds: float) -> str:
    print("asked", flush=True)
    await asyncio.sleep(seconds)
    return "answered"

@application.post("/busy")
async def busy() -> None:
    raise HTTPException(429, "busy", {"Retry-After": "1", "Connection": "close"})

@application.post("/count")
async def count(request: Request) -> int:
    return len(await request.body())

# A shell lets its background jobs ignore SIGINT, and nohup lets them ignore SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
handle_stop_signals(report_stopping)
listener = bind("localhost", 0)
port = listener.getsockname()[1]
try:
    print(run(application, listener, lambda: print(port, flush=True), drain_seconds=drain_seconds))
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextmanager
def serving(
    repeat_seconds: float = 60, drain_seconds: float = 60
) -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    """Start a server, and open a connection to it."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, str(repeat_seconds), str(drain_seconds)],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            with closing(http.client.HTTPConnection("localhost", port, timeout=60)) as connection:
                yield process, connection
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """Return host and port of a server that no test stops."""
    with serving() as (_, connection):
        yield connection.host, connection.port


def is_listening(connection: http.client.HTTPConnection) -> bool:
    """Return whether a new connection to the server is possible."""
    try:
        socket.create_connection((connection.host, connection.port)).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:  # the server was just closing
        return True
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_the_server_answer(number: int) -> None:
    """After a signal, the pending request is answered, and the exit code is 0."""
    with serving() as (process, connection):
        connection.request("GET", "/slow?seconds=0.3")
        assert process.stdout is not None and process.stdout.readline() == "asked\n"
        process.send_signal(number)
        process.send_signal(signal.SIGINT)  # repetitions are ignored at first
        assert connection.getresponse().read() == b'"answered"'
        assert process.wait(60) == 0


def test_requests_that_take_too_long_are_counted() -> None:
    """Such requests get status 503 with the usual headers."""
    with serving(drain_seconds=0.1) as (process, connection):
        connection.request("GET", "/slow?seconds=1000")
        assert process.stdout is not None and process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["x-content-type-options"]) == (503, "nosniff")
        assert b"the server is stopping" in answer.read()
        assert process.wait(60) == 0
        assert process.stdout.read() == "1\n"


def test_a_second_signal_ends_the_server() -> None:
    """After a second signal, the server does not wait for pending requests."""
    with serving(0) as (process, connection):
        connection.request("GET", "/slow?seconds=1000")
        assert process.stdout is not None and process.stdout.readline() == "asked\n"
        process.send_signal(signal.SIGTERM)
        while is_listening(connection):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 130


def test_a_connection_without_a_request_is_closed(address: tuple[str, int]) -> None:
    """Silent connections and endless headers are closed."""
    for start in (b"", b"GET / HTTP/1.1\r\nHost: local"):
        with socket.create_connection(address, timeout=60) as client:
            client.sendall(start)
            assert client.recv(1) == b""
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        connection.request("GET", "/slow?seconds=1.5")  # longer than the limit
        assert connection.getresponse().read() == b'"answered"'


@pytest.mark.parametrize(("path", "status"), [("/busy", 429), ("/count", 413), ("/none", 404)])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_client_reads_the_answer_to_a_refused_body(
    address: tuple[str, int], path: str, status: int, *, is_chunked: bool
) -> None:
    """Clients send the whole body first. It is read and discarded after the answer."""
    requests = pytest.importorskip("requests")
    size = 30 * 2**20
    url = f"http://localhost:{address[1]}{path}"
    body = (bytes(2**20) for _ in range(size // 2**20)) if is_chunked else bytes(size)
    answer = requests.post(url, data=body, timeout=60)
    assert answer.status_code == (status if is_chunked else 413)
    assert answer.json()["detail"]
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        connection.request("POST", "/count", body=bytes(100))
        assert connection.getresponse().read() == b"100"


def test_a_client_that_waits_before_its_body_sends_none(address: tuple[str, int]) -> None:
    """The refusal of `Expect: 100-continue` ends the response at once."""
    with socket.create_connection(address, timeout=30) as client:
        head = ("POST /count HTTP/1.1", "Host: localhost", "Content-Length: 99999999",
                "Expect: 100-continue", "", "")  # fmt: skip
        client.sendall("\r\n".join(head).encode())
        begun = time.monotonic()
        answer = b""
        while piece := client.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"100 Continue" not in answer
    assert time.monotonic() - begun < 4


def test_addresses() -> None:
    """Only loopback addresses need no token. Otherwise, the printed address contains it."""
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert is_loopback(listener) and token_for(listener, None) is None
        assert address_of(listener, None) == f"http://127.0.0.1:{port}/"
        listener.listen()
        with pytest.raises(UsageError, match=f"cannot use port {port} of localhost"):
            bind("localhost", port)
        with pytest.raises(UsageError, match="at least 8 characters"):
            token_for(listener, "short")
    with bind("0.0.0.0", 0) as listener:
        port = listener.getsockname()[1]
        token = token_for(listener, None)
        assert token is not None and len(token) == 32
        assert token_for(listener, "my-own-token") == "my-own-token"
        assert address_of(listener, token) == f"http://127.0.0.1:{port}/?token={token}"
        query = urlsplit(address_of(listener, "a+b/c=&d#e%41")).query
        assert parse_qs(query) == {"token": ["a+b/c=&d#e%41"]}
    with pytest.raises(UsageError, match="unknown"):
        bind("no such host", 0)
    with pytest.raises(UsageError, match="--host"):
        bind("192.0.2.1", 0)
