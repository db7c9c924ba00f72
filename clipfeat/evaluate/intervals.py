"""Confidence intervals of scores, from their standard errors."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, stdtrit

from clipfeat.evaluate.metrics import METRICS, Metric

LEVEL = 0.95
FEW_UNITS = 10
"""With fewer units than this, a report states that intervals are approximate."""


@dataclass(frozen=True, eq=False)
class SampleSize:
    """Numbers of tested units and files.

    The bootstrap resamples units. A unit is a file, a group or a held-out value.

    Parameters
    ----------
    n_units : int
        Number of tested units.
    n_files : int
        Number of tested files.
    per_class : ndarray of shape (n_classes,)
        Number of units that contain each class.
    """

    n_units: int
    n_files: int
    per_class: NDArray[np.int64]


def interval(
    metric: Metric, value: float, error: float, size: SampleSize, alpha: float = 1 - LEVEL
) -> tuple[float, float]:
    """Return the confidence interval of a score.

    A proportion gets the exact binomial interval (Clopper and Pearson 1934) for its effective
    sample size (Korn and Graubard 1998, Survey Methodology 24). The effective sample size is the
    size at which a simple random sample has the same standard error. To account for few units, the
    effective sample size is multiplied by a ratio of squared t quantiles. Any other metric gets a t
    interval.

    Parameters
    ----------
    metric : Metric
        The metric of the score.
    value : float
        The score.
    error : float
        Its standard error.
    size : SampleSize
        Numbers of tested units and files.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    (float, float)
        Ends of the interval. Both are NaN if the score is NaN or there are fewer than two units.

    Examples
    --------
    >>> from clipfeat.evaluate.metrics import METRICS
    >>> low, high = interval(METRICS["accuracy"], 1.0, 0.0, SampleSize(60, 60, np.array([30, 30])))
    >>> round(low, 3), high
    (0.94, 1.0)
    """
    degrees = size.n_units - 1
    if np.isnan(value) or np.isnan(error) or degrees < 1:
        return float("nan"), float("nan")
    t = float(stdtrit(degrees, 1 - alpha / 2))
    if metric.n_trials is None:
        least, most = metric.bounds
        return max(value - t * error, least), min(value + t * error, most)
    n = float(metric.n_trials(size.per_class))
    if error > 1e-12 and 0 < value < 1:
        simple = float(stdtrit(size.n_files - 1, 1 - alpha / 2))
        n = min(value * (1 - value) / error**2, size.n_files) * (simple / t) ** 2
    hits = n * min(max(value, 0.0), 1.0)
    low = float(betaincinv(hits, n - hits + 1, alpha / 2)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, n - hits, 1 - alpha / 2)) if hits < n else 1.0
    return low, high


def share_interval(
    shares: NDArray[np.float64], units: NDArray[np.generic], alpha: float = 1 - LEVEL
) -> tuple[float, float, float]:
    """Return the mean of shares in [0, 1], and its confidence interval.

    The standard error is that of a mean over clusters. Each unit is a cluster. If every file is its
    own unit and every share is 0 or 1, the interval is that of Clopper and Pearson.

    Parameters
    ----------
    shares : ndarray of shape (n_files,)
        Share of each file, for example 1 for a correct prediction.
    units : ndarray of shape (n_files,)
        Group of each file.
    alpha : float
        One minus the confidence level.

    Returns
    -------
    (float, float, float)
        Mean, and the ends of its interval. The ends are NaN if there are fewer than two units.

    Examples
    --------
    >>> ends = share_interval(np.repeat([0.0, 1.0], [45, 5]), np.arange(50))
    >>> [round(value, 3) for value in ends]
    [0.1, 0.033, 0.218]
    """
    value = float(shares.mean())
    _, unit = np.unique(units, return_inverse=True)
    totals = np.bincount(unit, shares - value)
    n_units = len(totals)
    error = float(np.sqrt(np.square(totals).sum())) / len(shares)
    if 1 < n_units < len(shares):
        error *= np.sqrt(n_units / (n_units - 1))
    size = SampleSize(n_units, len(shares), np.array([n_units]))
    return value, *interval(METRICS["accuracy"], value, error, size, alpha)
