"""Training rows that a fit leaves out, so that `max_fpr` chooses the threshold on them.

The Neyman-Pearson umbrella algorithm assumes that the scores of the held-out negatives have the
same distribution as the scores of new negatives. Out-of-fold scores come from other fits than the
scores of the model. If the scale of the scores differs between fits, the bound does not hold. For
example, the network ``"mlp"`` exceeded a bound of 5 % in 18 % of draws with out-of-fold scores.
Such a classifier is fitted on one part of the training rows, and its threshold is chosen on the
other part. It is not fitted again on all rows (Tong, Feng and Li 2018). The same method is used
after a parameter search, because the search finds other parameters in each training set.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.thresholds import negatives_needed
from clipfeat.features import FeatureSet
from clipfeat.zoo import keeps_scores
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import inner_folds

Rows = NDArray[np.int64]

MAX_PARTS = 5
"""Largest number of parts of the training rows. The threshold is chosen on one part."""
ENOUGH = 4
"""A part smaller than half of the rows must have this many times `negatives_needed` negatives. The
expected false positive rate is then about two thirds of the bound."""


def holds_out(names: Collection[str], options: FitOptions) -> bool:
    """Whether a fit of these classifiers holds out rows for the threshold.

    Parameters
    ----------
    names : collection of str
        Names of classifiers, or of a projection and a classifier.
    options : FitOptions
        Options of the fit.
    """
    if options.max_fpr is None:
        return False
    return options.tune or not all(keeps_scores(name) for name in names)


def threshold_rows(features: FeatureSet, train: Rows, max_fpr: float, seed: int) -> Rows:
    """Choose the training rows that a fit leaves out, without splitting groups.

    Half of the rows are left out, or a smaller part if it has enough negatives (see `ENOUGH`).

    Parameters
    ----------
    features : FeatureSet
        Labelled rows.
    train : ndarray of int
        Row numbers of the training rows.
    max_fpr : float
        Largest false positive rate, in (0, 1).
    seed : int
        Random seed of the choice.

    Returns
    -------
    ndarray of int
        Row numbers, a subset of `train`.

    Raises
    ------
    LabelError
        If a class has only one row.
    """
    y, files = features.y[train], features.files[train]
    n_files = len(np.unique(files[y == 0]))
    n_parts = int(np.clip(n_files // (ENOUGH * negatives_needed(max_fpr)), 2, MAX_PARTS))
    groups = features.split_groups
    parts = inner_folds(y, None if groups is None else groups[train], n_parts, seed)
    # If the parts have enough negatives on average, the part with the most negatives has enough.
    n_negatives = [len(np.unique(files[part][y[part] == 0])) for _, part in parts]
    return train[parts[int(np.argmax(n_negatives))][1]]
