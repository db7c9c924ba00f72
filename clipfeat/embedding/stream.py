"""Images read and decoded by threads, encoded in batches, in the source's order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.embedding.batches import CarefulEncoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import EncodingError, ImageError
from clipfeat.features import Failure
from clipfeat.images.decode import Decoded, decode
from clipfeat.images.isolated import ISOLATED, IsolatedDecoder, Isolation
from clipfeat.images.record import ImageRecord, image_key, read_bytes
from clipfeat.store.format import Row

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Known:
    """An image that needs no encoding: its bytes came before, here or by the caller's word."""

    row: Row


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows and their features, in the source's order."""

    rows: list[Row]
    features: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A decoded, preprocessed image."""

    row: Row
    tensor: torch.Tensor


def encode_stream(
    records: Iterable[ImageRecord],
    encoder: Encoder,
    *,
    batch_size: int,
    num_workers: int,
    is_known: Callable[[Row], bool] = lambda row: False,
    exact: Callable[[], Encoder] | None = None,
    isolation: Isolation | None = ISOLATED,
) -> Generator[Encoded | Known | Failure, None, None]:
    """Encode images, skipping known ones and naming those that fail.

    Parameters
    ----------
    records : iterable of ImageRecord
        What to encode.
    encoder : Encoder
        By what.
    batch_size : int
        Images in one forward pass.
    num_workers : int
        Threads that read and preprocess; torch lets go of Python's lock there. Each has a process
        that decodes.
    is_known : callable
        Asked, once its bytes are read, whether an image needs no decoding; called in the threads.
    exact : callable, optional
        Opens the same encoder in float32, for images whose rows may not be stored otherwise.
    isolation : Isolation or None
        What decodes, and within which limits; None decodes in the threads, where a crash of the
        decoder is one of this process.

    Yields
    ------
    Encoded, Known or Failure
        Every record is in exactly one of them.

    Warns
    -----
    ClipfeatWarning
        If `batch_size` images do not fit into memory, once; smaller batches are taken from then.
    """
    careful = CarefulEncoder(encoder, exact)
    waiting: list[_Ready] = []
    seen: set[bytes] = set()

    def prepare(record: ImageRecord) -> _Ready | Known | Failure:
        return _prepare(record, encoder, is_known, decode_bytes)

    with (
        ThreadPoolExecutor(num_workers) as pool,
        # Left before the pool is, which waits for its threads: none then waits for a decoder.
        _decoding(isolation) as decode_bytes,
        closing(_in_order(pool, records, prepare, 2 * batch_size)) as items,
    ):
        for item in items:
            if isinstance(item, _Ready) and item.row.key in seen:
                yield Known(item.row)
            elif isinstance(item, _Ready):
                seen.add(item.row.key)
                waiting.append(item)
                if len(waiting) == batch_size:
                    yield from _encode(waiting, careful)
                    waiting = []
            else:
                yield item
        if waiting:
            yield from _encode(waiting, careful)


@contextmanager
def _decoding(isolation: Isolation | None) -> Iterator[Callable[[bytes], Decoded]]:
    if isolation is None:
        yield decode
    else:
        with IsolatedDecoder(isolation) as decoder:
            yield decoder.decode


def _in_order(
    pool: ThreadPoolExecutor, items: Iterable[T], work: Callable[[T], R], ahead: int
) -> Generator[R, None, None]:
    """Map by threads, in order, never more than `ahead` items before what was taken."""
    running: deque[Future[R]] = deque()
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) >= ahead:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


def _prepare(
    record: ImageRecord,
    encoder: Encoder,
    is_known: Callable[[Row], bool],
    decode_bytes: Callable[[bytes], Decoded],
) -> _Ready | Known | Failure:
    key = b""
    try:
        data = read_bytes(record)
        key = image_key(data)
        row = Row(
            record.path,
            key,
            record.label,
            record.group,
            file_size=len(data),
            columns=record.columns,
        )
        if is_known(row):
            return Known(row)
        decoded = decode_bytes(data)
    except ImageError as error:
        return Failure(record.path, type(error).__name__, str(error), key)
    height, width = decoded.pixels.shape[:2]
    seen = replace(row, height=height, width=width, format=decoded.format)
    try:
        return _Ready(seen, encoder.preprocess(decoded.pixels))
    except (ValueError, RuntimeError, MemoryError) as error:
        # An image so thin that resizing it takes more memory than there is, for one.
        reason = f"{width}x{height} pixels cannot be preprocessed: {error or type(error).__name__}"
        return Failure(record.path, "EncodingError", reason, key)


def _encode(batch: list[_Ready], careful: CarefulEncoder) -> Iterator[Encoded | Failure]:
    good, features = [], []
    for item, row in zip(batch, careful.encode([item.tensor for item in batch]), strict=True):
        if isinstance(row, EncodingError):
            yield Failure(item.row.path, type(row).__name__, str(row), item.row.key)
        else:
            good.append(item.row)
            features.append(row)
    if good:
        yield Encoded(good, np.stack(features))
