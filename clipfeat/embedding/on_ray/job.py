"""What workers are told, and what they hand on."""

import pickle
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from clipfeat.embedding.preparing import Known, Pictures, Ready
from clipfeat.embedding.resources import EmbedResources
from clipfeat.embedding.workers import Prepared
from clipfeat.encoders.options import EncoderOptions
from clipfeat.encoders.preprocessing import Preprocess
from clipfeat.errors import ClipfeatError
from clipfeat.features import Failure
from clipfeat.store.format import KEY_BYTES, Row
from clipfeat.store.publishing import PartPublisher


@dataclass(frozen=True)
class Job:
    """What every worker of a run is told.

    Parameters
    ----------
    encoder : str
        Its name.
    options : EncoderOptions
        Opens it; of a fixed precision, so that all workers' rows are alike.
    preprocess : callable
        The encoder's: workers that decode need no weights.
    pictures : Pictures
        What of each image is encoded.
    publisher : PartPublisher
        Commits rows; its spec is the one that every worker's encoder must have.
    resources : EmbedResources
        Batch size and number of decoding tasks.
    n_images : int
        Number of images of the run, as in `clipfeat.encoders.open_encoder`.
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
    """What the feature file held when the run began; workers of a machine share its memory.

    Parameters
    ----------
    keys : ndarray of shape (n_keys,), S16
        Sorted.
    failed : mapping of str to bytes
        Keys of recorded failures that are not to be tried again, by path.
    """

    keys: NDArray[np.bytes_]
    failed: Mapping[str, bytes]

    @classmethod
    def of(cls, keys: Set[bytes], failed: Mapping[str, bytes]) -> Self:
        """Sort keys of 16 bytes."""
        return cls(np.frombuffer(b"".join(sorted(keys)), dtype=f"S{KEY_BYTES}"), failed)

    def __call__(self, row: Row) -> bool:
        """Whether an image needs no decoding."""
        if self.failed.get(row.path) == row.key:
            return True
        place = int(np.searchsorted(self.keys, np.array(row.key, dtype=self.keys.dtype)))
        # As bytes: NumPy's strings end at the last byte that is not zero.
        return self.keys[place : place + 1].tobytes() == row.key


@dataclass(frozen=True)
class Published:
    """What a worker has committed, or has found there already.

    Parameters
    ----------
    parts : list of str
        The names of the parts.
    rows : list of Row
        What they hold, without the features.
    failures : list of Failure
        Images without a row, which the driver is to record.
    known : list of Known
        Images that needed no encoding.
    """

    parts: list[str]
    rows: list[Row]
    failures: list[Failure]
    known: list[Known]


@dataclass(frozen=True, slots=True)
class _Packed:
    """A `Ready` whose tensor is an array as it lies in memory, and the order of its axes there."""

    row: Row
    array: NDArray[Any]
    order: tuple[int, ...]


def pack(image: Prepared | ClipfeatError) -> bytes:
    """One image as bytes, or the error that must end the run.

    Strides are kept: what is channels last is so again, and gives the same rows to the last bit.
    """
    if isinstance(image, list):
        return pickle.dumps([_packed(item) for item in image], protocol=5)
    return pickle.dumps(image, protocol=5)


def unpack(data: bytes) -> Prepared:
    """Undo `pack`.

    Raises
    ------
    ClipfeatError
        If that is what was packed.
    """
    found = pickle.loads(data)
    if isinstance(found, ClipfeatError):
        raise found
    if isinstance(found, list):
        return [_unpacked(item) for item in found]
    failure: Failure = found
    return failure


def _packed(item: Ready | Known) -> _Packed | Known:
    if isinstance(item, Known):
        return item
    tensor = item.tensor
    strides = tensor.stride()
    order = tuple(sorted(range(tensor.ndim), key=lambda axis: -strides[axis]))
    return _Packed(item.row, tensor.permute(order).contiguous().numpy(), order)


def _unpacked(item: _Packed | Known) -> Ready | Known:
    if isinstance(item, Known):
        return item
    places = [item.order.index(axis) for axis in range(len(item.order))]
    return Ready(item.row, torch.from_numpy(item.array).permute(places))


def table(places: Sequence[int], items: Sequence[bytes]) -> pa.Table:
    """A block of pickled things, each with the place of its (first) image in the source."""
    return pa.table(
        {"place": pa.array(places, pa.int64()), "item": pa.array(items, pa.large_binary())}
    )


def worker_error(error: Exception, where: str) -> ClipfeatError:
    """What ended a worker's work, as an error that tells where; ours stay what they are."""
    if isinstance(error, ClipfeatError):
        return error
    return ClipfeatError(f"{where}: {type(error).__name__}: {error}")
