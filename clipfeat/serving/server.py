"""Objects that the routes of a server share: the model, its encoders, the queue and the limits."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from anyio import CapacityLimiter, to_thread
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from clipfeat.errors import ClipfeatError, ReadError
from clipfeat.model import Model
from clipfeat.serving.batching import Answer, Batcher, Places, QueueFullError
from clipfeat.serving.encoding import ModelEncoders
from clipfeat.serving.keeping import keep
from clipfeat.serving.limits import ServingLimits
from clipfeat.serving.metrics import Metrics
from clipfeat.serving.page_parts import PageParts
from clipfeat.serving.remote import download
from clipfeat.serving.uploads import Upload
from clipfeat.web.application import status_of

N_DOWNLOADS = 8
"""Maximum number of images that are downloaded at the same time."""


class Serving:
    """The model of a server, with its encoders, its queue and its limits.

    Routes obtain this object with `serving_of`.

    Parameters
    ----------
    model : Model
        The model.
    encoders : ModelEncoders
        The model's encoders, which also encode views of an image. Their ``decoder`` decodes in
        child processes.
    batcher : Batcher
        The queue of images.
    limits : ServingLimits
        Limits of requests.
    parts : PageParts
        The parts of the page.
    allow_remote : bool
        Whether clients may send URLs of images.
    keep : Path, optional
        Folder in which uploaded images are kept.
    """

    def __init__(
        self,
        model: Model,
        encoders: ModelEncoders,
        batcher: Batcher,
        limits: ServingLimits,
        parts: PageParts,
        *,
        allow_remote: bool = False,
        keep: Path | None = None,
    ) -> None:
        self.model = model
        self.encoders = encoders
        self.batcher = batcher
        self.limits = limits
        self.parts = parts
        self.allow_remote = allow_remote
        self.metrics = Metrics(batcher)
        self._keep = keep
        self._n_held = 0
        self._downloads = CapacityLimiter(N_DOWNLOADS)

    @contextmanager
    def holding(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes that a request keeps in memory.

        Yields
        ------
        callable
            Function that adds a number of bytes to the count. It raises `QueueFullError` if all
            requests together take too much memory, and an `HTTPException` with status 413 if this
            request alone does.
        """
        n_held = 0

        def hold(n_bytes: int) -> None:
            nonlocal n_held
            if n_held + n_bytes > self.limits.held_bytes:
                raise HTTPException(
                    413, f"the images of the request have more than {self.limits.held_bytes} "
                    "bytes. Send several requests", {"Connection": "close"},
                )  # fmt: skip
            if self._n_held + n_bytes > self.limits.held_bytes:
                raise self.batcher.full()
            self._n_held += n_bytes
            n_held += n_bytes

        try:
            yield hold
        finally:
            self._n_held -= n_held

    async def answers(self, uploads: Sequence[Upload], places: Places) -> list[Answer]:
        """Predict the images of a request in places of the queue. See `Batcher.reserved`."""
        await self.keep(uploads)
        readable = [upload for upload in uploads if not upload.error]
        futures = self.batcher.submit([upload.data for upload in readable], places)
        done = iter([asyncio.wrap_future(future) for future in futures])
        waiting = [Answer(error=one.error) if one.error else next(done) for one in uploads]
        pending = [one for one in waiting if isinstance(one, asyncio.Future)]
        try:
            if pending:
                await asyncio.wait(pending, timeout=self.limits.timeout)
        finally:
            for one in pending:
                one.cancel()  # has no effect on a finished future
        return [
            one if isinstance(one, Answer) else _result(one, self.limits.timeout) for one in waiting
        ]

    @property
    def keeps_images(self) -> bool:
        """Whether uploaded images are kept."""
        return self._keep is not None

    async def keep(self, uploads: Sequence[Upload]) -> None:
        """Keep the images of a request if the server was started with a folder for them."""
        if self._keep is not None:
            await asyncio.to_thread(self._keep_all, self._keep, uploads)

    async def downloaded(
        self, uploads: Sequence[Upload], hold: Callable[[int], None]
    ) -> list[Upload]:
        """Download the images whose URLs a client has sent. `hold` comes from `holding`."""
        # If `hold` refuses one download, the others end before `holding` subtracts their bytes.
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._downloaded(one, hold)) for one in uploads]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return [task.result() for task in tasks]

    async def _downloaded(self, upload: Upload, hold: Callable[[int], None]) -> Upload:
        if not upload.is_url or upload.error:
            return upload
        limits = self.limits.file_bytes, self.limits.timeout
        try:
            data = await to_thread.run_sync(download, upload.name, *limits, limiter=self._downloads)
        except ReadError as error:
            return replace(upload, error=f"ReadError: {error}")
        hold(len(data))
        return replace(upload, data=data)

    @staticmethod
    def _keep_all(folder: Path, uploads: Sequence[Upload]) -> None:
        for upload in uploads:
            if upload.data:
                keep(upload.data, upload.name, folder)


@contextmanager
def counting_status(count: Callable[[int], None]) -> Iterator[None]:
    """Call a function with the status of the response to a request.

    Parameters
    ----------
    count : callable
        Function of the status. It is called when the block ends.

    Raises
    ------
    HTTPException
        With status 429, if the block raises `QueueFullError`.
    """
    status = 500
    try:
        yield
        status = 200
    except HTTPException as error:
        status = error.status_code
        raise
    except ClientDisconnect:
        status = 499  # as in nginx
        raise
    except QueueFullError as error:
        status = 429
        headers = {"Retry-After": str(error.seconds), "Connection": "close"}
        raise HTTPException(429, str(error), headers) from error
    except ClipfeatError as error:
        status = status_of(error)
        raise
    finally:
        count(status)


def _result(future: "asyncio.Future[Answer]", seconds: float) -> Answer:
    if future.cancelled():
        return Answer(error=f"there was no prediction within {seconds:g} s")
    return future.result()


def serving_of(request: Request) -> Serving:
    """Return the server's `Serving`. Routes can depend on this function."""
    return cast(Serving, request.app.state.serving)
