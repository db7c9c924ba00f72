"""Prepared images to rows, in batches, on every device and every core at once.

A GPU gets two lanes: the one hands over its batch while that of the other is encoded. A processor
gets one for each core, which encodes a batch of its own: cores that share a batch wait for each
other after every operator, and longer still where one of them is decoding meanwhile. Measured on 2
cores (ViT-B/32 in bfloat16, its layers put together by `clipfeat.encoders.fusing`, two runs of each
in turns): 2,048 images took 16.8 and 17.1 s where all cores encoded a batch and decoded by turns,
15.1 and 15.5 s by lanes that nothing stops.
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
from clipfeat.embedding.batches import CarefulEncoder, Rows
from clipfeat.embedding.preparing import Known, Ready
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import EncodingError
from clipfeat.features import Failure
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch

T = TypeVar("T")

Prepared = list[Ready | Known] | Failure


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows and their features, in the source's order."""

    rows: list[Row]
    features: NDArray[np.float32]


def n_lanes(encoder: Encoder) -> int:
    """How many batches an encoder and its replicas take at once."""
    return sum(_lanes_by_device(encoder))


def _lanes_by_device(encoder: Encoder) -> list[int]:
    devices = [encoder.device.type, *(replica.device.type for replica in encoder.replicas)]
    of_type = {"cuda": 2, "cpu": max(1, torch.get_num_threads() // (devices.count("cpu") or 1))}
    return [of_type.get(device, 1) for device in devices]


def use_cores(n: int) -> None:
    """Let torch use so many cores in this thread, from now on."""
    torch.get_num_threads()  # else it begins, later on, with what any thread has last set
    torch.set_num_threads(n)


class Lanes:
    """Batches to rows, each on the next lane that is free.

    Parameters
    ----------
    encoder : Encoder
        By what; its replicas take batches too.
    exact : callable, optional
        Opens the same encoder in float32, for images whose rows may not be stored otherwise.
    watch : Stopwatch
        Told the seconds of ``"transfer"`` and ``"encode"``.
    batch_size : int, optional
        The most images in one forward pass; found by trying where it is not given.
    """

    def __init__(
        self,
        encoder: Encoder,
        exact: Callable[[], Encoder] | None,
        watch: Stopwatch,
        batch_size: int | None,
    ) -> None:
        self.n = n_lanes(encoder)
        self.cores = torch.get_num_threads()
        self._on_cpu = encoder.device.type == "cpu"
        side = max(encoder.spec.input_size)
        self.batch = batch_size_for(batch_size, side, self.n, on_cpu=self._on_cpu)
        self._lock = Lock()
        self._free: SimpleQueue[tuple[CarefulEncoder, bool]] = SimpleQueue()
        for device, n in zip([encoder, *encoder.replicas], _lanes_by_device(encoder), strict=True):
            lane = (CarefulEncoder(device, exact, watch), device.device.type == "cpu")
            for _ in range(n):
                self._free.put(lane)

    @property
    def ahead(self) -> int:
        """How many images should be ready: two of a GPU's large batches, or one for each core."""
        return (self.n + 1 if self._on_cpu else 2) * self.batch.size

    def encode(
        self, images: list[list[Ready]], n_at_once: int, ended: Event
    ) -> list[Encoded | Failure]:
        """Encode what of each image is wanted, in batches that memory takes.

        Parameters
        ----------
        images : list of list of Ready
            The pictures of each image. All that can be encoded come as one.
        n_at_once : int
            How many such calls share the cores.
        ended : Event
            Set where nobody wants the rows any more: no further batch is begun.
        """
        ready = [item for pictures in images for item in pictures]
        n_batches = -(-len(ready) // self.batch.size)
        careful, on_cpu = self._free.get()
        use_cores(max(1, self.cores // n_at_once) if on_cpu else self.cores)
        rows: Rows = []
        try:
            for batch in _parted(ready, n_batches):
                if ended.is_set():
                    return []
                begun = time.perf_counter()
                rows += careful.encode([item.tensor for item in batch])
                with self._lock:
                    self.batch.observe(len(batch), time.perf_counter() - begun)
        finally:
            self._free.put((careful, on_cpu))
        found: list[Encoded | Failure] = []
        good, features = [], []
        for item, row in zip(ready, rows, strict=True):
            if isinstance(row, EncodingError):
                found.append(Failure(item.row.path, type(row).__name__, str(row), item.row.key))
            else:
                good.append(item.row)
                features.append(row)
        return [*found, Encoded(good, np.stack(features))] if good else found


def encode_prepared(
    found: Iterable[Prepared], lanes: Lanes
) -> Generator[Encoded | Known | Failure, None, None]:
    """Encode what `clipfeat.embedding.preparing.prepare` gave, in batches.

    Parameters
    ----------
    found : iterable
        Of each image.
    lanes : Lanes
        What encodes them.

    Yields
    ------
    Encoded, Known or Failure
        As `clipfeat.embedding.stream.encode_stream` does.
    """
    waiting: list[list[Ready]] = []
    running: deque[Future[list[Encoded | Failure]]] = deque()
    seen: set[bytes] = set()
    n_at_once = 0
    ended = Event()

    def encode(n: int) -> None:
        """Have what waits encoded, by so many lanes at once."""
        nonlocal n_at_once, waiting
        parts = _parted(waiting, n)
        n_at_once = max(len(parts), n_at_once)
        running.extend(pool.submit(lanes.encode, part, n_at_once, ended) for part in parts)
        waiting = []

    def results(most_running: int) -> Iterator[Encoded | Failure]:
        while len(running) > most_running or (running and running[0].done()):
            yield from running.popleft().result()

    with _given_back(lanes.cores), ThreadPoolExecutor(lanes.n) as pool:
        try:
            for rows in found:
                yield from results(lanes.n)
                if isinstance(rows, Failure):
                    yield rows
                    continue
                pictures = []
                for item in rows:
                    if isinstance(item, Known) or item.row.key in seen:
                        yield Known(item.row)
                    else:
                        seen.add(item.row.key)
                        pictures.append(item)
                if pictures:
                    waiting.append(pictures)
                # The first images are for all lanes: there may be no more of them.
                n = 1 if n_at_once else lanes.n
                if sum(map(len, waiting)) >= n * lanes.batch.size:
                    encode(n)
                    n_at_once = lanes.n
            encode(lanes.n)
            yield from results(0)
        finally:
            ended.set()
            for future in running:
                future.cancel()


def _parted(items: list[T], n: int) -> list[list[T]]:
    """At most so many parts, as equal as can be."""
    n = min(n, len(items))
    ends = [len(items) * i // max(1, n) for i in range(n + 1)]
    return [items[start:end] for start, end in pairwise(ends)]


@contextmanager
def _given_back(cores: int) -> Iterator[None]:
    """Let threads that begin later use so many cores again: torch gives them what was last set."""
    try:
        yield
    finally:
        torch.set_num_threads(cores)
