"""Images in the datasets of an HDF5 file, such as ``images`` and ``labels``.

`clipfeat.images.array_sets` states how the datasets are used. The name of a dataset in a group
starts with the name of the group: ``train/images``.

The file may be malicious. Links are skipped. A dataset is refused if its data is in other
files, if it is virtual, or if it has a filter other than `FILTERS`. It is also refused if a chunk
is missing, because HDF5 returns zeros for missing chunks. The images of a contiguous dataset are
read without HDF5.
"""

import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from math import ceil, prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatError, ReadError, RefusedFileError, UsageError
from clipfeat.images.array_sets import StoredArray, records_of_arrays
from clipfeat.images.numpy_files import MAX_VALUES, ArrayImage, ArrayPlace
from clipfeat.images.pixel_arrays import PixelLayout, item_pixels, ppm
from clipfeat.images.readers import FileReader, Reader, read_head
from clipfeat.images.source import ImageSource, make_source
from clipfeat.system.file_stats import Stat, file_stat
from clipfeat.system.files import MAX_RATIO, MAX_UNPACKED
from clipfeat.system.locations import absolute, folder_of, is_remote, location

SUFFIXES = frozenset({".h5", ".hdf5", ".hdf", ".he5"})
SIGNATURE = b"\x89HDF\r\n\x1a\n"
FEATURES = "clipfeat"
"""Attribute that marks a feature file."""
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}
"""Filters that a dataset may have, by their numbers in HDF5."""
MAX_CHUNK = 2**28
MAX_LZF = 2**24
"""Maximum size of a chunk that is compressed with lzf, which unpacks to at most 90 times its size.
"""
MOST_OBJECTS = 1000
DEEPEST = 4
"""Maximum number of datasets and groups, and maximum depth of groups."""
STEP = 2**16
"""Number of packed bytes that are unpacked together to count the unpacked bytes."""
CACHE_BYTES = 2**26
"""Size of the cache for unpacked chunks. Without it, each image would unpack its chunk again."""


@dataclass(frozen=True, slots=True)
class Hdf5Image(FileReader):
    """Reader of one image of a chunked dataset.

    Parameters
    ----------
    file : str
        Path of the HDF5 file.
    dataset : str
        Name of the dataset.
    layout : PixelLayout
        Layout of the images.
    index : int
        Number of the image.
    """

    dataset: str
    layout: PixelLayout
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
            If the file is missing or was replaced, or if the chunk is damaged.
        """
        try:
            with _READING:  # h5py reads one dataset at a time anyway
                opened = _opened(self.file, file_stat(self.file))
                dataset = opened.h5[self.dataset]
                whole = self._is_whole(dataset)
                for chunk in _chunks_of(dataset, None if whole else self.index):
                    if (self.dataset, chunk) not in opened.checked:
                        _check_unpacked(dataset, chunk)
                        opened.checked.add((self.dataset, chunk))
                pixels = dataset[()] if whole else dataset[self.index]
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise ReadError(f"the dataset {self.dataset} cannot be read: {error}") from error
        return ppm(item_pixels(pixels, channels_first=self.layout.channels_first))

    def _is_whole(self, dataset: Any) -> bool:
        """Return whether a dataset is a single image. Raise ValueError if it has changed."""
        if getattr(dataset, "dtype", None) == np.uint8:
            if dataset.shape == self.layout.item:
                return True
            if dataset.shape[1:] == self.layout.item and self.index < dataset.shape[0]:
                return False
        raise ValueError("its file has changed since it was listed")


_READING = Lock()


@dataclass(frozen=True)
class _Opened:
    """An open file, and the chunks that are safe to unpack, by dataset and position."""

    h5: Any
    checked: set[tuple[str, tuple[int, ...]]]


@lru_cache(maxsize=4)
def _opened(file: str, stat: Stat | None) -> _Opened:
    import h5py  # not at the top, because the decoding processes import this package, too

    return _Opened(h5py.File(file, "r", locking=False, rdcc_nbytes=CACHE_BYTES), set())


def _chunks_of(dataset: Any, index: int | None) -> Iterator[tuple[int, ...]]:
    """Yield the positions of the chunks of one image, or of all images if `index` is None.

    A compact dataset, whose data are in the header of the file, has no chunks.
    """
    if dataset.chunks is None:
        return
    steps = [range(0, n, chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True)]
    if index is not None:
        first = index - index % dataset.chunks[0]
        steps[0] = range(first, first + 1)
    yield from product(*steps)


def _check_unpacked(dataset: Any, chunk: tuple[int, ...]) -> None:
    """Check that a chunk unpacks to at most its declared size, because HDF5 does not check this.

    Raises
    ------
    ValueError
        If the chunk unpacks to more bytes, or is damaged.
    """
    names = _filters_of(dataset)
    expected = prod(dataset.chunks) * dataset.dtype.itemsize + 4 * ("fletcher32" in names)
    skipped, data = dataset.id.read_direct_chunk(chunk)
    applied = {name for number, name in enumerate(names) if not skipped & (1 << number)}
    if "gzip" in applied:
        try:
            unpacks_to_more = _unpacks_to_more(data, expected)
        except zlib.error as error:
            raise ValueError(f"a chunk is damaged ({error})") from error
        if unpacks_to_more:
            raise ValueError(f"a chunk unpacks to more than {expected} bytes")
        return
    most = min(expected, MAX_LZF) if "lzf" in applied else expected
    if len(data) > most:
        raise ValueError(f"a chunk has {len(data)} bytes, more than the limit of {most}")


def _unpacks_to_more(data: bytes, expected: int) -> bool:
    """Return whether zlib data unpack to more bytes than expected, without keeping the bytes."""
    stream = zlib.decompressobj()
    n_bytes = 0
    for start in range(0, len(data), STEP):
        packed = data[start : start + STEP]
        while packed and n_bytes <= expected:
            n_bytes += len(stream.decompress(packed, 16 * STEP))
            packed = stream.unconsumed_tail
    return n_bytes > expected


def _filters_of(dataset: Any) -> list[str]:
    """Return the filters of a dataset, by the names in `FILTERS` or by their numbers."""
    properties = dataset.id.get_create_plist()
    codes = [properties.get_filter(number)[0] for number in range(properties.get_nfilters())]
    return [FILTERS.get(code, str(code)) for code in codes]


def is_hdf5(spec: str) -> bool:
    """Return whether a source is an HDF5 file."""
    if Path(spec).suffix.lower() not in SUFFIXES or not location(spec).is_file():
        return False
    return is_remote(spec) or read_head(spec, len(SIGNATURE)) == SIGNATURE


def is_image_set(spec: str) -> bool:
    """Return whether a source is a local HDF5 file, but not a feature file."""
    if is_remote(spec) or not is_hdf5(spec):
        return False
    import h5py

    try:
        with h5py.File(spec, "r", locking=False) as file:
            return FEATURES not in file.attrs
    except (OSError, RuntimeError):
        return False


def open_hdf5(spec: str) -> ImageSource:
    """List the images in the datasets of an HDF5 file.

    Raises
    ------
    UsageError
        If the file is a feature file, or if it is on an object store.
    RefusedFileError
        If the file is damaged, or if a dataset is stored in a way that is not supported.
    DataError
        If there is no array of images, or if its dtype or shape is wrong. If an array of labels or
        groups does not have one value for each image.
    EmptySourceError
        If there is no image.
    """
    if is_remote(spec):
        raise UsageError(
            f"HDF5 files on object stores cannot be read. Download {spec} and pass the local file"
        )
    import h5py

    skipped: Counter[str] = Counter()
    path = absolute(spec)
    try:
        with h5py.File(path, "r", locking=False) as file:
            if FEATURES in file.attrs:
                raise UsageError(
                    f"{spec} is a feature file, which holds no images. Pass the images from which "
                    "it was computed"
                )
            arrays = [_stored(path, name, dataset) for name, dataset in _datasets(file, skipped)]
            records = records_of_arrays(spec, arrays, skipped)
    except ClipfeatError:
        raise
    except Exception as error:  # h5py raises errors of many types for damaged files
        raise RefusedFileError(
            f"{spec} cannot be read as an HDF5 file: {error or type(error).__name__}. Get the "
            "original file again"
        ) from error
    return make_source(spec, folder_of(spec), records, skipped=skipped, places=(path,))


def _datasets(file: Any, skipped: Counter[str]) -> Iterator[tuple[str, Any]]:
    """Yield the datasets of a file by name. Links are counted and not followed."""
    import h5py

    pending = [("", file)]
    n_objects = 0
    while pending:
        above, group = pending.pop()
        for name in sorted(group):
            n_objects += 1
            if n_objects > MOST_OBJECTS:
                raise RefusedFileError(
                    f"{file.filename} has more than {MOST_OBJECTS} datasets and groups. Put the "
                    "images into one dataset"
                )
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                skipped["link"] += 1
                continue
            child = group[name]
            path = f"{above}{name}"
            if isinstance(child, h5py.Dataset):
                yield path, child
            elif isinstance(child, h5py.Group) and path.count("/") < DEEPEST:
                pending.append((f"{path}/", child))


def _stored(file: str, name: str, dataset: Any) -> StoredArray:
    import h5py

    length = os.path.getsize(file)  # noqa: PTH202 -- the path is text
    properties = dataset.id.get_create_plist()
    if properties.get_layout() == h5py.h5d.VIRTUAL or properties.get_external_count():
        raise _refusal(file, name, "stores its data in other files. Copy the data into one file")
    shape = dataset.shape or ()
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    dtype = np.dtype("U1") if is_text else dataset.dtype
    stored = int(dataset.id.get_storage_size())
    return StoredArray(
        name,
        f"{Path(file).name}/{name}",
        shape,
        dtype,
        stored,
        partial(_values, file, name, dataset, is_text),
        partial(_readers, file, name, dataset, length),
    )


def _values(file: str, name: str, dataset: Any, is_text: bool) -> NDArray[Any]:
    """Read a small dataset of numbers or text."""
    _check_chunks(file, name, dataset)
    too_large = _refusal(file, name, f"has more than {MAX_VALUES} bytes of values. Shorten it")
    if dataset.nbytes > MAX_VALUES:
        raise too_large
    for chunk in _chunks_of(dataset, None):
        _check_unpacked(dataset, chunk)
    if not is_text:
        values: NDArray[Any] = np.asarray(dataset[()])
        return values
    # In a malicious file, many values may refer to one text that is as long as the file. Therefore
    # the number of values that are read together is limited.
    step = max(1, MAX_VALUES // os.path.getsize(file))  # noqa: PTH202
    texts: list[str] = []
    left = MAX_VALUES
    for start in range(0, dataset.shape[0], step):
        some = dataset.asstr(errors="replace")[start : start + step]
        texts += some.reshape(-1).tolist()
        if (left := left - sum(map(len, texts[start:]))) < 0:
            raise too_large
    return np.array(texts, dtype=object)


def _readers(
    file: str, name: str, dataset: Any, length: int, layout: PixelLayout
) -> Callable[[int], Reader]:
    offset = dataset.id.get_offset()
    if dataset.chunks is None and offset is not None:
        if offset + dataset.nbytes > length:
            raise _refusal(file, name, "is truncated. Get the original file again")
        place = ArrayPlace(offset, dataset.shape, False, layout)
        return partial(ArrayImage, file, place)
    _check_chunks(file, name, dataset)
    return partial(Hdf5Image, file, name, layout)


def _check_chunks(file: str, name: str, dataset: Any) -> None:
    """Check that a dataset has all of its bytes, and that unpacking it is safe."""
    names = _filters_of(dataset)
    for name_of_filter in names:
        if name_of_filter not in FILTERS.values():
            raise _refusal(
                file, name, f"has the filter {name_of_filter}, expected "
                f"{', '.join(FILTERS.values())}. Save it with compression='gzip'"
            )  # fmt: skip
    if len(set(names)) < len(names) or {"gzip", "lzf"} <= set(names):
        raise _refusal(file, name, "is compressed twice. Save it with compression='gzip'")
    stored = int(dataset.id.get_storage_size())
    if dataset.chunks is None:
        if stored < dataset.nbytes:
            raise _refusal(file, name, "has missing data. Get the original file again")
        return
    expected = prod(ceil(n / chunk) for n, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    if dataset.id.get_num_chunks() != expected:
        raise _refusal(file, name, "has missing chunks. Get the original file again")
    if prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK:
        raise _refusal(
            file, name, f"has chunks of more than {MAX_CHUNK} bytes. Save it with chunks=(1, ...)"
        )
    if dataset.nbytes > max(MAX_UNPACKED, MAX_RATIO * stored):
        raise _refusal(
            file, name, f"would unpack from {stored} to {dataset.nbytes} bytes. Save it without "
            "compression"
        )  # fmt: skip


def _refusal(file: str, name: str, fault: str) -> RefusedFileError:
    return RefusedFileError(f"the dataset {name} of {file} {fault}")
