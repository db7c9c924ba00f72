"""Images read and decoded by threads, encoded in batches, in the source's order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
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

FRAMES_TOGETHER = 16


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

    They are read and decoded ahead of the workers that encode; see `clipfeat.embedding.workers`.

    Parameters
    ----------
    records : iterable of ImageRecord
        What to encode.
    encoder : Encoder
        By what; its replicas take batches too.
    batch_size : int, optional
        Images in one forward pass, on a processor of each core; found by trying where not given.
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
    workers = WorkerPool(encoder, exact, watch, batch_size)
    n_threads = num_workers or default_workers()

    def prepared(together: Sequence[ImageRecord]) -> list[Prepared]:
        decoders = (decode_image, decode_frame)
        return [
            prepare(record, encoder.preprocess, pictures, is_known, *decoders, watch)
            for record in together
        ]

    def ahead() -> int:
        """Return the number of images to prepare in advance, so that no worker waits."""
        return workers.n_ahead // pictures.n_of_each

    with (
        threads(n_threads) as pool,
        # Left before the pool is, which waits for its threads: none then waits for a decoder.
        _decoding(isolation) as decode_image,
        decoding_by_thread(FRAMES) as decode_frame,
        closing(in_order(pool, n_threads, chunks(records), prepared, ahead)) as found,
        closing(encode_prepared(chain.from_iterable(found), workers)) as stream,
    ):
        yield from stream


def threads(n: int) -> ThreadPoolExecutor:
    """A pool of threads in each of which torch uses one core."""
    return ThreadPoolExecutor(n, initializer=use_cores, initargs=(1,))


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
    for _, of_file in groupby(records, lambda record: record.reader.sequence):
        while some := list(islice(of_file, FRAMES_TOGETHER)):
            yield some


def in_order(
    pool: ThreadPoolExecutor,
    n_threads: int,
    items: Iterable[Sequence[T]],
    work: Callable[[Sequence[T]], R],
    ahead: Callable[[], int],
) -> Generator[R, None, None]:
    """Map by threads, in order; of the items `ahead()` members, or one a thread, may wait."""
    running: deque[tuple[Future[R], int]] = deque()
    n_running = 0
    try:
        for item in items:
            running.append((pool.submit(work, item), len(item)))
            n_running += len(item)
            while len(running) >= n_threads and n_running >= ahead():
                done, n = running.popleft()
                n_running -= n
                yield done.result()
        while running:
            yield running.popleft()[0].result()
    finally:
        for future, _ in running:
            future.cancel()
