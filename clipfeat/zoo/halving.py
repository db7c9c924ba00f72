"""Parameter search by successive halving.

A candidate is one set of parameter values. Many candidates are scored on few rows, the better
candidates on more rows, and the best candidates on all rows. Optuna proposes and prunes the
candidates. Unlike scikit-learn's halving searches, this search has a best candidate after every
fit. It can therefore return a result when a time limit ends it.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from clipfeat.zoo.calibration import GroupCalibratedClassifier
from clipfeat.zoo.candidates import CandidateScore, record_convergence, score_candidate
from clipfeat.zoo.folds import Split, TrainingData, fit_with_groups
from clipfeat.zoo.spaces import Range, Tuned, full_names

if TYPE_CHECKING:
    from optuna import Trial

RUNGS = (1, 3, 9)
"""Rungs, the stages of the search. On each rung, candidates are scored on this many ninths of the
rows."""
FIT_PER_TRIAL = 0.6
"""Estimated time of a fit on all rows, divided by the time of a candidate's three fits, each on two
thirds of the rows. The ratio is 0.5 if the time is linear in the number of rows, and 0.75 if it is
quadratic."""
GROWTH = 1.5
"""Exponent for the time of a fit that was not measured yet. The time is assumed to be proportional
to this power of the number of rows."""
FEWEST = 30
"""Smallest number of rows of the smallest class on a rung. With fewer, the losses are noise."""


def search_by_halving(
    classifier: Any,
    space: Mapping[str, Range],
    data: TrainingData,
    folds: list[Split],
    until: float | None,
    n_fits: float,
    n_candidates: int,
    random_state: int,
    *,
    equal_priors: bool = False,
) -> Tuned:
    """Search for the parameters with the smallest log loss on held-out rows.

    The default parameters are the first candidate. They are kept unless a candidate beats them on
    all held-out rows, see `clipfeat.zoo.candidates.CandidateScore.beats`. A calibrated classifier
    is scored without its calibration, which saves fits. Instead, a sigmoid is fitted to its
    held-out scores, and the log loss is computed from the probabilities of the sigmoid.

    Parameters
    ----------
    classifier : estimator
        Unfitted classifier.
    space : mapping of str to Range
        Ranges by parameter.
    data : (X, y, groups)
        Training rows.
    folds : list of (train, test)
        Row numbers of each fold.
    until : float, optional
        Time, on the clock of `time.monotonic`, by which the search and the fits after it must end.
        The time of a candidate on the next rung is estimated from its time on fewer rows. The
        search ends if the candidate and the later fits would take too long.
    n_fits : float
        Number of fits after the search.
    n_candidates : int
        Largest number of candidates.
    random_state : int
        Random seed of the candidates and of the rows on each rung.
    equal_priors : bool
        Whether the fits after the search balance the classes.

    Returns
    -------
    Tuned
        The best parameters. Empty if the default parameters are the best.
    """
    import optuna
    from optuna.pruners import SuccessiveHalvingPruner
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState as State

    bare = classifier.estimator if isinstance(classifier, GroupCalibratedClassifier) else classifier
    ranges = {name: one for name, one in space.items() if full_names(bare, {name: None})}
    rank = _ranks(data[1], random_state)
    rungs = _rungs(data[1])
    first: list[float] = []  # seconds that the default parameters take on each rung
    slowest = 0.0

    def run(params: Mapping[str, Any], trial: "Trial | None") -> CandidateScore | None:
        """Score a candidate on each rung. Return its score on all rows, or None if it is pruned."""
        nonlocal slowest
        estimator = clone(bare).set_params(**full_names(bare, params))
        took = 0.0
        for rung, step in enumerate(rungs):
            expected = _expected(took, rung, rungs, first)
            after = max(slowest, expected if step == RUNGS[-1] else 0.0) * FIT_PER_TRIAL * n_fits
            if until is not None and time.monotonic() + expected + after > until:
                raise TimeoutError
            begun = time.monotonic()
            score = _held_out_score(
                estimator, data, folds, rank < step / RUNGS[-1], equal_priors=equal_priors
            )
            took = time.monotonic() - begun
            if trial is None:
                first.append(took)
            else:
                trial.report(score.loss, step)
                if step < RUNGS[-1] and trial.should_prune():
                    return None
        slowest = max(slowest, took)
        return score

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        sampler=TPESampler(seed=random_state),
        pruner=SuccessiveHalvingPruner(1, reduction_factor=RUNGS[1]),
    )
    scored: list[tuple[CandidateScore, Mapping[str, Any]]] = []  # the default is the first
    tried = 0
    try:
        if until is not None and time.monotonic() < until:
            # The first fit of a classifier imports its libraries. This fit is not measured.
            _held_out_score(bare, data, folds[:1], rank < rungs[0] / RUNGS[-1])
        for number in range(n_candidates):
            trial = study.ask() if number else None  # the first candidate is the defaults
            params = {n: _suggest(trial, n, one) for n, one in ranges.items()} if trial else {}
            score = run(params, trial)
            tried += 1
            if score is not None:
                scored.append((score, params))
            if trial is not None:
                loss = None if score is None else score.loss
                study.tell(trial, loss, state=State.PRUNED if loss is None else State.COMPLETE)
    except TimeoutError:
        return Tuned(_best(scored), tried, out_of_time=True)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return Tuned(_best(scored), tried)


def _best(scored: Sequence[tuple[CandidateScore, Mapping[str, Any]]]) -> Mapping[str, Any]:
    """Return the best parameters that beat the default, or no parameters if none beat it."""
    better = [(score.loss, params) for score, params in scored if score.beats(scored[0][0])]
    return min(better, key=lambda one: one[0])[1] if better else {}


def _suggest(trial: "Trial", name: str, one: Range) -> float:
    if one.whole:
        return trial.suggest_int(name, int(one.low), int(one.high), log=one.log)
    return trial.suggest_float(name, one.low, one.high, log=one.log)


def _expected(took: float, rung: int, rungs: list[int], first: list[float]) -> float:
    """Estimate the seconds that a candidate takes on a rung.

    The estimate is the candidate's time on the rung below, times the ratio of the first candidate's
    times on the two rungs.
    """
    if rung == 0:
        return first[0] if first else 0.0
    known = rung < len(first)
    growth = first[rung] / first[rung - 1] if known else (rungs[rung] / rungs[rung - 1]) ** GROWTH
    return took * growth


def _rungs(y: NDArray[np.int64]) -> list[int]:
    """List the last rung, and the other rungs on which the smallest class has enough rows."""
    smallest = int(np.bincount(y).min())
    return [step for step in RUNGS if step == RUNGS[-1] or smallest * step / RUNGS[-1] >= FEWEST]


def _ranks(y: NDArray[np.int64], random_state: int) -> NDArray[np.float64]:
    """Assign a random rank in [0, 1) to each row.

    In every class, the fraction of the rows with a rank below p is p.
    """
    rng = np.random.default_rng(random_state)
    rank = np.empty(len(y))
    for code in np.unique(y):
        rows = np.flatnonzero(y == code)
        rank[rows] = rng.permutation(len(rows)) / len(rows)
    return rank


def _held_out_score(
    estimator: Any,
    data: TrainingData,
    folds: list[Split],
    chosen: NDArray[np.bool_],
    *,
    equal_priors: bool = False,
) -> CandidateScore:
    """Score a classifier by cross-validation on the chosen rows."""
    X, y, groups = data
    outputs, labels = [], []
    with record_convergence() as failures:
        for all_train, all_test in folds:
            train, test = all_train[chosen[all_train]], all_test[chosen[all_test]]
            train_groups = None if groups is None else groups[train]
            fitted = fit_with_groups(clone(estimator), X[train], y[train], train_groups)
            predict = getattr(fitted, "predict_proba", None) or fitted.decision_function
            outputs.append(predict(X[test]))
            labels.append(y[test])
    p, y_true = np.concatenate(outputs), np.concatenate(labels)
    if not hasattr(estimator, "predict_proba"):
        scores = StandardScaler().fit_transform(p.reshape(len(p), -1))
        p = LogisticRegression(C=100.0, max_iter=1000).fit(scores, y_true).predict_proba(scores)
    return score_candidate(y_true, p, equal_priors=equal_priors, converged=not failures)
