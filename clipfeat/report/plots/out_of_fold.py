"""Out-of-fold predictions, the data behind most plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import METRICS, Labels, Probabilities, decide
from clipfeat.evaluate.result import Benchmark
from clipfeat.evaluate.tidy_rows import headline_rows
from clipfeat.report.plots.style import MAX_SERIES
from clipfeat.zoo import CHANCE


@dataclass(frozen=True, eq=False)
class OutOfFoldPredictions:
    """Out-of-fold predictions of one entry, pooled over folds and trials.

    Parameters
    ----------
    y, y_pred : ndarray of shape (n_files,)
        True and predicted class indices. In a fold with a decision threshold, this threshold
        determines the predictions.
    p : ndarray of shape (n_files, n_classes)
        Probabilities.
    row : ndarray of shape (n_files,)
        Index of the first row of each file. A file is repeated if several trials tested it.
    fold : ndarray of shape (n_files,), str
        Name of the fold.
    thresholds : ndarray of shape (n_folds,)
        Decision thresholds of the folds. Empty if no thresholds were chosen.
    scores : mapping of str to float
        Scores of the entry in the leaderboard, by metric.
    """

    y: Labels
    y_pred: Labels
    p: Probabilities
    row: NDArray[np.int64]
    fold: NDArray[np.str_]
    thresholds: NDArray[np.float64]
    scores: Mapping[str, float] = field(default_factory=dict)


def out_of_fold_predictions(run: Benchmark, entry: str) -> OutOfFoldPredictions | None:
    """Pool the out-of-fold predictions of an entry.

    For a few-shot run, only the trials with the most training images are pooled. The result is None
    if the entry has no predictions.
    """
    largest = max((one.trial.n_train or 0 for one in run.outcomes), default=0)
    pieces, folds, predicted, thresholds = [], [], [], []
    for outcome in run.outcomes:
        if entry not in outcome.probabilities or (outcome.trial.n_train or 0) < largest:
            continue
        for number, fold in enumerate(outcome.trial.splits):
            tested = run.tested(outcome, entry, number)
            known = ~np.isnan(tested.p[:, 0])
            if not known.any():
                continue
            pieces.append((tested.y[known], tested.p[known], tested.row[known]))
            folds += [fold] * int(known.sum())
            predicted.append(decide(tested.p[known], tested.threshold))
            thresholds += [] if tested.threshold is None else [tested.threshold]
    if not pieces:
        return None
    y, p, row = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    values: dict[str, list[float]] = {}
    for one in headline_rows(run.rows):
        if one["classifier"] == entry and not np.isnan(one["value"]):
            values.setdefault(one["metric"], []).append(one["value"])
    scores = {metric: float(np.mean(of)) for metric, of in values.items()}
    return OutOfFoldPredictions(
        y, np.concatenate(predicted), p, row, np.array(folds), np.array(thresholds), scores
    )


def best_predictions(run: Benchmark, entries: Sequence[str]) -> dict[str, OutOfFoldPredictions]:
    """Pool the predictions of the best entries, best first, at most `MAX_SERIES` of them.

    The chance baseline is included only if no other entry has predictions.

    Parameters
    ----------
    run : Benchmark
        The run.
    entries : sequence of str
        Entries to choose from, best first.
    """
    predictions: dict[str, OutOfFoldPredictions] = {}
    chance = [entry for entry in entries if entry.partition(" @ ")[0] == CHANCE]
    for entry in [*(e for e in entries if e not in chance), *chance]:
        if len(predictions) == MAX_SERIES or (predictions and entry in chance):
            break
        pooled = out_of_fold_predictions(run, entry)
        if pooled is not None:
            predictions[entry] = pooled
    return predictions


def recall(y: Labels, y_pred: Labels, n_classes: int) -> float:
    """Return the balanced accuracy: the mean recall of the classes that occur in `y`."""
    return METRICS["balanced_accuracy"].function(y, np.eye(n_classes)[y_pred])
