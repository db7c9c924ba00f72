"""Data sets in several arrays, such as ``x_train``, ``y_train``, ``x_test`` and ``y_test``.

The name of an array is split into words at underscores, hyphens, points, spaces and slashes. A word
such as ``train`` or ``test`` names the part of the data set, which becomes the value of the column
``split``. The other words name the role of the array:

- images: ``x``, ``images``, ``data`` and others of `IMAGE_NAMES`. If no array has such a name,
  every array of uint8 with three or four axes holds images;
- labels: ``y``, ``labels`` and the other usual names of a column of labels;
- groups: ``groups`` and the other usual names of a column of groups.

The arrays of labels and groups have one value for each image of their part. Other arrays with one
value for each image become columns. All other arrays are counted as skipped.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, DataError
from clipfeat.features.label_text import present
from clipfeat.features.official_parts import SPLIT, official_part
from clipfeat.features.usual_names import GROUP_NAMES, LABEL_NAMES
from clipfeat.images.pixel_arrays import PixelLayout, pixel_layout
from clipfeat.images.readers import Reader
from clipfeat.images.record import ImageRecord

IMAGE_NAMES = frozenset({
    "x", "image", "images", "img", "imgs", "data", "pixels", "array", "arr0",
})  # fmt: skip
"""Names of arrays of images, without separators and parts."""
LABELS = frozenset({*LABEL_NAMES, "targets", "classes", "categories"})
_IGNORED_WORDS = frozenset({"set"})
SKIPPED = "array"
MOST_IMAGES = 100_000
"""Number of images that any array may have. An array of more images must have at least one byte
per image in the file."""


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, not yet read.

    Parameters
    ----------
    name : str
        Name in the file.
    path : str
        Path of the array, such as ``mnist.npz/x_train``, relative to the source's root. The paths
        of its images start with it.
    shape, dtype
        Shape and dtype.
    n_bytes : int
        Number of bytes in the file.
    values : callable
        Reads the whole array.
    reader : callable
        Takes the layout of the images. Returns a function that takes the number of an image and
        returns its reader.
    """

    name: str
    path: str
    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    n_bytes: int
    values: Callable[[], NDArray[Any]]
    reader: Callable[[PixelLayout], Callable[[int], Reader]]


@dataclass(frozen=True)
class Role:
    """The part of the data set and the other words in an array's name.

    Parameters
    ----------
    part : str
        Part of the official split, or an empty text.
    words : tuple of str
        All other words.
    """

    part: str
    words: tuple[str, ...]

    @property
    def plain(self) -> str:
        """All other words, joined without separators, in lower case."""
        return "".join(self.words).lower()


def role_of(name: str) -> Role:
    """Split the name of an array into words.

    Examples
    --------
    >>> role_of("x_train"), role_of("test/Label")
    (Role(part='train', words=('x',)), Role(part='test', words=('Label',)))
    """
    words = [word for word in re.split(r"[_\-. /]+", name) if word]
    parts = [official_part(word) for word in words]
    part = next(filter(None, parts), "")
    others = [w for w, p in zip(words, parts, strict=True) if not p and w not in _IGNORED_WORDS]
    return Role(part, tuple(others))


def records_of_arrays(
    file: str, arrays: Sequence[StoredArray], skipped: Counter[str]
) -> list[ImageRecord]:
    """List the images in the arrays of a file, with their labels, groups and columns.

    Parameters
    ----------
    file : str
        Name of the file, for messages.
    arrays : sequence of StoredArray
        All arrays of the file.
    skipped : Counter
        Counts the arrays that are not used.

    Raises
    ------
    DataError
        If there is no array of images, or several for one part. If the images have a dtype or a
        shape that `clipfeat.images.pixel_arrays` does not list. If an array of labels or groups
        does not have one value for each image. If two arrays give the same column.

    Warns
    -----
    ClipfeatWarning
        If several arrays of one part have names of labels. They become columns, and the images are
        unlabelled.
    """
    roles = {array.name: role_of(array.name) for array in arrays}
    images = _image_arrays(file, arrays, roles)
    used = {array.name for array in images.values()}
    records = []
    for part, array in images.items():
        same = [one for one in arrays if roles[one.name].part == part and one.name not in used]
        of_array, names = _records_of(file, array, same, roles)
        records += of_array
        used |= names
    if n_left := len(arrays) - len(used):
        skipped[SKIPPED] += n_left
    return records


def _image_arrays(
    file: str, arrays: Sequence[StoredArray], roles: dict[str, Role]
) -> dict[str, StoredArray]:
    """Return the array of images of each part."""
    named = [array for array in arrays if roles[array.name].plain in IMAGE_NAMES]
    pixels = [one for one in arrays if one.dtype == np.uint8 and len(one.shape) in {3, 4}]
    chosen = named or pixels or (list(arrays) if len(arrays) == 1 else [])
    if not chosen:
        listed = ", ".join(f"{one.name} {one.dtype} {one.shape}" for one in arrays[:10])
        raise DataError(
            f"{file} has no array of images (arrays: {listed or 'none'}). Give the array of "
            "images the name 'x' or 'images'"
        )
    of_part: dict[str, StoredArray] = {}
    for array in chosen:
        other = of_part.setdefault(roles[array.name].part, array)
        if other is not array:
            raise DataError(
                f"{file} has two arrays of images: {other.name} and {array.name}. Keep one of "
                "them, or name them x_train and x_test"
            )
    return of_part


def _records_of(
    file: str, array: StoredArray, same: Sequence[StoredArray], roles: dict[str, Role]
) -> tuple[list[ImageRecord], set[str]]:
    """Return the records of an array of images, and the names of the arrays that describe it."""
    title = f"the array {array.name} of {file}"
    layout = pixel_layout(array.shape, array.dtype, title)
    n = layout.n
    if n > max(MOST_IMAGES, array.n_bytes):
        raise DataError(
            f"{title} claims {n} images in {array.n_bytes} bytes. Get the original file again"
        )
    labels = [one for one in same if roles[one.name].plain in LABELS]
    groups = [one for one in same if roles[one.name].plain in GROUP_NAMES]
    others = [one for one in same if one not in labels and one not in groups]
    described = [one for one in others if one.shape == (n,) and one.dtype.kind in "biufSU"]
    if len(labels) > 1:
        warnings.warn(
            f"{file} has several arrays of labels ({', '.join(one.name for one in labels)}), so "
            "its images are unlabelled. Pass one of them with --label-col",
            ClipfeatWarning,
            stacklevel=2,
        )
        described, labels = [*described, *labels], []
    described, groups = ([*described, *groups], []) if len(groups) > 1 else (described, groups)
    of_label, of_group = (_texts(one[0], n, file) if one else [""] * n for one in (labels, groups))
    column_of: dict[str, StoredArray] = {}
    for one in described:
        other = column_of.setdefault(name := "_".join(roles[one.name].words), one)
        if other is not one:
            raise DataError(
                f"{file} has two arrays for the column {name}: {other.name} and {one.name}. Rename "
                "one of them"
            )
    columns = {name: _texts(one, n, file) for name, one in column_of.items()}
    if part := roles[array.name].part:
        columns[SPLIT] = [part] * n
    names = sorted(columns)
    rows = zip(*(columns[name] for name in names), strict=True) if names else [()] * n
    reader = array.reader(layout)
    records = [
        ImageRecord(
            f"{array.path}/{i:07d}",
            reader(i),
            label=of_label[i],
            group=of_group[i],
            columns=tuple(zip(names, row, strict=True)),
        )
        for i, row in enumerate(rows)
    ]
    return records, {one.name for one in (*labels, *groups, *described)}


def _texts(array: StoredArray, n: int, file: str) -> list[str]:
    """Read an array with one value for each image, and convert the values to text."""
    if array.shape not in {(n,), (n, 1)}:
        hint = ""
        if len(array.shape) == 2 and array.shape[0] == n:
            hint = f". Save the number of the class, for example {array.name}.argmax(axis=1)"
        raise DataError(
            f"the array {array.name} of {file} has the shape {array.shape}, expected one value for "
            f"each of {n} images{hint or '. Correct it'}"
        )
    if array.dtype.kind not in "biufSU":
        raise DataError(
            f"the array {array.name} of {file} has the dtype {array.dtype}, expected numbers or "
            "text. Save it again, for example with .astype(str)"
        )
    values = array.values().reshape(n).tolist()
    return [
        present(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
        for value in values
    ]
