"""Scaling that makes penalties and kernels independent of the number of features."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.preprocessing import Normalizer, StandardScaler

ROWS = 65_536
"""Number of rows in a block."""


def make_scaler(scale: str, standard: Any = None) -> Any:
    """Make the scaling step of a pipeline.

    Parameters
    ----------
    scale : {"standard", "l2", "none"}
        As in `clipfeat.zoo.fit_options.FitOptions`.
    standard : transformer, optional
        Step for ``"standard"``; `UnitScaler` by default. Its rows have an average squared norm of
        1, as have those of ``"l2"``, so penalties mean the same for both.

    Returns
    -------
    transformer or "passthrough"
    """
    if scale == "l2":
        return Normalizer()
    if scale == "none":
        return "passthrough"
    return UnitScaler() if standard is None else standard


class UnitScaler(StandardScaler):
    """Scaler that standardises columns and divides them by the square root of their number.

    Rows then have an average squared norm of 1. The ``C`` of a logistic regression is the prior
    variance of its weights. Without this division, the prior variance of its logits grows with the
    number of columns.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Compute the mean and scale of each column."""
        if sample_weight is not None or not isinstance(X, np.ndarray) or len(X) <= ROWS:
            super().fit(X, y, sample_weight)
            return self._by_width()
        # scikit-learn copies the rows of each call to float64
        return self.fit_blocks(X[start : start + ROWS] for start in range(0, len(X), ROWS))

    def fit_blocks(self, blocks: Iterable[Any]) -> Self:
        """Compute mean and scale in one pass over blocks of rows."""
        self._reset()
        for block in blocks:
            self.partial_fit(block)
        return self._by_width()

    def _by_width(self) -> Self:
        self.scale_: Any = self.scale_ * np.sqrt(self.n_features_in_)
        return self
