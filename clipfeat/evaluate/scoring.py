"""Scoring of cells: out-of-fold probabilities, thresholds and tidy rows.

A cell is one classifier on one fold. An entry is a classifier, a vote or an external detector.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.evaluate.external_scores import ScoredEntries
from clipfeat.evaluate.metrics import DECIDED, METRICS, Labels, Probabilities, score
from clipfeat.evaluate.miscalibration import miscalibration
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.result import Benchmark, Outcome, pooled_files, tested_files
from clipfeat.evaluate.thresholds import Chooser, choose_threshold, oracle
from clipfeat.evaluate.tidy_rows import POOLED
from clipfeat.features import FeatureSet
from clipfeat.features.by_file import one_per_file
from clipfeat.fits.cells import Cell

NO_SCORES = ScoredEntries({})


def undefined_metrics() -> set[str]:
    """Return the metrics that are undefined for scores that are not probabilities."""
    needing = {name for name, metric in METRICS.items() if metric.needs_probabilities}
    return needing | {f"{name}_at_0.5" for name in DECIDED}


def make_outcome(
    features: FeatureSet,
    trial: Trial,
    cells: Mapping[str, Sequence[Cell]],
    choose: Chooser | None,
    external: ScoredEntries = NO_SCORES,
) -> Outcome:
    """Gather the out-of-fold probabilities of a trial, and choose the threshold of each fold.

    Parameters
    ----------
    features : FeatureSet
        The rows of the plan.
    trial : Trial
        One trial of the plan.
    cells : mapping of str to sequence of Cell
        For each entry, its cells, one per fold.
    choose : callable, optional
        Function that chooses a threshold, from
        `clipfeat.evaluate.thresholds.threshold_chooser`. If None, thresholds are chosen only for
        scores that are not probabilities.
    external : ScoredEntries
        Scores of the entries that are external detectors.

    Returns
    -------
    Outcome
        Probabilities and thresholds.
    """
    n_rows, n_classes = len(features), len(features.classes)
    fold_of = np.full(n_rows, -1)
    probabilities = {entry: np.full((n_rows, n_classes), np.nan) for entry in cells}
    thresholds: dict[str, list[float]] = {}
    groups = None if choose is None else features.split_groups
    for number, (train, test) in enumerate(trial.splits.values()):
        fold_of[test] = number
        for entry, of_entry in cells.items():
            cell = of_entry[number]
            probabilities[entry][test] = cell.test
            chooser = choose or (_best_balanced if entry in external.scaled else None)
            if chooser is not None and cell.train is not None:
                rows = trial.choice_rows(train)
                y, p, first = one_per_file(features.y[rows], cell.train, features.files[rows])
                known = ~np.isnan(p).any(axis=1)  # see Cell.train
                of_files = None if groups is None else groups[rows[first]][known]
                thresholds.setdefault(entry, []).append(chooser(y[known], p[known], of_files))
    return Outcome(trial, fold_of, probabilities, thresholds)


def score_outcome(
    features: FeatureSet,
    outcome: Outcome,
    cells: Mapping[str, Sequence[Cell]],
    external: ScoredEntries = NO_SCORES,
    *,
    by_value: bool = False,
) -> list[dict[str, Any]]:
    """Compute the tidy rows of a trial. See `clipfeat.evaluate.tidy_rows.COLUMNS`.

    With several folds, a metric with `Metric.pooled` has one row for all folds together. If
    `by_value` is True, each fold holds out one value of a column, and such a metric also has one
    row for each fold.
    """
    trial = outcome.trial
    n_folds = len(trial.splits)
    per_fold = {name for name in METRICS if not METRICS[name].pooled or by_value or n_folds == 1}
    rows: list[dict[str, Any]] = []
    for entry, of_entry in cells.items():
        encoder = entry.partition(" @ ")[2] or " + ".join(spec.title for spec in features.specs)
        if entry in external.p:
            encoder = ""
        undefined = undefined_metrics() if entry in external.scaled else set()
        for number, fold in enumerate(trial.splits):
            costs = of_entry[number].costs
            seconds = costs.get("fit_seconds", 0.0) + costs.get("predict_seconds", 0.0)
            common = {
                "encoder": encoder, "classifier": entry, "seed": trial.seed,
                "trained_on": trial.trained_on, "n_train": trial.n_train, "fold": fold,
            }  # fmt: skip
            for name, subset in trial.subsets.items():
                tested = tested_files(features.y, features.files, outcome, entry, number, subset)
                if not len(tested.y):
                    continue
                values = score(tested.y, tested.p, tested.threshold, features.classes)
                values |= oracle(tested.y, tested.p)
                if len(np.unique(tested.y)) == 1:
                    values = {m: v if is_rate(m) else np.nan for m, v in values.items()}
                values |= dict.fromkeys(undefined & values.keys(), np.nan)
                rows += [
                    {**common, "tested_on": name, "metric": m, "value": v, "seconds": seconds}
                    for m, v in values.items()
                    if m not in METRICS or m in per_fold
                ]
            rows += [
                {**common, "tested_on": "", "metric": m, "value": v, "seconds": seconds}
                for m, v in costs.items()
            ]
        pooled = _pooled_rows(features, outcome, entry, encoder, rows[-1]["seconds"])
        rows += [row | {"value": np.nan} if row["metric"] in undefined else row for row in pooled]
    return rows


def _pooled_rows(
    features: FeatureSet, outcome: Outcome, entry: str, encoder: str, seconds: float
) -> list[dict[str, Any]]:
    """Compute the pooled metrics on the predictions of all folds; none if there is one fold."""
    trial = outcome.trial
    rows: list[dict[str, Any]] = []
    for name, subset in trial.subsets.items() if len(trial.splits) > 1 else ():
        tested = pooled_files(features.y, features.files, outcome, entry, subset)
        known = len(np.unique(tested.y)) > 1
        rows += [
            {
                "encoder": encoder, "classifier": entry, "seed": trial.seed,
                "trained_on": trial.trained_on, "n_train": trial.n_train, "fold": POOLED,
                "tested_on": name, "metric": metric, "seconds": seconds,
                "value": row.function(tested.y, tested.p) if known else np.nan,
            }
            for metric, row in METRICS.items() if row.pooled
        ]  # fmt: skip
    return rows


def _best_balanced(y: Labels, p: Probabilities, groups: object = None) -> float:
    """Choose the threshold with the best balanced accuracy."""
    return choose_threshold(y, p[:, 1], metric="balanced_accuracy")


def is_rate(metric: str) -> bool:
    """Return whether a metric is a rate of one class.

    Such a metric is defined even if a test set has only one class.
    """
    return metric.startswith("recall/") or metric in (
        "threshold",
        "true_positive_rate",
        "false_positive_rate",
    )


def uncalibrated(run: Benchmark, entries: Sequence[str]) -> dict[str, float]:
    """Return the calibration error of each entry that is not calibrated.

    See `clipfeat.evaluate.miscalibration.miscalibration`.
    """
    errors = {}
    for entry in entries:
        tested = [
            run.tested(outcome, entry, fold)
            for outcome in run.headline
            for fold in range(len(outcome.trial.splits))
            if entry in outcome.probabilities
        ]
        if tested:
            y, p = np.concatenate([t.y for t in tested]), np.concatenate([t.p for t in tested])
            if (error := miscalibration(y, p)) is not None:
                errors[entry] = error
    return errors
