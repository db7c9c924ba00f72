"""Ways to part rows into training and test, none of which ever parts a group."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from clipfeat.errors import ClipfeatWarning, LabelError, UsageError
from clipfeat.features import FeatureSet

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]
Split = tuple[Rows, Rows]


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


def cross_validation(features: FeatureSet, n_splits: int, random_state: int | None) -> list[Split]:
    """Split a feature set by `k_fold`; classes that are too small are named, not numbered."""
    names = features.labels
    return k_fold(names, features.split_groups, n_splits, random_state)


def leave_one_out(features: FeatureSet, column: str, random_state: int | None) -> dict[str, Split]:
    """Hold out, in turn, every value of a column: each generator unseen in training.

    A class with at most one value of its own (photographs have no generator) is shared: it is
    parted into as many folds as there are held-out values, so that each test has its share of it
    and no training has that share. Training rows whose group is in the test are left out of
    training. Where that would cost a training more than half of its rows (every photograph
    through every generator), all classes are parted instead, and a test holds only its own part.

    Parameters
    ----------
    features : FeatureSet
        Labelled.
    column : str
        Such as ``"generator"``.
    random_state : int, optional
        Seed of the parts.

    Returns
    -------
    dict of str to (train, test)
        Row numbers, by the value held out.

    Raises
    ------
    UsageError
        If the column has fewer than two values to hold out.
    """
    values = features.column(column)
    shared = shared_rows(features, column)
    held = np.unique(values[~shared]).tolist()
    if len(held) < 2:
        raise UsageError(
            f"column {column!r} has {len(held)} values to leave out; two or more are needed "
            f"(values: {', '.join(np.unique(values).tolist()[:10])})"
        )
    groups = features.split_groups
    units = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    part = _parts(units, len(held), random_state)
    splits = {
        value: _hold_out((values == value) & ~shared, shared, part == i, units)
        for i, value in enumerate(held)
    }
    for value, (train, test) in splits.items():
        if not len(test) or len(np.unique(features.y[train])) < 2:
            raise LabelError(
                f"{value!r} of {column!r} cannot be left out: that leaves {len(test)} images to "
                f"test and {len(np.unique(features.y[train]))} classes to train on; there are too "
                "few groups"
            )
    return splits


def shared_rows(features: FeatureSet, column: str) -> Mask:
    """The rows that belong to no value of a column: of a class with at most one, or without any."""
    values = features.column(column)
    shared: Mask = values == ""
    for code in range(len(features.classes)):
        rows = features.y == code
        shared |= rows & (len(set(values[rows].tolist()) - {""}) <= 1)
    return shared


def _hold_out(mine: Mask, shared: Mask, in_part: Mask, units: Rows) -> Split:
    """Test one value's rows and a part of the shared ones; train on what has no part in them."""
    test = mine | (shared & in_part)
    candidates = ~test
    train = candidates & ~np.isin(units, units[test])
    if 2 * train.sum() < candidates.sum():
        test &= in_part
        train = ~mine & ~in_part
    return np.flatnonzero(train), np.flatnonzero(test)


def _parts(units: Rows, n: int, random_state: int | None) -> Rows:
    """Deal groups into `n` parts of about equal numbers."""
    unique = np.unique(units)
    shuffled = np.random.default_rng(random_state).permutation(len(unique))
    part_of = np.empty(int(unique.max()) + 1, dtype=np.int64)
    part_of[unique[shuffled]] = np.arange(len(unique)) % n
    return part_of[units]


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
