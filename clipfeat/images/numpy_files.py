"""Images in the array files of NumPy, ``.npy`` and ``.npz``.

`clipfeat.images.array_sets` states how the arrays of a file are used. If ``y_train.npy`` is in the
same folder as ``x_train.npy``, it gives the labels.

Images are read one by one from their position in the file. Only an array of a compressed ``.npz``
file must be unpacked as a whole. Python objects, which NumPy pickles, are never loaded.
"""

import io
import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from numpy.lib import format
from numpy.typing import NDArray

from clipfeat.errors import DataError, ReadError, RefusedFileError, UsageError
from clipfeat.features.usual_names import GROUP_NAMES
from clipfeat.images import readers
from clipfeat.images.array_sets import (
    IMAGE_NAMES,
    LABELS,
    StoredArray,
    records_of_arrays,
    role_of,
)
from clipfeat.images.pixel_arrays import PixelLayout, item_pixels, ppm
from clipfeat.images.readers import FileReader, read_range
from clipfeat.images.skipping import NO_SUFFIX
from clipfeat.images.source import ImageSource, make_source
from clipfeat.images.zip_members import ZipMember, zip_members
from clipfeat.system.file_stats import Stat, file_stat
from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED
from clipfeat.system.locations import absolute, folder_of, is_remote, location

SUFFIXES = frozenset({".npy", ".npz"})
HEAD = 2**14
"""Number of bytes to read for the header of an array."""
MAX_IN_MEMORY = 2**31
"""Maximum size of an array that must be unpacked as a whole."""
MAX_VALUES = 2**27
"""Maximum size of an array of labels or other values."""
_MEMBER_HEADER = struct.Struct("<26xHH")
"""Local header of a zip member: the lengths of its name and of its extra field."""


@dataclass(frozen=True, slots=True)
class ArrayPlace:
    """Position and layout of the bytes of an array.

    Parameters
    ----------
    offset : int
        Position of the first byte, in the file or in the unpacked `member`.
    shape : tuple of int
        Shape of the array of bytes.
    in_columns : bool
        Whether the first axis varies fastest (Fortran order).
    layout : PixelLayout
        Layout of the images.
    member : ZipMember, optional
        The compressed member that contains the array.
    """

    offset: int
    shape: tuple[int, ...]
    in_columns: bool
    layout: PixelLayout
    member: ZipMember | None = None


@dataclass(frozen=True, slots=True)
class ArrayImage(FileReader):
    """Reader of one image of an array in a local file.

    Parameters
    ----------
    file : str
        Path of the file.
    place : ArrayPlace
        Position and layout of the array. All images of the array share this object.
    index : int
        Number of the image.
    """

    place: ArrayPlace
    index: int

    def read(self) -> bytes:
        """Read the image.

        Returns
        -------
        bytes
            A PPM file of its pixels.

        Raises
        ------
        ReadError
            If the file is missing, unreadable or truncated.
        """
        place, item = self.place, self.place.layout.item
        if place.in_columns or place.member is not None:
            pixels = _whole_array(self.file, place, file_stat(self.file))
            pixels = pixels.reshape(place.layout.n, *item)[self.index]
        else:
            size = int(np.prod(item, dtype=object))
            data = read_range(self.file, place.offset + self.index * size, size)
            if len(data) < size:
                raise ReadError(f"the file is truncated: the image has {len(data)} of {size} bytes")
            pixels = np.frombuffer(data, dtype=np.uint8).reshape(item)
        return ppm(item_pixels(pixels, channels_first=place.layout.channels_first))


_UNPACKING = Lock()


def _whole_array(file: str, place: ArrayPlace, stat: Stat | None) -> NDArray[np.uint8]:
    with _UNPACKING:  # without the lock, other threads would unpack the same array, too
        return _cached_array(file, place, stat)


@lru_cache(maxsize=2)
def _cached_array(file: str, place: ArrayPlace, stat: Stat | None) -> NDArray[np.uint8]:
    order: Any = "F" if place.in_columns else "C"
    if place.member is not None:
        data = place.member.read_at_most(MAX_IN_MEMORY)
        flat = np.frombuffer(data, dtype=np.uint8, offset=place.offset)
        return flat.reshape(place.shape, order=order)
    try:
        return np.memmap(file, np.uint8, "r", place.offset, place.shape, order)
    except (OSError, ValueError) as error:
        raise ReadError(f"the file cannot be read: {error}") from error


def is_numpy_file(spec: str) -> bool:
    """Return whether a source is an existing ``.npy`` or ``.npz`` file."""
    return Path(spec).suffix.lower() in SUFFIXES and location(spec).is_file()


def open_numpy_file(spec: str) -> ImageSource:
    """List the images in a ``.npy`` or ``.npz`` file.

    Raises
    ------
    UsageError
        If the file is on an object store.
    RefusedFileError
        If the file is damaged, or if an array is compressed and too large.
    DataError
        If there is no array of images, or if its dtype or shape is wrong. If an array of labels or
        groups does not have one value for each image.
    EmptySourceError
        If there is no image.
    """
    if is_remote(spec):
        raise UsageError(
            f"arrays on object stores cannot be read. Download {spec} and pass the local file"
        )
    skipped: Counter[str] = Counter()
    file = absolute(spec)
    try:
        if Path(spec).suffix.lower() == ".npz":
            arrays = _arrays_of_npz(file, skipped)
        else:
            arrays = _arrays_of_npy(file)
        records = records_of_arrays(spec, arrays, skipped)
    except (DataError, RefusedFileError):
        raise
    except Exception as error:  # NumPy and zipfile raise errors of many types for damaged headers
        raise RefusedFileError(
            f"{spec} cannot be read as an array file: {error or type(error).__name__}. Get the "
            "original file again"
        ) from error
    return make_source(spec, folder_of(spec), records, skipped=skipped, places=(file,))


@dataclass(frozen=True)
class _Header:
    """Header of an array, and its length in bytes."""

    dtype: "np.dtype[Any]"
    shape: tuple[int, ...]
    in_columns: bool
    length: int

    @property
    def n_bytes(self) -> int:
        """Number of bytes of the values. Not valid for Python objects, which are pickled."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def _read_header(data: bytes) -> _Header:
    file = io.BytesIO(data)
    version = format.read_magic(file)
    read = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    if version not in read:
        raise ValueError(f"the version {version} of the header is not supported")
    shape, in_columns, dtype = read[version](file)
    if any(length < 0 for length in shape):
        raise ValueError(f"the shape {shape} is negative")
    return _Header(dtype, shape, in_columns, file.tell())


def _arrays_of_npy(file: str) -> list[StoredArray]:
    """Return the array of a file, and the arrays of labels and groups in files beside it."""
    own = Path(file)
    role = role_of(own.stem)
    beside = []
    if role.plain in IMAGE_NAMES:
        for path in sorted(own.parent.glob("*.npy")):
            other = role_of(path.stem)
            if other.part == role.part and other.plain in {*LABELS, *GROUP_NAMES}:
                beside.append(path)
    return [_array_of_npy(path) for path in (own, *beside)]


def _array_of_npy(path: Path) -> StoredArray:
    file = str(path)
    header = _read_header(read_range(file, 0, HEAD))
    left = path.stat().st_size - header.length
    if not header.dtype.hasobject and header.n_bytes > left:
        raise ValueError(f"it is truncated: it has {left} bytes, expected {header.n_bytes}")
    return _stored(path.stem, path.name, file, header, header.length)


def _arrays_of_npz(file: str, skipped: Counter[str]) -> list[StoredArray]:
    arrays: dict[str, StoredArray] = {}
    with Path(file).open("rb") as opened:
        length = opened.seek(0, os.SEEK_END)
        opened.seek(0)
        for path, kind, member in zip_members(opened, file):
            if kind or not path.endswith(".npy"):
                skipped[kind or PurePosixPath(path).suffix or NO_SUFFIX] += 1
                continue
            name = path.removesuffix(".npy")
            if name in arrays:
                raise DataError(f"{file} has two arrays named {name}. Remove one of them")
            arrays[name] = _array_of_member(file, name, member, length)
    return list(arrays.values())


def _array_of_member(file: str, name: str, member: ZipMember, length: int) -> StoredArray:
    if member.is_encrypted or member.method not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError(f"the array {name} is encrypted, or not compressed with deflate")
    start = read_range(file, member.offset, HEAD)
    if start[:4] != b"PK\3\4":
        raise ValueError(f"there is no array at byte {member.offset}")
    before = _MEMBER_HEADER.size + sum(_MEMBER_HEADER.unpack_from(start))
    head = read_range(file, member.offset + before, HEAD)
    is_packed = member.method == zipfile.ZIP_DEFLATED
    if is_packed:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD)
    header = _read_header(head)
    size = header.length + header.n_bytes
    if not header.dtype.hasobject and size != member.size:
        raise ValueError(f"the array {name} has {member.size} bytes, expected {size}")
    if not is_packed:
        if member.offset + before + member.size > length:
            raise ValueError(f"the array {name} is truncated")
        return _stored(name, f"{Path(file).name}/{name}", file, header,
                       member.offset + before + header.length)  # fmt: skip
    return _stored(name, f"{Path(file).name}/{name}", file, header, header.length, member)


def _stored(
    name: str, path: str, file: str, header: _Header, offset: int, member: ZipMember | None = None
) -> StoredArray:
    def values() -> NDArray[Any]:
        if header.n_bytes > MAX_VALUES:
            raise ValueError(f"the array {name} has {header.n_bytes} bytes, more than {MAX_VALUES}")
        data = (
            read_range(file, offset, header.n_bytes)
            if member is None
            else member.read_at_most(offset + MAX_VALUES)[offset:]
        )
        return np.frombuffer(data, header.dtype)

    def readers_of(layout: PixelLayout) -> Callable[[int], ArrayImage]:
        if member is not None:
            _check_unpacked(name, member)
        return partial(ArrayImage, file, ArrayPlace(offset, header.shape, header.in_columns,
                                                    layout, member))  # fmt: skip

    n_bytes = header.n_bytes if member is None else member.compressed
    return StoredArray(name, path, header.shape, header.dtype, n_bytes, values, readers_of)


def _check_unpacked(name: str, member: ZipMember) -> None:
    """Check that an array that must be unpacked as a whole is not too large."""
    most = min(MAX_IN_MEMORY, max(MAX_UNPACKED, MAX_RATIO * member.compressed))
    if member.size > most or member.compressed > readers.MAX_BYTES:
        raise RefusedFileError(
            f"the compressed array {name} of {member.file} is too large to be unpacked in memory: "
            f"it has {member.size} bytes, and {member.compressed} in compressed form. Save it with "
            "numpy.savez, which does not compress"
        )
