"""Statistical test of the calibration of probabilities."""

import numpy as np

from clipfeat.evaluate.metrics import METRICS, Labels, Probabilities

MIN_ERROR = 0.05
"""Smaller calibration errors are not reported."""
N_DRAWS = 40


def miscalibration(y: Labels, p: Probabilities) -> float | None:
    """Test whether probabilities are calibrated, and return their calibration error if not.

    With few rows, the calibration error is far from 0 even if the probabilities are calibrated. The
    error is therefore compared with the errors for labels that are drawn from the probabilities
    (consistency resampling, Bröcker and Smith 2007). The probabilities are not calibrated if their
    error is above `MIN_ERROR` and above the errors of all `N_DRAWS` draws.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities.

    Returns
    -------
    float or None
        Calibration error. None if the test does not reject calibration.

    Examples
    --------
    >>> p = np.tile([0.1, 0.9], (400, 1))
    >>> miscalibration(np.arange(400) % 2, p), miscalibration((np.arange(400) % 10 > 0) * 1, p)
    (0.399216, None)
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
