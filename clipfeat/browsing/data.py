"""The images that the application shows: one row per file, with columns to filter by."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.subject import Subject, subject_of
from clipfeat.errors import DataError
from clipfeat.features import FeatureSet, Strings
from clipfeat.features.column_names import OWN_COLUMNS
from clipfeat.features.face_keys import face_key
from clipfeat.images.record import image_key
from clipfeat.store.image_folder import image_folder
from clipfeat.store.loading import paths_without_size
from clipfeat.system.escaping import terminal_text

CLASS = "class"
GROUP = "group"
COLUMN = "column:"
"""Prefix of the key of a facet that is a column of the feature file."""
MAX_VALUES = 200
"""Maximum number of distinct values of a column that is offered as a filter."""
MAX_CLASSES = 2**16 - 1
"""Maximum number of classes that are offered as a filter. `BrowseFacet.codes` have 16 bits."""
UNKNOWN = "(unknown)"


@dataclass(frozen=True, eq=False)
class BrowseFacet:
    """A property of the images with few values, to filter and to colour by.

    Parameters
    ----------
    key : str
        Name of the facet in a query, such as ``"class"`` or ``"column:generator"``.
    title : str
        Name of the facet on the page.
    values : tuple of str
        Distinct values, with escaped control characters. An empty value is `UNKNOWN`.
    codes : ndarray of shape (n_files,), uint16
        Index of each file's value in `values`.
    """

    key: str
    title: str
    values: tuple[str, ...]
    codes: NDArray[np.uint16]

    @property
    def counts(self) -> list[int]:
        """Number of files of each value."""
        counts: list[int] = np.bincount(self.codes, minlength=len(self.values)).tolist()
        return counts


@dataclass(frozen=True, eq=False)
class BrowseData:
    """Images to browse.

    Parameters
    ----------
    title : str
        Names of the feature files.
    subject : Subject
        One row per file, as in an audit. A file with several rows (views, faces, frames) is
        represented by its first row.
    roots : tuple of str
        Folders whose images may be shown.
    all_rows : FeatureSet, optional
        Features of all rows of the files. By default, each file has one row.
    is_hashed : ndarray of shape (n_files,), bool, optional
        Whether the key of each file is known to be the hash of its bytes. By default, this is not
        known for any file. Frames of videos and imported features have other keys.
    """

    title: str
    subject: Subject
    roots: tuple[str, ...] = ()
    all_rows: FeatureSet | None = None
    is_hashed: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.features)

    @property
    def features(self) -> FeatureSet:
        """Features of the first row of each file."""
        return self.subject.features

    @property
    def rows(self) -> FeatureSet:
        """Features of all rows of the files."""
        return self.features if self.all_rows is None else self.all_rows

    @cached_property
    def file_of_row(self) -> NDArray[np.int64]:
        """Index of the file of each of `rows`."""
        order = np.argsort(self.paths)
        return order[np.searchsorted(self.paths, self.rows.files, sorter=order)]

    @cached_property
    def paths(self) -> Strings:
        """Path of each file, relative to one of the roots."""
        return self.features.files

    @cached_property
    def row_of(self) -> Mapping[str, int]:
        """Index of each file by the path of its first row."""
        return {path: i for i, path in enumerate(self.features.paths.tolist())}

    @cached_property
    def version(self) -> str:
        """Digest of roots, paths and content hashes. The browser caches thumbnails by version."""
        digest = hashlib.blake2b(
            repr(self.roots).encode("utf-8", "backslashreplace"), digest_size=8
        )
        for values in (self.features.keys, np.char.encode(self.paths, "utf-8", "surrogatepass")):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    @cached_property
    def facets(self) -> Mapping[str, BrowseFacet]:
        """Facets by key: the class, and all columns and groups with 2 to `MAX_VALUES` values.

        More than `MAX_CLASSES` classes are not a facet.
        """
        features = self.features
        facets = {}
        if len(features.classes) <= MAX_CLASSES:
            facets[CLASS] = class_facet(features)
        columns = {COLUMN + name: values for name, values in features.columns.items()}
        if features.groups is not None:
            columns[GROUP] = features.groups
        for key, values in columns.items():
            title = key.removeprefix(COLUMN)
            if title not in OWN_COLUMNS and (facet := facet_of(key, title, values)) is not None:
                facets[key] = facet
        return facets

    def content_hash(self, row: int) -> str:
        """Return the key of a file if it is the hash of its bytes, or an empty text."""
        is_hashed = self.is_hashed is not None and bool(self.is_hashed[row])
        return str(self.features.keys[row].decode()) if is_hashed else ""

    def has_bytes(self, row: int, data: bytes) -> bool:
        """Return whether these bytes match the content hash of a file, or the hash is unknown."""
        expected = self.content_hash(row)
        if not expected:
            return True
        key = image_key(data)
        face = self.features.columns.get("face")
        if face is not None and str(face[row]).isdecimal():
            key = face_key(key, str(face[row]))
        return key.hex() == expected

    def columns(self, row: int) -> dict[str, str]:
        """Return the group and the further columns of a file, without empty values."""
        features = self.features
        of = {name: str(values[row]) for name, values in features.columns.items()}
        if features.groups is not None:
            of = {GROUP: str(features.groups[row]), **of}
        return {name: value for name, value in of.items() if value}


def class_facet(features: FeatureSet) -> BrowseFacet:
    """Return the facet of the labels, with the classes in their own order."""
    values = [terminal_text(name) for name in features.classes]
    codes = features.y.copy()
    if (codes < 0).any() or not values:
        codes[codes < 0] = len(values)
        values.append(UNKNOWN)
    return BrowseFacet(CLASS, CLASS, tuple(values), codes.astype(np.uint16))


def facet_of(key: str, title: str, column: Strings) -> BrowseFacet | None:
    """Return the facet of a column, or None if it has one value or too many.

    Examples
    --------
    >>> facet = facet_of("column:split", "split", np.array(["test", "", "test"]))
    >>> facet.values, facet.codes.tolist(), facet.counts
    (('(unknown)', 'test'), [1, 0, 1], [1, 2])
    >>> facet_of("column:split", "split", np.array(["test", "test"])) is None
    True
    """
    values, codes = np.unique(column, return_inverse=True)
    if not 2 <= len(values) <= MAX_VALUES:
        return None
    names = tuple(terminal_text(value) or UNKNOWN for value in values.tolist())
    return BrowseFacet(key, title, names, codes.astype(np.uint16))


def open_browse_data(
    features: FeatureSet, files: Sequence[str | Path], images: Sequence[str | Path] = ()
) -> BrowseData:
    """Prepare the images of feature files for browsing.

    Parameters
    ----------
    features : FeatureSet
        Features of the files, possibly with other labels.
    files : sequence of path
        The feature files.
    images : sequence of path
        Folders of the images. By default, the folder that a feature file records is used, but only
        if the same user embedded the images on this computer.

    Raises
    ------
    DataError
        If there are no images.
    RefusedFileError
        If a file is damaged.
    UsageError
        If one of `images` is not a folder.
    """
    roots = [image_folder(files[0], folder) for folder in images] or list(map(image_folder, files))
    if not len(features):
        raise DataError(
            f"{files[0]} holds no images. Add images with `clipfeat embed images/ {files[0]}`"
        )
    unhashed = paths_without_size(files[0])
    title = " + ".join(Path(file).name for file in files)
    kept = tuple(dict.fromkeys(root for root in roots if root))
    subject = subject_of(features, {})
    has_rows = len(subject.features) < len(features)
    is_hashed = np.array([path not in unhashed for path in subject.features.paths.tolist()])
    return BrowseData(title, subject, kept, features if has_rows else None, is_hashed)
