"""What an entry answered to every file that it had not been trained on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import METRICS, Labels, Probabilities, decide
from clipfeat.evaluate.result import Benchmark


@dataclass(frozen=True, eq=False)
class Answers:
    """Out-of-fold answers, those of all folds and trials together.

    Parameters
    ----------
    y, called : ndarray of shape (n_files,)
        True class indices and those decided for, by the fold's threshold where it has one.
    p : ndarray of shape (n_files, n_classes)
        Probabilities.
    row : ndarray of shape (n_files,)
        The first row of each file; a file comes once for each trial that tested it.
    fold : ndarray of shape (n_files,), str
        Name of the fold.
    thresholds : ndarray of shape (n_folds,)
        Where there are any.
    """

    y: Labels
    called: Labels
    p: Probabilities
    row: NDArray[np.int64]
    fold: NDArray[np.str_]
    thresholds: NDArray[np.float64]


def gather(run: Benchmark, entry: str) -> Answers | None:
    """Put an entry's answers together; None where it has none.

    Of trials that differ in how many images they were trained on, those of the most count.
    """
    most = max((one.trial.n_train or 0 for one in run.outcomes), default=0)
    pieces, folds, called, thresholds = [], [], [], []
    for outcome in run.outcomes:
        if entry not in outcome.probabilities or (outcome.trial.n_train or 0) < most:
            continue
        for number, fold in enumerate(outcome.trial.splits):
            said = run.tested(outcome, entry, number)
            known = ~np.isnan(said.p[:, 0])
            if not known.any():
                continue
            pieces.append((said.y[known], said.p[known], said.row[known]))
            folds += [fold] * int(known.sum())
            called.append(decide(said.p[known], said.threshold))
            thresholds += [] if said.threshold is None else [said.threshold]
    if not pieces:
        return None
    y, p, row = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    return Answers(y, np.concatenate(called), p, row, np.array(folds), np.array(thresholds))


def recall(y: Labels, called: Labels, n_classes: int) -> float:
    """Mean over the classes present of the share of their files that are called right."""
    return METRICS["balanced_accuracy"].function(y, np.eye(n_classes)[called])
