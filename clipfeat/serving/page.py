"""Web page that shows the verdict on an image, with the evidence for and against it.

The browser sends an image once for the verdict, and again for each slow part of the page. The
server has no memory of an image between these requests.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, cast

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import HTMLResponse, Response

from clipfeat.serving.batching import QueueFullError
from clipfeat.serving.page_parts import Html, PageParts
from clipfeat.serving.server import Serving, serving_of
from clipfeat.serving.uploads import read_uploads

MAX_RUNNING = 2
"""Maximum number of parts that are computed concurrently."""
MAX_WAITING = 16
"""Maximum number of requests for parts. Further requests are refused with status 429."""

router = APIRouter(include_in_schema=False)
Part = Callable[[PageParts, str, bytes], Html]


class PageQueue:
    """Bounded queue of the requests for parts of the page."""

    def __init__(self) -> None:
        self._n = 0
        self._limiter = CapacityLimiter(MAX_RUNNING)

    async def compute(self, part: Part, request: Request, serving: Serving) -> Html:
        """Read the image of a request, and compute a part in a thread.

        Raises
        ------
        QueueFullError
            If the queue is full, or if the requests in progress take too much memory.
        """
        self._check()  # before the body is read
        with serving.holding() as hold:
            one_file = replace(serving.limits, max_files=1)
            (upload,) = await read_uploads(request, one_file, hold)
            if upload.error or upload.is_url:
                return serving.parts.problem(upload.name, upload.error or "expected a file")
            # A slow upload is counted only once it is complete, so it does not fill the queue.
            self._check()
            self._n += 1
            try:
                if part is PageParts.verdict:
                    await serving.keep([upload])
                # A server that shuts down does not wait for a part that hangs.
                return await to_thread.run_sync(
                    part, serving.parts, upload.name, upload.data,
                    limiter=self._limiter, abandon_on_cancel=True,
                )  # fmt: skip
            finally:
                self._n -= 1

    def _check(self) -> None:
        if self._n >= MAX_WAITING:
            raise QueueFullError(1)


Server = Annotated[Serving, Depends(serving_of)]


@router.get("/")
def page(serving: Server) -> HTMLResponse:
    """Return the page without an image."""
    limits = serving.limits
    max_bytes = min(limits.file_bytes, limits.request_bytes)
    html = serving.parts.page(max_bytes, keeps_images=serving.keeps_images)
    return HTMLResponse(html)


def _route(part: Part) -> Callable[[Request, Serving], Awaitable[Response]]:
    async def answer(request: Request, serving: Server) -> Response:
        queue = cast(PageQueue, request.app.state.page_queue)
        try:
            return HTMLResponse(await queue.compute(part, request, serving))
        except QueueFullError as error:
            headers = {"Retry-After": str(error.seconds)}
            raise HTTPException(429, str(error), headers) from error

    return answer


for _name, _part in {
    "verdict": PageParts.verdict,
    "changes": PageParts.changes,
    "occlusion": PageParts.occlusion,
    "neighbours": PageParts.neighbours,
    "facts": PageParts.facts,
}.items():
    router.add_api_route(f"/page/{_name}", _route(_part), methods=["POST"])
