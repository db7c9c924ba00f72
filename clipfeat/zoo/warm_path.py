"""Parameter search along the regularisation path of a linear model, with warm starts."""

import time
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from clipfeat.zoo.folds import Split
from clipfeat.zoo.spaces import Tuned, WarmPath

RISES = 2
"""Consecutive rises of the loss that end the path; its weak end takes the most time."""
FINE = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
"""Offsets in decades around the best value, tried afterwards."""


def search_warm_path(
    pipeline: Any,
    path: WarmPath,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: list[Split],
    until: float | None,
    n_fits: float,
) -> Tuned:
    """Follow the penalty from strong to weak in all folds, then in finer steps around the best.

    Parameters
    ----------
    pipeline : Pipeline
        Pipeline whose last step has ``warm_start`` and the parameter of the path.
    path : WarmPath
        Parameter and range.
    X, y : ndarray
        Training rows.
    folds : list of (train, test)
        Row numbers.
    until : float, optional
        Time, as `time.monotonic` counts it, by which the fits after the search must end.
    n_fits : float
        Number of fits after the search.
    """
    decades = np.arange(np.log10(path.low), np.log10(path.high) + 0.5)
    prepared = [_prepare(pipeline, X, y, train, test) for train, test in folds]
    losses: dict[float, float] = {}
    last = 0.0

    def follow(exponents: NDArray[np.float64]) -> bool:
        """Fit at each exponent; return False if the time runs out."""
        nonlocal last
        models = [clone(pipeline[-1]).set_params(warm_start=True) for _ in folds]
        rises = 0
        for exponent in exponents.tolist():
            begun = time.monotonic()
            # The next fit, and a cold fit after the search, take about as long as the last.
            if until is not None and begun + last * (2 + n_fits) > until:
                return False
            now = _loss(models, prepared, path.parameter, 10.0**exponent)
            last = max(time.monotonic() - begun, last)
            rises = rises + 1 if losses and now > min(losses.values()) else 0
            losses[exponent] = now
            if rises > RISES:
                break
        return True

    enough = follow(decades)
    if enough:
        fine = min(losses, key=lambda e: losses[e]) + np.array(FINE)
        enough = follow(fine[(fine >= decades[0]) & (fine <= decades[-1])])
    best = {path.parameter: 10.0 ** min(losses, key=lambda e: losses[e])} if losses else {}
    return Tuned(best, len(losses), not enough)


def _prepare(
    pipeline: Any, X: Any, y: Any, train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[Any, Any, Any, Any]:
    before = clone(pipeline[:-1])
    return before.fit_transform(X[train], y[train]), y[train], before.transform(X[test]), y[test]


def _loss(
    models: list[Any], prepared: list[tuple[Any, ...]], parameter: str, value: float
) -> float:
    """Compute the mean held-out log loss at one value; the models keep their coefficients."""
    total = n = 0.0
    for model, (X, y, held, truth) in zip(models, prepared, strict=True):
        with warnings.catch_warnings():
            # Fits with weak penalties may not converge; their loss still counts.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(**{parameter: value}).fit(X, y)
        p = model.predict_proba(held)
        total += log_loss(truth, p, labels=model.classes_) * len(truth)
        n += len(truth)
    return total / n
