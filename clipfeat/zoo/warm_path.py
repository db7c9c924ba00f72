"""Search along the regularisation path of a linear model, with warm starts."""

import time
from copy import deepcopy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from clipfeat.zoo.candidates import CandidateScore, record_convergence, score_candidate
from clipfeat.zoo.folds import Split
from clipfeat.zoo.spaces import Tuned, WarmPath

RISES = 2
"""The search in one direction ends if more than this many consecutive values have a loss above the
smallest loss. This saves time, because fits with weak regularisation take longest."""
FINE = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
"""Exponents of the last values that the search tries, relative to the exponent of the best value.
All exponents have base 10."""


def search_warm_path(
    pipeline: Any,
    path: WarmPath,
    X: NDArray[np.float32],
    y: NDArray[np.int64],
    folds: list[Split],
    until: float | None,
    n_fits: float,
    *,
    equal_priors: bool = False,
) -> Tuned:
    """Search for the value of a parameter with the smallest cross-validated log loss.

    The default value is the first candidate. The search then tries powers of ten: first those with
    stronger regularisation than the default, then those with weaker regularisation. Finally, it
    tries values around the best candidate. The default is kept unless a candidate beats it on the
    held-out rows, see `clipfeat.zoo.candidates.CandidateScore.beats`. The best candidate must also
    converge without a warm start, because the fit on all rows has no warm start.

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
    equal_priors : bool
        Whether the fits after the search balance the classes.

    Returns
    -------
    Tuned
        The best value, or no value if the default is the best.
    """
    prepared = [_prepare(pipeline, X, y, train, test) for train, test in folds]
    default = float(np.log10(pipeline[-1].get_params()[path.parameter]))
    decades = np.arange(np.log10(path.low), np.log10(path.high) + 0.5)
    scores: dict[float, CandidateScore] = {}
    last = 0.0

    def in_time(n_further: int) -> bool:
        # Assume that each further fit takes as long as the slowest.
        return until is None or time.monotonic() + last * (n_further + n_fits) <= until

    def follow(exponents: NDArray[np.float64], models: list[Any]) -> bool:
        """Fit with each exponent, where the value of the parameter is ``10**exponent``.

        Return whether the time was sufficient.
        """
        nonlocal last
        rises = 0
        for exponent in exponents.tolist():
            begun = time.monotonic()
            if not in_time(2):  # this fit, and a fit without a warm start
                return False
            score = _score(models, prepared, path.parameter, 10.0**exponent, equal_priors)
            last = max(time.monotonic() - begun, last)
            rises = rises + 1 if scores and score.loss > _least(scores) else 0
            scores[exponent] = score
            # With weaker regularisation, further fits would not converge either.
            stuck = not score.converged and exponents[0] > default
            if rises > RISES or stuck:
                break
        return True

    models = [clone(pipeline[-1]).set_params(warm_start=True) for _ in folds]
    enough = (until is None or time.monotonic() < until) and follow(np.array([default]), models)
    enough = enough and follow(decades[decades < default][::-1], deepcopy(models))
    enough = enough and follow(decades[decades > default], models)
    if enough:
        fine = _ranked(scores, default)[0] + np.array(FINE)
        fine = fine[(fine >= decades[0]) & (fine <= decades[-1])]
        enough = follow(fine, [clone(one) for one in models])
    best = default
    for exponent in _ranked(scores, default) if scores else []:
        if exponent == default:
            break
        if not in_time(1):
            enough = False
            break
        if _converges(pipeline, prepared[0], path.parameter, 10.0**exponent):
            best = exponent
            break
    params = {} if best == default else {path.parameter: 10.0**best}
    return Tuned(params, len(scores), not enough)


def _least(scores: dict[float, CandidateScore]) -> float:
    return min(score.loss for score in scores.values())


def _ranked(scores: dict[float, CandidateScore], default: float) -> list[float]:
    """Return the exponents that beat the default, sorted by loss, followed by the default."""
    better = [e for e, score in scores.items() if e != default and score.beats(scores[default])]
    return [*sorted(better, key=lambda e: scores[e].loss), default]


def _prepare(
    pipeline: Any, X: Any, y: Any, train: NDArray[np.int64], test: NDArray[np.int64]
) -> tuple[Any, Any, Any, Any]:
    before = clone(pipeline[:-1])
    return before.fit_transform(X[train], y[train]), y[train], before.transform(X[test]), y[test]


def _score(
    models: list[Any],
    prepared: list[tuple[Any, ...]],
    parameter: str,
    value: float,
    equal_priors: bool = False,
) -> CandidateScore:
    """Fit the models of all folds with one value, and score them on the held-out rows.

    Each model starts from its coefficients of the last call.
    """
    outputs, labels = [], []
    with record_convergence() as failures:
        for model, (X, y, held, truth) in zip(models, prepared, strict=True):
            model.set_params(**{parameter: value}).fit(X, y)
            outputs.append(model.predict_proba(held))
            labels.append(truth)
    return score_candidate(
        np.concatenate(labels), np.concatenate(outputs), equal_priors=equal_priors,
        converged=not failures,
    )  # fmt: skip


def _converges(pipeline: Any, prepared: tuple[Any, ...], parameter: str, value: float) -> bool:
    """Return whether a fit without a warm start converges on the first fold."""
    X, y, *_ = prepared
    with record_convergence() as failures:
        clone(pipeline[-1]).set_params(**{parameter: value}).fit(X, y)
    return not failures
