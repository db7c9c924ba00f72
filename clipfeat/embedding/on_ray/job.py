"""Objects that the driver and the workers send to each other."""

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.preparing import Known, Pictures, Ready
from clipfeat.embedding.workers import Prepared
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.preprocessing import Preprocess
from clipfeat.errors import ClipfeatError
from clipfeat.features import Failure
from clipfeat.store.format import Row
from clipfeat.store.publishing import PartPublisher


@dataclass(frozen=True)
class Job:
    """Description of a run, which every worker receives.

    Parameters
    ----------
    encoder : str
        Name of the encoder. Each worker looks it up in its own registry.
    options : EncoderOptions
        Options of the encoder. The precision is not ``"auto"``, so that all workers use the same
        precision.
    preprocess : callable
        The preprocessing of the encoder. It needs no weights, so the tasks that decode do not load
        them.
    pictures : Pictures
        Which views and faces of each image to encode.
    publisher : PartPublisher
        Commits the rows of a worker. The encoder of each worker must have the same spec as the
        publisher.
    resources : EmbedResources
        Batch size, and number of tasks that decode concurrently.
    n_images : int
        Number of images that the run will encode. 0 if it is not known.
    """

    encoder: str
    options: EncoderOptions
    preprocess: Preprocess
    pictures: Pictures
    publisher: PartPublisher
    resources: EmbedResources
    n_images: int = 0


@dataclass(frozen=True)
class KnownKeys:
    """Content hashes (keys) in the feature file at the start of a run.

    The workers of one machine share one copy of this object in memory.

    Parameters
    ----------
    keys : ndarray of shape (n_keys,), S16
        Sorted keys of the rows in the file.
    failed : mapping of str to bytes
        Keys by path of the images that failed in an earlier run and are not retried.
    """

    keys: NDArray[np.bytes_]
    failed: Mapping[str, bytes]

    def __call__(self, row: Row) -> bool:
        """Return whether an image needs no encoding."""
        if self.failed.get(row.path) == row.key:
            return True
        index = int(np.searchsorted(self.keys, np.array(row.key, dtype=self.keys.dtype)))
        # Compare as bytes, because NumPy strips zero bytes from the end of its strings.
        return self.keys[index : index + 1].tobytes() == row.key


@dataclass(frozen=True)
class Published:
    """Result of a block: committed files of rows, failures, and known images.

    Parameters
    ----------
    parts : list of str
        Names of the files of rows (parts) that the worker committed.
    rows : list of Row
        The rows in these files, without their features.
    failures : list of Failure
        Images that failed. The driver records them.
    known : list of Known
        Images that needed no encoding.
    """

    parts: list[str]
    rows: list[Row]
    failures: list[Failure]
    known: list[Known]


@dataclass(frozen=True, slots=True)
class _PackedReady:
    """A `Ready` whose tensor is a contiguous array, with the order of the tensor's axes."""

    row: Row
    array: NDArray[Any]
    order: tuple[int, ...]


def pack(image: Prepared | ClipfeatError) -> bytes:
    """Pickle a prepared image, or the error that ends the run.

    The order of the axes in memory is kept. Otherwise, the features of a channels-last tensor would
    differ in the last bits.
    """
    if isinstance(image, list):
        return pickle.dumps([_pack_item(item) for item in image], protocol=5)
    return pickle.dumps(image, protocol=5)


def unpack(data: bytes) -> Prepared:
    """Unpickle the result of `pack`.

    Raises
    ------
    ClipfeatError
        If the packed object is an error.
    """
    image = pickle.loads(data)
    if isinstance(image, ClipfeatError):
        raise image
    if isinstance(image, list):
        return [_unpack_item(item) for item in image]
    failure: Failure = image
    return failure


def _pack_item(item: Ready | Known) -> _PackedReady | Known:
    if isinstance(item, Known):
        return item
    tensor = item.tensor
    strides = tensor.stride()
    order = tuple(sorted(range(tensor.ndim), key=lambda axis: -strides[axis]))
    return _PackedReady(item.row, tensor.permute(order).contiguous().numpy(), order)


def _unpack_item(item: _PackedReady | Known) -> Ready | Known:
    if isinstance(item, Known):
        return item
    axes = [item.order.index(axis) for axis in range(len(item.order))]
    return Ready(item.row, torch.from_numpy(item.array).permute(axes))


def make_block(positions: Sequence[int], items: Sequence[bytes]) -> pa.Table:
    """Make a block of pickled items, each with the position of its first image in the source."""
    return pa.table(
        {"position": pa.array(positions, pa.int64()), "item": pa.array(items, pa.large_binary())}
    )


def worker_error(error: Exception, where: str) -> ClipfeatError:
    """Convert an exception to a `ClipfeatError` whose message starts with `where`.

    A `ClipfeatError` is returned unchanged.
    """
    if isinstance(error, ClipfeatError):
        return error
    return ClipfeatError(f"{where}: {type(error).__name__}: {error}")
