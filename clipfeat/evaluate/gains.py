"""Gain of a vote over the best single classifier, with its standard error."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clipfeat.evaluate.metrics import METRICS, Values
from clipfeat.evaluate.resampling import resampled

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark


@dataclass(frozen=True)
class Gain:
    """Difference between a vote and the best single classifier on the same out-of-fold rows.

    Parameters
    ----------
    vote, over : str
        Names of the vote and of the classifier.
    metric : str
        Name of the metric.
    value : float
        Difference between their means over folds. It is positive if the vote is better, also for
        metrics with lower values for better results.
    standard_error : float
        Standard error of the difference, from a bootstrap of whole groups. Each draw resamples the
        same groups for the vote and the classifier.
    """

    vote: str
    over: str
    metric: str
    value: float
    standard_error: float

    @property
    def worse(self) -> bool:
        """Whether the vote is worse than the classifier by more than the standard error."""
        return self.value < -self.standard_error


def gains(run: "Benchmark", metric: str, draws: Mapping[str, Values] | None = None) -> list[Gain]:
    """Compare every vote of a run with the best single classifier.

    The best classifier is selected on the same rows that score it, so its score is too optimistic.
    On new images, a vote with the same score is expected to be slightly better.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    metric : str
        One of `METRICS`. Accuracies are those at the chosen thresholds, if thresholds were chosen.
    draws : mapping of str to ndarray, optional
        Output of `clipfeat.evaluate.resampling.resampled` for the run's complete entries. It is
        computed if not given.

    Returns
    -------
    list of Gain
        One per vote. Empty without votes or single classifiers.
    """
    votes = [entry for entry in run.complete if entry in run.about.get("votes", {})]
    if not votes:
        return []
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    draws = resampled(run, run.complete, metric) if draws is None else draws
    draws = {entry: sign * values for entry, values in draws.items()}
    singles = {
        entry: values[0]
        for entry, values in draws.items()
        if entry not in votes and np.isfinite(values[0])
    }
    if not singles:
        return []
    best = max(singles, key=lambda entry: singles[entry])
    differences = {vote: draws[vote] - draws[best] for vote in votes}
    return [
        Gain(vote, best, metric, float(d[0]), float(np.nanstd(d[1:], ddof=1)))
        for vote, d in differences.items()
    ]
