"""Tasks of the first pool, which read, decode and preprocess images on CPUs."""

import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import cache, partial
from itertools import chain
from typing import Any

import pyarrow as pa

from clipfeat.embedding.on_ray.job import Job, make_block, pack, worker_error
from clipfeat.embedding.preparing import Decoder, prepare
from clipfeat.embedding.stream import (
    chunk_records,
    decoding_by_thread,
    map_in_order,
    one_core_threads,
)
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.images.record import ImageRecord
from clipfeat.images.video.frames import FRAMES
from clipfeat.system.stopwatch import Stopwatch

N_THREADS = 2  # one thread reads or resizes while a child process decodes for the other


def decode_block(block: pa.Table, job: Job, known: Any) -> pa.Table:
    """Read, decode and preprocess the images of a block of records.

    Parameters
    ----------
    block : Table
        A table of one row: a pickled list of records, and the position of the first record in the
        source.
    job : Job
        The job of the run.
    known : ObjectRef
        Reference to the `KnownKeys` of the run.

    Returns
    -------
    Table
        For each image, the result of `clipfeat.embedding.on_ray.job.pack`, in the same order.
    """
    import ray

    is_known = ray.get(known)
    pool, decoder, decode_frame, _ = _threads_and_decoders()
    decode_image = partial(decoder.decoded, least_side=job.publisher.spec.least_side)
    watch = Stopwatch()

    def prepare_packed(record: ImageRecord) -> bytes:
        try:
            image = prepare(
                record, job.preprocess, job.pictures, is_known, decode_image, decode_frame, watch
            )  # fmt: skip
        except Exception as error:
            # This error concerns all images. If it were raised, Ray would retry the task forever.
            return pack(worker_error(error, record.path))
        return pack(image)

    def prepare_chunk(chunk: Sequence[ImageRecord]) -> list[bytes]:
        return [prepare_packed(record) for record in chunk]

    records = pickle.loads(block["item"][0].as_buffer())
    start = block["position"][0].as_py()
    with closing(
        map_in_order(pool, N_THREADS, chunk_records(records), prepare_chunk, lambda: 2 * N_THREADS)
    ) as chunks:
        images = list(chain.from_iterable(chunks))
    return make_block(range(start, start + len(images)), images)


@cache
def _threads_and_decoders() -> tuple[ThreadPoolExecutor, IsolatedDecoder, Decoder, ExitStack]:
    """Start threads and decoders. This process reuses them for all of its blocks.

    The decoding processes exit when their pipes close, even if this process is killed.
    """
    stack = ExitStack()
    decode_frame = stack.enter_context(decoding_by_thread(FRAMES))
    return one_core_threads(N_THREADS), IsolatedDecoder(), decode_frame, stack
