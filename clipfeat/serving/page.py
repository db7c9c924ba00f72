"""Web page that shows the verdict on an image, with the evidence for and against it.

The browser sends an image once. The response contains the parts of the page, each as soon as it is
computed, as lines of JSON: ``{"part": "verdict", "html": "..."}``, or with ``"error"`` in place of
``"html"``. The server has no memory of an image after the response.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Lock
from typing import Annotated, cast

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from clipfeat.errors import ClipfeatError
from clipfeat.serving.batching import QueueFullError
from clipfeat.serving.page_parts import VERDICT, Html, PageImage
from clipfeat.serving.server import Serving, counting_status, serving_of
from clipfeat.serving.uploads import Upload, read_uploads

MAX_RUNNING = 2
"""Maximum number of parts that are computed concurrently, apart from parts that are late."""
MAX_WAITING = 16
"""Maximum number of requests for parts. Further requests are refused with status 429."""
ALL = "all"
LINES = "application/x-ndjson"
MADE, FAILED, LATE = "made", "failed", "late"

router = APIRouter(include_in_schema=False)


class PageQueue:
    """Bounded queue of the requests for parts of the page.

    A part that takes too long keeps its place until its thread ends.
    """

    def __init__(self) -> None:
        self._n = 0
        self._late: set[Event] = set()  # of threads whose parts nobody awaits
        self._lock = Lock()
        self._limiter = CapacityLimiter(MAX_RUNNING)

    def check(self) -> None:
        """Raise `QueueFullError` if the queue is full."""
        if self._n + len(self._late) >= MAX_WAITING:
            raise QueueFullError(1)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take a place in the queue.

        Raises
        ------
        QueueFullError
            If the queue is full.
        """
        self.check()
        self._n += 1
        try:
            yield
        finally:
            self._n -= 1

    async def compute(self, make: Callable[[], Html], seconds: float) -> Html:
        """Compute a part in a thread.

        Raises
        ------
        TimeoutError
            If it takes more than `seconds`, including the time in the queue.
        """
        is_started, ended = False, Event()

        def make_and_end() -> Html:
            try:
                return make()
            finally:
                with self._lock:
                    ended.set()
                    self._late.discard(ended)

        try:
            async with asyncio.timeout(seconds), self._limiter:
                is_started = True
                # A server that shuts down does not wait for a part that hangs.
                return await to_thread.run_sync(
                    make_and_end, limiter=CapacityLimiter(1), abandon_on_cancel=True
                )
        except (TimeoutError, asyncio.CancelledError):
            with self._lock:
                if is_started and not ended.is_set():
                    self._late.add(ended)
            raise


Server = Annotated[Serving, Depends(serving_of)]


@router.get("/")
def page(serving: Server) -> HTMLResponse:
    """Return the page without an image."""
    limits = serving.limits
    max_bytes = min(limits.file_bytes, limits.request_bytes)
    html = serving.parts.page(max_bytes, keeps_images=serving.keeps_images)
    return HTMLResponse(html)


@router.post("/page/parts")
async def parts(
    request: Request, serving: Server, parts: Annotated[str, Query(max_length=100)] = ALL
) -> Response:
    """Return parts of the page: ``all``, or some names separated by commas."""
    names = None if parts == ALL else parts.split(",")
    known = serving.parts.makers
    if unknown := [name for name in names or () if name not in known]:
        raise HTTPException(422, f"unknown part {unknown[0]!r} (parts: {', '.join(known)})")
    queue = cast(PageQueue, request.app.state.page_queue)
    return _PartsResponse(queue, serving, names)


class _PartsResponse(Response):
    """Response that reads an image and sends parts of the page, each as soon as it is computed.

    The response reads the image itself, so that the memory of the image is counted until the last
    part is sent.

    Parameters
    ----------
    queue : PageQueue
        The queue.
    serving : Serving
        The server.
    names : list of str or None
        Names of the parts. None sends the verdict and all parts that apply to it.
    """

    def __init__(self, queue: PageQueue, serving: Serving, names: list[str] | None) -> None:
        super().__init__(media_type=LINES)
        del self.headers["content-length"]
        self._queue = queue
        self._serving = serving
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the image, and send the parts."""
        request = Request(scope, receive)
        with counting_status(self._serving.metrics.count_page), self._serving.holding() as hold:
            self._queue.check()  # before the body is read
            one_file = replace(self._serving.limits, max_files=1)
            (upload,) = await read_uploads(request, one_file, hold)
            # A slow upload is counted only once it is complete, so it does not fill the queue.
            with self._queue.place():
                await self._send_parts(request, upload, send)

    async def _send_parts(self, request: Request, upload: Upload, send: Send) -> None:
        is_started = False
        async for line in self._lines(upload):
            if not is_started:  # an error before the first line has a status of its own
                is_started = True
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
            body = json.dumps(line).encode() + b"\n"
            await send({"type": "http.response.body", "body": body, "more_body": True})
            if await request.is_disconnected():
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _lines(self, upload: Upload) -> AsyncGenerator[dict[str, str], None]:
        """Yield each part of the page."""
        serving = self._serving
        if upload.error or upload.is_url:
            html = serving.parts.problem(upload.name, upload.error or "expected a file")
            yield {"part": VERDICT, "html": html}
            return
        image = PageImage(upload.name, upload.data)
        names = self._names or [VERDICT]
        if VERDICT in names:
            await serving.keep([upload])
        for name in names:
            yield await self._line(name, image)
        if self._names is None and image.has_verdict:
            for name in serving.parts.further_parts():
                yield await self._line(name, image)

    async def _line(self, name: str, image: PageImage) -> dict[str, str]:
        """Compute a part of the page, and return it or its error as a line of the response.

        The text of an unexpected error is only logged.
        """
        serving = self._serving
        make = serving.parts.makers[name]
        outcome, key = FAILED, "error"
        try:
            text = await self._queue.compute(lambda: make(image), serving.limits.timeout)
            outcome, key = MADE, "html"
        except TimeoutError:
            outcome = LATE
            text = f"this part took longer than {serving.limits.timeout:g} s"
        except ClipfeatError as error:
            text = str(error)
        except Exception:
            logging.getLogger("clipfeat.serving").exception("the part %r failed", name)
            text = "an unexpected error of the server"
        finally:
            serving.metrics.count_part(name, outcome)
        return {"part": name, key: text}
