"""Linear SVM, solved in the primal on float32 without a copy of the features."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from clipfeat.zoo.folds import check_classes
from clipfeat.zoo.linear import Blocks, minimise

Matrix = NDArray[np.floating]


class PrimalSVC(ClassifierMixin, BaseEstimator):
    """Linear one-vs-rest SVM with squared hinge loss, fitted with L-BFGS.

    The objective is half the squared norm of the weights plus ``C`` times the sum of the squared
    hinge losses. `sklearn.svm.LinearSVC` minimises the same objective, but also penalises the
    intercept. Its solver, liblinear, copies the features to float64. This class reads float32
    features without a copy, which saves gigabytes for a million rows.

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
        Weights of each class, or of the second class if there are two classes.
    intercept_ : ndarray of shape (n_classes,) or (1,)
        Intercepts, in the order of the rows of `coef_`.
    """

    def __init__(self, C: float = 1.0, *, class_weight: Any = None, max_iter: int = 200) -> None:
        self.C = C
        self.class_weight = class_weight
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any) -> Self:
        """Fit one linear SVM per class, or a single SVM if there are two classes."""
        X, y = validate_data(self, X, y, dtype=(np.float32, np.float64))
        check_classification_targets(y)
        return self.fit_blocks([(slice(None), X)], y)

    def fit_blocks(self, blocks: Blocks, y: NDArray[Any]) -> Self:
        """Fit on features that are read in blocks.

        The rows of the blocks must be in the order of `y`. The caller must set ``n_features_in_``
        first.
        """
        self.classes_ = np.unique(y)
        check_classes(self.classes_)
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
        """Compute decision scores, of shape (n_samples,) for two classes.

        For more classes, the shape is (n_samples, n_classes).
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float32, np.float64), reset=False)
        scores: NDArray[np.floating] = X @ self.coef_.T.astype(X.dtype) + self.intercept_
        return scores.ravel() if len(self.classes_) == 2 else scores

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the class with the largest score."""
        scores = self.decision_function(X)
        places = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
