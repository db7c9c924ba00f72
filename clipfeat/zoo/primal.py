"""Linear SVM, solved in the primal on float32 without a copy of the features."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.linear import Blocks, minimise

Matrix = NDArray[np.floating]


class PrimalSVC(ClassifierMixin, BaseEstimator):
    """Linear one-vs-rest SVM with squared hinge loss, fitted with L-BFGS.

    The objective is that of `sklearn.svm.LinearSVC` with an unpenalised intercept: half the squared
    norm of the weights plus ``C`` times the sum of squared hinge losses. liblinear copies the
    features to float64; this class reads float32 in place, which matters for a million rows.

    Parameters
    ----------
    C : float
        Inverse regularisation strength.
    class_weight : "balanced", dict or None
        Class weights.
    max_iter : int
        Largest number of L-BFGS steps.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    coef_ : ndarray of shape (n_classes, n_features) or (1, n_features)
        Weights; one row for two classes.
    intercept_ : ndarray of shape (n_classes,) or (1,)
    """

    def __init__(self, C: float = 1.0, *, class_weight: Any = None, max_iter: int = 200) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> Self:
        """Minimise the sum of the objectives of all classes."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        return self.fit_blocks([(slice(None), X)], y)

    def fit_blocks(self, blocks: Blocks, y: NDArray[Any]) -> Self:
        """Fit on features read in blocks, whose rows are in the order of `y`.

        The caller sets ``n_features_in_``.
        """
        self.classes_ = np.unique(y)
        if len(self.classes_) < 2:
            raise ValueError(f"at least two classes are needed, got 1 class: {self.classes_}")
        against = self.classes_[1:] if len(self.classes_) == 2 else self.classes_
        sides = np.where(y[:, None] == against, 1, -1).astype(np.float32)
        factor = (self.C * compute_sample_weight(self.class_weight, y)).astype(np.float32)[:, None]

        def squared_hinge(scores: Matrix, places: slice) -> tuple[Matrix, Matrix]:
            short = np.maximum(1 - sides[places] * scores, 0)
            return factor[places] * np.square(short), -2 * factor[places] * sides[places] * short

        result = minimise(
            blocks, (len(against), self.n_features_in_ + 1), squared_hinge,
            penalty=1.0, total=len(y), maxiter=self.max_iter, gtol=1e-5, ftol=1e-7,
        )  # fmt: skip
        self.coef_, self.intercept_ = np.split(result.x, [-1], axis=1)
        self.intercept_ = self.intercept_.ravel()
        self.n_iter_ = result.nit
        return self

    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Compute scores: (n_samples,) for two classes, else (n_samples, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        scores: NDArray[np.floating] = X @ self.coef_.T.astype(X.dtype) + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class of the largest score."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
