"""Probabilities for a classifier that has only scores, learned without parting groups."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.splits import k_fold


class GroupCalibratedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier whose scores are turned into probabilities by Platt's sigmoid.

    The sigmoid is fitted on out-of-fold scores; the classifier itself on all rows.

    Parameters
    ----------
    estimator : estimator
        With ``decision_function``.
    n_splits : int
        Folds, fewer where the smallest class has fewer rows or groups.
    random_state : int, optional
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    calibrated_ : CalibratedClassifierCV
        The fitted classifier with its sigmoid.
    """

    def __init__(
        self, estimator: Any, *, n_splits: int = 5, random_state: int | None = None
    ) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Fit, and calibrate on folds that keep groups whole.

        Raises
        ------
        LabelError
            If a class has only one row, or one group.
        """
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes or more are needed, got 1 class: {self.classes_}")
        units = np.arange(len(y)) if groups is None else np.asarray(groups)
        smallest = min(len(np.unique(units[y == label])) for label in self.classes_)
        splits = k_fold(y, groups, max(2, min(self.n_splits, smallest)), self.random_state)
        self.calibrated_ = CalibratedClassifierCV(clone(self.estimator), cv=splits, ensemble=False)
        self.calibrated_.fit(X, y)
        self.calibrated_.set_params(cv=self.n_splits)  # row numbers are not worth keeping
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated probabilities, columns by ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        probabilities: NDArray[np.float64] = self.calibrated_.predict_proba(X)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
