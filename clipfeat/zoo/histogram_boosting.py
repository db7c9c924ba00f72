"""Gradient boosting by scikit-learn."""

from typing import Any, Self

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from clipfeat.zoo.boosted_trees import margins_to_probabilities
from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make 150 trees of at most 31 leaves. Each split considers a random tenth of the features."""
    return HistogramBoostingClassifier(random_state=random_state, n_jobs=n_jobs)


class HistogramBoostingClassifier(HistGradientBoostingClassifier):
    """scikit-learn's histogram gradient boosting, with defaults for thousands of features.

    Parameters
    ----------
    learning_rate, max_leaf_nodes, min_samples_leaf
        As in `sklearn.ensemble.HistGradientBoostingClassifier`.
    class_weight : "balanced", dict or None
        Class weights.
    random_state : int, optional
        Random seed of the subset of features that each split considers.
    n_jobs : int
        Number of threads. -1 uses all processors.
    """

    def __init__(
        self,
        *,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 31,
        min_samples_leaf: int = 10,
        class_weight: Any = None,
        random_state: int | None = None,
        n_jobs: int = -1,
    ) -> None:
        super().__init__(
            max_iter=150,
            learning_rate=learning_rate,
            max_leaf_nodes=max_leaf_nodes,
            max_features=0.1,
            max_bins=63,
            min_samples_leaf=min_samples_leaf,
            early_stopping=False,  # scikit-learn would hold out rows without regard to groups
            class_weight=class_weight,
            random_state=random_state,
        )
        self.n_jobs = n_jobs

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit as `sklearn.ensemble.HistGradientBoostingClassifier` does."""
        with threadpool_limits(joblib.effective_n_jobs(self.n_jobs), user_api="openmp"):
            super().fit(X, y, sample_weight)
        return self

    def predict_proba(self, X: Any) -> NDArray[np.floating]:
        """Predict probabilities. Columns follow ``classes_``."""
        check_is_fitted(self)
        with threadpool_limits(joblib.effective_n_jobs(self.n_jobs), user_api="openmp"):
            margins = self._raw_predict(np.asarray(X, dtype=np.float32))
        return margins_to_probabilities(margins)
