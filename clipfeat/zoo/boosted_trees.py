"""Boosted trees of LightGBM, XGBoost and scikit-learn, stored as scikit-learn's decision trees.

Each library computes a margin per class: the sum of a baseline and of one leaf value per tree. The
classifiers of the zoo let their library compute the margins, and `margins_to_probabilities`
converts them. `BoostedTreesClassifier` sums the same leaf values in the same order and precision.
Its probabilities therefore equal those of the original classifier to the last bit.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import validate_data

from clipfeat.errors import UsageError

ROWS = 1024
"""Number of rows in a block. A block of wide rows fits in the cache of a processor."""


def margins_to_probabilities(margins: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert margins to probabilities with a sigmoid for two classes, else with softmax.

    Parameters
    ----------
    margins : ndarray of shape (n_samples,), (n_samples, 1) or (n_samples, n_classes)
        Margins of each class, or of the second class if there are two classes.

    Returns
    -------
    ndarray of shape (n_samples, n_classes), float64
        Probabilities.

    Examples
    --------
    >>> margins_to_probabilities(np.zeros(1)).tolist()
    [[0.5, 0.5]]
    """
    exact = margins.astype(np.float64)
    if exact.ndim == 2 and exact.shape[1] > 1:
        probabilities: NDArray[np.float64] = softmax(exact, axis=1)
        return probabilities
    second = expit(exact.ravel())
    return np.column_stack([1 - second, second])


class BoostedTreesClassifier(ClassifierMixin, BaseEstimator):
    """Fitted boosted trees, which model files contain instead of a booster of another library.

    Attributes
    ----------
    classes_ : ndarray
        Sorted labels.
    trees_ : sequence of Tree
        scikit-learn's trees in the order of the boosting. With K margins, tree i adds to margin
        i modulo K.
    leaves_ : sequence of ndarray
        Values of the nodes of each tree, in the precision in which they are added.
    baseline_ : ndarray of shape (n_margins,), float32 or float64
        Margins before any tree is added.
    has_scores_ : bool
        Whether the method ``decision_function`` exists. It exists if the original classifier has
        this method, because calibration uses the method if it exists.
    """

    classes_: NDArray[Any]
    trees_: Sequence[Any]
    leaves_: Sequence[NDArray[np.floating]]
    baseline_: NDArray[np.floating]
    has_scores_: bool
    n_features_in_: int

    def fit(self, X: Any, y: Any) -> Self:
        """Refuse to fit.

        Raises
        ------
        UsageError
            Always. scikit-learn requires that an estimator has this method.
        """
        raise UsageError(
            "the boosted trees of a model file cannot be fitted again. Use make_classifier with "
            "lgbm, xgb or histgb"
        )

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Predict probabilities. Columns follow ``classes_``."""
        return margins_to_probabilities(self._margins(X))

    @available_if(lambda self: self.has_scores_)
    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """Return the margins, of shape (n_samples,) for two classes."""
        margins = self._margins(X)
        return margins.ravel() if len(self.baseline_) == 1 else margins

    def _margins(self, X: Any) -> NDArray[np.floating]:
        X = validate_data(self, X, dtype=np.float32, reset=False)
        margins: NDArray[np.floating] = np.tile(self.baseline_, (len(X), 1))
        blocks = [slice(start, start + ROWS) for start in range(0, len(X), ROWS)]

        def add(block: slice) -> None:
            rows, sums = X[block], margins[block]
            for number, (tree, leaves) in enumerate(zip(self.trees_, self.leaves_, strict=True)):
                sums[:, number % len(self.baseline_)] += leaves.take(tree.apply(rows))

        if len(blocks) == 1:
            add(blocks[0])
        else:
            with ThreadPoolExecutor(joblib.effective_n_jobs(-1)) as pool:
                list(pool.map(add, blocks))
        return margins

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable label."""
        places = self.predict_proba(X).argmax(axis=1)
        labels: NDArray[Any] = self.classes_[places]
        return labels
