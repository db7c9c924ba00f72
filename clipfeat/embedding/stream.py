"""Images read and decoded by threads, encoded in batches, in the source's order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.encoders.encoder import Encoder, check_row
from clipfeat.errors import EncodingError, ImageError
from clipfeat.features import Failure
from clipfeat.images.decode import decode
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
) -> Iterator[Encoded | Known | Failure]:
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
        Threads that read, decode and preprocess; Pillow and torch let go of Python's lock there.
    is_known : callable
        Asked, once its bytes are read, whether an image needs no decoding; called in the threads.

    Yields
    ------
    Encoded, Known or Failure
        Every record is in exactly one of them.
    """
    waiting: list[_Ready] = []
    seen: set[bytes] = set()
    for item in _in_order(
        records, lambda record: _prepare(record, encoder, is_known), num_workers, 2 * batch_size
    ):
        if isinstance(item, _Ready) and item.row.key in seen:
            yield Known(item.row)
        elif isinstance(item, _Ready):
            seen.add(item.row.key)
            waiting.append(item)
            if len(waiting) == batch_size:
                yield from _encode(waiting, encoder)
                waiting = []
        else:
            yield item
    if waiting:
        yield from _encode(waiting, encoder)


def _in_order(
    items: Iterable[T], work: Callable[[T], R], num_workers: int, ahead: int
) -> Iterator[R]:
    """Map by threads, in order, never more than `ahead` items before what was taken."""
    with ThreadPoolExecutor(num_workers) as pool:
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
    record: ImageRecord, encoder: Encoder, is_known: Callable[[Row], bool]
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
        decoded = decode(data)
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


def _encode(batch: list[_Ready], encoder: Encoder) -> Iterator[Encoded | Failure]:
    features = encoder.encode([item.tensor for item in batch])
    good = []
    for i, item in enumerate(batch):
        try:
            check_row(features[i])
            good.append(i)
        except EncodingError as error:
            yield Failure(item.row.path, type(error).__name__, str(error), item.row.key)
    if good:
        yield Encoded([batch[i].row for i in good], features[good])
