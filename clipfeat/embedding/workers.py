"""Encoding of preprocessed images in batches, by one thread per worker.

A GPU has two workers: one transfers its batch while the other's batch is encoded. A CPU has one
worker per core, and each worker encodes its own batch.

Another design was rejected for CPUs, in which all cores work on one batch. The cores then wait for
each other after every operator, and wait longer if one core also decodes. Both designs were
measured twice, in interleaved runs, on 2 cores with 2,048 images (ViT-B/32 in bfloat16, layers
fused by `clipfeat.encoders.fusing`). One shared batch, with decoding in turns, took 16.8 and
17.1 s. One batch per core took 15.1 and 15.5 s.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from queue import SimpleQueue
from threading import Event, Lock
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.embedding.batch_size import batch_size_for
from clipfeat.embedding.batches import RetryingEncoder, RowResults
from clipfeat.embedding.preparing import Known, Ready
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import EncodingError
from clipfeat.features import Failure
from clipfeat.store.digest_table import DigestTable
from clipfeat.store.format import KEY_BYTES, Row
from clipfeat.system.stopwatch import Stopwatch

T = TypeVar("T")

Prepared = list[Ready | Known] | Failure
"""The result of `clipfeat.embedding.preparing.prepare` for one image."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows and their features, in the source's order."""

    rows: list[Row]
    features: NDArray[np.float32]


def count_workers(encoder: Encoder) -> int:
    """Return how many batches an encoder and its replicas can encode concurrently."""
    return sum(_workers_by_device(encoder))


def _workers_by_device(encoder: Encoder) -> list[int]:
    devices = [encoder.device.type, *(replica.device.type for replica in encoder.replicas)]
    per_type = {"cuda": 2, "cpu": max(1, torch.get_num_threads() // (devices.count("cpu") or 1))}
    return [per_type.get(device, 1) for device in devices]


def use_cores(n: int) -> None:
    """Let torch use `n` cores in this thread."""
    # Without the call of get_num_threads, the thread would later use the number that another thread
    # set last.
    torch.get_num_threads()
    torch.set_num_threads(n)


class WorkerPool:
    """Pool of workers, each of which encodes one batch at a time.

    Parameters
    ----------
    encoder : Encoder
        The encoder. Its replicas on other devices get workers too.
    exact : callable, optional
        Opens the same encoder in float32. It is used for images whose rows, in the encoder's
        precision, are not finite or are all zero.
    watch : Stopwatch
        Collects the seconds of ``"transfer"`` and ``"encode"``.
    batch_size : int, optional
        Largest number of images in one forward pass. None chooses the fastest size by timing.
    """

    def __init__(
        self,
        encoder: Encoder,
        exact: Callable[[], Encoder] | None,
        watch: Stopwatch,
        batch_size: int | None,
    ) -> None:
        self.n_workers = count_workers(encoder)
        self.n_cores = torch.get_num_threads()
        self._on_cpu = encoder.device.type == "cpu"
        side = max(encoder.spec.input_size)
        self.batch = batch_size_for(batch_size, side, self.n_workers, on_cpu=self._on_cpu)
        self._lock = Lock()
        self._idle: SimpleQueue[tuple[RetryingEncoder, bool]] = SimpleQueue()
        encoders = [encoder, *encoder.replicas]
        for device_encoder, n in zip(encoders, _workers_by_device(encoder), strict=True):
            on_cpu = device_encoder.device.type == "cpu"
            worker = (RetryingEncoder(device_encoder, exact, watch), on_cpu)
            for _ in range(n):
                self._idle.put(worker)

    @property
    def n_ahead(self) -> int:
        """Number of images to prepare in advance.

        On a GPU, the number is two batches. On a CPU, it is one batch per core and one more batch.
        """
        return (self.n_workers + 1 if self._on_cpu else 2) * self.batch.size

    def encode(
        self, images: list[list[Ready]], n_concurrent: int, cancelled: Event
    ) -> list[Encoded | Failure]:
        """Encode images on the next idle worker.

        Parameters
        ----------
        images : list of list of Ready
            The pictures (views and faces) of each image.
        n_concurrent : int
            Number of concurrent calls, which share the cores.
        cancelled : Event
            If it is set, no further batch is started.

        Returns
        -------
        list of Encoded or Failure
            A failure for each picture that cannot be encoded, and one `Encoded` with the rows of
            all other pictures. Empty if the call was cancelled.
        """
        ready = [item for pictures in images for item in pictures]
        n_batches = -(-len(ready) // self.batch.size)
        encoder, on_cpu = self._idle.get()
        use_cores(max(1, self.n_cores // n_concurrent) if on_cpu else self.n_cores)
        rows: RowResults = []
        try:
            for batch in _split_evenly(ready, n_batches):
                if cancelled.is_set():
                    return []
                begun = time.perf_counter()
                rows += encoder.encode([item.tensor for item in batch])
                with self._lock:
                    self.batch.observe(len(batch), time.perf_counter() - begun)
        finally:
            self._idle.put((encoder, on_cpu))
        results: list[Encoded | Failure] = []
        good, features = [], []
        for item, row in zip(ready, rows, strict=True):
            if isinstance(row, EncodingError):
                results.append(Failure(item.row.path, type(row).__name__, str(row), item.row.key))
            else:
                good.append(item.row)
                features.append(row)
        return [*results, Encoded(good, np.stack(features))] if good else results


def encode_prepared(
    images: Iterable[Prepared], workers: WorkerPool
) -> Generator[Encoded | Known | Failure, None, None]:
    """Encode the results of `clipfeat.embedding.preparing.prepare` in batches.

    Parameters
    ----------
    images : iterable of Prepared
        One result for each image.
    workers : WorkerPool
        The workers.

    Yields
    ------
    Encoded, Known or Failure
        See `clipfeat.embedding.stream.encode_stream`.
    """
    waiting: list[list[Ready]] = []
    running: deque[Future[list[Encoded | Failure]]] = deque()
    seen = DigestTable(KEY_BYTES)
    n_concurrent = 0
    cancelled = Event()

    def submit(n: int) -> None:
        """Submit the waiting images to `n` workers."""
        nonlocal n_concurrent, waiting
        parts = _split_evenly(waiting, n)
        n_concurrent = max(len(parts), n_concurrent)
        running.extend(pool.submit(workers.encode, part, n_concurrent, cancelled) for part in parts)
        waiting = []

    def results(max_running: int) -> Iterator[Encoded | Failure]:
        while len(running) > max_running or (running and running[0].done()):
            yield from running.popleft().result()

    with _restored_cores(workers.n_cores), ThreadPoolExecutor(workers.n_workers) as pool:
        try:
            for image in images:
                yield from results(workers.n_workers)
                if isinstance(image, Failure):
                    yield image
                    continue
                pictures = []
                for item in image:
                    if isinstance(item, Known) or item.row.key in seen:
                        yield Known(item.row)
                    else:
                        seen.set(item.row.key)
                        pictures.append(item)
                if pictures:
                    waiting.append(pictures)
                # Split the first images among all workers, because there may be no more images.
                n = 1 if n_concurrent else workers.n_workers
                if sum(map(len, waiting)) >= n * workers.batch.size:
                    submit(n)
                    n_concurrent = workers.n_workers
            submit(workers.n_workers)
            yield from results(0)
        finally:
            cancelled.set()
            for future in running:
                future.cancel()


def _split_evenly(items: list[T], n: int) -> list[list[T]]:
    """Split items into at most `n` parts of nearly equal size."""
    n = min(n, len(items))
    ends = [len(items) * i // max(1, n) for i in range(n + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


@contextmanager
def _restored_cores(n_cores: int) -> Iterator[None]:
    """Restore torch's number of cores at the end. New threads use the number that was set last."""
    try:
        yield
    finally:
        torch.set_num_threads(n_cores)
