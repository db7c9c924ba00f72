"""Uncertainty of scores by bootstrap resampling of whole groups.

This is the bootstrap over clusters (Davison and Hinkley 1997, section 3.8). A draw samples groups
with replacement. The weight of a row is the number of times that its group was drawn. All folds,
trials and entries use the same weights, so differences between entries are paired. No classifier is
fitted again. The intervals therefore do not include the variation due to the training set.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import DECIDED, METRICS, Labels, Probabilities, Values, decide

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark, FilePredictions

MAX_DRAWS = 1000
MIN_DRAWS = 200
WORK = 20_000_000
"""Largest number of rows times draws. Large data get fewer draws, because their intervals are
narrow."""
CHUNK = 4_000_000
"""Largest number of rows times draws that one call of a metric computes."""


def draw(units: NDArray[np.generic], cost: int = 1) -> NDArray[np.uint8]:
    """Draw units with replacement, and return the number of times each row is drawn.

    Parameters
    ----------
    units : ndarray of shape (n_samples,)
        Group or file of each row. The rows of a unit are drawn together.
    cost : int
        Number of times that a metric passes over the rows. With a higher cost, there are fewer
        draws.

    Returns
    -------
    ndarray of shape (n_draws, n_samples), uint8
        Weight of each row in each draw. The random seed is fixed, so the same units give the same
        draws.
    """
    _, unit = np.unique(units, return_inverse=True)
    n = int(unit.max()) + 1
    n_draws = int(np.clip(WORK // (len(units) * cost), MIN_DRAWS, MAX_DRAWS))
    rng = np.random.default_rng(0)
    counts = np.empty((n_draws, n), dtype=np.uint8)
    for one in counts:
        one[:] = np.minimum(np.bincount(rng.integers(0, n, n), minlength=n), 255)
    drawn: NDArray[np.uint8] = counts[:, unit]
    return drawn


def resampled(
    run: "Benchmark",
    entries: Sequence[str],
    metric: str,
) -> dict[str, Values]:
    """Compute the mean of a metric over folds, with equal weights and for every bootstrap draw.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    entries : sequence of str
        Names from `Benchmark.complete`.
    metric : str
        One of `METRICS`. Accuracies are those at the chosen thresholds, if thresholds were chosen.

    Returns
    -------
    dict of str to ndarray of shape (1 + n_draws,)
        For each entry, its score, followed by its score in every draw.
    """
    cost = 1 if len(run.classes) == 2 else len(run.classes)
    weights = draw(run.files if run.groups is None else run.groups, cost)
    values: dict[str, Values] = {}
    for entry in entries:
        values[entry] = mean_defined(
            [
                _resampled_fold(run.tested(outcome, entry, fold, subset), metric, weights)
                for outcome in run.headline
                for fold in range(len(outcome.trial.splits))
                for subset in outcome.trial.subsets.values()
            ]
        )
    return values


def mean_defined(by_fold: Sequence[Values]) -> Values:
    """Average the values of each draw over the folds. Folds with a value of NaN are left out."""
    known = ~np.isnan(by_fold)
    total = np.nansum(by_fold, axis=0)
    mean: Values = np.divide(
        total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0)
    )
    return mean


def _resampled_fold(tested: "FilePredictions", metric: str, weights: NDArray[np.uint8]) -> Values:
    y, p = tested.y, tested.p
    if len(np.unique(y)) < 2:  # a test of one class has only a recall
        return np.full(1 + len(weights), np.nan)
    if metric in DECIDED and tested.threshold is not None:
        p = np.eye(2)[decide(p, tested.threshold)]
    return metric_of_draws(y, p, metric, weights[:, tested.row])


def metric_of_draws(y: Labels, p: Probabilities, metric: str, weights: NDArray[np.uint8]) -> Values:
    """Compute a metric with equal weights, then with the weights of every draw.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities.
    metric : str
        One of `METRICS`.
    weights : ndarray of shape (n_draws, n_samples), uint8
        Weights of the draws, from `draw`.

    Returns
    -------
    ndarray of shape (1 + n_draws,)
        The metric with equal weights, then with the weights of each draw. NaN where the metric is
        undefined.
    """
    if not len(y):
        return np.full(1 + len(weights), np.nan)
    weighted = METRICS[metric].weighted
    step = max(CHUNK // len(y), 1)
    parts = [
        weighted(y, p, weights[i : i + step].astype(np.float64))
        for i in range(0, len(weights), step)
    ]
    return np.concatenate([weighted(y, p, np.ones((1, len(y)))), *parts])
