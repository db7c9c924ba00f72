"""Probabilities of held-out images, on which thresholds and prediction sets are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import StackedClassifier, soft_vote
from clipfeat.ensemble.stacking import log_odds
from clipfeat.evaluate.metrics import Labels, Probabilities
from clipfeat.evaluate.thresholds import Groups
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_per_file


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows whose probabilities come from fits that did not use these rows.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.
    data : FeatureSet
        All rows of the fit, including `left_out`.
    left_out : ndarray of int
        Row numbers of the rows that the fit left out. If it is empty, out-of-fold probabilities of
        all rows are used.
    out_of_fold : sequence of ndarray of shape (n_rows, n_classes)
        Out-of-fold probabilities of each member of the estimator. The rows of untested views are
        NaN.
    """

    estimator: Any
    data: FeatureSet
    left_out: NDArray[np.int64]
    out_of_fold: Sequence[Probabilities]

    @property
    def rows(self) -> NDArray[np.int64]:
        """Row numbers of the held-out rows."""
        if len(self.left_out):
            return self.left_out
        return np.flatnonzero(~np.isnan(self.out_of_fold[0]).any(axis=1))

    def files(self, rows: NDArray[np.int64]) -> tuple[Labels, Probabilities, Groups | None]:
        """Return true classes, mean probabilities and groups of the files of held-out rows."""
        data, groups = self.data, self.data.split_groups
        if len(self.left_out):
            p = self.estimator.predict_proba(data.X[rows])
        else:
            p = _combined(self.estimator, [of[rows] for of in self.out_of_fold])
        y, p, first = one_per_file(data.y[rows], p, data.files[rows])
        return y, p, None if groups is None else groups[rows[first]]


def _combined(estimator: Any, out_of_fold: Sequence[Probabilities]) -> Probabilities:
    """Combine out-of-fold probabilities of the members in the same way as a fitted estimator.

    In a cross-validation, the weights of a learned vote differ between folds. The threshold of the
    model must be chosen with the weights of the model.
    """
    if len(out_of_fold) == 1:
        return out_of_fold[0]
    if isinstance(estimator, StackedClassifier):
        p: Probabilities = estimator.blend_.predict_proba(log_odds(out_of_fold))
        return p
    return soft_vote(out_of_fold, estimator.weights)
