"""Successive halving: many candidates on few rows, the better ones on more, the best on all.

Optuna proposes and prunes; unlike scikit-learn's halving searches it has a best so far at any
moment, which a time limit needs.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.folds import Split, TrainingData, fit_with_groups

if TYPE_CHECKING:
    from optuna import Trial

    from clipfeat.zoo.tuning import Range, Tuned

RUNGS = (1, 3, 9)
"""Ninths of the rows."""
FIT_PER_TRIAL = 0.6
"""A fit on all rows, in units of a candidate's three on two thirds of them, between a time that
goes with the rows (0.5) and one that goes with their square (0.75)."""
GROWTH = 1.5
"""Power of the rows that a fit's time is taken to go with, before it has been measured."""
FEWEST = 30
"""Rows of the smallest class below which a rung says nothing."""


def search_by_halving(
    classifier: Any,
    space: Mapping[str, "Range"],
    data: TrainingData,
    folds: list[Split],
    until: float | None,
    n_fits: float,
    n_candidates: int,
    random_state: int,
) -> "Tuned":
    """Look for the parameters of least log loss, the classifier's own being the first candidate.

    A classifier that is calibrated is judged without that: by the log loss of a sigmoid through its
    held-out scores.

    Parameters
    ----------
    classifier : estimator
        Unfitted.
    space : mapping of str to Range
        By parameter.
    data : tuple
        X, y and groups.
    folds : list of (train, test)
        Row numbers.
    until : float, optional
        Of `time.monotonic`, when the fits after the search must be over. No candidate goes on to
        more rows that, by its time on fewer, would not be through by then.
    n_fits : float
        How many those fits are.
    n_candidates : int
        At most.
    random_state : int
        Of the candidates and of the rows of a rung.
    """
    import optuna
    from optuna.pruners import SuccessiveHalvingPruner
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState as State

    from clipfeat.zoo.tuning import Tuned, full_names

    bare = classifier.estimator if isinstance(classifier, GroupCalibratedClassifier) else classifier
    offered = {name: one for name, one in space.items() if full_names(bare, {name: None})}
    rank = _ranks(data[1], random_state)
    rungs = _rungs(data[1])
    first: list[float] = []  # seconds of the classifier's own parameters, by rung
    slowest = 0.0

    def run(params: Mapping[str, Any], trial: "Trial | None") -> float | None:
        """Take a candidate up the rungs, to its loss on all rows; None where it was left below."""
        nonlocal slowest
        estimator = clone(bare).set_params(**full_names(bare, params))
        took = 0.0
        for rung, step in enumerate(rungs):
            expected = _expected(took, rung, rungs, first)
            after = max(slowest, expected if step == RUNGS[-1] else 0.0) * FIT_PER_TRIAL * n_fits
            if until is not None and time.monotonic() + expected + after > until:
                raise TimeoutError
            begun = time.monotonic()
            loss = _held_out_loss(estimator, data, folds, rank < step / RUNGS[-1])
            took = time.monotonic() - begun
            if trial is None:
                first.append(took)
            else:
                trial.report(loss, step)
                if step < RUNGS[-1] and trial.should_prune():
                    return None
        slowest = max(slowest, took)
        return loss

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=TPESampler(seed=random_state),
        pruner=SuccessiveHalvingPruner(1, reduction_factor=RUNGS[1]),
    )
    least, best, tried = np.inf, {}, 0
    try:
        if until is not None and time.monotonic() < until:
            # What a classifier loads when it is first used must not count as the time of a fit.
            _held_out_loss(bare, data, folds[:1], rank < rungs[0] / RUNGS[-1])
        for number in range(n_candidates):
            trial = study.ask() if number else None  # the first is the classifier's own
            params = {n: _suggest(trial, n, one) for n, one in offered.items()} if trial else {}
            loss = run(params, trial)
            tried += 1
            if trial is not None:
                study.tell(trial, loss, state=State.PRUNED if loss is None else State.COMPLETE)
            if loss is not None and loss < least:
                least, best = loss, params
    except TimeoutError:
        return Tuned(best, tried, out_of_time=True)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return Tuned(best, tried)


def _suggest(trial: "Trial", name: str, one: "Range") -> float:
    if one.whole:
        return trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(name, one.low, one.high, log=one.log)


def _expected(took: float, rung: int, rungs: list[int], first: list[float]) -> float:
    """Seconds of a rung, from those of the one below and from how they grew for the first."""
    if rung == 0:
        return first[0] if first else 0.0
    known = rung < len(first)
    growth = first[rung] / first[rung - 1] if known else (rungs[rung] / rungs[rung - 1]) ** GROWTH
    return took * growth


def _rungs(y: NDArray[np.int64]) -> list[int]:
    """The rungs on which the smallest class has enough rows; all rows, whatever they are."""
    smallest = int(np.bincount(y).min())
    return [step for step in RUNGS if step == RUNGS[-1] or smallest * step / RUNGS[-1] >= FEWEST]


def _ranks(y: NDArray[np.int64], random_state: int) -> NDArray[np.float64]:
    """A number in [0, 1) a row, so that those below a share are that share of every class."""
    rng = np.random.default_rng(random_state)
    rank = np.empty(len(y))
    for code in np.unique(y):
        rows = np.flatnonzero(y == code)
        rank[rows] = rng.permutation(len(rows)) / len(rows)
    return rank


def _held_out_loss(
    estimator: Any, data: TrainingData, folds: list[Split], chosen: NDArray[np.bool_]
) -> float:
    """Log loss over the held-out rows of all folds, of the chosen rows only."""
    X, y, groups = data
    said, truth = [], []
    for whole_train, whole_test in folds:
        train, test = whole_train[chosen[whole_train]], whole_test[chosen[whole_test]]
        own = None if groups is None else groups[train]
        fitted = fit_with_groups(clone(estimator), X[train], y[train], own)
        ask = getattr(fitted, "predict_proba", None) or fitted.decision_function
        said.append(ask(X[test]))
        truth.append(y[test])
    p, y_of = np.concatenate(said), np.concatenate(truth)
    if not hasattr(estimator, "predict_proba"):
        scores = StandardScaler().fit_transform(p.reshape(len(p), -1))
        p = LogisticRegression(C=100.0, max_iter=1000).fit(scores, y_of).predict_proba(scores)
    return float(log_loss(y_of, p, labels=np.unique(y)))
