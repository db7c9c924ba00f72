"""Rows in the order of a fit, which can differ from their order in the feature file.

Boosters sample the rows of each tree by position. A fit sorts its rows by content hash, so that the
result does not depend on the order of the file. For a booster, the rows are therefore copied to a
temporary file in this order. A linear classifier reads the feature file directly, because it only
adds up contributions of rows.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import StorageError
from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.system.files import storage_errors

GIB = 2**30
BLOCK_BYTES = 16 * 2**20
"""Size of the blocks that are read from the temporary file."""


class CopiedRows:
    """Rows in a temporary file, which each iteration reads from the start.

    Parameters
    ----------
    path : path
        File with the rows, as float32.
    shape : tuple of int
        Number of rows and of features.
    """

    def __init__(self, path: Path, shape: tuple[int, int]) -> None:
        self.path = path
        self.shape = shape

    def __iter__(self) -> Iterator[Block]:
        n_rows, n_features = self.shape
        step = max(BLOCK_BYTES // (4 * n_features), 1)
        with storage_errors(f"reading {self.path}"), self.path.open("rb") as file:
            for start in range(0, n_rows, step):
                stop = min(start + step, n_rows)
                values = np.fromfile(file, np.float32, (stop - start) * n_features)
                yield slice(start, stop), values.reshape(-1, n_features)


OrderedRows = StreamedRows | CopiedRows


def check_space(folder: str, needed: int, purpose: str) -> None:
    """Check that a folder has space for a temporary file.

    Raises
    ------
    StorageError
        If the folder has less than `needed` free bytes.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{purpose} needs {needed / GIB:.3g} GiB in {folder}, but only {free / GIB:.3g} GiB "
            "are free. Free some space, or set TMPDIR to another folder"
        )


@contextmanager
def in_fit_order(rows: StreamedRows, *values: NDArray[Any] | None) -> Iterator[tuple[Any, ...]]:
    """Provide rows, and further arrays with one value per row, in the order of the fit.

    Parameters
    ----------
    rows : StreamedRows
        Rows in the order of the feature file. They are not copied if this is also the order of the
        fit.
    *values : ndarray of shape (n_samples,), optional
        Values of the rows, such as labels or weights.

    Yields
    ------
    rows : StreamedRows or CopiedRows
        Rows in the order of the fit, valid inside the ``with`` block.
    *values : ndarray or None
        Values in the order of the fit.

    Raises
    ------
    StorageError
        If the temporary folder does not have enough space for the rows.
    """
    order = rows.order
    if order is None:
        yield (rows, *values)
        return
    n_features = rows.shape[1]
    with TemporaryDirectory(prefix="clipfeat-") as folder:
        check_space(folder, 4 * rows.shape[0] * n_features, "a copy of the rows")
        path = Path(folder) / "rows"
        with storage_errors(f"writing {path}"), path.open("wb") as file:
            for places, X in rows:
                for position, row in zip(order[places].tolist(), X, strict=True):
                    file.seek(4 * n_features * position)
                    file.write(row.tobytes())
        source = np.argsort(order)
        ordered = (None if of is None else np.asarray(of)[source] for of in values)
        yield (CopiedRows(path, rows.shape), *ordered)


def sample_rows(rows: OrderedRows, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read the rows at ascending positions in one pass."""
    sample = np.empty((len(positions), rows.shape[1]), dtype=np.float32)
    for places, X in rows:
        first, last = np.searchsorted(positions, [places.start, places.stop])
        sample[first:last] = X[positions[first:last] - places.start]
    return sample
