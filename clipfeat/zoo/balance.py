"""Equal classes, for any classifier that gives probabilities: three ways."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.folds import fit_with_groups


def balanced(classifier: Any, balance: str, random_state: int | None = 0) -> Any:
    """Put around a classifier, or into it, what makes all classes count alike.

    Parameters
    ----------
    classifier : estimator
        Unfitted; with ``predict_proba``.
    balance : str
        ``"prior"`` divides the probabilities by the classes' frequencies: nothing is fitted
        otherwise than before. ``"weights"`` has each class's rows weigh alike in the loss, by
        ``class_weight`` wherever it is a parameter of the classifier or of a part of it; where it
        is none (neighbours, discriminants, prototypes: no loss is minimised) it is ``"prior"``. A
        classifier that is calibrated afterwards needs both, since calibration gives back what the
        weights took.
        ``"sampling"`` fits on as many rows of each class, drawn again from the smaller ones.
    random_state : int, optional
        Seed of the sampling.

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
    """A classifier fitted on as many rows of each class as the largest has.

    Every row is there once or more; a repeated row is in one group with itself, so that a
    classifier which holds rows out never holds out a copy of what it learns from.

    Parameters
    ----------
    estimator : estimator
        With ``predict_proba``.
    random_state : int, optional
        Seed of the draw.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    estimator_ : estimator
        The fitted clone.
    """

    def __init__(self, estimator: Any, *, random_state: int | None = None) -> None:
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Draw the rows, then fit on them."""
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
        if len(kept) == len(y):  # equal already: no copy
            self.estimator_ = fit_with_groups(clone(self.estimator), X, y, groups)
            return self
        units = np.arange(len(y)) if groups is None else np.asarray(groups)
        self.estimator_ = fit_with_groups(clone(self.estimator), X[kept], y[kept], units[kept])
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Probabilities under equally frequent classes, columns by ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        probabilities: NDArray[np.floating] = self.estimator_.predict_proba(X)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """The likeliest label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels


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
