"""The feature file, version 1.

``h5py.File("out.h5")["features"][:]`` reads the features without clipfeat. The words MUST, MAY and
MUST NOT are used as in RFC 2119.

Files
-----
``out.h5`` is the *snapshot*. It MUST only be replaced as a whole, by rename. ``out.h5.parts/``
contains *parts*: immutable files of the same format. They have the rows, and the *failures* (images
without a row), that were committed since the snapshot. There is one writer, which holds
``out.h5.lock`` and names its parts ``<sequence>-<random>.h5``. Workers publish parts on its behalf
without the lock. They share one sequence number and name their parts
``<sequence>-<place>-<random>.h5``. The place is the index of the part's first image in the source.

The snapshot comes first, and the parts follow in the order of their names. If several rows or
failures have the same path, a reader MUST keep only the last of them. It is *current*, and the
earlier ones are *superseded*. A reader MUST ignore files whose name ends in ``.tmp``.

A feature file that is large or on an object store has *shards* instead of the snapshot: immutable
files of the same format in ``out.h5.shards/``. Files named ``generation-<number>.json`` in the same
folder are *generations*. A generation lists its shards in order. Under *merged*, it lists the parts
or the snapshot whose rows are in these shards. The generation with the highest number is valid.

If a generation exists, a reader MUST read its shards, and then the parts that it does not list as
merged. The reader MUST ignore all other shards, and an ``out.h5`` that the generation lists as
merged. The reader MUST refuse the feature file if a shard of the generation is missing. It MUST
also refuse the feature file if ``out.h5`` exists and the generation does not list it as merged.

A writer MUST create the generation with the next number atomically, and only if no generation with
that number exists. A generation MUST NOT be changed or deleted.

Datasets
--------
All datasets MUST be contiguous and of fixed shape, without filters, variable-length or external
data. Each MUST have the attribute ``crc32``, which is the CRC-32 of its bytes. N is the number of
rows, D the number of features, K the number of classes, and M the number of failures.

======================  ===========  ====================================================
``features``            (N, D)       float16 or float32; finite; not normalised
``keys``                (N,)         16 opaque bytes: BLAKE2b-128 of the image file's bytes
``paths``               (N,)         fixed-length UTF-8, relative to ``root``, unique
``labels``              (N,)         int32, index into ``class_names``, -1 for unknown
``class_names``         (K,)         fixed-length UTF-8
``groups``              (N,)         fixed-length UTF-8; empty for none
``split``               (N,)         fixed-length UTF-8; empty for none
``image_size``          (N, 2)       int32: height, width in pixels
``file_size``           (N,)         int64, bytes
``format``              (N,)         fixed-length UTF-8: JPEG, PNG, ...
``columns/<name>``      (N,)         fixed-length UTF-8; any number, MAY be absent; the name is
                                     percent-encoded, including dots
``failures/path``       (M,)         images without a row
``failures/key``        (M,)         as ``keys``; all zero if no bytes were read
``failures/reason``     (M,)         the name of the error class
``failures/message``    (M,)         the error message
======================  ===========  ====================================================

A file imported from another tool MAY have digests of paths or of features as ``keys``, and zeros
for unknown sizes. Two rows with equal keys MUST have equal features, since identical images are
encoded once. The order of rows has no meaning, but an uninterrupted run keeps the source's order.

Attributes of the file
----------------------
``clipfeat`` MUST be ``"features"`` and ``version`` MUST be 1. A reader MUST refuse other values.
``encoder`` is the encoder's identity as JSON, and ``fingerprint`` is its digest. They MUST agree.
``root`` is the folder that paths are relative to. ``complete`` is true after a run that reached the
end of its source. ``libraries`` and ``provenance`` (JSON) are for people, and a reader MUST NOT
depend on them. ``request`` (JSON) records the encoder's name and options. If a later run has the
same request and no image is new, the run need not load the encoder. Unknown attributes and
datasets MUST be ignored.

To raise the version, add a branch to `clipfeat.store.one_file.open_file`, keep a small file of the
old version in ``tests/store/files``, and describe the change here.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from clipfeat.features import Failure

KIND = "features"
VERSION = 1
KEY_BYTES = 16
KEY = np.dtype(f"V{KEY_BYTES}")
NO_KEY = bytes(KEY_BYTES)
PARTS_SUFFIX = ".parts"
SHARDS_SUFFIX = ".shards"
LOCK_SUFFIX = ".lock"
REMEDY = "Restore the file from a copy, or embed the images again with --overwrite."
"""Remedy for a damaged file, at the end of error messages."""

Column = NDArray[np.generic]

ROW_DATASETS = ("keys", "paths", "groups", "split", "image_size", "file_size", "format")
FAILURE_DATASETS = ("path", "key", "reason", "message")


@dataclass(frozen=True, slots=True)
class Row:
    """Metadata of one image. Each field is stored in a dataset of the format."""

    path: str
    key: bytes
    label: str = ""
    group: str = ""
    height: int = 0
    width: int = 0
    file_size: int = 0
    format: str = ""
    columns: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Segment:
    """Rows and failures to be written into one file.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        Features, as float16 or float32.
    rows : sequence of Row, of length n_rows
        The images' metadata.
    failures : sequence of Failure
        Images that have no row.
    """

    features: NDArray[np.floating]
    rows: Sequence[Row]
    failures: Sequence[Failure] = ()


def text_column(values: Sequence[str]) -> Column:
    """Encode strings as UTF-8 of a fixed length: the length of the longest encoded string.

    Characters that UTF-8 cannot represent become backslash escapes. Such characters occur in file
    names that are not valid UTF-8.
    """
    encoded = [value.encode("utf-8", "backslashreplace") for value in values]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=1) or 1}")


def column_dataset(name: str) -> str:
    """Return the name of the dataset that stores a column of the source.

    Slashes and dots are escaped, since HDF5 interprets them as parts of a path.
    """
    return "columns/" + quote(name, safe=" ").replace(".", "%2E")


def key_column(keys: Sequence[bytes]) -> Column:
    """Return keys as an array of opaque 16-byte values."""
    return np.frombuffer(b"".join(key or NO_KEY for key in keys), dtype=KEY)


def segment_columns(segment: Segment) -> dict[str, Column]:
    """Return all datasets of a segment except the features, by name."""
    rows, failures = segment.rows, segment.failures
    class_names = sorted({row.label for row in rows} - {""})
    code = {name: i for i, name in enumerate(class_names)}
    more = [dict(row.columns) for row in rows]
    names = sorted({name for columns in more for name in columns} - {"split"})
    sizes = [(row.height, row.width) for row in rows]
    return {
        "keys": key_column([row.key for row in rows]),
        "paths": text_column([row.path for row in rows]),
        "labels": np.array([code.get(row.label, -1) for row in rows], dtype="<i4"),
        "class_names": text_column(class_names),
        "groups": text_column([row.group for row in rows]),
        "split": text_column([columns.get("split", "") for columns in more]),
        "image_size": np.array(sizes, dtype="<i4").reshape(-1, 2),
        "file_size": np.array([row.file_size for row in rows], dtype="<i8"),
        "format": text_column([row.format for row in rows]),
        **{
            column_dataset(name): text_column([columns.get(name, "") for columns in more])
            for name in names
        },
        "failures/path": text_column([failure.path for failure in failures]),
        "failures/key": key_column([failure.key for failure in failures]),
        "failures/reason": text_column([failure.reason for failure in failures]),
        "failures/message": text_column([failure.message[:500] for failure in failures]),
    }


def checksum(values: Column, start: int = 0) -> int:
    """Compute the CRC-32 of an array's bytes in C order.

    `start` is the checksum of the preceding bytes.
    """
    return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data, start)
