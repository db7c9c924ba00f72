"""What a vote gains over the best single classifier, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import DECIDED, METRICS, decide

if TYPE_CHECKING:
    from clipfeat.evaluate.benchmark import Benchmark

BLOCKS = 100


@dataclass(frozen=True)
class Gain:
    """A vote beside the best single classifier, on the same out-of-fold rows.

    Parameters
    ----------
    vote, over : str
        Names of the entries.
    metric : str
        In which they are compared.
    value : float
        Difference of their means over folds; positive is better, whichever way the metric goes.
    standard_error : float
        Of that difference, paired: rows are left out of both at once, whole groups at a time.
    """

    vote: str
    over: str
    metric: str
    value: float
    standard_error: float

    @property
    def worse(self) -> bool:
        """Whether the vote is worse by more than the standard error."""
        return self.value < -self.standard_error


def gains(run: "Benchmark", metric: str) -> list[Gain]:
    """Compare every vote of a run with its best single classifier.

    The best is the best of this very run, which favours it: a vote that equals it here is a
    little better on new images.

    Parameters
    ----------
    run : Benchmark
        With out-of-fold probabilities.
    metric : str
        One of `METRICS`. Accuracies are those of the chosen thresholds where there are any.
    """
    votes = [entry for entry in run.probabilities if entry in run.about.get("votes", {})]
    up = 1.0 if METRICS[metric].higher_is_better else -1.0
    singles = {
        entry: up * float(np.nanmean(_by_fold(run, entry, metric)))
        for entry in run.probabilities
        if entry not in votes
    }
    if not votes or not any(np.isfinite(value) for value in singles.values()):
        return []
    best = max(singles, key=lambda entry: np.nan_to_num(singles[entry], nan=-np.inf))
    jackknifed = {entry: _leaving_out(run, entry, metric) for entry in (best, *votes)}
    found = []
    for vote in votes:
        value = up * float(np.nanmean(_by_fold(run, vote, metric))) - singles[best]
        apart = jackknifed[vote] - jackknifed[best]
        n = len(apart)
        error = float(np.sqrt((n - 1) / n * np.square(apart - apart.mean()).sum()))
        found.append(Gain(vote, best, metric, value, error))
    return found


def _leaving_out(run: "Benchmark", entry: str, metric: str) -> NDArray[np.float64]:
    """The metric's mean over folds without each of up to `BLOCKS` blocks of whole groups.

    The delete-a-group jackknife (Kott 2001, Journal of Official Statistics 17): for the share of
    right rows its standard error is the paired one of the differences summed by group, and it
    serves for areas under curves as well.
    """
    units = np.arange(len(run.y)) if run.groups is None else run.groups
    block_of = _blocks(np.unique(units, return_inverse=True)[1])
    whole = _by_fold(run, entry, metric)
    means = []
    for block in range(int(block_of.max()) + 1):
        without = block_of != block
        touched = np.unique(run.fold[~without])
        again = whole.copy()
        for fold in touched[touched >= 0]:
            again[fold] = _value(run, entry, metric, (run.fold == fold) & without, int(fold))
        means.append(float(np.nanmean(again)))
    return np.asarray(means)


def _blocks(unit: NDArray[np.int64]) -> NDArray[np.int64]:
    """Deal groups into blocks of about equal numbers, the same ones every time."""
    n = int(unit.max()) + 1
    dealt: NDArray[np.int64] = np.random.default_rng(0).permutation(n) % min(n, BLOCKS)
    return dealt[unit]


def _by_fold(run: "Benchmark", entry: str, metric: str) -> NDArray[np.float64]:
    folds: Sequence[int] = range(len(run.folds))
    return np.array([_value(run, entry, metric, run.fold == fold, fold) for fold in folds])


def _value(run: "Benchmark", entry: str, metric: str, rows: NDArray[np.bool_], fold: int) -> float:
    y, p = run.y[rows], run.probabilities[entry][rows]
    if not len(y):
        return float("nan")
    if metric in DECIDED and entry in run.thresholds:
        p = np.eye(2)[decide(p, run.thresholds[entry][fold])]
    return METRICS[metric].function(y, p)
