"""Splits of a feature set into training and test rows; groups stay on one side."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import LabelError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.zoo.folds import Split, k_fold

RowMask = NDArray[np.bool_]


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


def shared_rows(features: FeatureSet, column: str) -> RowMask:
    """The rows that belong to no value of a column: of a class with at most one, or without any."""
    values = features.column(column)
    shared: RowMask = values == ""
    for code in range(len(features.classes)):
        rows = features.y == code
        shared |= rows & (len(set(values[rows].tolist()) - {""}) <= 1)
    return shared


def _hold_out(mine: RowMask, shared: RowMask, in_part: RowMask, units: NDArray[np.int64]) -> Split:
    """Test one value's rows and a part of the shared ones; train on what has no part in them."""
    test = mine | (shared & in_part)
    candidates = ~test
    train = candidates & ~np.isin(units, units[test])
    if 2 * train.sum() < candidates.sum():
        test &= in_part
        train = ~mine & ~in_part
    return np.flatnonzero(train), np.flatnonzero(test)


def _parts(units: NDArray[np.int64], n: int, random_state: int | None) -> NDArray[np.int64]:
    """Deal groups into `n` parts of about equal numbers."""
    unique = np.unique(units)
    shuffled = np.random.default_rng(random_state).permutation(len(unique))
    part_of = np.empty(int(unique.max()) + 1, dtype=np.int64)
    part_of[unique[shuffled]] = np.arange(len(unique)) % n
    return part_of[units]
