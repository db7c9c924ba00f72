"""Equal classes, for any classifier that gives probabilities."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.splits import fit_with_groups


class PriorCorrectedClassifier(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are divided by the classes' frequencies.

    By Bayes' rule this gives the probabilities under equally frequent classes (Saerens, Latinne
    and Decaestecker 2002, Neural Computation 14, eq. 2.4).

    Parameters
    ----------
    estimator : estimator
        With ``predict_proba``.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    prior_ : ndarray of shape (n_classes,)
        Frequency of each class among the training rows.
    estimator_ : estimator
        The fitted clone.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Count the classes and fit, handing groups on to an estimator that splits."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.prior_ = counts / counts.sum()
        self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities under equally frequent classes, columns by ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        odds = self.estimator_.predict_proba(X) / self.prior_
        probabilities: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label under equally frequent classes."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
