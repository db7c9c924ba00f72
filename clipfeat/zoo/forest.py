"""Random forest.

Where scikit-learn-intelex is installed it grows the trees, some times faster, on histograms of the
features; what comes out is scikit-learn's own trees, which predict and load without it.
"""

from typing import Any, Self

import numpy as np
from joblib import parallel_config
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import RandomForestClassifier

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """200 trees, each node seeing the root of the number of features."""
    forest = AcceleratedForestClassifier if options.accelerate else OrderedForestClassifier
    return forest(200, n_jobs=n_jobs, random_state=random_state)


class OrderedForestClassifier(RandomForestClassifier):
    """A forest whose probabilities are equal to the last bit every time.

    scikit-learn's threads add up the trees in whichever order they finish.
    """

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Average the trees, in their order."""
        with parallel_config("sequential"):
            probabilities: NDArray[np.float64] = super().predict_proba(X)
        return probabilities


class AcceleratedForestClassifier(OrderedForestClassifier):
    """The same, grown by scikit-learn-intelex where that is installed."""

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
