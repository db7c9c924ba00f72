"""Encoding of a stream of images, in the source's order.

Threads read, decode and preprocess the next images while workers encode earlier ones.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from itertools import chain, groupby, islice
from threading import local
from typing import TypeVar

from clipfeat.embedding.preparing import Decoder, Known, Pictures, prepare
from clipfeat.embedding.workers import Encoded, Prepared, WorkerPool, encode_prepared, use_cores
from clipfeat.encoders.encoder import Encoder
from clipfeat.features import Failure
from clipfeat.images.decode import Decoded, decode
from clipfeat.images.isolated import ISOLATED, IsolatedDecoder, Isolation, default_workers
from clipfeat.images.record import ImageRecord
from clipfeat.images.video.frames import FRAMES
from clipfeat.store.format import Row
from clipfeat.system.stopwatch import Stopwatch

T = TypeVar("T")
R = TypeVar("R")

FRAMES_PER_CHUNK = 16


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
    """Encode images, skip images that need no encoding, and report failures.

    Parameters
    ----------
    records : iterable of ImageRecord
        The images.
    encoder : Encoder
        The encoder. Its replicas on other devices encode batches too.
    batch_size : int, optional
        Number of images in one forward pass. On a CPU each core has its own batch. None chooses the
        fastest size by timing.
    num_workers : int, optional
        Number of threads that read and preprocess. Each thread has a child process that decodes.
        None uses one thread more than the machine has cores.
    is_known : callable
        Takes a row with its content hash, and returns whether the row needs no encoding. The
        threads call it.
    exact : callable, optional
        Opens the same encoder in float32. It is used for images whose rows, in the encoder's
        precision, are not finite or are all zero.
    pictures : Pictures
        Which views and faces of each image to encode.
    isolation : Isolation, IsolatedDecoder or None
        The limits of the decoding processes, or an open decoder, which is closed at the end. None
        decodes in the threads of this process, so a crash of the decoder ends this process.
    watch : Stopwatch, optional
        Collects the seconds of ``"read"``, ``"decode"``, ``"resize"``, ``"transfer"`` and
        ``"encode"``.

    Yields
    ------
    Encoded, Known or Failure
        If a record cannot be prepared, it is in one `Failure`. Otherwise, each of its pictures (the
        image, or its faces and views) is in exactly one item. All pictures of a record that were
        encoded are in the same `Encoded`.

    Warns
    -----
    ClipfeatWarning
        Once, if a batch does not fit in memory. Later batches are smaller.
    """
    watch = watch or Stopwatch()
    workers = WorkerPool(encoder, exact, watch, batch_size)
    n_threads = num_workers or default_workers()

    def prepare_chunk(chunk: Sequence[ImageRecord]) -> list[Prepared]:
        decoders = (decode_image, decode_frame)
        return [
            prepare(record, encoder.preprocess, pictures, is_known, *decoders, watch)
            for record in chunk
        ]

    def n_ahead() -> int:
        """Return the number of images to prepare in advance, so that workers do not wait."""
        return workers.n_ahead // pictures.n_of_each

    with (
        one_core_threads(n_threads) as pool,
        # The decoders must close before the pool. The pool waits for its threads at the end, and
        # the threads may wait for a decoder.
        _decoding(isolation, encoder.spec.least_side) as decode_image,
        decoding_by_thread(FRAMES) as decode_frame,
        closing(
            map_in_order(pool, n_threads, chunk_records(records), prepare_chunk, n_ahead)
        ) as chunks,
        closing(encode_prepared(chain.from_iterable(chunks), workers)) as stream,
    ):
        yield from stream


def one_core_threads(n: int) -> ThreadPoolExecutor:
    """Make a pool of `n` threads. In each thread, torch uses one core."""
    return ThreadPoolExecutor(n, initializer=use_cores, initargs=(1,))


@contextmanager
def _decoding(isolation: Isolation | IsolatedDecoder | None, least_side: int) -> Iterator[Decoder]:
    if isolation is None:
        yield lambda data: nullcontext(decode(data, least_side=least_side))
        return
    with IsolatedDecoder(isolation) if isinstance(isolation, Isolation) else isolation as decoder:
        yield partial(decoder.decoded, least_side=least_side)


@contextmanager
def decoding_by_thread(isolation: Isolation) -> Iterator[Decoder]:
    """Yield a function that decodes video frames, with one decoder for each calling thread.

    A decoder keeps its video open for the next frame.
    """
    of_thread = local()
    with ExitStack() as decoders:

        def decode_here(data: bytes) -> AbstractContextManager[Decoded]:
            if not hasattr(of_thread, "decoder"):
                of_thread.decoder = decoders.enter_context(IsolatedDecoder(isolation))
            decoded: AbstractContextManager[Decoded] = of_thread.decoder.decoded(data)
            return decoded

        yield decode_here


def chunk_records(records: Iterable[ImageRecord]) -> Iterator[list[ImageRecord]]:
    """Group the records that one thread processes: consecutive frames of a video, or one image.

    Most frames are stored as differences from earlier frames. If several threads took frames of one
    video in turns, each thread would have to decode the whole video.
    """
    for _, sequence in groupby(records, lambda record: record.reader.sequence):
        while chunk := list(islice(sequence, FRAMES_PER_CHUNK)):
            yield chunk


def map_in_order(
    pool: ThreadPoolExecutor,
    n_threads: int,
    items: Iterable[Sequence[T]],
    function: Callable[[Sequence[T]], R],
    n_ahead: Callable[[], int],
) -> Generator[R, None, None]:
    """Apply a function in threads, and yield the results in the order of the items.

    Items are submitted in advance, until each thread has an item and the submitted items have
    `n_ahead()` members in total.
    """
    running: deque[tuple[Future[R], int]] = deque()
    n_running = 0
    try:
        for item in items:
            running.append((pool.submit(function, item), len(item)))
            n_running += len(item)
            while len(running) >= n_threads and n_running >= n_ahead():
                done, n = running.popleft()
                n_running -= n
                yield done.result()
        while running:
            yield running.popleft()[0].result()
    finally:
        for future, _ in running:
            future.cancel()
