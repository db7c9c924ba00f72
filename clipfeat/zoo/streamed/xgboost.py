"""Gradient boosting by XGBoost from its own external memory: a byte of each value, on the disk."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from clipfeat.errors import StorageError
from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.zoo.streamed.standing_in import fit_on_nothing

PAGE_VALUES = 32 * 2**20
"""Values that XGBoost is given at once: a page of its cache, 128 MiB as float32."""


class Pages(xgboost.DataIter):
    """Rows for XGBoost, in pages of many blocks; it asks for them several times over.

    Parameters
    ----------
    rows : StreamedRows
        What it is fitted on.
    codes : ndarray of shape (n_samples,)
        Classes by number.
    weight : ndarray of shape (n_samples,), optional
        Of each row.
    folder : path
        Where the cache is kept.
    """

    def __init__(
        self,
        rows: StreamedRows,
        codes: NDArray[np.int64],
        weight: NDArray[np.floating] | None,
        folder: str | Path,
    ) -> None:
        super().__init__(cache_prefix=str(Path(folder) / "rows"))
        self.rows, self.codes, self.weight = rows, codes, weight
        self.interrupt: KeyboardInterrupt | None = None
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self._pages = _pages(self.rows)

    def next(self, input_data: Callable[..., None]) -> bool:
        """Hand over a page, and say whether there was one."""
        try:
            page = next(self._pages, None)
        except KeyboardInterrupt as interrupt:  # between XGBoost and C it would be lost
            self.interrupt, page = interrupt, None
        if page is None:
            return False
        places, X = page
        weight = None if self.weight is None else self.weight[places]
        input_data(data=X, label=self.codes[places], weight=weight)
        return True


def _pages(rows: StreamedRows) -> Iterator[Block]:
    """Blocks put together to pages, one page in memory at a time."""
    height = max(PAGE_VALUES // rows.shape[1], 1)
    page = np.empty((min(height, rows.shape[0]), rows.shape[1]), dtype=np.float32)
    begin = end = 0
    for _, X in rows:
        left = X
        while len(left):
            room = min(len(page) - (end - begin), len(left))
            page[end - begin :][:room] = left[:room]
            left, end = left[room:], end + room
            if end - begin == len(page):
                yield slice(begin, end), page
                begin = end
    if end > begin:
        yield slice(begin, end), page[: end - begin]


def _check_space(folder: str, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"XGBoost's cache takes {needed / 2**30:.3g} GiB in {folder}, where {free / 2**30:.3g} "
            "are free: make room, or name another folder by TMPDIR"
        )


def fit(
    classifier: Any,
    rows: StreamedRows,
    codes: NDArray[np.int64],
    sample_weight: NDArray[np.floating] | None = None,
) -> Any:
    """Fit in the few passes by which XGBoost makes its cache, and then on that cache alone.

    Classes are numbered already. The cache is where temporary files are (``TMPDIR``), and takes
    about a byte a value.

    Raises
    ------
    StorageError
        If there is no room for it.
    """
    classifier.set_params(device="cpu")
    n_classes = int(codes.max()) + 1
    fit_on_nothing(classifier, rows.shape[1], np.arange(n_classes))
    params = classifier.get_xgb_params() | ({"num_class": n_classes} if n_classes > 2 else {})
    with TemporaryDirectory(prefix="clipfeat-") as folder:
        _check_space(folder, rows.shape[0] * rows.shape[1])
        pages = Pages(rows, codes, sample_weight, folder)
        try:
            data = xgboost.ExtMemQuantileDMatrix(pages, max_bin=classifier.max_bin)
        finally:
            if pages.interrupt is not None:
                raise pages.interrupt
        classifier._Booster = xgboost.train(params, data, classifier.get_num_boosting_rounds())
        del data
    return classifier
