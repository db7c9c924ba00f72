"""Verifying every byte of a feature file and its parts, in blocks of a few thousand rows.

Other readers verify only the data that they read. This module reads everything and checks every
rule of the format.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import KEY_BYTES, REMEDY, ROW_DATASETS, Column, column_dataset
from clipfeat.store.one_file import OpenFile
from clipfeat.store.reading import open_stored
from clipfeat.system.locations import followed, location
from clipfeat.system.progress import Phase, Report, reporting

TEXT = ("paths", "groups", "split", "format")
COMPARABLE = np.dtype(f"S{KEY_BYTES}")
"""Dtype of keys that NumPy can sort."""


@dataclass(frozen=True)
class VerifyReport:
    """Result of verifying an intact feature file.

    Parameters
    ----------
    path : Path
        The feature file.
    n_rows : int
        Number of current rows.
    n_parts : int
        Number of parts that are not merged yet.
    n_failures : int
        Number of current failures.
    n_bytes : int
        Total size in bytes of the files that make up the feature file.
    seconds : float
        Duration of the verification in seconds.
    """

    path: Path
    n_rows: int
    n_parts: int
    n_failures: int
    n_bytes: int
    seconds: float


def verify(path: str | Path, *, progress: bool | Report = True) -> VerifyReport:
    """Verify every byte of a feature file and its parts.

    The structure must follow the format, every dataset must match its checksum, and the fingerprint
    must match the encoder. Features must be finite, text must be UTF-8, labels must be class
    indices, and paths must be unique. Rows with equal keys must have equal features.
    Features are read in blocks, so they need not fit in memory.

    Parameters
    ----------
    path : path
        The feature file.
    progress : bool or callable
        Show the current phase on standard error. A callable is called with each
        `clipfeat.system.progress.Phase` instead.

    Returns
    -------
    VerifyReport
        Counts of the verified file.

    Raises
    ------
    RefusedFileError
        If a check fails. The message names the file and the fault.
    """
    begun = time.monotonic()
    target = followed(location(path))
    with reporting(progress) as report, open_stored(target) as stored:
        stored.spec.warn_if_untrained(target)
        columns = [_checked_columns(file) for file in stored.files]
        keys, counts = np.unique(np.concatenate(columns), return_counts=True)
        doubled = keys[counts > 1]
        features_of: dict[bytes, bytes] = {}
        n_rows, n_checked = sum(file.n_rows for file in stored.files), 0
        for file, keys in zip(stored.files, columns, strict=True):
            for n_of_file in _check_features(file, keys, doubled, features_of):
                report(Phase("verifying", n_checked + n_of_file, n_rows, "rows"))
            n_checked += file.n_rows
        return VerifyReport(
            path=target,
            n_rows=stored.n_rows,
            n_parts=len(stored.parts),
            n_failures=len(stored.failures),
            n_bytes=sum(file.n_bytes for file in stored.files),
            seconds=time.monotonic() - begun,
        )


def _checked_columns(file: OpenFile) -> Column:
    """Verify all datasets of a file except its features, and return its keys."""
    for name in (*ROW_DATASETS, *map(column_dataset, file.column_names)):
        if name in TEXT or "/" in name:
            file.strings(name)
        else:
            file.column(name)
    file.labels()
    file.column("failures/key")
    file.failures()  # decodes the text of the failures
    paths, counts = np.unique(file.strings("paths"), return_counts=True)
    if (counts > 1).any():
        raise RefusedFileError(
            f"{file.path} is damaged: the path {paths[counts > 1][0]} occurs twice. {REMEDY}"
        )
    return file.column("keys").view(COMPARABLE)


def _check_features(
    file: OpenFile, keys: Column, doubled: Column, features_of: dict[bytes, bytes]
) -> Iterator[int]:
    """Verify that a file's features are finite, and equal in rows with equal keys.

    Yield the number of verified rows after each block.
    """
    for start, rows in file.features():
        if not np.isfinite(rows).all():
            bad = start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise RefusedFileError(
                f"{file.path} is damaged: the features of row {bad} are not finite. {REMEDY}"
            )
        for row in np.flatnonzero(np.isin(keys[start : start + len(rows)], doubled)):
            key = keys[start + row].tobytes()
            digest = _digest(rows[row])
            if features_of.setdefault(key, digest) != digest:
                raise RefusedFileError(
                    f"{file.path} is damaged: two rows with key {key.hex()} have different "
                    f"features. {REMEDY}"
                )
        yield start + len(rows)


def _digest(values: NDArray[np.floating]) -> bytes:
    return hashlib.blake2b(values.astype(np.float32).tobytes(), digest_size=16).digest()
