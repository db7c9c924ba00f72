"""scikit-learn wrapper for a booster that is trained without the wrapper."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fit_wrapper(classifier: Any, n_features: int, classes: NDArray[Any]) -> None:
    """Set the classes and parameters of a wrapper, by a fit on two rows of zeros per class.

    Parameters
    ----------
    classifier : estimator
        scikit-learn wrapper of LightGBM or XGBoost. The caller replaces its booster afterwards.
    n_features : int
        Number of features.
    classes : ndarray
        Sorted labels.
    """
    classifier.fit(np.zeros((2 * len(classes), n_features), np.float32), np.repeat(classes, 2))
