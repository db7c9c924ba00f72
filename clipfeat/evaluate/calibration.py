"""Whether probabilities may be taken at their word."""

import numpy as np

from clipfeat.evaluate.metrics import METRICS, Labels, Probabilities

BOUND = 0.05
DRAWS = 40


def miscalibration(y: Labels, p: Probabilities) -> float | None:
    """The calibration error, if it is above `BOUND` and more than chance makes it.

    The calibration error of few rows is never near zero. So it is held against that of labels
    drawn from the very probabilities (Bröcker and Smith 2007, consistency resampling), and counts
    only where it is larger than all of `DRAWS` of those.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities of rows that were not trained on.

    Examples
    --------
    >>> p = np.tile([0.1, 0.9], (400, 1))
    >>> miscalibration(np.arange(400) % 2, p), miscalibration((np.arange(400) % 10 > 0) * 1, p)
    (0.4, None)
    """
    calibration_error = METRICS["calibration_error"].function
    error = calibration_error(y, p)
    if error <= BOUND:
        return None
    rng = np.random.default_rng(0)
    upto = p.cumsum(axis=1)
    for _ in range(DRAWS):
        drawn = (rng.random((len(p), 1)) * upto[:, -1:] >= upto).sum(axis=1)
        if calibration_error(np.minimum(drawn, p.shape[1] - 1), p) >= error:
            return None
    return float(round(error, 6))
