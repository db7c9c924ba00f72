"""Splits of a feature set into training and test rows that keep groups whole."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import LabelError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.zoo.folds import Split, k_fold

RowMask = NDArray[np.bool_]


def cross_validation(features: FeatureSet, n_splits: int, random_state: int | None) -> list[Split]:
    """Split a feature set by `clipfeat.zoo.folds.k_fold`, whose errors then name the classes."""
    return k_fold(features.labels, features.split_groups, n_splits, random_state)


def leave_one_out(features: FeatureSet, column: str, random_state: int | None) -> dict[str, Split]:
    """Hold out every value of a column in turn, such as each generator.

    A class with at most one value in the column is shared: photographs, for example, have no
    generator. Its rows are divided into as many parts as there are held-out values. Each test
    contains one part, and the training set of that fold does not contain it.

    Training rows whose group is in the test are left out. If this drops more than half of the
    training rows, for example because every generator made an image of every photograph, the rows
    of all classes are divided into parts instead. A test then contains only its own part.

    Parameters
    ----------
    features : FeatureSet
        Labelled images.
    column : str
        Name of a column, such as ``"generator"``.
    random_state : int, optional
        Random seed of the parts.

    Returns
    -------
    dict of str to (train, test)
        Row numbers, by the value held out.

    Raises
    ------
    UsageError
        If the column has fewer than two values to hold out.
    LabelError
        If a fold has no test rows, or only one class to train on.
    """
    values = features.column(column)
    shared = shared_rows(features, column)
    held = np.unique(values[~shared]).tolist()
    if len(held) < 2:
        raise UsageError(
            f"column {column!r} has {len(held)} values to leave out, and two or more are needed "
            f"(values: {', '.join(np.unique(values).tolist()[:10])}): pass another column"
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
                f"{value!r} of column {column!r} cannot be left out, because the groups leave "
                f"{len(test)} images to test and {len(np.unique(features.y[train]))} classes to "
                "train on: use smaller groups, or another column"
            )
    return splits


def shared_rows(features: FeatureSet, column: str) -> RowMask:
    """Return a mask of the rows that no value of a column holds out.

    These are the rows of classes with at most one value in the column, and rows without a value.
    """
    values = features.column(column)
    shared: RowMask = values == ""
    for code in range(len(features.classes)):
        rows = features.y == code
        shared |= rows & (len(set(values[rows].tolist()) - {""}) <= 1)
    return shared


def _hold_out(mine: RowMask, shared: RowMask, in_part: RowMask, units: NDArray[np.int64]) -> Split:
    """Test the rows of one value and a part of the shared rows; train on unrelated rows."""
    test = mine | (shared & in_part)
    candidates = ~test
    train = candidates & ~np.isin(units, units[test])
    if 2 * train.sum() < candidates.sum():
        test &= in_part
        train = ~mine & ~in_part
    return np.flatnonzero(train), np.flatnonzero(test)


def _parts(units: NDArray[np.int64], n: int, random_state: int | None) -> NDArray[np.int64]:
    """Divide the groups into `n` parts of about equal numbers of groups."""
    unique = np.unique(units)
    shuffled = np.random.default_rng(random_state).permutation(len(unique))
    part_of = np.empty(int(unique.max()) + 1, dtype=np.int64)
    part_of[unique[shuffled]] = np.arange(len(unique)) % n
    return part_of[units]
