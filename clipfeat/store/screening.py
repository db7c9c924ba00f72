"""Checking the structure of a feature file before reading its contents.

A file of unknown origin may refer to other files (external links, external storage, virtual
datasets), decompress to any size (filters), or claim any shape. Each of these is visible in the
structure of the file, so the file is refused before any of its data are read.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import FAILURE_DATASETS, KEY_BYTES, REMEDY, ROW_DATASETS
from clipfeat.system.escaping import MAX_COLUMNS, MAX_TEXT

ATTRIBUTES = ("clipfeat", "version", "encoder", "fingerprint", "root", "complete", "libraries",
              "provenance", "request")  # fmt: skip
MAX_ATTRIBUTE = 2**20
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
"""Allowed types of each dataset, as HDF5 class and size in bytes. All other datasets are text."""
_CLASSES = {
    h5py.h5t.FLOAT: "float",
    h5py.h5t.INTEGER: "integer",
    h5py.h5t.STRING: "text",
    h5py.h5t.OPAQUE: "opaque",
}
"""The allowed HDF5 classes of types, with their names in messages."""

_Extent = tuple[int, int, str]
"""First byte of a dataset's data, the byte after its data, and the dataset's name."""


def screen(h5: Any, path: Path, length: int) -> None:
    """Check that the structure of an open file follows the format.

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
        If a link is not a hard link. If a dataset is not contiguous, has a filter, or is virtual or
        stored in another file. If a dataset has a type or a shape that the format does not allow.
        If a dataset claims more bytes than the file has, or shares bytes with another dataset.
        If an attribute is not a single value.
    """
    root = h5.id
    extents: list[_Extent] = []
    for name in ATTRIBUTES:
        _check_attribute(root, name, path)
    shapes = {
        name: _check_dataset(root, name, path, length, extents)
        for name in ("features", "labels", "class_names", *ROW_DATASETS)
    }
    _check_lengths(shapes, ("features", "labels", *ROW_DATASETS), path)
    failures = _group(root, "failures", path)
    if failures is not None:
        lengths = {n: _check_dataset(failures, n, path, length, extents) for n in FAILURE_DATASETS}
        _check_lengths(lengths, FAILURE_DATASETS, path)
    columns = _group(root, "columns", path)
    if columns is not None:
        if (n_columns := columns.get_num_objs()) > MAX_COLUMNS:
            raise _refusal(
                path, f"it has {n_columns} columns, but at most {MAX_COLUMNS} are allowed"
            )
        for encoded in columns:
            name = encoded.decode(errors="replace")
            column = f"columns/{name}"
            shapes[column] = _check_dataset(columns, name, path, length, extents, "columns")
            _check_lengths(shapes, ("features", column), path)
    _check_separate(extents, path)


def _check_separate(extents: list[_Extent], path: Path) -> None:
    """Check that no two datasets share bytes, so they are together no larger than the file."""
    extents.sort()
    for (_, end, name), (start, _, other) in pairwise(extents):
        if start < end:
            raise _refusal(path, f"the datasets {name!r} and {other!r} use the same bytes")


def _check_lengths(
    shapes: Mapping[str, tuple[int, ...] | None], names: Sequence[str], path: Path
) -> None:
    """Check that datasets have equal lengths. Skip missing datasets, which fail when read."""
    lengths = {shapes[name][:1] for name in names if shapes[name] is not None}  # type: ignore[index]
    if len(lengths) > 1:
        counts = " or ".join(str(n) for (n,) in sorted(lengths))
        raise _refusal(path, f"the datasets {', '.join(names)} differ in length ({counts} values)")


def _group(parent: Any, name: str, path: Path) -> Any:
    if not _is_hard(parent, name, path):
        return None
    if h5py.h5o.get_info(parent, name.encode()).type != h5py.h5o.TYPE_GROUP:
        raise _refusal(path, f"{name!r} must be a group")
    return h5py.h5g.open(parent, name.encode())


def _is_hard(parent: Any, name: str, path: Path) -> bool:
    """Return whether a name exists. Refuse the file if the name is a soft or external link."""
    if not parent.links.exists(name.encode()):
        return False
    if parent.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise _refusal(path, f"{name!r} must be a hard link, but is a soft or external link")
    return True


def _check_dataset(
    parent: Any, name: str, path: Path, length: int, extents: list[_Extent], role: str = ""
) -> tuple[int, ...] | None:
    """Check a dataset against the format. Return its shape, or None if it does not exist.

    The position of its data is added to `extents`.
    """
    role = role or name
    if not _is_hard(parent, name, path):
        return None
    if h5py.h5o.get_info(parent, name.encode()).type != h5py.h5o.TYPE_DATASET:
        raise _refusal(path, f"{name!r} must be a dataset")
    dataset = h5py.h5d.open(parent, name.encode())
    properties = dataset.get_create_plist()
    if properties.get_layout() != h5py.h5d.CONTIGUOUS or properties.get_nfilters():
        raise _refusal(path, f"{name!r} must be contiguous and without filters")
    if properties.get_external_count():
        raise _refusal(path, f"{name!r} must not store its data in another file")
    _check_type(dataset.get_type(), path, repr(name))
    shape = dataset.get_space().get_simple_extent_dims()
    n_bytes = int(np.prod(shape, dtype=object)) * dataset.get_type().get_size()
    offset = dataset.get_offset()
    if n_bytes and (offset is None or offset + n_bytes > length):
        raise _refusal(
            path, f"{name!r} claims {n_bytes} bytes, but the file has only {length} bytes"
        )
    if n_bytes:
        extents.append((offset, offset + n_bytes, name))
    _check_attribute(dataset, "crc32", path)
    if len(shape) != N_DIMENSIONS.get(role, 1):
        n = N_DIMENSIONS.get(role, 1)
        raise _refusal(path, f"{name!r} must be {n}-dimensional, got the shape {shape}")
    kind = dataset.get_type()
    allowed = KINDS.get(role, [(STRING, kind.get_size())])
    if (kind.get_class(), kind.get_size()) not in allowed:
        expected = " or ".join(_type_name(*one) for one in allowed)
        actual = _type_name(kind.get_class(), kind.get_size())
        raise _refusal(path, f"{name!r} must have the type {expected}, got {actual}")
    return tuple(shape)


def _refusal(path: Path, fault: str) -> RefusedFileError:
    return RefusedFileError(f"{path} does not follow the format: {fault}. {REMEDY}")


def _type_name(code: int, size: int) -> str:
    return f"{_CLASSES.get(code, f'HDF5 class {code}')} of {size} bytes"


def _check_attribute(parent: Any, name: str, path: Path) -> None:
    if h5py.h5a.exists(parent, name.encode()):
        attribute = h5py.h5a.open(parent, name.encode())
        _check_type(attribute.get_type(), path, f"the attribute {name!r}", MAX_ATTRIBUTE)
        if attribute.get_space().get_simple_extent_type() != h5py.h5s.SCALAR:
            raise _refusal(path, f"the attribute {name!r} must be a single value, not an array")
        if (size := attribute.get_storage_size()) > MAX_ATTRIBUTE:
            fault = f"{size} bytes, but at most {MAX_ATTRIBUTE} bytes are allowed"
            raise _refusal(path, f"the attribute {name!r} has {fault}")


def _check_type(kind: Any, path: Path, name: str, most: int = MAX_TEXT) -> None:
    code = kind.get_class()
    size = kind.get_size()
    if (
        code not in _CLASSES
        or size > most
        or (code == h5py.h5t.STRING and kind.is_variable_str())
        or (code == h5py.h5t.OPAQUE and size != KEY_BYTES)
    ):
        variable = code == h5py.h5t.STRING and kind.is_variable_str()
        actual = "text of variable length" if variable else _type_name(code, size)
        raise _refusal(
            path,
            f"the type of {name} is {actual}. It must be integer, float, text of fixed length or "
            f"opaque ({KEY_BYTES} bytes). Its values must have at most {most} bytes",
        )
