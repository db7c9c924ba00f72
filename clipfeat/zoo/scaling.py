"""Scaling that makes penalties and kernels mean the same for 80 features as for 4,000."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.preprocessing import StandardScaler

ROWS = 65_536


class UnitScaler(StandardScaler):
    """Standardise columns, then divide by the root of their number.

    Rows then have a squared norm of 1 on average. A logistic regression's ``C`` is the variance of
    its weights' prior; without this the variance of its logits grows with the number of columns.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn each column's mean and scale."""
        if sample_weight is not None or not isinstance(X, np.ndarray) or len(X) <= ROWS:
            super().fit(X, y, sample_weight)
            return self._by_width()
        # scikit-learn takes a copy in float64 of what it is given at once
        return self.fit_blocks(X[start : start + ROWS] for start in range(0, len(X), ROWS))

    def fit_blocks(self, blocks: Iterable[Any]) -> Self:
        """Learn from rows that come block by block, in one pass."""
        self._reset()
        for block in blocks:
            self.partial_fit(block)
        return self._by_width()

    def _by_width(self) -> Self:
        self.scale_: Any = self.scale_ * np.sqrt(self.n_features_in_)
        return self
