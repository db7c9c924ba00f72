"""Checking the structure of a feature file before reading its contents.

A file from a stranger may refer to other files (external links, external storage, virtual
datasets), decompress to any size (filters), or claim any shape. The file's structure reveals each
of these, so they are refused without being followed.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import FAILURE_DATASETS, KEY_BYTES, ROW_DATASETS

ATTRIBUTES = ("clipfeat", "version", "encoder", "fingerprint", "root", "complete", "libraries",
              "provenance", "request")  # fmt: skip
MAX_ATTRIBUTE = 2**20
MAX_TEXT = 2**16
MAX_COLUMNS = 1000
N_DIMENSIONS = {"features": 2, "image_size": 2}
STRING = h5py.h5t.STRING
KINDS = {
    "features": [(h5py.h5t.FLOAT, 2), (h5py.h5t.FLOAT, 4)],
    "keys": [(h5py.h5t.OPAQUE, KEY_BYTES)],
    "key": [(h5py.h5t.OPAQUE, KEY_BYTES)],
    "labels": [(h5py.h5t.INTEGER, 4)],
    "image_size": [(h5py.h5t.INTEGER, 4)],
    "file_size": [(h5py.h5t.INTEGER, 8)],
}
"""Class and size of each dataset's type; all other datasets are text."""
_CLASSES = (h5py.h5t.FLOAT, h5py.h5t.INTEGER, h5py.h5t.STRING, h5py.h5t.OPAQUE)


def check_regular(path: Path) -> os.stat_result:
    """Check that a path is a regular file: opening a FIFO would block.

    Returns
    -------
    os.stat_result
        The file's status.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    RefusedFileError
        If it is not a regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise RefusedFileError(f"{path} is not a regular file")
    return status


def screen(h5: Any, path: Path, length: int) -> None:
    """Check that the structure of an open file is that of the format.

    Parameters
    ----------
    h5 : h5py.File
        The file, open for reading.
    path : Path
        The file's name, for messages.
    length : int
        The file's size in bytes.

    Raises
    ------
    RefusedFileError
        If a link is not a hard link. If a dataset is not contiguous, has a filter, is virtual or
        stored in another file, has a foreign type, or claims more bytes than the file has.
    """
    root = h5.id
    for name in ATTRIBUTES:
        _check_attribute(root, name, path)
    shapes = {
        name: _check_dataset(root, name, path, length)
        for name in ("features", "labels", "class_names", *ROW_DATASETS)
    }
    _check_lengths(shapes, ("features", "labels", *ROW_DATASETS), path)
    failures = _group(root, "failures", path)
    if failures is not None:
        lengths = {n: _check_dataset(failures, n, path, length) for n in FAILURE_DATASETS}
        _check_lengths(lengths, FAILURE_DATASETS, path)
    columns = _group(root, "columns", path)
    if columns is not None:
        if columns.get_num_objs() > MAX_COLUMNS:
            raise RefusedFileError(f"{path}: more than {MAX_COLUMNS} columns")
        for encoded in columns:
            name = encoded.decode(errors="replace")
            column = f"columns/{name}"
            shapes[column] = _check_dataset(columns, name, path, length, role="columns")
            _check_lengths(shapes, ("features", column), path)


def _check_lengths(
    shapes: Mapping[str, tuple[int, ...] | None], names: Sequence[str], path: Path
) -> None:
    """Check that columns have equal lengths; a missing one is reported when it is read."""
    lengths = {shapes[name][:1] for name in names if shapes[name] is not None}  # type: ignore[index]
    if len(lengths) > 1:
        raise RefusedFileError(f"{path}: the columns {', '.join(names)} differ in length")


def _group(parent: Any, name: str, path: Path) -> Any:
    if not _is_hard(parent, name, path):
        return None
    if h5py.h5o.get_info(parent, name.encode()).type != h5py.h5o.TYPE_GROUP:
        raise RefusedFileError(f"{path}: {name!r} is not a group")
    return h5py.h5g.open(parent, name.encode())


def _is_hard(parent: Any, name: str, path: Path) -> bool:
    """Return whether a name exists; refuse soft and external links."""
    if not parent.links.exists(name.encode()):
        return False
    if parent.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise RefusedFileError(f"{path}: {name!r} is a soft or external link")
    return True


def _check_dataset(
    parent: Any, name: str, path: Path, length: int, role: str = ""
) -> tuple[int, ...] | None:
    """Check a dataset against the format and return its shape; None if it does not exist."""
    role = role or name
    if not _is_hard(parent, name, path):
        return None
    if h5py.h5o.get_info(parent, name.encode()).type != h5py.h5o.TYPE_DATASET:
        raise RefusedFileError(f"{path}: {name!r} is not a dataset")
    dataset = h5py.h5d.open(parent, name.encode())
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_nfilters():
        raise RefusedFileError(f"{path}: {name!r} is not contiguous and unfiltered")
    if properties.get_external_count():
        raise RefusedFileError(f"{path}: {name!r} stores its data in another file")
    _check_type(dataset.get_type(), f"{path}: {name!r}")
    shape = dataset.get_space().get_simple_extent_dims()
    n_bytes = int(np.prod(shape, dtype=object)) * dataset.get_type().get_size()
    offset = dataset.get_offset()
    if n_bytes and (offset is None or offset + n_bytes > length):
        raise RefusedFileError(f"{path}: {name!r} claims {n_bytes} bytes; the file has {length}")
    _check_attribute(dataset, "crc32", path)
    if len(shape) != N_DIMENSIONS.get(role, 1):
        expected = N_DIMENSIONS.get(role, 1)
        raise RefusedFileError(
            f"{path}: {name!r} has shape {shape}; expected {expected} dimensions"
        )
    kind = dataset.get_type()
    if (kind.get_class(), kind.get_size()) not in KINDS.get(role, [(STRING, kind.get_size())]):
        raise RefusedFileError(f"{path}: {name!r} has a type that the format does not allow")
    return tuple(shape)


def _check_attribute(parent: Any, name: str, path: Path) -> None:
    if h5py.h5a.exists(parent, name.encode()):
        attribute = h5py.h5a.open(parent, name.encode())
        _check_type(attribute.get_type(), f"{path}: the attribute {name!r}", MAX_ATTRIBUTE)
        if attribute.get_storage_size() > MAX_ATTRIBUTE:
            raise RefusedFileError(f"{path}: the attribute {name!r} is too large")


def _check_type(kind: Any, where: str, most: int = MAX_TEXT) -> None:
    code = kind.get_class()
    size = kind.get_size()
    if (
        code not in _CLASSES
        or size > most
        or (code == h5py.h5t.STRING and kind.is_variable_str())
        or (code == h5py.h5t.OPAQUE and size != KEY_BYTES)
    ):
        raise RefusedFileError(f"{where} has a type that the format does not allow")
