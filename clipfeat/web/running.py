"""The server: binding an address, running an application, and a clean shutdown.

After the first signal to stop, the server accepts no new connections and answers the remaining
requests. Requests that take too long get status 503. A second signal ends the server without
answering them. Signals within a second of the first are ignored, because tools such as ``timeout``
repeat a signal.
"""

import asyncio
import errno
import logging
import math
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from types import FrameType
from urllib.parse import quote

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from clipfeat.errors import UsageError
from clipfeat.system.interrupts import STOPPING
from clipfeat.web.security_headers import SecurityHeaders

DRAIN_SECONDS = 60
"""Default of the maximum time to answer the remaining requests after the first signal to stop."""
MAX_CONNECTIONS = 1000
REPEAT_SECONDS = 1.0
IDLE_SECONDS = 30
"""Maximum time without a complete request on a connection."""


def bind(host: str, port: int) -> socket.socket:
    """Bind an address before anything slow happens, such as loading a model.

    Parameters
    ----------
    host : str
        Name or address of this machine.
    port : int
        The port. 0 chooses a free port.

    Returns
    -------
    socket
        The bound socket, for `run`.

    Raises
    ------
    UsageError
        If the host is unknown, or the port is in use or not allowed.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(
            f"the host {host!r} is unknown ({error}). Pass an address of this machine with --host"
        ) from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        remedy = "Pass another port with --port, or 0 for a free port"
        if error.errno == errno.EADDRNOTAVAIL:
            remedy = "Pass an address of this machine with --host"
        raise UsageError(
            f"the server cannot use port {port} of {host} ({error.strerror}). {remedy}"
        ) from error
    return listener


def is_loopback(listener: socket.socket) -> bool:
    """Return whether only programs of this machine can reach a bound socket."""
    return ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def token_for(listener: socket.socket, token: str | None) -> str | None:
    """Return the given token, a random token if other machines can reach the server, or None.

    Raises
    ------
    UsageError
        If the given token is too short or cannot be sent in a header.
    """
    if token is None:
        return None if is_loopback(listener) else secrets.token_urlsafe(24)
    if len(token) < 8 or not token.isascii() or not token.isprintable() or " " in token:
        raise UsageError(
            "the token must have at least 8 characters, and only printable ASCII characters "
            "without spaces. Pass another token with --token"
        )
    return token


def address_of(listener: socket.socket, token: str | None) -> str:
    """Return the URL at which this machine reaches a server, with the token."""
    host, port = listener.getsockname()[:2]
    if ip_address(host.partition("%")[0]).is_unspecified:
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def run(
    application: ASGIApp,
    listener: socket.socket,
    on_start: Callable[[], None] = lambda: None,
    *,
    drain_seconds: float = DRAIN_SECONDS,
) -> int:
    """Serve an application until a signal to stop arrives.

    Parameters
    ----------
    application : ASGI application
        The application.
    listener : socket
        The result of `bind`. It is closed at the end.
    on_start : callable
        Called as soon as the server accepts connections.
    drain_seconds : float
        Maximum time to answer the remaining requests after the first signal to stop.

    Returns
    -------
    int
        Number of requests that were not answered in this time. They got status 503.

    Raises
    ------
    KeyboardInterrupt
        If a second signal ended the server before all requests were answered.
    """
    cancellable = _Cancellable(application)
    config = uvicorn.Config(
        cancellable,
        http=_Protocol,
        lifespan="on",
        ws="none",
        log_config=None,
        log_level="error",  # malformed requests are not logged
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=math.ceil(drain_seconds),
    )
    server = _Server(config, on_start)
    with listener:
        server.run(sockets=[listener])
    if server.force_exit:
        raise KeyboardInterrupt("some requests were not answered")
    return cancellable.n_cancelled


class _Cancellable:
    """Middleware that answers and counts the requests that end because the server stops."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.n_cancelled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_started = False

        async def send_noting_start(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting_start)
        except asyncio.CancelledError:
            if scope["type"] != "http":
                raise
            self.n_cancelled += 1
            if is_started:
                raise
            detail = {"detail": "the server is stopping and did not finish this request in time"}
            answer = JSONResponse(detail, 503, {"Connection": "close"})
            await SecurityHeaders(answer)(scope, receive, send)


class _Protocol(H11Protocol):
    """Connection that is closed if no complete request arrives in time.

    uvicorn waits without a limit for the first request, and for the rest of its headers.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self._timer is None and self._is_idle():
            self._timer = self.loop.call_later(IDLE_SECONDS, self._end_idle)
        elif self._timer is not None and not self._is_idle():
            self._timer.cancel()
            self._timer = None

    def _end_idle(self) -> None:
        self._timer = None
        if self._is_idle():
            self.transport.close()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete


class _Server(uvicorn.Server):
    """Server that handles all signals to stop and does not raise them again."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start
        self._stopping_since = 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        kept = {number: signal.getsignal(number) for number in STOPPING}
        for number, handler in kept.items():
            if handler not in (None, signal.SIG_IGN):
                signal.signal(number, self.handle_exit)
        try:
            yield
        finally:
            for number, handler in kept.items():
                if handler is not None:
                    signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self.should_exit = True
            self._stopping_since = time.monotonic()
        elif time.monotonic() - self._stopping_since >= REPEAT_SECONDS:
            self.force_exit = True
            logging.getLogger("uvicorn.error").disabled = True  # cancelled requests are no errors
