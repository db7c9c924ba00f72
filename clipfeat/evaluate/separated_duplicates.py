"""Near duplicates that a protocol separates into training and test."""

from collections.abc import Sequence

import numpy as np

from clipfeat.errors import DataError
from clipfeat.evaluate.plan import Trial
from clipfeat.features import FeatureSet
from clipfeat.features.near_duplicates import distinct_files, near_duplicates

MAX_QUERIES = 2_000
"""With more test images, a random sample of this many is searched."""


def separated_duplicates(features: FeatureSet, trials: Sequence[Trial]) -> dict[str, int]:
    """Count the test images with a near duplicate in the training rows of their fold.

    The scores of such images may be too high, because a classifier may recognise the duplicate.
    Identical images are never separated. The definition of near duplicates and the cost of the
    search are in `clipfeat.features.near_duplicates`.

    Parameters
    ----------
    features : FeatureSet
        Rows that the trials split.
    trials : sequence of Trial
        Trials of a plan.

    Returns
    -------
    dict of str to int
        ``"searched"``, the number of test images whose near duplicates were searched, and
        ``"separated"``, the number of these images with a near duplicate in the training rows of a
        fold that tested them. Empty if near duplicates cannot be searched.
    """
    tested = np.zeros(len(features), dtype=np.bool_)
    for trial in trials:
        for _, test in trial.splits.values():
            tested[test] = True
    try:
        pairs = near_duplicates(features, tested, max_queries=MAX_QUERIES)
    except DataError:
        return {}
    separated = np.zeros(len(pairs), dtype=np.bool_)
    for trial in trials:
        for train, test in trial.splits.values():
            one, other = (np.isin(pairs[:, i], rows) for i, rows in enumerate((test, train)))
            separated |= one & other
    n_files = int(tested[distinct_files(features)].sum())
    return {
        "searched": min(MAX_QUERIES, n_files),
        "separated": len(np.unique(pairs[separated, 0])),
    }
