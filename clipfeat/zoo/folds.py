"""Stratified grouped folds, and fitting estimators that take groups."""

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
    """Split rows into stratified folds; all rows of a group are in the same fold.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Class of each row, of any type.
    groups : ndarray of shape (n_samples,), optional
        Group of each row.
    n_splits : int
        Number of folds, at least 2.
    random_state : int, optional
        Random seed of the shuffle.

    Returns
    -------
    list of (train, test)
        Row numbers; every row is in exactly one test set.

    Raises
    ------
    LabelError
        If a class has fewer rows or groups than folds, or a training set lacks a class.
    UsageError
        If `n_splits` is less than 2.
    """
    if n_splits < 2:
        raise UsageError(f"the number of folds must be at least 2, got {n_splits}")
    unit = "images" if groups is None else "groups of images"
    units = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    for name in np.unique(y):
        n = len(np.unique(units[y == name]))
        if n < n_splits:
            raise LabelError(
                f"class {str(name)!r} has {n} {unit}, fewer than the {n_splits} folds: use fewer "
                "folds, or add images of this class"
            )
    splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = splitter(n_splits, shuffle=True, random_state=random_state)
    splits = [(train, test) for train, test in folds.split(np.zeros(len(y)), y, groups)]
    if any(len(np.unique(y[train])) < len(np.unique(y)) for train, _ in splits):
        raise LabelError(
            f"a training set of the {n_splits} grouped folds has no image of one class: use "
            "another number of folds, or more groups"
        )
    return splits


def inner_folds(
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    n_splits: int,
    random_state: int | None,
) -> list[Split]:
    """Split training rows into inner folds, as near to `k_fold` as the data allow.

    The number of folds is at most the number of rows or groups of the smallest class. If a class
    consists of one group, groups are split with a warning.

    Warns
    -----
    ClipfeatWarning
        If groups are split.

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
        except LabelError:  # all groups of one class fall into one fold
            continue
    if groups is None:
        return k_fold(y, None, 2, random_state)
    warnings.warn(
        "too few groups for inner folds: groups are split within the training rows, so "
        "probabilities for new groups are overconfident",
        ClipfeatWarning,
        stacklevel=2,
    )
    return inner_folds(y, None, n_splits, random_state)


def groups_parameter(estimator: Any) -> str | None:
    """Return the keyword of the groups in an estimator's ``fit``, also inside a pipeline."""
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = groups_parameter(last)
        return inner and f"{name}__{inner}"
    return "groups" if has_fit_parameter(estimator, "groups") else None


def fit_with_groups(
    estimator: Any, X: Any, y: Any, groups: NDArray[np.generic] | None, **further: Any
) -> Any:
    """Fit, and pass the groups to an estimator with inner folds."""
    keyword = groups_parameter(estimator) if groups is not None else None
    return estimator.fit(X, y, **({keyword: groups} if keyword else {}), **further)
