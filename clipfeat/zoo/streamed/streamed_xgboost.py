"""Out-of-core XGBoost with external memory: a cache on disk with one byte per value."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.zoo.streamed.booster_wrapper import fit_wrapper
from clipfeat.zoo.streamed.fit_order import OrderedRows, check_space, in_fit_order

PAGE_VALUES = 32 * 2**20
"""Number of values in a page of XGBoost's cache. They take 128 MiB as float32."""


class PageIterator(xgboost.DataIter):
    """Iterator over pages of rows for XGBoost, which reads all pages several times.

    Parameters
    ----------
    rows : StreamedRows or CopiedRows
        Rows to fit on.
    codes : ndarray of shape (n_samples,)
        Class indices.
    weight : ndarray of shape (n_samples,), optional
        Sample weights.
    folder : path
        Folder for the cache.
    """

    def __init__(
        self,
        rows: OrderedRows,
        codes: NDArray[np.int64],
        weight: NDArray[np.floating] | None,
        folder: str | Path,
    ) -> None:
        super().__init__(cache_prefix=str(Path(folder) / "rows"))
        self.rows, self.codes, self.weight = rows, codes, weight
        self.interrupt: KeyboardInterrupt | None = None
        self.reset()

    def reset(self) -> None:
        """Restart at the first page."""
        self._pages = _pages(self.rows)

    def next(self, input_data: Callable[..., None]) -> bool:
        """Pass the next page to XGBoost. Return False if there are no more pages."""
        try:
            page = next(self._pages, None)
        except KeyboardInterrupt as interrupt:  # XGBoost's C code would drop it
            self.interrupt, page = interrupt, None
        if page is None:
            return False
        places, X = page
        weight = None if self.weight is None else self.weight[places]
        input_data(data=X, label=self.codes[places], weight=weight)
        return True


def _pages(rows: OrderedRows) -> Iterator[Block]:
    """Combine blocks into pages of `PAGE_VALUES` values, with one page in memory at a time."""
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


def fit(
    classifier: Any,
    rows: StreamedRows,
    codes: NDArray[np.int64],
    sample_weight: NDArray[np.floating] | None = None,
) -> Any:
    """Write XGBoost's cache in a few passes over the rows, then fit on the cache.

    The labels are class indices. The cache is a temporary file in the folder of ``TMPDIR``. It
    takes about one byte per value.

    Raises
    ------
    StorageError
        If there is not enough space for the cache.
    """
    classifier.set_params(device="cpu")
    n_classes = int(codes.max()) + 1
    fit_wrapper(classifier, rows.shape[1], np.arange(n_classes))
    params = classifier.get_xgb_params() | ({"num_class": n_classes} if n_classes > 2 else {})
    with (
        in_fit_order(rows, codes, sample_weight) as (ordered, labels, weight),
        TemporaryDirectory(prefix="clipfeat-") as folder,
    ):
        check_space(folder, rows.shape[0] * rows.shape[1], "XGBoost's cache")
        pages = PageIterator(ordered, labels, weight, folder)
        try:
            data = xgboost.ExtMemQuantileDMatrix(pages, max_bin=classifier.max_bin)
        finally:
            if pages.interrupt is not None:
                raise pages.interrupt
        classifier._Booster = xgboost.train(params, data, classifier.get_num_boosting_rounds())
        del data
    return classifier
