"""Linear support vectors, solved in the primal on float32 without a copy of the features."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data


class PrimalSVC(ClassifierMixin, BaseEstimator):
    """Linear support vectors with squared hinge loss, one class against the rest, by L-BFGS.

    The objective is that of `sklearn.svm.LinearSVC` with a free intercept: half the squared norm
    of the weights, plus ``C`` times the sum of squared hinges. liblinear copies the features to
    float64; here a million rows of float32 are read where they lie.

    Parameters
    ----------
    C : float
        Weight of the loss against the penalty.
    class_weight : "balanced", dict or None
        Factors on the loss of each class's rows.
    max_iter : int
        Most steps of L-BFGS.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        Weights, one row for two classes.
    intercept_ : ndarray of shape (n_classes,) or (1,)
    """

    def __init__(self, C: float = 1.0, *, class_weight: Any = None, max_iter: int = 200) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> Self:
        """Minimise the sum of all classes' objectives at once."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"two classes or more are needed, got 1 class: {self.classes_}")
        against = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        sides = np.where(y[:, None] == against, 1, -1).astype(X.dtype)
        loss = (self.C * compute_sample_weight(self.class_weight, y)).astype(X.dtype)[:, None]
        shape = (len(against), X.shape[1] + 1)

        def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            weights = flat.reshape(shape)
            scores = X @ weights[:, :-1].T.astype(X.dtype) + weights[:, -1].astype(X.dtype)
            short = np.maximum(1 - sides * scores, 0)
            pull = -2 * loss * sides * short
            gradient = np.hstack([weights[:, :-1] + pull.T @ X, pull.sum(axis=0)[:, None]])
            penalty = 0.5 * np.square(weights[:, :-1]).sum()
            total = penalty + (loss * np.square(short)).sum(dtype=np.float64)
            return float(total) / len(X), gradient.ravel().astype(np.float64) / len(X)

        options = {"maxiter": self.max_iter, "gtol": 1e-5, "ftol": 1e-7}
        found = minimize(objective, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B",
                         options=options)  # fmt: skip
        self.coef_, self.intercept_ = np.split(found.x.reshape(shape), [-1], axis=1)
        self.intercept_ = self.intercept_.ravel()
        self.n_iter_ = found.nit
        return self

    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Distances from the boundaries: (n_samples,) for two classes, else a column a class."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        scores: NDArray[np.floating] = X @ self.coef_.T.astype(X.dtype) + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of the largest score."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
