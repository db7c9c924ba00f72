"""How sure a score is: the same rows drawn again, whole groups at a time.

Efron's bootstrap over groups (Davison and Hinkley 1997, section 3.8): each draw counts every group
as often as it comes up, in all folds, trials and entries at once, so that differences are paired.
Nothing is fitted again: what another training set would have changed is not in the intervals.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import DECIDED, METRICS, Values, decide

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark, FilePredictions

DRAWS = 1000
FEWEST_DRAWS = 200
WORK = 20_000_000
"""Rows times draws, beyond which there are fewer draws: so many rows are sure anyway."""
CHUNK = 4_000_000


def draw(units: NDArray[np.generic], cost: int = 1) -> NDArray[np.uint8]:
    """How often each row counts in each draw.

    Parameters
    ----------
    units : ndarray of shape (n_samples,)
        Rows of one unit come together: groups, or files.
    cost : int
        How many times a metric goes through the rows: there are the fewer draws.

    Returns
    -------
    ndarray of shape (n_draws, n_samples), uint8
        The same every time.
    """
    _, unit = np.unique(units, return_inverse=True)
    n = int(unit.max()) + 1
    n_draws = int(np.clip(WORK // (len(units) * cost), FEWEST_DRAWS, DRAWS))
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
    """A metric's mean over folds, as it is and of every draw.

    Parameters
    ----------
    run : Benchmark
        With out-of-fold probabilities.
    entries : sequence of str
        Of the run's `Benchmark.complete`.
    metric : str
        One of `METRICS`. Accuracies are those of the chosen thresholds where there are any.

    Returns
    -------
    dict of str to ndarray of shape (1 + n_draws,)
        By entry; the first is the score itself.
    """
    classes = 1 if len(run.classes) == 2 else len(run.classes)
    drawn = draw(run.files if run.groups is None else run.groups, classes)
    found: dict[str, Values] = {}
    for entry in entries:
        found[entry] = mean_known(
            [
                _weighed(run.tested(outcome, entry, fold, among), metric, drawn)
                for outcome in run.headline
                for fold in range(len(outcome.trial.splits))
                for among in outcome.trial.pieces.values()
            ]
        )
    return found


def mean_known(of_parts: Sequence[Values]) -> Values:
    """The mean over folds, draw by draw, of those in which the metric is defined."""
    known = ~np.isnan(of_parts)
    total = np.nansum(of_parts, axis=0)
    mean: Values = np.divide(
        total, known.sum(axis=0), out=np.full(len(total), np.nan), where=known.any(axis=0)
    )
    return mean


def _weighed(tested: "FilePredictions", metric: str, drawn: NDArray[np.uint8]) -> Values:
    y, p = tested.y, tested.p
    if metric in DECIDED and tested.threshold is not None:
        p = np.eye(2)[decide(p, tested.threshold)]
    return weighed(y, p, metric, drawn[:, tested.row])


def weighed(y: NDArray[np.int64], p: Values, metric: str, drawn: NDArray[np.uint8]) -> Values:
    """A metric of rows that count alike, then of every draw; NaN where it is not defined."""
    if not len(y):
        return np.full(1 + len(drawn), np.nan)
    weighted = METRICS[metric].weighted
    step = max(CHUNK // len(y), 1)
    parts = [
        weighted(y, p, drawn[i : i + step].astype(np.float64)) for i in range(0, len(drawn), step)
    ]
    return np.concatenate([weighted(y, p, np.ones((1, len(y)))), *parts])
