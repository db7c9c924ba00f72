"""Class balancing for any classifier with ``predict_proba``."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.folds import fit_with_groups


def balanced(classifier: Any, balance: str, random_state: int | None = 0) -> Any:
    """Wrap or change a classifier so that all classes have the same weight.

    Parameters
    ----------
    classifier : estimator
        Unfitted classifier with ``predict_proba``.
    balance : {"prior", "weights", "sampling"}
        ``"prior"`` divides the probabilities by the class frequencies and does not change the fit.
        ``"weights"`` sets ``class_weight="balanced"`` in the classifier and in the estimators that
        it contains. A classifier without this parameter (neighbours, discriminants, prototypes)
        gets ``"prior"`` instead. A calibrated classifier gets both ``"weights"`` and ``"prior"``,
        because calibration restores the class frequencies. ``"sampling"`` fits on equally many
        rows of each class, by oversampling the smaller classes.
    random_state : int, optional
        Random seed of the sampling.

    Returns
    -------
    estimator
        The classifier itself, or a classifier that contains it.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> balanced(LogisticRegression(), "weights").class_weight
    'balanced'
    """
    if balance == "sampling":
        return OversampledClassifier(classifier, random_state=random_state)
    weighted = [key for key in classifier.get_params() if key.split("__")[-1] == "class_weight"]
    if balance == "prior" or not weighted:
        return PriorCorrectedClassifier(classifier)
    classifier.set_params(**dict.fromkeys(weighted, "balanced"))
    calibrated = isinstance(classifier, GroupCalibratedClassifier)
    return PriorCorrectedClassifier(classifier) if calibrated else classifier


class OversampledClassifier(ClassifierMixin, BaseEstimator):
    """Classifier fitted on oversampled rows: every class gets as many rows as the largest class.

    Every row is used at least once. All copies of a row belong to the same group. A classifier that
    cross-validates inside its fit therefore never has copies of a row in both training and test.

    Parameters
    ----------
    estimator : estimator
        Classifier with ``predict_proba``.
    random_state : int, optional
        Random seed of the sampling.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimator_ : estimator
        Fitted clone.
    """

    def __init__(self, estimator: Any, *, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Sample the rows and fit on them."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        rng = np.random.default_rng(self.random_state)
        drawn = []
        for code, count in enumerate(counts):
            rows = np.flatnonzero(codes == code)
            times, rest = divmod(counts.max(), count)
            drawn += [*[rows] * times, rng.choice(rows, rest, replace=False)]
        kept = np.sort(np.concatenate(drawn))
        if len(kept) == len(y):  # already balanced: no copy
            self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
            return self
        units = np.arange(len(y)) if groups is None else np.asarray(groups)
        self.estimator_ = fit_with_groups(clone(self.estimator), X[kept], y[kept], units[kept])
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Predict probabilities under equal class frequencies. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        probabilities: NDArray[np.floating] = self.estimator_.predict_proba(X)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels


class PriorCorrectedClassifier(ClassifierMixin, BaseEstimator):
    """Classifier whose probabilities are divided by the class frequencies.

    By Bayes' rule, this gives the probabilities under equal class frequencies (Saerens, Latinne
    and Decaestecker 2002, Neural Computation 14, eq. 2.4).

    Parameters
    ----------
    estimator : estimator
        Classifier with ``predict_proba``.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    prior_ : ndarray of shape (n_classes,)
        Frequency of each class in the training rows.
    estimator_ : estimator
        Fitted clone.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Compute the class frequencies and fit the estimator.

        The groups are passed to the estimator if its ``fit`` takes them.
        """
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_, counts = np.unique(y, return_counts=True)
        self.prior_ = counts / counts.sum()
        self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict probabilities under equal class frequencies. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        odds = self.estimator_.predict_proba(X) / self.prior_
        probabilities: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label under equal class frequencies."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
