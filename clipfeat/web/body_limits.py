"""Limits of the size of a request's body and of the time in which it must arrive."""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
        # The rest of the body is not read, so the connection cannot be used again.
        return HTTPException(
            413, f"the request has more than {self.limits.size} bytes. Send fewer or smaller files",
            {"Connection": "close"},
        )  # fmt: skip
