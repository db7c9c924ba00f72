"""Scaling that makes penalties and kernels mean the same for 80 features as for 4,000."""

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
        else:  # scikit-learn takes a copy in float64 of what it is given at once
            self._reset()
            for start in range(0, len(X), ROWS):
                self.partial_fit(X[start : start + ROWS])
        self.scale_: Any = self.scale_ * np.sqrt(self.n_features_in_)
        return self
