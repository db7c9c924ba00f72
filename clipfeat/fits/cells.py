"""One cell of a benchmark: a classifier fitted on one fold's training rows."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.ensemble import align
from clipfeat.model import dump_estimator
from clipfeat.zoo.bagging import BaggedClassifier
from clipfeat.zoo.folds import Split, fit_with_groups, inner_folds
from clipfeat.zoo.recipe import build, count_fits
from clipfeat.zoo.tuning import Tuned, tune

INNER = 3
"""Folds inside a training, where a threshold is chosen."""

Rows = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.str_] | None]
"""X, y and groups of the same rows."""


@dataclass(frozen=True, eq=False)
class Cell:
    """What a classifier said on one fold.

    Parameters
    ----------
    test : ndarray of shape (n_test, n_classes)
        Probabilities of the fold's test rows.
    train : ndarray of shape (n_train, n_classes), or None
        Probabilities of its training rows, out of fold among themselves, where they were asked for.
    costs : mapping of str to float
        Seconds to fit, a search included, and to predict; bytes of the fitted model where they were
        asked for.
    tuned : Tuned, optional
        What a search on the training rows chose.
    seconds : float
        What all of it took.
    """

    test: NDArray[np.float64]
    train: NDArray[np.float64] | None
    costs: Mapping[str, float]
    tuned: Tuned | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Settings:
    """What is asked of every classifier of a run.

    Parameters
    ----------
    balance, accelerate, calibrate, bag
        As in `clipfeat.zoo.recipe.build`.
    tune : bool
        Whether parameters are searched for inside each training.
    inner : bool
        Whether the training rows are predicted too; see `run_cell`.
    """

    balance: bool | str = False
    accelerate: bool = True
    calibrate: str = "none"
    bag: int = 0
    tune: bool = False
    inner: bool = False


@dataclass(frozen=True, eq=False)
class Asked:
    """A cell that is to be fitted.

    Parameters
    ----------
    trial : int
        Its place among the protocol's.
    where : str
        Trial and fold, as a reader would say it.
    entry, name, columns
        What `clipfeat.evaluate.trials.entry_names` says.
    split : (train, test)
        Row numbers.
    seed : int
        Of the classifier.
    turns : int
        The cells for which a time limit must still do where one follows the other, this included.
    measure_size : bool
        Whether the fitted model is measured.
    """

    trial: int
    where: str
    entry: str
    name: str
    columns: slice
    split: Split
    seed: int
    turns: int
    measure_size: bool


def run_entry(
    name: str,
    settings: Settings,
    data: Rows,
    split: Split,
    n_classes: int,
    *,
    seed: int,
    n_jobs: int,
    measure_size: bool,
    seconds: float | None = None,
) -> Cell:
    """Fit a classifier of the zoo on one split; see `run_cell`.

    Parameters
    ----------
    name : str
        One of the zoo's.
    settings : Settings
        What is asked of it.
    seconds : float, optional
        What a search and the fits after it may take.
    """
    make = partial(
        build, name, random_state=seed, n_jobs=n_jobs, balance=settings.balance,
        calibrate=settings.calibrate, bag=settings.bag, accelerate=settings.accelerate,
    )  # fmt: skip
    search: Callable[..., Tuned] | None = None
    if settings.tune:
        n_fits = count_fits(make()) * (1 + INNER if settings.inner else 1)
        search = partial(
            tune, name, random_state=seed, n_jobs=n_jobs, seconds=seconds, n_fits=n_fits
        )
    return run_cell(
        make, data, split, n_classes, seed=seed, inner=settings.inner, measure_size=measure_size,
        search=search,
    )  # fmt: skip


def run_cell(
    make: Callable[..., Any],
    data: Rows,
    split: Split,
    n_classes: int,
    *,
    seed: int,
    inner: bool,
    measure_size: bool,
    search: Callable[..., Tuned] | None = None,
) -> Cell:
    """Fit on the training rows and predict the test rows.

    Parameters
    ----------
    make : callable
        Gives an unfitted classifier, by ``params`` where a search chose some.
    data : tuple
        X, y and groups of all rows.
    split : (train, test)
        Row numbers.
    n_classes : int
        Labels are 0 to n_classes - 1.
    seed : int
        Of the inner folds.
    inner : bool
        Whether the training rows are predicted too, each by a model that did not see it: by
        `INNER` further fits, or by a bag's own members.
    measure_size : bool
        Whether the fitted model is measured.
    search : callable, optional
        From the training rows' X, y and groups to parameters, which serve the inner folds as well.
    """
    train, test = split
    X, y, groups = data
    own = None if groups is None else groups[train]
    classes = np.arange(n_classes)
    begun = time.perf_counter()
    tuned = search(X[train], y[train], own) if search else None
    if tuned is not None:
        make = partial(make, params=tuned.params)
    fitted = fit_with_groups(make(), X[train], y[train], own)
    between = time.perf_counter()
    p = align(fitted.predict_proba(X[test]), fitted.classes_, classes)
    costs = {"fit_seconds": between - begun, "predict_seconds": time.perf_counter() - between}
    if measure_size:
        costs["model_bytes"] = float(len(dump_estimator(fitted)))
    held_out: NDArray[np.float64] | None = None
    if inner and isinstance(fitted, BaggedClassifier):
        held_out = fitted.out_of_fold_proba(X[train], y[train], own)
        held_out = align(held_out, fitted.classes_, classes)
    elif inner:
        held_out = np.empty((len(train), n_classes))
        for rest, part in inner_folds(y[train], own, INNER, seed):
            rows = train[rest]
            again = fit_with_groups(make(), X[rows], y[rows], None if own is None else own[rest])
            held = again.predict_proba(X[train[part]])
            held_out[part] = align(held, again.classes_, classes)
    return Cell(p, held_out, costs, tuned)
