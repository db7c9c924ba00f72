"""A test of whether probabilities are calibrated."""

import numpy as np

from clipfeat.evaluate.metrics import METRICS, Labels, Probabilities

MIN_ERROR = 0.05
"""Smaller calibration errors are not reported."""
N_DRAWS = 40


def miscalibration(y: Labels, p: Probabilities) -> float | None:
    """Return the calibration error if it is above `MIN_ERROR` and larger than chance explains.

    The calibration error of few rows is far from zero even for calibrated probabilities. It is
    therefore compared with the errors of labels drawn from the probabilities themselves
    (consistency resampling, Bröcker and Smith 2007). It must exceed all of `N_DRAWS` such errors.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities of rows that were not trained on.

    Returns
    -------
    float or None
        None if the probabilities pass as calibrated.

    Examples
    --------
    >>> p = np.tile([0.1, 0.9], (400, 1))
    >>> miscalibration(np.arange(400) % 2, p), miscalibration((np.arange(400) % 10 > 0) * 1, p)
    (0.4, None)
    """
    calibration_error = METRICS["calibration_error"].function
    error = calibration_error(y, p)
    if error <= MIN_ERROR:
        return None
    rng = np.random.default_rng(0)
    cumulative = p.cumsum(axis=1)
    for _ in range(N_DRAWS):
        drawn = (rng.random((len(p), 1)) * cumulative[:, -1:] >= cumulative).sum(axis=1)
        if calibration_error(np.minimum(drawn, p.shape[1] - 1), p) >= error:
            return None
    return float(round(error, 6))
