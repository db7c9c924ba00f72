"""Stratified folds that keep groups whole, and fitting estimators that take groups."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError

RowNumbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Split = tuple[RowNumbers, RowNumbers]
"""Row numbers of the training rows and of the test rows."""

TrainingData = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[Any] | None]
"""X, y and groups of the same rows."""


def k_fold(
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    n_splits: int,
    random_state: int | None,
) -> list[Split]:
    """Split into folds of about equal shares of every class, groups kept whole.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Class of each row, in any type.
    groups : ndarray of shape (n_samples,), optional
        Rows of one group are in one fold.
    n_splits : int
        Number of folds, 2 or more.
    random_state : int, optional
        Seed of the shuffle.

    Returns
    -------
    list of (train, test)
        Row numbers; every row is in exactly one test.

    Raises
    ------
    LabelError
        If a class has fewer rows, or groups, than there are folds.
    """
    if n_splits < 2:
        raise UsageError(f"2 folds or more are needed, got {n_splits}")
    what = "images" if groups is None else "groups of images"
    units = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    for name in np.unique(y):
        n = len(np.unique(units[y == name]))
        if n < n_splits:
            raise LabelError(
                f"class {str(name)!r} has {n} {what}, fewer than the {n_splits} folds: use fewer "
                "folds, or more images of it"
            )
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = splitter(n_splits, shuffle=True, random_state=random_state)
    splits = [(train, test) for train, test in folds.split(np.zeros(len(y)), y, groups)]
    if any(len(np.unique(y[train])) < len(np.unique(y)) for train, _ in splits):
        raise LabelError(
            f"{n_splits} folds of whole groups leave a training without one of the classes: use "
            "other folds, or more groups"
        )
    return splits


def inner_folds(
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    n_splits: int,
    random_state: int | None,
) -> list[Split]:
    """Split training rows for what a classifier learns on held-out rows: `k_fold`, or the nearest.

    As many folds, up to `n_splits`, as the smallest class has rows, or groups. Where no two folds
    of whole groups exist, since a class is one group, groups are parted, with a warning.

    Warns
    -----
    ClipfeatWarning
        If groups are parted.

    Raises
    ------
    LabelError
        If a class has only one row.
    """
    units = np.arange(len(y)) if groups is None else np.asarray(groups)
    most = min(n_splits, *(len(np.unique(units[y == label])) for label in np.unique(y)))
    for n in range(most, 1, -1):
        try:
            return k_fold(y, groups, n, random_state)
        except LabelError:  # the groups of one class are all in one fold
            continue
    if groups is None:
        return k_fold(y, None, 2, random_state)
    warnings.warn(
        "too few groups to calibrate on held-out ones: groups are parted within the training rows, "
        "and probabilities are too sure of new groups",
        ClipfeatWarning,
        stacklevel=2,
    )
    return inner_folds(y, None, n_splits, random_state)


def groups_parameter(estimator: Any) -> str | None:
    """The keyword by which an estimator's ``fit`` takes groups, looking into pipelines."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = groups_parameter(last)
        return inner and f"{name}__{inner}"
    return "groups" if has_fit_parameter(estimator, "groups") else None


def fit_with_groups(
    estimator: Any, X: Any, y: Any, groups: NDArray[np.generic] | None, **further: Any
) -> Any:
    """Fit, handing groups to an estimator that splits its training rows by itself."""
    keyword = groups_parameter(estimator) if groups is not None else None
    return estimator.fit(X, y, **({keyword: groups} if keyword else {}), **further)
