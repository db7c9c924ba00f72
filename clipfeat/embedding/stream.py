"""Images read and decoded by threads, encoded in batches, in the source's order."""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain, groupby, islice
from queue import SimpleQueue
from threading import Event, local
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.embedding.batch_size import batch_size_for
from clipfeat.embedding.batches import CarefulEncoder
from clipfeat.embedding.preparing import Decoder, Known, Pictures, Ready, prepare
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import EncodingError
from clipfeat.features import Failure
from clipfeat.images.decode import Decoded, decode
from clipfeat.images.isolated import ISOLATED, IsolatedDecoder, Isolation, default_workers
from clipfeat.images.record import ImageRecord
from clipfeat.images.video.frames import FRAMES
from clipfeat.stopwatch import Stopwatch
from clipfeat.store.format import Row

T = TypeVar("T")
R = TypeVar("R")

Prepared = list[Ready | Known] | Failure

FRAMES_TOGETHER = 16
TURN = 4
"""Batches that a processor encodes before it decodes again: between turns both lose some time."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows and their features, in the source's order."""

    rows: list[Row]
    features: NDArray[np.float32]


def encode_stream(
    records: Iterable[ImageRecord],
    encoder: Encoder,
    *,
    batch_size: int | None = None,
    num_workers: int | None = None,
    is_known: Callable[[Row], bool] = lambda row: False,
    exact: Callable[[], Encoder] | None = None,
    pictures: Pictures = Pictures(),
    isolation: Isolation | IsolatedDecoder | None = ISOLATED,
    watch: Stopwatch | None = None,
) -> Generator[Encoded | Known | Failure, None, None]:
    """Encode images, skipping known ones and naming those that fail.

    Beside a GPU images are read and decoded ahead of it. Where the processor encodes, that and
    decoding take turns, each with every core: two thread pools at once on the same cores get less
    done than one after the other.

    Parameters
    ----------
    records : iterable of ImageRecord
        What to encode.
    encoder : Encoder
        By what; its replicas take batches too.
    batch_size : int, optional
        Images in one forward pass; found by trying where it is not given.
    num_workers : int, optional
        Threads that read and preprocess, each with a process that decodes; as many as there are
        cores, and one, by default.
    is_known : callable
        Asked, once its bytes are read, whether an image needs no decoding; called in the threads.
    exact : callable, optional
        Opens the same encoder in float32, for images whose rows may not be stored otherwise.
    pictures : Pictures
        What of each image is encoded: views, faces.
    isolation : Isolation, IsolatedDecoder or None
        What decodes, and within which limits; a decoder that is already warm is ended in the end.
        None decodes in the threads, where a crash of the decoder is one of this process.
    watch : Stopwatch, optional
        Told the seconds of ``"read"``, ``"decode"``, ``"resize"``, ``"transfer"``, ``"encode"``.

    Yields
    ------
    Encoded, Known or Failure
        Every record is in exactly one of them; where all faces, or every view, are taken, in as
        many rows, never parted.

    Warns
    -----
    ClipfeatWarning
        If a batch does not fit into memory, once; smaller batches are taken from then.
    """
    watch = watch or Stopwatch()
    lanes = Lanes(encoder, exact, watch, batch_size)
    n_workers = num_workers or default_workers()
    may_decode = Event()
    may_decode.set()

    def prepared(together: Sequence[ImageRecord]) -> list[Prepared]:
        decoders = (decode_image, decode_frame)
        return [
            prepare(record, encoder.preprocess, pictures, is_known, *decoders, may_decode, watch)
            for record in together
        ]

    def ahead() -> int:
        """How many images may wait, so that their pictures fill two batches."""
        return max(n_workers, 2 * lanes.batch.size // pictures.n_of_each)

    with (
        threads(n_workers, 1) as pool,
        # Left before the pool is, which waits for its threads: none then waits for a decoder.
        _decoding(isolation) as decode_image,
        decoding_by_thread(FRAMES) as decode_frame,
        closing(in_order(pool, chunks(records), prepared, ahead)) as found,
        closing(encode_prepared(chain.from_iterable(found), lanes, may_decode)) as stream,
    ):
        yield from stream


def encode_prepared(
    found: Iterable[Prepared], lanes: "Lanes", may_decode: Event | None = None
) -> Generator[Encoded | Known | Failure, None, None]:
    """Encode what `prepare` gave, in batches.

    Parameters
    ----------
    found : iterable
        Of each image.
    lanes : Lanes
        What encodes them.
    may_decode : Event, optional
        Cleared while a processor that also decodes is encoding.

    Yields
    ------
    Encoded, Known or Failure
        As `encode_stream` does.
    """
    may_decode = may_decode or Event()
    waiting: list[Ready] = []
    running: deque[Future[list[Encoded | Failure]]] = deque()
    seen: set[bytes] = set()

    def encode(size: int) -> Iterator[Encoded | Failure]:
        """Encode what waits, now; or have it encoded, and give what is done by then."""
        images, waiting[:] = waiting[:], []
        if not lanes.by_turns:
            running.append(lane_pool.submit(lanes.encode, images))
            yield from results(lanes.n)
            return
        may_decode.clear()
        try:
            # In this thread: the heap of another would give large arrays back after every step.
            encoded = [lanes.encode(images[at : at + size]) for at in range(0, len(images), size)]
        finally:
            may_decode.set()
        yield from chain.from_iterable(encoded)

    def results(most_running: int) -> Iterator[Encoded | Failure]:
        while len(running) > most_running:
            yield from running.popleft().result()

    with threads(lanes.n, torch.get_num_threads()) as lane_pool:
        for rows in found:
            if isinstance(rows, Failure):
                yield rows
                continue
            for item in rows:
                if isinstance(item, Known) or item.row.key in seen:
                    yield Known(item.row)
                else:
                    seen.add(item.row.key)
                    waiting.append(item)
            size = lanes.batch.size
            if len(waiting) >= size * (TURN if lanes.by_turns else 1):
                yield from encode(size)
        if waiting:
            yield from encode(lanes.batch.size)
        yield from results(0)


def threads(n: int, cores: int) -> ThreadPoolExecutor:
    """A pool of threads in each of which torch uses so many cores."""
    return ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(cores,))


class Lanes:
    """Batches to rows, each on the next lane that is free.

    Parameters
    ----------
    encoder, exact, watch, batch_size
        As for `encode_stream`.
    """

    def __init__(
        self,
        encoder: Encoder,
        exact: Callable[[], Encoder] | None,
        watch: Stopwatch,
        batch_size: int | None,
    ) -> None:
        devices = [encoder, *encoder.replicas]
        self.by_turns = len(devices) == 1 and encoder.device.type == "cpu"
        # A GPU gets two threads: the one hands over its batch while that of the other is encoded.
        lanes = [one for one in devices for _ in range(2 if one.device.type == "cuda" else 1)]
        self.n = len(lanes)
        self.batch = batch_size_for(batch_size, max(encoder.spec.input_size), on_cpu=self.by_turns)
        self._free: SimpleQueue[CarefulEncoder] = SimpleQueue()
        for lane in lanes:
            self._free.put(CarefulEncoder(lane, exact, watch))

    def encode(self, batch: list[Ready]) -> list[Encoded | Failure]:
        """Encode a batch as one forward pass, where memory takes it."""
        lane = self._free.get()
        try:
            begun = time.perf_counter()
            rows = lane.encode([item.tensor for item in batch])
            self.batch.observe(len(batch), time.perf_counter() - begun)
        finally:
            self._free.put(lane)
        found: list[Encoded | Failure] = []
        good, features = [], []
        for item, row in zip(batch, rows, strict=True):
            if isinstance(row, EncodingError):
                found.append(Failure(item.row.path, type(row).__name__, str(row), item.row.key))
            else:
                good.append(item.row)
                features.append(row)
        return [*found, Encoded(good, np.stack(features))] if good else found


@contextmanager
def _decoding(isolation: Isolation | IsolatedDecoder | None) -> Iterator[Decoder]:
    if isolation is None:
        yield lambda data: nullcontext(decode(data))
        return
    with IsolatedDecoder(isolation) if isinstance(isolation, Isolation) else isolation as decoder:
        yield decoder.decoded


@contextmanager
def decoding_by_thread(isolation: Isolation) -> Iterator[Decoder]:
    """A decoder for each thread: one that has a video open goes on in it."""
    mine = local()
    with ExitStack() as all_of_them:

        def decode_here(data: bytes) -> AbstractContextManager[Decoded]:
            if not hasattr(mine, "decoder"):
                mine.decoder = all_of_them.enter_context(IsolatedDecoder(isolation))
            found: AbstractContextManager[Decoded] = mine.decoder.decoded(data)
            return found

        yield decode_here


def chunks(records: Iterable[ImageRecord]) -> Iterator[list[ImageRecord]]:
    """Records that one thread should take: some frames of a video in their order, else one image.

    Frames are mostly stored as differences from those before, so that threads that took turns would
    each decode the whole video.
    """
    for _, of_file in groupby(records, lambda record: record.file if record.time >= 0 else record):
        while some := list(islice(of_file, FRAMES_TOGETHER)):
            yield some


def in_order(
    pool: ThreadPoolExecutor, items: Iterable[T], work: Callable[[T], R], ahead: Callable[[], int]
) -> Generator[R, None, None]:
    """Map by threads, in order, never more than `ahead()` items before what was taken."""
    running: deque[Future[R]] = deque()
    try:
        for item in items:
            running.append(pool.submit(work, item))
            while len(running) >= ahead():
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()
