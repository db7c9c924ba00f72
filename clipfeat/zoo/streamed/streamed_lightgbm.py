"""Out-of-core LightGBM. It reads rows in blocks and keeps one byte per value in memory."""

from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_sample_weight

from clipfeat.store.streaming import Block, StreamedRows
from clipfeat.zoo.streamed.booster_wrapper import fit_wrapper
from clipfeat.zoo.streamed.fit_order import OrderedRows, in_fit_order, sample_rows

SAMPLE = 20_000
"""Number of rows that define the bins. With at most this many rows, the bins are the same as in a
fit in memory. LightGBM's default of 200,000 rows would take 2.8 GiB with 768 columns, although
there are only 63 bins per column."""


class RowSequence(lightgbm.Sequence):
    """Sequence of rows for LightGBM.

    LightGBM passes over the rows several times, and requests them in ascending order in each pass.

    Parameters
    ----------
    rows : StreamedRows or CopiedRows
        Rows to read. A request for an earlier row restarts reading at the first row.
    """

    def __init__(self, rows: OrderedRows) -> None:
        self.rows = rows
        self._restart()

    def _restart(self) -> None:
        self._blocks: Iterator[Block] = iter(self.rows)
        self._begin, self._block = 0, np.empty((0, self.rows.shape[1]), dtype=np.float32)

    def __len__(self) -> int:
        return self.rows.shape[0]

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Return the rows of a slice."""
        if index.start < self._begin:
            self._restart()
        parts, at = [], index.start
        while at < index.stop:
            if at >= self._begin + len(self._block):
                places, self._block = next(self._blocks)
                self._begin = places.start
                continue
            parts.append(self._block[at - self._begin : index.stop - self._begin])
            at += len(parts[-1])
        return np.concatenate(parts)


def fit(classifier: Any, rows: StreamedRows, y: NDArray[Any]) -> Any:
    """Fit the classifier in two passes over the rows, in the order of the fit.

    The first pass reads a sample of rows and defines the bins. The second pass assigns every value
    to its bin.
    """
    classes, codes = np.unique(y, return_inverse=True)
    fit_wrapper(classifier, rows.shape[1], classes)
    params, n = classifier.booster_.params, rows.shape[0]
    weight = None
    if classifier.class_weight is not None:
        weight = compute_sample_weight(classifier.class_weight, y)
    rng = np.random.default_rng(classifier.random_state)
    drawn = np.sort(rng.choice(n, SAMPLE, replace=False)) if n > SAMPLE else np.arange(n)
    with in_fit_order(rows, codes, weight) as (ordered, codes, weight):
        bins = lightgbm.Dataset(sample_rows(ordered, drawn), params=params).construct()
        data = lightgbm.Dataset(RowSequence(ordered), label=codes, weight=weight, reference=bins)
        booster = lightgbm.train(params, data, num_boost_round=classifier.n_estimators)
    classifier._Booster = booster.free_dataset()
    return classifier
