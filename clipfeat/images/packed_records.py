"""Records of large sources, in compressed blocks.

As Python objects, an `ImageRecord`, its path and its reader take about 300 bytes. In a compressed
block, they take 10 to 20 bytes, and unpacking them takes a few microseconds.
"""

import dataclasses
import pickle
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from operator import attrgetter
from typing import Any, overload

from clipfeat.images.readers import FileBytes, Reader, RemoteObject, TarMember
from clipfeat.images.record import ImageRecord

PACKED_ABOVE = 200_000
"""Largest number of records that are kept as objects."""

BLOCK = 256
_FIELDS = ("path", "reader", "label", "group", "columns", "view")
_READER = _FIELDS.index("reader")
_PLAIN = (FileBytes, TarMember, RemoteObject)
"""Classes of readers whose arguments are their fields."""


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
            fields: list[Any] = [list(map(attrgetter(name), block)) for name in _FIELDS]
            fields[_READER] = _packed_readers(fields[_READER])
            self._blocks.append(zlib.compress(pickle.dumps(fields, protocol=5), 1))
            self._n += len(block)

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[ImageRecord]:
        return chain.from_iterable(map(_unpacked, self._blocks))

    def values(self, name: str) -> Iterator[Any]:
        """Yield the values of one field, without making the records."""
        place = _FIELDS.index(name)
        return chain.from_iterable(_fields(block)[place] for block in self._blocks)

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


def field_values(records: Iterable[ImageRecord], name: str) -> Iterator[Any]:
    """Yield the values of one field of records, such as ``"path"``."""
    if isinstance(records, PackedRecords):
        return records.values(name)
    return map(attrgetter(name), records)


def _unpacked(block: bytes) -> list[ImageRecord]:
    return list(map(ImageRecord, *_fields(block)))


def _fields(block: bytes) -> list[Any]:
    """Return the values of each field in a block."""
    fields: list[Any] = pickle.loads(zlib.decompress(block))
    if isinstance(fields[_READER], tuple):
        reader_class, values = fields[_READER]
        fields[_READER] = map(reader_class, *values)
    return fields


def _packed_readers(readers: list[Reader]) -> list[Reader] | tuple[type[Reader], list[list[Any]]]:
    """Return the class of readers and their values by field, if all have one class in `_PLAIN`.

    Otherwise, return the readers. Creating readers from fields takes a quarter of the time of
    unpickling them, because pickle looks up the fields of each object of a dataclass with slots.
    """
    reader_class = type(readers[0])
    if reader_class not in _PLAIN or any(type(reader) is not reader_class for reader in readers):
        return readers
    names = [field.name for field in dataclasses.fields(reader_class)]
    return reader_class, [list(map(attrgetter(name), readers)) for name in names]


def pack_records(records: Iterable[ImageRecord]) -> Sequence[ImageRecord]:
    """Return records as a list, or in compressed blocks if there are more than `PACKED_ABOVE`.

    Records with images in memory are always returned as a list.
    """
    remaining = iter(records)
    first = list(islice(remaining, PACKED_ABOVE + 1))
    if len(first) <= PACKED_ABOVE or any(record.reader.in_memory for record in first):
        return [*first, *remaining]
    return PackedRecords(chain(first, remaining))
