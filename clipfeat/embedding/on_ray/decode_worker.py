"""The tasks of the first pool: records to preprocessed images, on processors."""

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import cache
from itertools import chain
from typing import Any

import pyarrow as pa

from clipfeat.embedding.on_ray.job import Job, pack, table, worker_error
from clipfeat.embedding.preparing import Decoder, prepare
from clipfeat.embedding.stream import chunks, decoding_by_thread, in_order, threads
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord
from clipfeat.images.video.frames import FRAMES
from clipfeat.system.stopwatch import Stopwatch

THREADS = 2  # the one reads, or resizes, while the image of the other is decoded


def decode_block(block: pa.Table, job: Job, known: Any) -> pa.Table:
    """Read, decode and preprocess the images of a block of records.

    Parameters
    ----------
    block : Table
        Of one pickled list of records, with the place of its first.
    job : Job
        Whose preprocessing it is.
    known : ObjectRef
        Of `KnownKeys`.

    Returns
    -------
    Table
        What `clipfeat.embedding.on_ray.job.pack` made of each image, in their order.
    """
    import ray

    is_known = ray.get(known)
    pool, decode_image, decode_frame, _ = _tools()
    watch = Stopwatch()

    def packed(record: ImageRecord) -> bytes:
        try:
            image = prepare(
                record, job.preprocess, job.pictures, is_known, decode_image, decode_frame, watch
            )  # fmt: skip
        except Exception as error:
            # No image's fault: it ends the run, and must not be tried again and again.
            return pack(worker_error(error, record.path))
        return pack(image)

    def all_packed(together: Sequence[ImageRecord]) -> list[bytes]:
        return [packed(record) for record in together]

    records = pickle.loads(block["item"][0].as_buffer())
    place = block["place"][0].as_py()
    with closing(
        in_order(pool, THREADS, chunks(records), all_packed, lambda: 2 * THREADS)
    ) as found:
        images = list(chain.from_iterable(found))
    return table(range(place, place + len(images)), images)


@cache
def _tools() -> tuple[ThreadPoolExecutor, Decoder, Decoder, ExitStack]:
    """Threads and decoders that live as long as this process, which decodes many blocks.

    The processes that decode end when their pipes do: with this one, however it ends.
    """
    stack = ExitStack()
    decode_frame = stack.enter_context(decoding_by_thread(FRAMES))
    return threads(THREADS), IsolatedDecoder().decoded, decode_frame, stack
