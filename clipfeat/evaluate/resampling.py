"""Uncertainty of scores by bootstrap resampling of images, groups or held-out values.

This is the bootstrap over clusters (Davison and Hinkley 1997, section 3.8). A draw samples groups
with replacement. The weight of a row is the number of times that its group was drawn. All entries
(classifiers and votes), folds and trials use the same weights, so differences between entries are
paired. No classifier is fitted again. The intervals therefore do not include the variation due to
the training set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.external_scores import no_probabilities
from clipfeat.evaluate.intervals import SampleSize
from clipfeat.evaluate.metrics import DECIDED, METRICS, Labels, Probabilities, Values, decide

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark, FilePredictions, Outcome
    from clipfeat.evaluate.splits import RowMask

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
    drawn: NDArray[np.uint8] = _counts(n, n_draws)[:, unit]
    return drawn


def _counts(n: int, n_draws: int) -> NDArray[np.uint8]:
    """Draw n of n units with replacement, and count each unit in each draw."""
    rng = np.random.default_rng(0)
    counts = np.empty((n_draws, n), dtype=np.uint8)
    for one in counts:
        one[:] = np.minimum(np.bincount(rng.integers(0, n, n), minlength=n), 255)
    return counts


@dataclass(frozen=True, eq=False)
class Resamples:
    """Values of a metric for every entry, and for every bootstrap draw.

    Parameters
    ----------
    values : mapping of str to ndarray of shape (1 + n_draws,)
        Values by entry. The first value is the score itself.
    unit : str
        Name of the resampled unit: ``"image"``, ``"group"`` or ``"value of generator"``.
    size : SampleSize
        Number of units and files.
    """

    values: Mapping[str, Values]
    unit: str
    size: SampleSize

    @property
    def n_draws(self) -> int:
        """Number of draws."""
        return max((len(values) - 1 for values in self.values.values()), default=0)

    def error(self, values: Values) -> float:
        """Return the standard error of a score or of a difference of scores.

        The variance of the draws is multiplied by n / (n - 1) for n units, because a bootstrap of n
        units underestimates it by this factor.
        """
        known = values[1:][~np.isnan(values[1:])]
        n = self.size.n_units
        return float(known.std() * np.sqrt(n / (n - 1))) if n > 1 and len(known) else float("nan")

    def defined(self) -> "Resamples":
        """Return the entries whose score is defined."""
        return replace(self, values={e: v for e, v in self.values.items() if np.isfinite(v[0])})


def resampled(run: "Benchmark", entries: Sequence[str], metric: str) -> Resamples:
    """Compute a metric for the tested rows themselves and for every bootstrap draw.

    The resampled units are groups if there are groups, else files. If a run holds out the values of
    a column, or trains on each value, the units are these values. The score of such a run is a
    mean over values. Resampling images within each value would understate the error of this mean,
    because scores vary more between values than between samples of one value.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    entries : sequence of str
        Names from `Benchmark.complete`.
    metric : str
        One of `METRICS`. If the run chose decision thresholds, accuracies use them.
    """
    if METRICS[metric].needs_probabilities:
        undefined = no_probabilities(run)
        entries = [entry for entry in entries if entry not in undefined]
    column = str(run.about.get("column", ""))
    if column:
        return _resampled_values(run, entries, metric, column)
    cost = 1 if len(run.classes) == 2 else len(run.classes)
    unit = run.files if run.groups is None else run.groups
    rows = np.any([outcome.fold >= 0 for outcome in run.headline], axis=0)
    weights = draw(unit, cost)
    values = {
        entry: mean_defined(
            [
                _resampled_fold(tested, metric, weights)
                for outcome in run.headline
                for subset in outcome.trial.subsets.values()
                for tested in _tests(run, outcome, entry, metric, subset)
            ]
        )
        for entry in entries
    }
    per_class = [len(np.unique(unit[rows & (run.y == c)])) for c in range(len(run.classes))]
    size = SampleSize(
        len(np.unique(unit[rows])), len(np.unique(run.files[rows])), np.array(per_class)
    )
    return Resamples(values, "image" if run.groups is None else "group", size)


def _resampled_values(
    run: "Benchmark", entries: Sequence[str], metric: str, column: str
) -> Resamples:
    """Resample the values of a column.

    In a `Matrix`, each score belongs to a training value and a test value. If the two values
    differ, the weight of the score is the product of their weights. If they are equal, it is the
    weight of this value.
    """
    tests = [
        (outcome, fold, subset, (outcome.trial.trained_on or name, tested_on or name))
        for outcome in run.headline
        for fold, name in enumerate(outcome.trial.splits)
        for tested_on, subset in outcome.trial.subsets.items()
    ]
    names = sorted({name for *_, pair in tests for name in pair})
    number = {name: i for i, name in enumerate(names)}
    counts = _counts(len(names), MAX_DRAWS).astype(np.float64)
    counts = np.vstack([np.ones(len(names)), counts])
    weights = np.array(
        [np.prod([counts[:, number[name]] for name in set(pair)], axis=0) for *_, pair in tests]
    )
    values: dict[str, Values] = {}
    for entry in entries:
        if METRICS[metric].pooled:
            values[entry] = _pooled_values(run, entry, metric, number, counts)
            continue
        scores = np.array(
            [_score(run.tested(outcome, entry, fold, subset), metric)
             for outcome, fold, subset, _ in tests]
        )  # fmt: skip
        values[entry] = _weighted_mean(scores, weights)
    classes: list[set[str]] = [set() for _ in run.classes]
    rows = np.zeros(len(run.y), dtype=bool)
    for outcome, fold, subset, (_, tested_on) in tests:
        tested = (outcome.fold == fold) if subset is None else (outcome.fold == fold) & subset
        rows |= tested
        for code in np.unique(run.y[tested]):
            classes[code].add(tested_on)
    size = SampleSize(
        len(names), len(np.unique(run.files[rows])), np.array([len(of) for of in classes])
    )
    return Resamples(values, f"value of {column}", size)


def _weighted_mean(scores: Values, weights: NDArray[np.float64]) -> Values:
    """Average the scores that are defined, with the weights of each draw."""
    known = ~np.isnan(scores)
    total = weights[known].sum(axis=0)
    mean: Values = np.divide(
        scores[known] @ weights[known], total, out=np.full(len(total), np.nan), where=total > 0
    )
    return mean


def _tests(
    run: "Benchmark", outcome: "Outcome", entry: str, metric: str, subset: "RowMask | None"
) -> "list[FilePredictions]":
    """Return the predictions of each fold, or of all folds together for a pooled metric."""
    if METRICS[metric].pooled:
        return [run.pooled(outcome, entry, subset)]
    folds = range(len(outcome.trial.splits))
    return [run.tested(outcome, entry, fold, subset) for fold in folds]


def _pooled_values(
    run: "Benchmark",
    entry: str,
    metric: str,
    number: Mapping[str, int],
    counts: NDArray[np.float64],
) -> Values:
    """Resample the column's values, and compute a metric on all folds together for each draw.

    In leave-one-out, a row has the weight of its fold. In a `Matrix`, each pair of a training value
    and a test value has one score. Its weight is that of `_resampled_values`.
    """
    by_trial: list[Values] = []
    scores: list[float] = []
    weights: list[NDArray[np.float64]] = []
    for outcome in run.headline:
        trial = outcome.trial
        for tested_on, subset in trial.subsets.items():
            tested = run.pooled(outcome, entry, subset)
            if trial.trained_on:
                pair = {number[trial.trained_on], number[tested_on]}
                scores.append(_score(tested, metric))
                weights.append(np.prod([counts[:, i] for i in pair], axis=0))
            else:
                folds = np.array([number[name] for name in trial.splits])
                by_row = counts[1:, folds[outcome.fold]].astype(np.uint8)
                by_trial.append(_resampled_fold(tested, metric, by_row))
    if by_trial:
        return mean_defined(by_trial)
    return _weighted_mean(np.array(scores), np.array(weights))


def _score(tested: "FilePredictions", metric: str) -> float:
    return float(_resampled_fold(tested, metric, np.empty((0, 0), dtype=np.uint8))[0])


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
    if len(np.unique(y)) < 2:  # with one class, only recall is defined
        return np.full(1 + len(weights), np.nan)
    if metric in DECIDED and tested.threshold is not None:
        p = np.eye(2)[decide(p, tested.threshold)]
    return metric_of_draws(y, p, metric, weights[:, tested.row] if len(weights) else weights)


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
