"""A booster's scikit-learn shell, ready for a model that was trained elsewhere."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fit_on_nothing(classifier: Any, n_features: int, classes: NDArray[Any]) -> None:
    """Fit on two rows of zeros a class, by which it knows its classes, objective and parameters.

    Parameters
    ----------
    classifier : estimator
        Of LightGBM or XGBoost; its booster is then to be replaced.
    n_features : int
        What it will take.
    classes : ndarray
        Sorted labels.
    """
    classifier.fit(np.zeros((2 * len(classes), n_features), np.float32), np.repeat(classes, 2))
