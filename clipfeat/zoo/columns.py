"""Selection of the columns of one encoder."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data


class ColumnRange(TransformerMixin, BaseEstimator):
    """Transformer that selects a range of columns.

    Parameters
    ----------
    start, stop : int
        First column, and the column after the last.
    """

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the number of columns."""
        validate_data(self, X, dtype=(np.float32, np.float64))
        self._n_features_out = self.stop - self.start
        return self

    def transform(self, X: Any) -> NDArray[np.floating]:
        """Select the columns, without a copy."""
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        selected: NDArray[np.floating] = X[:, self.start : self.stop]
        return selected

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")
