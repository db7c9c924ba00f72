"""Search for the parameters of a classifier on its training rows."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.system.optional_libraries import require
from clipfeat.zoo import classifiers, make_classifier
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import inner_folds
from clipfeat.zoo.halving import search_by_halving
from clipfeat.zoo.spaces import Tuned, WarmPath
from clipfeat.zoo.warm_path import search_warm_path

N_SPLITS = 3
N_CANDIDATES = 24


def tune(
    name: str,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    groups: NDArray[Any] | None,
    *,
    options: FitOptions = FitOptions(),
    random_state: int = 0,
    n_jobs: int = -1,
    seconds: float | None = None,
    n_fits: float = 1.0,
) -> Tuned:
    """Search the tuning space of a classifier for the smallest cross-validated log loss.

    The default parameters are evaluated first and kept unless a candidate beats them. A candidate
    that does not converge, or that is at chance level, is never chosen. See
    `clipfeat.zoo.candidates.CandidateScore.beats`.

    Parameters
    ----------
    name : str
        Name of the classifier. If it has no tuning space, the result is empty.
    X, y, groups
        Training rows. Labels are 0 to n_classes - 1.
    options, random_state, n_jobs
        As in `clipfeat.zoo.make_classifier`. The seed also determines the candidates and the folds.
    seconds : float, optional
        Time limit in seconds for the search and the fits after it.
    n_fits : float
        Number of fits on all of `X` after the search. The search reserves time for them.

    Returns
    -------
    Tuned
        The best parameters. They are the same for the same seed, unless the time limit ends the
        search.

    Raises
    ------
    LabelError
        If a class has only one row.
    """
    row = classifiers().get(name)  # None for a projection with a classifier
    if row is None or row.space is None:
        return Tuned({})
    until = None if seconds is None else time.monotonic() + seconds
    classifier = make_classifier(name, options, random_state=random_state, n_jobs=n_jobs)
    folds = inner_folds(y, groups, N_SPLITS, random_state)
    equal_priors = options.balances
    if isinstance(row.space, WarmPath):
        return search_warm_path(
            classifier, row.space, X, y, folds, until, n_fits, equal_priors=equal_priors
        )
    require("optuna", f"tuning {name}")
    return search_by_halving(
        classifier, row.space, (X, y, groups), folds, until, n_fits, N_CANDIDATES, random_state,
        equal_priors=equal_priors,
    )  # fmt: skip


def time_share(begun: float, time_limit: float | None, turns: int) -> float | None:
    """Divide the remaining time of a time limit evenly.

    Parameters
    ----------
    begun : float
        Start of the time limit, on the clock of `time.monotonic`.
    time_limit : float, optional
        Time limit in seconds.
    turns : int
        Number of tasks that share the remaining time.

    Returns
    -------
    float or None
        Seconds for each task. None without a time limit.
    """
    left = None if time_limit is None else begun + time_limit - time.monotonic()
    return None if left is None else max(left, 0.0) / turns
