"""Search along the regularisation path of a linear model, with warm starts."""

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
"""The search ends early if more than this many values in a row have a loss above the smallest.
This saves time, because fits with weak regularisation take longest."""
FINE = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
"""Second steps of the search: differences to the exponent of the best power of ten."""


def search_warm_path(
    pipeline: Any,
    path: WarmPath,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: list[Split],
    until: float | None,
    n_fits: float,
) -> Tuned:
    """Search for the value of a parameter with the smallest cross-validated log loss.

    The search tries powers of ten from strong to weak regularisation, then values around the best.

    Parameters
    ----------
    pipeline : Pipeline
        Unfitted pipeline. Its last step has the parameter of the path and ``warm_start``.
    path : WarmPath
        Parameter and its range.
    X, y : ndarray
        Training rows.
    folds : list of (train, test)
        Row numbers of each fold.
    until : float, optional
        Time, on the clock of `time.monotonic`, by which the search and the fits after it must end.
    n_fits : float
        Number of fits after the search.

    Returns
    -------
    Tuned
        The best value.
    """
    decades = np.arange(np.log10(path.low), np.log10(path.high) + 0.5)
    prepared = [_prepare(pipeline, X, y, train, test) for train, test in folds]
    losses: dict[float, float] = {}
    last = 0.0

    def follow(exponents: NDArray[np.float64]) -> bool:
        """Fit with each exponent, where the value of the parameter is ``10**exponent``.

        Return whether the time was sufficient.
        """
        nonlocal last
        models = [clone(pipeline[-1]).set_params(warm_start=True) for _ in folds]
        rises = 0
        for exponent in exponents.tolist():
            begun = time.monotonic()
            # Assume that the next fit, and a fit without a warm start, take as long as the slowest.
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
    """Fit the models of all folds with one value, and compute their mean held-out log loss.

    Each model starts from its coefficients of the last call.
    """
    total = n = 0.0
    for model, (X, y, held, truth) in zip(models, prepared, strict=True):
        with warnings.catch_warnings():
            # Fits with weak regularisation may not converge. Their loss is still valid.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(**{parameter: value}).fit(X, y)
        p = model.predict_proba(held)
        total += log_loss(truth, p, labels=model.classes_) * len(truth)
        n += len(truth)
    return total / n
