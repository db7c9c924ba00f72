"""Random forest.

If scikit-learn-intelex is installed, it grows the trees several times faster, on histograms of the
features. The fitted forest holds scikit-learn's own trees, so it loads and predicts without
scikit-learn-intelex.
"""

from typing import Any, Self

import numpy as np
from joblib import parallel_config
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import RandomForestClassifier

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make a forest of 200 trees.

    Each split considers a random subset of features. The size of the subset is the square root of
    the number of features.
    """
    forest = AcceleratedForestClassifier if options.accelerate else OrderedForestClassifier
    return forest(200, n_jobs=n_jobs, random_state=random_state)


class OrderedForestClassifier(RandomForestClassifier):
    """Random forest whose probabilities are reproducible to the last bit.

    With several threads, scikit-learn adds the trees' probabilities in the order in which the
    threads finish. Their sum then differs in the last bits between calls.
    """

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Average the probabilities of the trees in a fixed order."""
        with parallel_config("sequential"):
            probabilities: NDArray[np.float64] = super().predict_proba(X)
        return probabilities


class AcceleratedForestClassifier(OrderedForestClassifier):
    """Random forest, grown by scikit-learn-intelex if that is installed."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: Any = None) -> Self:
        """Fit as `sklearn.ensemble.RandomForestClassifier` does."""
        try:
            from sklearnex.ensemble import RandomForestClassifier as FastForest
        except ImportError:
            super().fit(X, y, sample_weight)
            return self
        fast = FastForest(**self.get_params(), max_bins=64).fit(X, y, sample_weight)
        self.estimators_ = list(fast.estimators_)
        for name in ("classes_", "n_classes_", "n_outputs_", "n_features_in_", "estimator_"):
            setattr(self, name, getattr(fast, name))
        return self
