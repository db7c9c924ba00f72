"""Scaling that makes penalties and kernels mean the same for 80 features as for 4,000."""

from typing import Any, Self

import numpy as np
from sklearn.preprocessing import StandardScaler


class UnitScaler(StandardScaler):
    """Standardise columns, then divide by the root of their number.

    Rows then have a squared norm of 1 on average. A logistic regression's ``C`` is the variance of
    its weights' prior; without this the variance of its logits grows with the number of columns.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn each column's mean and scale."""
        super().fit(X, y, sample_weight)
        self.scale_: Any = self.scale_ * np.sqrt(self.n_features_in_)
        return self
