"""Nearest class mean."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import check_classes, inner_folds
from clipfeat.zoo.scaling import make_scaler


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a pipeline that scales and L2-normalises rows, and finds their nearest class mean."""
    prototype = PrototypeClassifier(random_state=random_state)
    return make_pipeline(make_scaler(options.scale), Normalizer(), prototype)


class PrototypeClassifier(ClassifierMixin, BaseEstimator):
    """Nearest class mean with probabilities (prototypes, Snell et al. 2017, arXiv 1703.05175).

    The logit of a class is its log frequency minus d² / T. Here d is the distance of the row to the
    mean of the class, and T is a temperature. This is Bayes' rule for spherical Gaussians of equal
    variance. The temperature minimises the log loss of held-out rows in a cross-validation.

    Parameters
    ----------
    random_state : int, optional
        Random seed of the folds.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    means_ : ndarray of shape (n_classes, n_features)
        Mean of each class.
    log_prior_ : ndarray of shape (n_classes,)
        Logarithm of the frequency of each class in the training rows.
    temperature_ : float
        Divisor of the squared distances.
    """

    def __init__(self, *, random_state: int | None = None) -> None:
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: NDArray[np.generic] | None = None) -> Self:
        """Compute the mean of each class, and choose the temperature by cross-validation."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        k = len(self.classes_)
        check_classes(self.classes_)
        self.means_ = _means(X, codes, k)
        self.log_prior_ = np.log(np.bincount(codes) / len(codes))
        apart = np.empty((len(X), k))
        for train, test in inner_folds(y, groups, 5, self.random_state):
            apart[test] = _squared_distances(X[test], _means(X[train], codes[train], k))

        def log_loss(log_temperature: float) -> float:
            logits = self.log_prior_ - apart / np.exp(log_temperature)
            return float(-log_softmax(logits, axis=1)[np.arange(len(codes)), codes].mean())

        scale = np.log(max(float(apart.mean()), 1e-12))
        best = minimize_scalar(log_loss, bounds=(scale - 10, scale + 10), method="bounded")
        self.temperature_ = float(np.exp(best.x))
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict probabilities. Columns follow ``classes_``."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        near = -_squared_distances(X, self.means_) / self.temperature_
        probabilities: NDArray[np.float64] = softmax(near + self.log_prior_, axis=1)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels


def _means(X: NDArray[Any], codes: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    return np.stack([X[codes == code].mean(axis=0, dtype=np.float64) for code in range(k)])


def _squared_distances(X: NDArray[Any], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute squared distances to the means, without the squared norm of each row.

    The squared norm of a row is the same for all classes, so it does not change a probability.
    """
    distances: NDArray[np.float64] = np.square(means).sum(axis=1) - 2 * (X @ means.T)
    return distances
