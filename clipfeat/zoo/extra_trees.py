"""Extremely randomised trees."""

from typing import Any

import numpy as np
from joblib import parallel_config
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import ExtraTreesClassifier

from clipfeat.zoo.fit_options import FitOptions


def make(options: FitOptions, *, random_state: int, n_jobs: int) -> Any:
    """Make 300 extremely randomised trees, each fitted on all rows."""
    return OrderedExtraTreesClassifier(
        300, min_samples_leaf=2, n_jobs=n_jobs, random_state=random_state
    )


class OrderedExtraTreesClassifier(ExtraTreesClassifier):
    """Extra trees whose probabilities are reproducible to the last bit.

    With several threads, scikit-learn adds the trees' probabilities in the order in which the
    threads finish. Their sum then differs in the last bits between calls.
    """

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Average the probabilities of the trees in a fixed order."""
        with parallel_config("sequential"):
            probabilities: NDArray[np.float64] = super().predict_proba(X)
        return probabilities
