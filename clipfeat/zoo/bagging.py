"""Bagging: the average of models that are each fitted without one fold."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.folds import check_classes, fit_with_groups, inner_folds


class BaggedClassifier(ClassifierMixin, BaseEstimator):
    """Classifier that averages the probabilities of several clones, each fitted without one fold.

    Parameters
    ----------
    estimator : estimator
        Classifier with ``predict_proba``.
    n_splits : int
        Number of folds and clones. It is reduced if the smallest class has fewer rows or groups.
    random_state : int, optional
        Random seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimators_ : list of estimator
        Fitted clones, one per fold.
    """

    def __init__(
        self, estimator: Any, *, n_splits: int = 5, random_state: int | None = None
    ) -> None:
        self.estimator = estimator
        self.n_splits = n_splits
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Fit the clones on grouped folds.

        Raises
        ------
        LabelError
            If a class has only one row.
        """
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        check_classes(self.classes_)
        self.estimators_ = [
            fit_with_groups(
                clone(self.estimator), X[train], y[train],
                None if groups is None else np.asarray(groups)[train],
            )
            for train, _ in inner_folds(y, groups, self.n_splits, self.random_state)
        ]  # fmt: skip
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Average the probabilities of the clones. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        members = [clone_.predict_proba(X) for clone_ in self.estimators_]
        probabilities: NDArray[np.float64] = np.mean(members, axis=0, dtype=np.float64)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
