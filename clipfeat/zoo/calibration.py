"""Probabilities that may be taken at their word, learned without parting groups."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.folds import inner_folds


class GroupCalibratedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier whose scores or probabilities are calibrated on rows that it was not fitted on.

    Parameters
    ----------
    estimator : estimator
        With ``decision_function`` or ``predict_proba``.
    method : str
        ``"sigmoid"`` (Platt 1999), ``"isotonic"`` (Zadrozny and Elkan 2002; wants a thousand rows
        or more) or ``"temperature"`` (Guo et al. 2017, arXiv 1706.04599, one number for all
        classes).
    n_splits : int
        Folds, fewer where the smallest class has fewer rows or groups.
    ensemble : bool
        Whether the clones of all folds are kept, each calibrated on its own held-out rows, and
        averaged. If not, one clone is fitted on all rows, and calibrated by the out-of-fold scores
        of the others.
    random_state : int, optional
        Seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    calibrated_ : CalibratedClassifierCV
        The fitted classifiers with their calibrators; it sees the classes' places in `classes_`.
    """

    def __init__(
        self,
        estimator: Any,
        *,
        method: str = "sigmoid",
        n_splits: int = 5,
        ensemble: bool = False,
        random_state: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.method = method
        self.n_splits = n_splits
        self.ensemble = ensemble
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
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes or more are needed, got 1 class: {self.classes_}")
        self.calibrated_ = CalibratedClassifierCV(
            clone(self.estimator),
            method=self.method,
            cv=inner_folds(y, groups, self.n_splits, self.random_state),
            ensemble=self.ensemble,
        )
        self.calibrated_.fit(X, codes)
        self.calibrated_.set_params(cv=self.n_splits)  # row numbers are not worth keeping
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated probabilities, columns by ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        probabilities = np.asarray(self.calibrated_.predict_proba(X), dtype=np.float64)
        total: NDArray[np.float64] = probabilities.sum(axis=1, keepdims=True)
        return probabilities / total

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
