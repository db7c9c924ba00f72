"""Cells of a benchmark: one classifier, fitted and scored on one split."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import align
from clipfeat.errors import UsageError
from clipfeat.model import estimator_bytes
from clipfeat.zoo.building import build, count_fits
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import RowNumbers, Split, TrainingData, fit_with_groups, inner_folds
from clipfeat.zoo.spaces import Tuned
from clipfeat.zoo.tuning import tune

INNER_FOLDS = 3
"""Number of folds for the out-of-fold probabilities of training rows."""


@dataclass(frozen=True, eq=False)
class Cell:
    """Results of one classifier on one split.

    Parameters
    ----------
    test : ndarray of shape (n_test, n_classes)
        Probabilities of the test rows.
    train : ndarray of shape (n_rows, n_classes), or None
        Probabilities of the rows on which thresholds and votes are chosen: out-of-fold
        probabilities of the training rows, or the probabilities of a validation set. None if they
        were not requested. If the fit left out training rows for the threshold, only these rows
        have probabilities, and the other rows are NaN.
    costs : mapping of str to float
        ``fit_seconds`` and ``predict_seconds``, and ``model_bytes`` if the size of the model was
        requested. ``fit_seconds`` includes the time of a parameter search.
    tuned : Tuned, optional
        Result of the parameter search on the training rows.
    seconds : float
        Wall time of the whole cell, in seconds.
    """

    test: NDArray[np.float64]
    train: NDArray[np.float64] | None
    costs: Mapping[str, float]
    tuned: Tuned | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class CellSpec:
    """Specification of a cell.

    Parameters
    ----------
    trial : int
        Index of the cell's trial. A trial is a list of splits, such as the folds of one
        cross-validation, whose scores are aggregated. A protocol has one or more trials.
    where : str
        Name of the trial and the fold in messages.
    entry : str
        Name in tables: the classifier, followed by its encoder if there are several encoders. See
        `clipfeat.evaluate.entries.entry_names`.
    name : str
        Name of the classifier in `clipfeat.zoo`.
    columns : slice
        Columns of the features that the classifier uses.
    split : (train, test)
        Row numbers of the training rows and of the test rows.
    seed : int
        Random seed of the classifier.
    n_left : int
        Number of cells that share the remaining time of a time limit, including this cell.
    measure_size : bool
        Measure the size of the fitted model.
    threshold_rows : ndarray of int, optional
        Row numbers of the training rows that the fit leaves out. The threshold is chosen on them.
    """

    trial: int
    where: str
    entry: str
    name: str
    columns: slice
    split: Split
    seed: int
    n_left: int
    measure_size: bool
    threshold_rows: RowNumbers | None = None


def run_cell(
    spec: CellSpec,
    options: FitOptions,
    data: TrainingData,
    n_classes: int,
    *,
    out_of_fold: bool,
    n_jobs: int,
    seconds: float | None = None,
) -> Cell:
    """Fit a classifier on the training rows of a split and predict the test rows.

    Parameters
    ----------
    spec : CellSpec
        Specification of the cell.
    options : FitOptions
        Options of all cells of the run.
    data : (X, y, groups)
        All rows, with all columns.
    n_classes : int
        Number of classes. Labels are 0 to n_classes - 1.
    out_of_fold : bool
        Also predict the training rows out of fold. See `fit_and_predict`.
    n_jobs : int
        Number of threads.
    seconds : float, optional
        Time limit in seconds for a parameter search and the fits after it.

    Returns
    -------
    Cell
        The results.
    """
    X, y, groups = data
    make = partial(build, spec.name, options, random_state=spec.seed, n_jobs=n_jobs)
    search: Callable[..., Tuned] | None = None
    if options.tune:
        n_fits = count_fits(make()) * (1 + INNER_FOLDS if out_of_fold else 1)
        search = partial(
            tune, spec.name, options=options, random_state=spec.seed, n_jobs=n_jobs,
            seconds=seconds, n_fits=n_fits,
        )  # fmt: skip
    return fit_and_predict(
        make, (X[:, spec.columns], y, groups), spec.split, n_classes, seed=spec.seed,
        out_of_fold=out_of_fold, measure_size=spec.measure_size, search=search,
        threshold_rows=spec.threshold_rows,
    )  # fmt: skip


def fit_and_predict(
    make: Callable[..., Any],
    data: TrainingData,
    split: Split,
    n_classes: int,
    *,
    seed: int,
    out_of_fold: bool,
    measure_size: bool,
    search: Callable[..., Tuned] | None = None,
    threshold_rows: RowNumbers | None = None,
) -> Cell:
    """Fit an estimator on the training rows of a split and predict the test rows.

    Parameters
    ----------
    make : callable
        Function that returns an unfitted classifier. After a parameter search, it is called with
        the keyword argument ``params``.
    data : (X, y, groups)
        All rows.
    split : (train, test)
        Row numbers of the training rows and of the test rows.
    n_classes : int
        Number of classes. Labels are 0 to n_classes - 1.
    seed : int
        Random seed of the inner folds.
    out_of_fold : bool
        Also predict the training rows out of fold. The classifier is fitted `INNER_FOLDS` more
        times, each time without one inner fold, which it then predicts. A bag is fitted with all
        its models each time. Its thresholds are therefore chosen on averages over these models,
        which is also how the fitted bag predicts.
    measure_size : bool
        Measure the size of the fitted model.
    search : callable, optional
        Parameter search. It takes X, y and groups of the training rows and returns a `Tuned`. The
        fits on the inner folds use the same parameters.
    threshold_rows : ndarray of int, optional
        Row numbers of training rows that all fits leave out. The fitted classifier predicts these
        rows, and `out_of_fold` is ignored.

    Returns
    -------
    Cell
        The results. `Cell.seconds` is 0, because the caller measures it.
    """
    all_train, test = split
    train = all_train
    if threshold_rows is not None:
        train = all_train[~np.isin(all_train, threshold_rows)]
    X, y, groups = data
    train_groups = None if groups is None else groups[train]
    classes = np.arange(n_classes)
    begun = time.perf_counter()
    tuned = search(X[train], y[train], train_groups) if search else None
    if tuned is not None:
        make = partial(make, params=tuned.params)
    fitted = fit_with_groups(make(), X[train], y[train], train_groups)
    between = time.perf_counter()
    p = align(fitted.predict_proba(X[test]), fitted.classes_, classes)
    costs = {"fit_seconds": between - begun, "predict_seconds": time.perf_counter() - between}
    if measure_size:
        with suppress(UsageError):  # the classifier of a plug-in may have no codec
            costs["model_bytes"] = float(estimator_bytes(fitted))
    held_out: NDArray[np.float64] | None = None
    if threshold_rows is not None:
        held_out = np.full((len(all_train), n_classes), np.nan)
        part = np.flatnonzero(np.isin(all_train, threshold_rows))
        part_p = fitted.predict_proba(X[all_train[part]])
        held_out[part] = align(part_p, fitted.classes_, classes)
    elif out_of_fold:
        held_out = np.empty((len(train), n_classes))
        for rest, part in inner_folds(y[train], train_groups, INNER_FOLDS, seed):
            rows = train[rest]
            rest_groups = None if train_groups is None else train_groups[rest]
            member = fit_with_groups(make(), X[rows], y[rows], rest_groups)
            member_p = member.predict_proba(X[train[part]])
            held_out[part] = align(member_p, member.classes_, classes)
    return Cell(p, held_out, costs, tuned)
