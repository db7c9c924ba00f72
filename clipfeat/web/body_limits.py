"""Limits of a request's body, and answers that arrive although the body exceeds them."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DRAIN_BYTES = 2**30
"""Maximum number of bytes that are read after the answer to an early refusal."""
DRAIN_SECONDS = 5.0
"""Time to read them, in addition to the time limit of the body."""


@dataclass(frozen=True)
class BodyLimits:
    """Limits of a request's body.

    Parameters
    ----------
    size : int
        Maximum number of bytes.
    seconds : float
        Maximum time from the end of the headers to the end of the body.
    """

    size: int = 2**20
    seconds: float = 60.0


class BodyLimitMiddleware:
    """Middleware that ends requests whose body is too large (413) or too slow (408).

    Parameters
    ----------
    app : ASGI application
        The next application.
    limits : BodyLimits
        The limits.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count the bytes that the application receives."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared) > self.limits.size:
            error = self._too_large()
            await JSONResponse({"detail": error.detail}, error.status_code, error.headers)(
                scope, receive, send
            )
            return
        deadline = asyncio.get_running_loop().time() + self.limits.seconds
        n_received = 0
        is_complete = False

        async def receive_limited() -> Message:
            nonlocal n_received, is_complete
            if is_complete:  # the next message reports that the client has closed the connection
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError as error:
                raise HTTPException(
                    408, f"the request took longer than {self.limits.seconds:g} s to arrive",
                    {"Connection": "close"},
                ) from error  # fmt: skip
            n_received += len(message.get("body", b""))
            is_complete = not message.get("more_body", False)
            if n_received > self.limits.size:
                raise self._too_large()
            return message

        await self.app(scope, receive_limited, send)

    def _too_large(self) -> HTTPException:
        # The rest of the body may not be read, so the connection cannot be used again.
        return HTTPException(
            413, f"the request has more than {self.limits.size} bytes. Send fewer or smaller files",
            {"Connection": "close"},
        )  # fmt: skip


class DrainMiddleware:
    """Middleware that reads the rest of a request's body after an early answer.

    Most HTTP clients send the whole body before they read the answer. If the connection were closed
    earlier, they would report a broken connection in place of the answer, such as status 413 or
    429. The answer is sent first, and at most `DRAIN_BYTES` are read and discarded.

    Parameters
    ----------
    app : ASGI application
        The next application.
    limits : BodyLimits
        The limits of the body's time.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits) -> None:
        self.app = app
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and read its body to the end before its answer ends."""
        if scope["type"] != "http" or not _has_body(headers := Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self.limits.seconds + DRAIN_SECONDS
        is_complete = False
        # A client that waits for "100 Continue" sends no body after a refusal.
        is_sending = headers.get("expect", "").lower() != "100-continue"

        async def receive_noting() -> Message:
            nonlocal is_complete, is_sending
            is_sending = True
            message = await receive()
            is_complete = not message.get("more_body", False)
            return message

        async def send_and_drain(message: Message) -> None:
            is_last = message["type"] == "http.response.body" and not message.get("more_body")
            if not is_last or is_complete or not is_sending:
                await send(message)
                return
            await send({**message, "more_body": True})
            n_drained = 0
            with suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    while not is_complete and n_drained < DRAIN_BYTES:
                        n_drained += len((await receive_noting()).get("body", b""))
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, receive_noting, send_and_drain)


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
