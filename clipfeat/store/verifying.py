"""Checking every byte of a feature file and its parts, some thousand rows at a time.

Reading checks what it reads; this reads all, and holds it against what the format says.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import RefusedFileError
from clipfeat.store.format import KEY_BYTES, ROW_DATASETS, Column, column_dataset
from clipfeat.store.one_file import OpenFile
from clipfeat.store.reading import opened
from clipfeat.system.locations import location

TEXT = ("paths", "groups", "split", "format")
COMPARABLE = np.dtype(f"S{KEY_BYTES}")
"""Keys as NumPy can sort them."""


@dataclass(frozen=True)
class VerifyReport:
    """What was checked, and found whole.

    Parameters
    ----------
    path : Path
        The feature file.
    n_rows : int
        Current rows.
    n_parts : int
        Parts that are not merged yet.
    n_failures : int
        Current failures.
    n_bytes : int
        Size of all its files.
    seconds : float
        How long it took.
    """

    path: Path
    n_rows: int
    n_parts: int
    n_failures: int
    n_bytes: int
    seconds: float


def verify(path: str | Path) -> VerifyReport:
    """Check every byte of a feature file and its parts.

    Its structure is that of the format and every dataset agrees with its checksum; features are
    finite, text is UTF-8, labels point at classes, paths are unique; rows of equal keys hold equal
    features; and the fingerprint is that of the encoder.

    Parameters
    ----------
    path : path
        The feature file.

    Returns
    -------
    VerifyReport
        What was checked. Features are never in memory as a whole.

    Raises
    ------
    RefusedFileError
        If anything is otherwise; the message names the file and what is wrong.
    """
    begun = time.monotonic()
    target = location(path)
    with opened(target) as stored:
        stored.spec.warn_if_untrained(target)
        columns = [_checked_columns(file) for file in stored.files]
        found, counts = np.unique(np.concatenate(columns), return_counts=True)
        doubled = found[counts > 1]
        features_of: dict[bytes, bytes] = {}
        for file, keys in zip(stored.files, columns, strict=True):
            _check_features(file, keys, doubled, features_of)
        return VerifyReport(
            path=target,
            n_rows=stored.n_rows,
            n_parts=len(stored.parts),
            n_failures=len(stored.failures),
            n_bytes=sum(file.n_bytes for file in stored.files),
            seconds=time.monotonic() - begun,
        )


def _checked_columns(file: OpenFile) -> Column:
    """Check everything of a file but its features; its keys are returned."""
    for name in (*ROW_DATASETS, *map(column_dataset, file.column_names)):
        if name in TEXT or "/" in name:
            file.strings(name)
        else:
            file.column(name)
    file.labels()
    file.column("failures/key")
    file.failures()  # for its text
    paths, counts = np.unique(file.strings("paths"), return_counts=True)
    if (counts > 1).any():
        raise RefusedFileError(f"{file.path}: the path {paths[counts > 1][0]} is there twice")
    return file.column("keys").view(COMPARABLE)


def _check_features(
    file: OpenFile, keys: Column, doubled: Column, features_of: dict[bytes, bytes]
) -> None:
    """Check a file's features, and that those of doubled keys are what they were elsewhere."""
    for start, rows in file.features():
        if not np.isfinite(rows).all():
            bad = start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise RefusedFileError(f"{file.path}: the features of row {bad} are not finite")
        for row in np.flatnonzero(np.isin(keys[start : start + len(rows)], doubled)):
            key = keys[start + row].tobytes()
            digest = _digest(rows[row])
            if features_of.setdefault(key, digest) != digest:
                raise RefusedFileError(
                    f"{file.path}: two rows of the key {key.hex()} hold different features"
                )


def _digest(values: NDArray[np.floating]) -> bytes:
    return hashlib.blake2b(values.astype(np.float32).tobytes(), digest_size=16).digest()
