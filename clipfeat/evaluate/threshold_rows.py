"""Training rows that a fit leaves out, to choose a threshold or calibrate prediction sets on them.

The Neyman-Pearson umbrella algorithm assumes that the scores of the held-out negatives have the
same distribution as the scores of new negatives. Out-of-fold scores come from other fits than the
scores of the model. If the scale of the scores differs between fits, the bound does not hold. For
example, the network ``"mlp"`` exceeded a bound of 5 % in 18 % of draws with out-of-fold scores.
Such a classifier is fitted on one part of the training rows, and its threshold is chosen on the
other part. It is not fitted again on all rows (Tong, Feng and Li 2018). The same method is used
after a parameter search, because the search finds other parameters in each training set. It is
also used for calibrated trees and for calibrations that were not measured. Prediction sets rely on
the same assumption for every class, and are calibrated in the same way.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.thresholds import negatives_needed
from clipfeat.features import FeatureSet
from clipfeat.model.abstention import images_needed
from clipfeat.zoo import keeps_scores
from clipfeat.zoo.fit_options import FitOptions
from clipfeat.zoo.folds import inner_folds

Rows = NDArray[np.int64]

MAX_PARTS = 5
"""Largest number of parts of the training rows. The threshold is chosen on one part."""
ENOUGH = 4
"""A part that is smaller than half of the rows must have this many times the number of images that
the options need of a class. The expected false positive rate is then about two thirds of the
bound."""


def holds_out(names: Collection[str], options: FitOptions) -> bool:
    """Return whether a fit of these classifiers holds out rows.

    The threshold or the prediction sets are then chosen on the held-out rows.

    Parameters
    ----------
    names : collection of str
        Names of classifiers. A name may include a projection, such as ``"triplet+svm"``.
    options : FitOptions
        Options of the fit.
    """
    if options.max_fpr is None and options.abstain is None:
        return False
    return options.tune or not all(keeps_scores(name, options.calibrate) for name in names)


def threshold_rows(features: FeatureSet, train: Rows, options: FitOptions, seed: int) -> Rows:
    """Choose the training rows that a fit leaves out, without splitting groups.

    Half of the rows are left out, or a smaller part if it has enough images (see `ENOUGH`).

    Parameters
    ----------
    features : FeatureSet
        Labelled rows.
    train : ndarray of int
        Row numbers of the training rows.
    options : FitOptions
        The options `max_fpr` and `abstain`. At least one of them is set.
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
    needed = _images_needed(options, len(features.classes))
    n_parts = MAX_PARTS
    for code, n in needed.items():
        n_files = len(np.unique(files[y == code]))
        n_parts = min(n_parts, max(n_files // (ENOUGH * n), 2))
    groups = features.split_groups
    parts = inner_folds(y, None if groups is None else groups[train], n_parts, seed)
    # If the parts have enough images on average, the part with the most images has enough.
    shares = [
        min(len(np.unique(files[part][y[part] == code])) / n for code, n in needed.items())
        for _, part in parts
    ]
    return train[parts[int(np.argmax(shares))][1]]


def _images_needed(options: FitOptions, n_classes: int) -> dict[int, int]:
    """Return the numbers of images that the options need, by class index."""
    needed: dict[int, int] = {}
    if options.abstain is not None:
        needed = dict.fromkeys(range(n_classes), images_needed(options.abstain))
    if options.max_fpr is not None:
        needed[0] = max(needed.get(0, 0), negatives_needed(options.max_fpr))
    return needed
