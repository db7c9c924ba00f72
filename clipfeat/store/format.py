"""The feature file, version 1.

``h5py.File("out.h5")["features"][:]`` works for somebody who has never heard of clipfeat. This
page says what a file holds, in the words of RFC 2119.

Files
-----
``out.h5`` is the *snapshot*; it MUST only ever be replaced whole, by rename. ``out.h5.parts/``
holds *parts*: immutable files of the same format, named ``<sequence>-<random>.h5``, or
``<sequence>-<place>-<random>.h5`` by workers that share a sequence, each of some rows committed
since the snapshot. ``out.h5.lock`` is held by the one writer; workers publish parts on its behalf
without it. A reader MUST take snapshot and parts together, the snapshot first and the parts by
name, and MUST keep, of the rows and failures that share a path, only the last. A file whose name
ends in ``.tmp`` MUST be ignored.

A large feature file, and one on an object store, has *shards* in place of the snapshot: immutable
files of the same format in ``out.h5.shards/``, and beside them ``generation-<number>.json``. Of
these the one of the highest number holds: it names the shards in their order, and the parts that
were merged into them. Where there is one, a reader MUST take its shards and the parts it does not
name, MUST ignore ``out.h5`` and every other shard, and MUST refuse a file of which a shard is
missing. A writer MUST create the file of the next number atomically, and only where there is none;
a generation MUST NOT be changed or deleted.

Datasets
--------
All MUST be contiguous, without filters, of fixed shape, with no variable-length or external data,
and each MUST carry the attribute ``crc32`` of its bytes. N is the number of rows.

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
``columns/<name>``      (N,)         fixed-length UTF-8; MAY be there, any number; the name is
                                     percent-encoded, dots too
``failures/path``       (M,)         images that gave no row
``failures/key``        (M,)         as ``keys``; all zero where no bytes were read
``failures/reason``     (M,)         the class of what went wrong
``failures/message``    (M,)         what went wrong
======================  ===========  ====================================================

A file that was imported from another tool MAY hold digests of paths or of features as ``keys``,
and zeros where sizes are unknown. Two rows of equal key MUST hold equal features: equal bytes are
encoded once. The order of rows carries no meaning, but an uninterrupted run keeps the source's.

Attributes of the file
----------------------
``clipfeat`` MUST be ``"features"`` and ``version`` MUST be 1; a reader MUST refuse others.
``encoder`` is the encoder's identity as JSON and ``fingerprint`` its digest; they MUST agree.
``root`` is the folder that paths are relative to. ``complete`` is true once a run has seen its
whole source. ``libraries`` and ``provenance`` (JSON) are for people; a reader MUST NOT depend on
them. ``request`` (JSON) is what the encoder was asked for by; a writer that is asked for the same
need not open it to see that nothing is new. Unknown attributes and datasets MUST be ignored.

To raise the version: add a branch to `reading`, keep a small file of the old version under
``tests/store/files``, and write down here what changed.
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

Column = NDArray[np.generic]

ROW_DATASETS = ("keys", "paths", "groups", "split", "image_size", "file_size", "format")
FAILURE_DATASETS = ("path", "key", "reason", "message")


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of one image, beside its features; see the datasets of the format."""

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
    """Rows and failures on their way into one file.

    Parameters
    ----------
    features : ndarray of shape (n_rows, n_features)
        float16 or float32.
    rows : sequence of Row
        As many as there are features.
    failures : sequence of Failure
        Images that gave no row.
    """

    features: NDArray[np.floating]
    rows: Sequence[Row]
    failures: Sequence[Failure] = ()


def text_column(values: Sequence[str]) -> Column:
    """Encode strings as fixed-length UTF-8, wide enough for the longest.

    Characters that UTF-8 cannot hold (a file name that is not text) are kept as escapes.
    """
    encoded = [value.encode("utf-8", "backslashreplace") for value in values]
    return np.array(encoded, dtype=f"S{max(map(len, encoded), default=1) or 1}")


def column_dataset(name: str) -> str:
    """The dataset of a further column; HDF5 reads slashes and dots in names as paths."""
    return "columns/" + quote(name, safe=" ").replace(".", "%2E")


def key_column(keys: Sequence[bytes]) -> Column:
    """Keys as opaque 16-byte values."""
    return np.frombuffer(b"".join(key or NO_KEY for key in keys), dtype=KEY)


def segment_columns(segment: Segment) -> dict[str, Column]:
    """Every dataset of a file that holds just this segment, by name, but for the features."""
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
    """CRC-32 of an array's bytes in C order, continued from `start`."""
    return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data, start)
