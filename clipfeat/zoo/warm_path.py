"""The regularisation path of a linear model, each fit begun where the last one ended."""

import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss

from clipfeat.zoo.folds import Split

if TYPE_CHECKING:
    from clipfeat.zoo.tuning import Tuned, WarmPath

RISES = 2
"""So often in a row may the loss rise before the rest of the path is left out: it costs most."""
FINE = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
"""Decades about the best, tried after it is known."""


def search_warm_path(
    pipeline: Any,
    path: "WarmPath",
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: list[Split],
    until: float | None,
    n_fits: float,
) -> "Tuned":
    """Follow a penalty from strong to weak on every fold at once, then finely about the best.

    Parameters
    ----------
    pipeline : Pipeline
        Its last step has ``warm_start`` and the path's parameter.
    path : WarmPath
        The parameter and its range.
    X, y : ndarray
        All rows.
    folds : list of (train, test)
        Row numbers.
    until : float, optional
        Of `time.monotonic`, when the fits after the search must be over.
    n_fits : float
        How many those are.
    """
    from clipfeat.zoo.tuning import Tuned

    decades = np.arange(np.log10(path.low), np.log10(path.high) + 0.5)
    prepared = [_prepare(pipeline, X, y, train, test) for train, test in folds]
    losses: dict[float, float] = {}
    last = 0.0

    def follow(exponents: NDArray[np.float64]) -> bool:
        """Whether the time was enough."""
        nonlocal last
        models = [clone(pipeline[-1]).set_params(warm_start=True) for _ in folds]
        rises = 0
        for exponent in exponents.tolist():
            begun = time.monotonic()
            # The next takes about as long as the last, and so does a fit from nothing after all.
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
    """Mean log loss of the held-out rows at one value; the models keep what they learned."""
    total = n = 0.0
    for model, (X, y, held, truth) in zip(models, prepared, strict=True):
        with warnings.catch_warnings():
            # The weakest penalties may stop short of the optimum; that is judged by their loss.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(**{parameter: value}).fit(X, y)
        p = model.predict_proba(held)
        total += log_loss(truth, p, labels=model.classes_) * len(truth)
        n += len(truth)
    return total / n
