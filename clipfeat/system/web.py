"""Limits for the responses of web servers.

A server may send nothing, a byte every few seconds, or more bytes than requested. `LimitedResponse`
ends such responses. fsspec's HTTP file systems use this class for all of their requests.
"""

import asyncio
import time
from typing import Any, Self, cast

import aiohttp
from fsspec.asyn import sync

from clipfeat.system import locations

LEAST_RATE = 2**10
"""Bytes per second that a server must send on average after the first `WEB_SECONDS` seconds."""
MAX_BODY = 2**28
"""Maximum number of bytes of a response that is read as a whole, such as a folder's listing."""


class LimitedResponse(aiohttp.ClientResponse):
    """Response whose headers and content must arrive in time.

    Raises
    ------
    TimeoutError
        If the headers take more than `clipfeat.system.locations.WEB_SECONDS`, or if the content is
        slower than `LEAST_RATE` after this time.
    ValueError
        If content that is read as a whole has more than `MAX_BODY` bytes.
    """

    async def start(self, connection: Any) -> Self:
        """Read the headers."""
        try:
            async with asyncio.timeout(locations.WEB_SECONDS):
                await super().start(connection)
        except TimeoutError as error:
            raise TimeoutError(f"no response within {locations.WEB_SECONDS:g} s") from error
        self.content = cast(aiohttp.StreamReader, _PacedContent(self.content))
        return self


class _PacedContent:
    """Content of a response, with a limit on the time spent waiting for the server."""

    def __init__(self, content: Any) -> None:
        self._content = content
        self._seconds_left = locations.WEB_SECONDS

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def read(self, n: int = -1) -> bytes:
        if n >= 0:
            return await self._some(n)
        chunks = []
        size = 0
        while chunk := await self._some(2**20):
            size += len(chunk)
            if size > MAX_BODY:
                raise ValueError(f"the response has more bytes than the limit of {MAX_BODY}")
            chunks.append(chunk)
        return b"".join(chunks)

    async def _some(self, n: int) -> bytes:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, self._seconds_left)):
                data: bytes = await self._content.read(n)
        except TimeoutError as error:
            raise TimeoutError(
                f"the server sends less than {LEAST_RATE} bytes per second"
            ) from error
        self._seconds_left += len(data) / LEAST_RATE - (time.monotonic() - begun)
        return data


def fetch(remote: Any, offset: int, size: int, seconds: float | None = None) -> bytes:
    """Download a range of a file, with one request.

    The bytes are counted while they arrive, because a server may ignore the range and send any
    number of bytes.

    Parameters
    ----------
    remote : UPath
        The file's address.
    offset, size : int
        Position of the first byte, and maximum number of bytes.
    seconds : float, optional
        Maximum time.

    Raises
    ------
    FileNotFoundError
        If the file does not exist, or if the address is invalid.
    aiohttp.ClientError, TimeoutError
        If the server fails, or if it takes too long.
    """
    fs = remote.fs

    async def download() -> bytes:
        session = await fs.set_session()
        try:
            url = fs.encode_url(remote.path)
        except ValueError as error:
            raise FileNotFoundError(f"the address is invalid: {error}") from error
        headers = {"Range": f"bytes={offset}-{offset + size - 1}"}
        chunks: list[bytes] = []
        async with session.get(url, headers=headers, **fs.kwargs) as answer:
            if answer.status == 416:  # the file ends before the range
                return b""
            fs._raise_not_found_for_status(answer, remote.path)
            skipped = offset if answer.status == 200 else 0
            left = skipped + size
            while left > 0 and (chunk := await answer.content.read(min(left, 2**20))):
                left -= len(chunk)
                chunks.append(chunk[skipped:])
                skipped = max(0, skipped - len(chunk))
        return b"".join(chunks)

    data: bytes = sync(fs.loop, download, timeout=seconds)
    return data
