"""Stratified folds that keep groups together, and fits of estimators that take groups."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.zoo.group_folds import stratified_group_folds

RowNumbers = NDArray[np.int64]
Mask = NDArray[np.bool_]
Split = tuple[RowNumbers, RowNumbers]
"""Row numbers of the training rows and of the test rows."""

TrainingData = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[Any] | None]
"""Features, labels and groups of the same rows: ``(X, y, groups)``."""


def check_classes(classes: NDArray[Any]) -> None:
    """Check that the training rows have at least two classes.

    Raises
    ------
    ValueError
        If there is only one class.
    """
    if len(classes) < 2:
        raise ValueError(
            f"at least two classes are needed, got 1 class: {classes}. Add rows of a second class"
        )


def k_fold(
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    n_splits: int,
    random_state: int | None,
) -> list[Split]:
    """Split rows into stratified folds. All rows of a group are in the same fold.

    Without groups, the folds depend on the order of the rows. The protocols therefore sort the rows
    by `clipfeat.FeatureSet.in_content_order` first.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Class of each row, of any type.
    groups : ndarray of shape (n_samples,), optional
        Group of each row. None splits single rows.
    n_splits : int
        Number of folds, at least 2.
    random_state : int, optional
        Random seed of the shuffle.

    Returns
    -------
    list of (train, test)
        For each fold, the row numbers of the training rows and of the test rows. Every row is in
        exactly one test set.

    Raises
    ------
    LabelError
        If a class has fewer rows or groups than there are folds. If a class has no rows in one of
        the training sets.
    UsageError
        If `n_splits` is less than 2.
    """
    if n_splits < 2:
        raise UsageError(f"cross-validation needs at least 2 folds, got {n_splits}. Use --cv 5")
    unit = "images" if groups is None else "groups of images"
    units = np.arange(len(y)) if groups is None else np.unique(groups, return_inverse=True)[1]
    for name in np.unique(y):
        n = len(np.unique(units[y == name]))
        if n < n_splits:
            raise LabelError(
                f"class {str(name)!r} has {n} {unit}, fewer than the {n_splits} folds. Use fewer "
                "folds, or add images of this class"
            )
    if groups is None:
        folds = StratifiedKFold(n_splits, shuffle=True, random_state=random_state)
        splits = [(train, test) for train, test in folds.split(np.zeros(len(y)), y)]
    else:
        fold_of = stratified_group_folds(y, units, n_splits, random_state)
        splits = [
            (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold))
            for fold in range(n_splits)
        ]
    for train, _ in splits:
        absent = sorted({*y.tolist()} - {*y[train].tolist()})
        if absent:
            raise LabelError(
                f"because groups are kept together, one of the {n_splits} training sets has no "
                f"images of class {str(absent[0])!r}. Use another number of folds"
            )
    return splits


def inner_folds(
    y: NDArray[np.generic],
    groups: NDArray[np.generic] | None,
    n_splits: int,
    random_state: int | None,
) -> list[Split]:
    """Split the training rows of a fit into folds, for example for calibration.

    The folds are those of `k_fold`. If `k_fold` fails with `n_splits` folds, the number of folds is
    reduced until `k_fold` succeeds. If it fails with every number, for example because a class
    consists of one group, the rows of a group may be in different folds.

    Warns
    -----
    ClipfeatWarning
        If the rows of a group are in different folds.

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
        except LabelError:  # all groups of a class are in one fold
            continue
    if groups is None:
        return k_fold(y, None, 2, random_state)
    warnings.warn(
        f"there are too few groups to divide the training rows into {n_splits} folds, so rows of "
        "one group are in different folds. Probabilities for new groups are then overconfident. "
        "Add groups to the smallest class",
        ClipfeatWarning,
        stacklevel=2,
    )
    return inner_folds(y, None, n_splits, random_state)


def groups_parameter(estimator: Any) -> str | None:
    """Return the name of the keyword argument of ``fit`` that takes groups, or None.

    The argument of a pipeline's last step is named ``<step>__groups``.
    """
    if isinstance(estimator, Pipeline):
        name, last = estimator.steps[-1]
        inner = groups_parameter(last)
        return inner and f"{name}__{inner}"
    return "groups" if has_fit_parameter(estimator, "groups") else None


def fit_with_groups(
    estimator: Any, X: Any, y: Any, groups: NDArray[np.generic] | None, **further: Any
) -> Any:
    """Fit an estimator, and pass it the groups if its ``fit`` takes them."""
    keyword = groups_parameter(estimator) if groups is not None else None
    return estimator.fit(X, y, **({keyword: groups} if keyword else {}), **further)
