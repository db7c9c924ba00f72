"""Dynamic batching: images of all requests are predicted together.

Threads decode the images. One thread per encoder worker takes the decoded images, encodes them as a
batch and predicts. If the decoded images do not fill a batch, this thread waits up to
`WAIT_SECONDS` for images that are still being decoded. It does not wait if no image is being
decoded.

The queue is bounded: while it contains `capacity` images that are waiting or being processed, new
images are refused.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from clipfeat.embedding.stream import one_core_threads
from clipfeat.errors import ClipfeatError
from clipfeat.features import Failure
from clipfeat.images.isolated import default_workers
from clipfeat.model import Model
from clipfeat.prediction.predictions import predictions_of
from clipfeat.serving.encoding import ModelEncoders, PreparedImage

WAIT_SECONDS = 0.005
AVERAGE = "mean"
"""Average over the faces of an image, as in `clipfeat.predict`."""


class QueueFullError(ClipfeatError):
    """Error when the queue has no space for new images.

    Parameters
    ----------
    seconds : int
        Estimated time until the queue has space.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(f"the server is busy. Try again in {seconds} s")
        self.seconds = seconds


@dataclass(frozen=True)
class Answer:
    """The prediction for one image, or the reason why it has none.

    Parameters
    ----------
    predicted : str
        Name of the predicted class. Empty if there is no prediction.
    probabilities : tuple of float
        Probabilities of the classes. Empty if there is no prediction.
    error : str
        Why the image, or a part of it such as a face, could not be predicted. Empty without an
        error.
    is_training : bool
        Whether the model was fitted on this image.
    is_unsure : bool, optional
        Whether the model abstains on this image. None if the model never abstains, or if there is
        no prediction.
    """

    predicted: str = ""
    probabilities: tuple[float, ...] = ()
    error: str = ""
    is_training: bool = False
    is_unsure: bool | None = None


@dataclass(eq=False)
class Places:
    """Reserved places in the queue of a `Batcher`, until they are used or given back.

    Parameters
    ----------
    n_free : int
        Number of places that are reserved and not used yet.
    """

    n_free: int


@dataclass(frozen=True, eq=False)
class _Job:
    """An image in the queue."""

    path: str
    data: bytes
    future: Future[Answer] = field(default_factory=Future)


class Batcher:
    """Queue of images with the threads that predict them.

    The batcher is a context manager. On exit, it first predicts the images in the queue, unless an
    exception ended the ``with`` block.

    Parameters
    ----------
    model : Model
        The model.
    encoders : ModelEncoders
        The model's encoders.
    capacity : int
        Maximum number of images that are waiting or being processed.
    n_threads : int, optional
        Number of threads that decode. None uses one more than the machine has cores.
    """

    def __init__(
        self, model: Model, encoders: ModelEncoders, capacity: int, n_threads: int | None = None
    ) -> None:
        self._model = model
        self._encoders = encoders
        self._capacity = capacity
        self._decoders = one_core_threads(n_threads or default_workers())
        self._changed = Condition()
        self._decoded: deque[tuple[_Job, PreparedImage]] = deque()
        self._n_queued = 0
        self._n_decoding = 0
        self._n_encoding = 0
        self._is_closing = False
        self._seconds_per_image = 0.05
        self._numbers = count()
        self._threads = [
            Thread(target=self._encode_batches, name=f"encode-{number}", daemon=True)
            for number in range(encoders.n_workers)
        ]
        self.n_batches = 0

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an exception, do not wait for a decoder that hangs. It is killed when it closes.
        self._decoders.shutdown(wait=kind is None, cancel_futures=kind is not None)
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def n_queued(self) -> int:
        """Number of images that are waiting or being processed."""
        return self._n_queued

    def check_space(self, n_images: int = 1) -> None:
        """Raise `QueueFullError` if the queue has no space for a number of images."""
        if self._n_queued + n_images > self._capacity:
            raise self.full()

    def full(self) -> QueueFullError:
        """Create the error for a full queue, with an estimate of the time to wait."""
        return QueueFullError(min(60, max(1, round(self._n_queued * self._seconds_per_image))))

    @contextmanager
    def reserved(self, n_images: int) -> Iterator[Places]:
        """Reserve places in the queue, for example while images are downloaded.

        Places that are not used are free again at the end.

        Raises
        ------
        QueueFullError
            If the queue has no space.
        """
        with self._changed:
            self.check_space(n_images)
            self._n_queued += n_images
        places = Places(n_images)
        try:
            yield places
        finally:
            with self._changed:
                self._n_queued -= places.n_free
                places.n_free = 0

    def submit(self, images: Sequence[bytes], places: Places | None = None) -> list[Future[Answer]]:
        """Add images to the queue.

        Parameters
        ----------
        images : sequence of bytes
            Image files.
        places : Places, optional
            Places that were reserved for them with `reserved`.

        Returns
        -------
        list of Future
            The answer for each image, in the same order. If a future is cancelled before its image
            is decoded, the image is skipped.

        Raises
        ------
        QueueFullError
            If the queue has no space for all images. In this case, it adds none of them.
        """
        jobs = [_Job(f"{next(self._numbers):012d}", data) for data in images]
        with self._changed:
            n_reserved = 0 if places is None else min(len(jobs), places.n_free)
            self.check_space(len(jobs) - n_reserved)
            self._n_queued += len(jobs) - n_reserved
            if places is not None:
                places.n_free -= n_reserved
            self._n_decoding += len(jobs)
        for job in jobs:
            job.future.add_done_callback(self._leave)
            self._decoders.submit(self._decode, job)
        return [job.future for job in jobs]

    def _leave(self, future: Future[Answer]) -> None:
        with self._changed:
            self._n_queued -= 1

    def _decode(self, job: _Job) -> None:
        """Decode an image, in a thread of the decoders."""
        prepared = None
        try:
            if job.future.set_running_or_notify_cancel():
                prepared = self._encoders.prepare(job.path, job.data)
        except Exception as error:
            job.future.set_result(Answer(error=_reason(error)))
        finally:
            with self._changed:
                self._n_decoding -= 1
                if prepared is not None:
                    self._decoded.append((job, prepared))
                self._changed.notify_all()

    def _encode_batches(self) -> None:
        """Encode and predict batches until the batcher closes."""
        while batch := self._next_batch():
            begun = time.monotonic()
            jobs = [job for job, _ in batch]
            answers = self._answers([prepared for _, prepared in batch])
            with self._changed:
                n_concurrent = self._n_encoding
                self._n_encoding -= 1
                self.n_batches += 1
                taken = (time.monotonic() - begun) / len(jobs) / n_concurrent
                self._seconds_per_image += 0.1 * (taken - self._seconds_per_image)
            for job, answer in zip(jobs, answers, strict=True):
                job.future.set_result(answer)

    def _next_batch(self) -> list[tuple[_Job, PreparedImage]]:
        """Wait for decoded images and take a batch.

        The batch is empty if the batcher is closing and no image is left.
        """
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._decoded or self._is_closing)
                size = self._encoders.batch_size
                deadline = time.monotonic() + WAIT_SECONDS
                while 0 < len(self._decoded) < size and self._n_decoding:
                    if not self._changed.wait(deadline - time.monotonic()):
                        break
                if self._decoded or self._is_closing:
                    break
            # Several idle threads share the images.
            n_idle = max(1, len(self._threads) - self._n_encoding)
            n = min(size, -(-len(self._decoded) // n_idle))
            self._n_encoding += n > 0
            return [self._decoded.popleft() for _ in range(n)]

    def _answers(self, images: Sequence[PreparedImage]) -> list[Answer]:
        """Predict a batch. If it fails, predict its images one by one."""
        try:
            return self._predict(images)
        except Exception as error:
            if len(images) > 1:
                return [answer for image in images for answer in self._answers([image])]
            return [Answer(error=_reason(error))]

    def _predict(self, images: Sequence[PreparedImage]) -> list[Answer]:
        """Encode a batch and predict, as `clipfeat.predict` does."""
        failed = {image.path: _failure(image) for image in images}
        good = [image for image in images if not failed[image.path]]
        if not good:
            return [Answer(error=failed[image.path]) for image in images]
        features = self._encoders.encode(good, max(1, self._n_encoding))
        predictions = predictions_of(self._model, features, AVERAGE)
        rows = {path: row for row, path in enumerate(predictions.paths)}
        predicted = predictions.predicted
        unsure = None if predictions.abstention is None else predictions.unsure
        answers = []
        for image in images:
            error = failed[image.path] or predictions.errors.get(image.path, "")
            row = rows.get(image.path, -1)
            if row < 0 or not predicted[row]:
                answers.append(Answer(error=error or "the image was not encoded"))
                continue
            answers.append(
                Answer(
                    predicted[row],
                    tuple(map(float, predictions.probabilities[row])),
                    error,
                    image.path in predictions.training,
                    None if unsure is None else bool(unsure[row]),
                )
            )
        return answers


def _failure(image: PreparedImage) -> str:
    """Return why an image cannot be encoded, as in the table of predictions, or an empty text."""
    failures = (result for result in image.results if isinstance(result, Failure))
    return next((f"{failure.reason}: {failure.message}" for failure in failures), "")


def _reason(error: Exception) -> str:
    """Return the reason for the client. The text of an unexpected error is only logged."""
    if isinstance(error, ClipfeatError):
        return f"{type(error).__name__}: {error}"
    logging.getLogger("clipfeat.serving").exception("images could not be predicted")
    return "an unexpected error of the server"
