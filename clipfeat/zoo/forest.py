"""Random forest."""

from typing import Any

import numpy as np
from joblib import parallel_config
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import RandomForestClassifier


def make(*, random_state: int, n_jobs: int) -> Any:
    """300 trees, each node seeing the root of the number of features."""
    return OrderedForestClassifier(
        300,
        n_jobs=n_jobs,
        random_state=random_state,
    )


class OrderedForestClassifier(RandomForestClassifier):
    """A forest whose probabilities are equal to the last bit every time.

    scikit-learn's threads add up the trees in whichever order they finish.
    """

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Average the trees, in their order."""
        with parallel_config("sequential"):
            probabilities: NDArray[np.float64] = super().predict_proba(X)
        return probabilities
