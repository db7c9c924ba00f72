"""Scaling that makes penalties and kernels independent of the number of features."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from sklearn.preprocessing import Normalizer, StandardScaler

ROWS = 65_536
"""Number of rows in a block, for scaling in blocks."""


def make_scaler(scale: str, standard: Any = None) -> Any:
    """Make the scaling step of a pipeline.

    Parameters
    ----------
    scale : {"standard", "l2", "none"}
        As in `clipfeat.zoo.fit_options.FitOptions`.
    standard : transformer, optional
        Scaler for ``"standard"``. None uses a `UnitScaler`. Both `UnitScaler` and ``"l2"`` give
        rows an average squared norm of 1, so a penalty has the same effect with either.

    Returns
    -------
    transformer or "passthrough"
        Unfitted scaler, or ``"passthrough"`` for ``"none"``.
    """
    if scale == "l2":
        return Normalizer()
    if scale == "none":
        return "passthrough"
    return UnitScaler() if standard is None else standard


class UnitScaler(StandardScaler):
    """Scaler that standardises columns and divides them by the square root of the column count.

    The scaled rows have an average squared norm of 1. The ``C`` of a logistic regression is the
    prior variance of its weights. Without the division, the prior variance of the logits would grow
    with the number of columns.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Compute the mean and scale of each column."""
        if sample_weight is not None or not isinstance(X, np.ndarray) or len(X) <= ROWS:
            super().fit(X, y, sample_weight)
            return self._by_width()
        # Each call of StandardScaler copies its rows to float64. Blocks keep the copy small.
        return self.fit_blocks(X[start : start + ROWS] for start in range(0, len(X), ROWS))

    def fit_blocks(self, blocks: Iterable[Any]) -> Self:
        """Compute the mean and scale of each column in one pass over blocks of rows."""
        self._reset()
        for block in blocks:
            self.partial_fit(block)
        return self._by_width()

    def _by_width(self) -> Self:
        self.scale_: Any = self.scale_ * np.sqrt(self.n_features_in_)
        return self
