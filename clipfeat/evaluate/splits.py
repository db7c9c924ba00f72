"""Splits of a feature set into training and test rows that keep the rows of a group together."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import LabelError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.features.classes import negative_by_name
from clipfeat.zoo.folds import Split, k_fold

RowMask = NDArray[np.bool_]


def cross_validation(features: FeatureSet, n_splits: int, random_state: int | None) -> list[Split]:
    """Split a feature set into stratified folds with `clipfeat.zoo.folds.k_fold`.

    The function gets class names instead of class indices, because its errors state them.
    """
    return k_fold(features.labels, features.split_groups, n_splits, random_state)


def leave_one_out(features: FeatureSet, column: str, random_state: int | None) -> dict[str, Split]:
    """Hold out every value of a column in turn, such as each generator.

    A class with at most one value in the column cannot be held out by value. Photographs, for
    example, have no generator. The rows of such a class are divided into as many parts as there are
    held-out values. In each fold, one part is tested and the other parts are trained on.

    Training rows whose group is in the test set are left out. If this would drop more than half of
    the training rows, the rows of all classes are divided into parts. This is the case, for
    example, if every generator made an image of every photograph. The test set of a fold then
    contains only rows of one part, and the training set contains only rows of the other parts.

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
        For each held-out value, the row numbers of the training rows and of the test rows.

    Raises
    ------
    UsageError
        If the column has fewer than two values to hold out.
    LabelError
        If a fold has no test rows. If the training rows of a fold have only one class.
    """
    values = features.column(column)
    shared = shared_rows(features, column)
    held = np.unique(values[~shared]).tolist()
    if len(held) < 2:
        raise UsageError(
            f"--leave-one-out needs 2 or more values that can be left out, but column {column!r} "
            f"has {len(held)}. A value cannot be left out if all its images are of the negative "
            "class, or if it has all images of one of the classes. The values of the "
            f"column are {', '.join(map(repr, np.unique(values).tolist()[:10]))}. "
            "Pass another column"
        )
    groups = features.split_groups
    units = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    strata = np.where(shared, features.y, len(features.classes))
    part = _parts(units, strata, len(held), random_state)
    splits = {
        value: _hold_out((values == value) & ~shared, shared, part == i, units)
        for i, value in enumerate(held)
    }
    for value, (train, test) in splits.items():
        if not len(test) or len(np.unique(features.y[train])) < 2:
            raise LabelError(
                f"{column} {value!r} cannot be left out, because {len(test)} test images and "
                f"{len(np.unique(features.y[train]))} training classes remain (at least 1 and 2 "
                "are needed). Groups with images of this value and of others are not used. Use "
                "smaller groups or another column"
            )
    return splits


def shared_rows(features: FeatureSet, column: str) -> RowMask:
    """Return a mask of the rows that belong to no held-out value and are shared by all folds.

    Three kinds of rows are shared:

    - Rows without a value.
    - Rows of a class with at most one value in the column.
    - Rows of the negative class whose value never occurs in another class. An example is the
      photographs of two cameras.

    The negative class is the class of photographs, if the class names show which one that is. The
    user's choice of a positive class does not change this. If the names do not show it, the first
    of two classes is negative, and more than two classes have no negative class. With two classes,
    the third rule applies only if both classes have several values.

    If a value occurs in several classes, its rows of these classes are held out. With more than two
    classes, a test set can have rows of some classes only, such as photographs and the images of
    one generator. The balanced accuracy is then the mean recall of these classes.
    """
    values = features.column(column)
    shared: RowMask = values == ""
    alone = False
    for code in range(len(features.classes)):
        rows = features.y == code
        if len(set(values[rows].tolist()) - {""}) <= 1:
            shared |= rows
            alone = True
    name = negative_by_name(features.classes)
    if len(features.classes) == 2:
        name = None if alone else name or features.classes[0]
    if name is not None:
        negative = features.y == features.classes.index(name)
        shared |= negative & ~np.isin(values, values[~negative])
    return shared


def _hold_out(mine: RowMask, shared: RowMask, in_part: RowMask, units: NDArray[np.int64]) -> Split:
    """Make the fold of one value: its rows and a part of the shared rows are tested."""
    test = mine | (shared & in_part)
    candidates = ~test
    train = candidates & ~np.isin(units, units[test])
    if 2 * train.sum() < candidates.sum():
        test &= in_part
        train = ~mine & ~in_part
    return np.flatnonzero(train), np.flatnonzero(test)


def _parts(
    units: NDArray[np.int64], strata: NDArray[np.int64], n: int, random_state: int | None
) -> NDArray[np.int64]:
    """Divide the groups into `n` parts, each with about as many groups of each stratum.

    The stratum of a group is the smallest stratum of its rows.
    """
    unique, first = np.unique(units, return_inverse=True)
    stratum = np.full(len(unique), strata.max())
    np.minimum.at(stratum, first, strata)
    shuffled = np.random.default_rng(random_state).permutation(len(unique))
    shuffled = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    part_of = np.empty(int(unique.max()) + 1, dtype=np.int64)
    part_of[unique[shuffled]] = np.arange(len(unique)) % n
    return part_of[units]
