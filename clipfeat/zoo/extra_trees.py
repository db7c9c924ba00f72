"""Extremely randomised trees."""

from typing import Any

import numpy as np
from joblib import parallel_config
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import ExtraTreesClassifier

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """300 trees on all rows, each node choosing among random cuts."""
    return OrderedExtraTreesClassifier(
        300, min_samples_leaf=2, n_jobs=n_jobs, random_state=random_state
    )


class OrderedExtraTreesClassifier(ExtraTreesClassifier):
    """Trees added up in their order, for probabilities equal to the last bit every time."""

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Average the trees, in their order."""
        with parallel_config("sequential"):
            probabilities: NDArray[np.float64] = super().predict_proba(X)
        return probabilities
