"""Tests of the shared web application: access, refusals and response headers."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("fastapi")

from fastapi import Request
from fastapi.testclient import TestClient
from starlette.datastructures import Headers

from clipfeat.errors import UsageError
from clipfeat.web.access import Access
from clipfeat.web.application import create_application
from clipfeat.web.body_limits import BodyLimits
from clipfeat.web.security_headers import HEADERS

TOKEN = "a-long-token"
OWN = "http://localhost:8000"


def client_of(token: str | None = None, **limits: Any) -> TestClient:
    """Return a client of an application with a route that counts the bytes of a request."""
    access = Access(token, frozenset({"clips.example", "port.example:80"}), frozenset({"/public"}))
    application = create_application("test", access, limits=BodyLimits(**limits))

    @application.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    @application.get("/public")
    def public() -> str:
        return "public"

    @application.get("/usage")
    def usage() -> None:
        raise UsageError("a wrong \x1b value")

    @application.get("/bug")
    def bug() -> None:
        raise RuntimeError("secret")

    return TestClient(application, OWN)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with client_of() as client:
        yield client


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    """Static files, refusals and internal errors have the security headers."""
    refused = {"host": "evil.example"}
    answers = [
        client.get("/static/web/web.css"), client.get("/missing"), client.get("/bug"),
        client.get("/public", headers=refused), client.post("/count", content=b"x" * 2**21),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200, 404, 500, 421, 413]
    for answer in answers:
        assert HEADERS.items() <= {name.title(): v for name, v in answer.headers.items()}.items()
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert "secret" not in answers[2].text
    assert [answer.headers["cache-control"] for answer in answers[:2]] == ["no-cache", "no-store"]


def test_strange_hosts_are_refused(client: TestClient) -> None:
    """Requests with an unknown host name are refused, even if it leads to this machine."""
    own = [
        "localhost",
        "localhost:1",
        "127.0.0.1",
        "[::1]:8000",
        "192.0.2.7",
        "Clips.Example:80",
        "port.example:80",
    ]
    strange = [
        "evil.example",
        "port.example:81",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "[",
        "a@::1",
    ]
    for hosts, status in ((own, 200), (strange, 421)):
        for host in hosts:
            answer = client.get("/public", headers={"host": host})
            assert (host, answer.status_code) == (host, status)


def test_pages_of_other_origins_change_nothing(client: TestClient) -> None:
    """Forms and scripts of other sites cannot send data. Programs send no origin."""
    same = [{}, {"origin": OWN}, {"sec-fetch-site": "same-origin"}]
    other = [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://localhost:1"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    ]  # fmt: skip
    for cases, status in ((same, 200), (other, 403)):
        for headers in cases:
            assert client.post("/count", content=b"x", headers=headers).status_code == status


def test_a_proxy_may_change_the_host() -> None:
    """Behind a proxy, the browser's header decides, or a host that the server allows."""
    access = Access(hosts=frozenset({"clips.example"}))
    cases = [
        ({"origin": "https://clips.example", "host": "127.0.0.1:8000"}, True),
        ({"origin": "https://clips.example:8443", "host": "clips.example"}, True),
        ({"origin": "https://other.example", "sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://127.0.0.1:3000", "host": "127.0.0.1"}, False),
        ({"origin": "https://clips.example", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://[", "host": "127.0.0.1"}, False),
    ]
    for headers, is_own in cases:
        assert access.is_own_page(Headers(headers)) == is_own


def test_the_token_is_needed() -> None:
    """The token is accepted as a header or a cookie, and is removed from the address."""
    with client_of(TOKEN) as client:
        assert client.get("/public").status_code == 200
        refused = client.get("/static/web/web.css")
        assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
        for wrong in ("Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", TOKEN):
            answer = client.post("/count", headers={"authorization": wrong})
            assert answer.status_code == 401
        assert client.get("/missing?token=wrong").status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.post("/count", content=b"12", headers=bearer).json() == 2
        first = client.get(f"{OWN}//evil.example/%3F?token={TOKEN}&a=1", follow_redirects=False)
        assert first.status_code == 303
        assert first.headers["location"] == "/evil.example/%3F?a=1"
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        assert client.post("/count", content=b"123").json() == 3


def test_large_bodies_are_refused() -> None:
    """The limit holds, even if a request declares no size or a wrong one."""
    with client_of(size=1000) as client:
        assert client.post("/count", content=b"x" * 1000).json() == 1000
        declared = client.post("/count", content=b"x" * 1001)
        chunked = client.post("/count", content=(b"x" * 100 for _ in range(11)))
        for answer in (declared, chunked):
            assert answer.status_code == 413
            assert "more than 1000 bytes" in answer.json()["detail"]
            assert answer.headers["connection"] == "close"


def answer_of(pieces: list[dict[str, Any]], **limits: Any) -> list[dict[str, Any]]:
    """Return the server's messages for a request whose body does not end."""
    left = iter(pieces)
    sent: list[dict[str, Any]] = []

    async def receive() -> Any:
        return next(left, None) or await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/count", "query_string": b"",
             "headers": [(b"host", b"localhost")]}  # fmt: skip
    asyncio.run(client_of(**limits).app(scope, receive, send))
    return sent


def test_slow_bodies_are_refused() -> None:
    """A client that stops sending gets a response."""
    first = {"type": "http.request", "body": b"x", "more_body": True}
    sent = answer_of([first], seconds=0.01)
    assert sent[0]["status"] == 408
    assert b"longer than 0.01 s" in sent[1]["body"]


def test_clients_that_leave_are_no_errors(caplog: pytest.LogCaptureFixture) -> None:
    """If a client disconnects, nothing is logged and nothing is sent."""
    assert answer_of([{"type": "http.disconnect"}]) == []
    assert caplog.records == []


def test_errors_are_one_line(client: TestClient) -> None:
    """The response is the error message, with control characters escaped."""
    answer = client.get("/usage")
    assert answer.status_code == 400
    assert answer.json() == {"detail": "a wrong \\x1b value"}
