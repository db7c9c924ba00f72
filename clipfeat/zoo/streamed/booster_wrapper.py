"""The scikit-learn wrapper of a booster that is trained elsewhere."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def fit_wrapper(classifier: Any, n_features: int, classes: NDArray[Any]) -> None:
    """Fit on two rows of zeros per class, to set classes, objective and parameters.

    Parameters
    ----------
    classifier : estimator
        Wrapper of LightGBM or XGBoost. The caller replaces its booster.
    n_features : int
        Number of features.
    classes : ndarray
        Sorted labels.
    """
    classifier.fit(np.zeros((2 * len(classes), n_features), np.float32), np.repeat(classes, 2))
