"""Records of large sources, in compressed blocks.

As Python objects, an `ImageRecord`, its path and its reader take about 300 bytes. In a compressed
block, they take 10 to 20 bytes, and unpacking them takes a few microseconds.
"""

import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import overload

from clipfeat.images.record import ImageRecord

PACKED_ABOVE = 200_000
"""Largest number of records that are kept as objects."""

BLOCK = 256
_FIELDS = ("path", "reader", "label", "group", "columns", "view")


class PackedRecords(Sequence[ImageRecord]):
    """Immutable sequence of records in compressed blocks of `BLOCK` records.

    Parameters
    ----------
    records : iterable of ImageRecord
        The records. Their readers must be picklable.
    """

    def __init__(self, records: Iterable[ImageRecord]) -> None:
        self._blocks: list[bytes] = []
        self._n = 0
        remaining = iter(records)
        while block := list(islice(remaining, BLOCK)):
            fields = [[getattr(record, name) for record in block] for name in _FIELDS]
            self._blocks.append(zlib.compress(pickle.dumps(fields, protocol=5), 1))
            self._n += len(block)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[ImageRecord]:
        return chain.from_iterable(map(_unpacked, self._blocks))

    @overload
    def __getitem__(self, index: int) -> ImageRecord: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImageRecord]: ...
    def __getitem__(self, index: int | slice) -> ImageRecord | list[ImageRecord]:
        """Return a record, or the records of a slice."""
        if isinstance(index, int):
            place = range(self._n)[index]
            return _unpacked(self._blocks[place // BLOCK])[place % BLOCK]
        places = range(self._n)[index]
        if places.step != 1 or not places:
            return [self[place] for place in places]
        blocks = self._blocks[places.start // BLOCK : -(-places.stop // BLOCK)]
        first = places.start % BLOCK
        return list(islice(chain.from_iterable(map(_unpacked, blocks)), first, first + len(places)))


def _unpacked(block: bytes) -> list[ImageRecord]:
    return list(map(ImageRecord, *pickle.loads(zlib.decompress(block))))


def pack_records(records: Iterable[ImageRecord]) -> Sequence[ImageRecord]:
    """Return records as a list, or in compressed blocks if there are more than `PACKED_ABOVE`.

    Records with images in memory are always returned as a list.
    """
    remaining = iter(records)
    first = list(islice(remaining, PACKED_ABOVE + 1))
    if len(first) <= PACKED_ABOVE or any(record.reader.in_memory for record in first):
        return [*first, *remaining]
    return PackedRecords(chain(first, remaining))
