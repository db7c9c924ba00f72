"""What a feature file may be made of, checked before a byte of its contents is read.

A file from somebody else may point at other files (external links, external storage, virtual
datasets), unpack to any size (filters), or claim any shape. Each of these is refused by what the
file's own structure says, without following it.
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
"""Class and size of each dataset's type; all others are text."""
_CLASSES = (h5py.h5t.FLOAT, h5py.h5t.INTEGER, h5py.h5t.STRING, h5py.h5t.OPAQUE)


def check_regular(path: Path) -> os.stat_result:
    """Refuse what is no regular file: opening a FIFO would wait for ever.

    Returns
    -------
    os.stat_result
        What was there.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    RefusedFileError
        If it is something else.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise RefusedFileError(f"{path} is not a regular file")
    return found


def screen(h5: Any, path: Path, length: int) -> None:
    """Refuse an open file whose structure is not that of the format.

    Parameters
    ----------
    h5 : h5py.File
        Open for reading.
    path : Path
        Its name.
    length : int
        Bytes of the file.

    Raises
    ------
    RefusedFileError
        If a link is not hard, or a dataset is not contiguous, is filtered, virtual or stored
        elsewhere, has a type that is not of the format, or claims more bytes than the file has.
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
        of_failures = {n: _check_dataset(failures, n, path, length) for n in FAILURE_DATASETS}
        _check_lengths(of_failures, FAILURE_DATASETS, path)
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
    """Refuse columns of unequal length; one that is missing is found when it is read."""
    lengths = {shapes[name][:1] for name in names if shapes[name] is not None}  # type: ignore[index]
    if len(lengths) > 1:
        raise RefusedFileError(f"{path}: the columns {', '.join(names)} differ in length")


def _group(parent: Any, name: str, path: Path) -> Any:
    if not _is_hard(parent, name, path):
        return None
    if h5py.h5o.get_info(parent, name.encode()).type != h5py.h5o.TYPE_GROUP:
        raise RefusedFileError(f"{path}: {name!r} is no group")
    return h5py.h5g.open(parent, name.encode())


def _is_hard(parent: Any, name: str, path: Path) -> bool:
    """Whether a name is there; refuses links that lead elsewhere."""
    if not parent.links.exists(name.encode()):
        return False
    if parent.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise RefusedFileError(f"{path}: {name!r} is a link to somewhere else")
    return True


def _check_dataset(
    parent: Any, name: str, path: Path, length: int, role: str = ""
) -> tuple[int, ...] | None:
    """Refuse a dataset that is not of the format; the shape of one that is."""
    role = role or name
    if not _is_hard(parent, name, path):
        return None
    if h5py.h5o.get_info(parent, name.encode()).type != h5py.h5o.TYPE_DATASET:
        raise RefusedFileError(f"{path}: {name!r} is no dataset")
    dataset = h5py.h5d.open(parent, name.encode())
    how = dataset.get_create_plist()
    if how.get_layout() != h5py.h5d.CONTIGUOUS or how.get_nfilters():
        raise RefusedFileError(f"{path}: {name!r} is not plain contiguous data")
    if how.get_external_count():
        raise RefusedFileError(f"{path}: {name!r} keeps its data in another file")
    _check_type(dataset.get_type(), f"{path}: {name!r}")
    shape = dataset.get_space().get_simple_extent_dims()
    n_bytes = int(np.prod(shape, dtype=object)) * dataset.get_type().get_size()
    offset = dataset.get_offset()
    if n_bytes and (offset is None or offset + n_bytes > length):
        raise RefusedFileError(f"{path}: {name!r} claims {n_bytes} bytes; the file has {length}")
    _check_attribute(dataset, "crc32", path)
    if len(shape) != N_DIMENSIONS.get(role, 1):
        raise RefusedFileError(f"{path}: {name!r} must not be of shape {shape}")
    kind = dataset.get_type()
    if (kind.get_class(), kind.get_size()) not in KINDS.get(role, [(STRING, kind.get_size())]):
        raise RefusedFileError(f"{path}: {name!r} is of a type that is not of the format")
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
        raise RefusedFileError(f"{where} is of a type that is not of the format")
