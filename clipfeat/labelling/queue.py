"""The queue of images to label next: the images from which a classifier learns most.

If two or more classes have labels, a logistic regression is fitted on the labelled images. The
candidates are the images with the smallest margins between the two likeliest classes, `FACTOR`
candidates for each place in the queue. They are clustered by k-means, weighted by their
uncertainty, and the candidate nearest to each centre is chosen. This is the diverse mini-batch
active learning of Zhdanov (2019, arXiv:1901.05954). Otherwise, the images are sampled by k-means++
(Arthur and Vassilvitskii 2007). It draws each image with a probability in proportion to its squared
distance from the nearest image drawn before.

``benchmarks/labelling.py`` compares the queue with random images. The method and `FACTOR` were
chosen on training images of CIFAKE. There, starting with the images nearest to the centres of
k-means was worse than starting with random images (accuracy 0.55 and 0.63 after 25 labels).
Starting with k-means++ was as good as starting with random images (0.62).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, UsageError
from clipfeat.features import FeatureSet
from clipfeat.zoo import make_classifier

if TYPE_CHECKING:
    import pandas as pd

FACTOR = 5
"""Number of candidates for each place in the queue."""
MAX_COLD = 10_000
"""Without a classifier, the queue is chosen from at most this many images, drawn at random."""
BLOCK = 65_536
"""Number of rows that are classified together."""


@dataclass(frozen=True, eq=False)
class LabelQueue:
    """Images to label next, most useful first.

    Parameters
    ----------
    rows : ndarray of shape (n,), int64
        Row of each image in the features. A file with several rows (views, faces or frames) is
        represented by the row with the smallest content hash.
    paths : ndarray of shape (n,), str
        Path of each image.
    predicted : ndarray of shape (n,), str
        Likeliest class of each image. Empty if no classifier was fitted.
    margins : ndarray of shape (n,), float64
        Probability of the likeliest class minus that of the second. NaN if no classifier was
        fitted.
    n_labelled : int
        Number of labelled images on which the classifier was fitted. 0 if it was not.
    n_unlabelled : int
        Number of images without a label, including those that are not in the queue.
    """

    rows: NDArray[np.int64]
    paths: NDArray[np.str_]
    predicted: NDArray[np.str_]
    margins: NDArray[np.float64]
    n_labelled: int
    n_unlabelled: int

    def __len__(self) -> int:
        return len(self.rows)

    def to_pandas(self) -> "pd.DataFrame":
        """Make a table with the columns ``path``, ``predicted`` and ``margin``."""
        import pandas as pd

        return pd.DataFrame(
            {"path": self.paths, "predicted": self.predicted, "margin": self.margins}
        )


def label_queue(
    features: FeatureSet, n: int = 50, *, seed: int = 0, without: Collection[str] = ()
) -> LabelQueue:
    """Choose the images to label next. See `clipfeat.labelling.queue` for the method.

    The result depends on the seed and on the images, but not on the order of the rows. Of several
    files with the same bytes, only one is chosen.

    Parameters
    ----------
    features : FeatureSet
        Features with the labels that are known so far.
    n : int
        Maximum number of images to choose.
    seed : int
        Random seed of the clusters.
    without : collection of str
        Paths of files that are not chosen, such as files that a person has skipped.

    Returns
    -------
    LabelQueue
        The images. Fewer than `n` if fewer are unlabelled.

    Raises
    ------
    UsageError
        If `n` is not positive.
    DataError
        If the features have no columns.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(40, 8))
    >>> queue = label_queue(FeatureSet.from_arrays(X, ["cat", "dog", *[""] * 38]), 5)
    >>> len(queue), queue.n_labelled, bool((np.diff(queue.margins) >= 0).all())
    (5, 2, True)
    """
    if n < 1:
        raise UsageError(f"the queue must have at least 1 image, got {n}")
    if not features.X.shape[1]:
        raise DataError("images can be chosen only by their features. Pass a feature file")
    order = np.lexsort((features.paths, features.keys))
    files = _distinct_files(features, order)
    known_keys = features.keys[features.y >= 0]
    is_known = np.isin(features.keys[files], known_keys)
    free = files[~is_known]
    candidates = free[~np.isin(features.files[free], list(without))]
    known = _labelled_rows(features, files[is_known], order)
    classes = np.unique(features.y[known])
    if len(classes) < 2 or not len(candidates):
        return _cold_queue(features, candidates, n, seed, len(free))
    classifier = make_classifier("logreg", random_state=seed, n_jobs=1)
    classifier.fit(features.X[known], features.y[known])
    p = np.concatenate(
        [
            classifier.predict_proba(features.X[candidates[start : start + BLOCK]])
            for start in range(0, len(candidates), BLOCK)
        ]
    )
    ranked = np.sort(p, axis=1)
    margin = ranked[:, -1] - ranked[:, -2]
    near = np.argsort(margin, kind="stable")[: FACTOR * n]
    chosen = near[_diverse(_scaled(features, candidates[near]), n, 1 - margin[near], seed)]
    chosen = chosen[np.argsort(margin[chosen], kind="stable")]
    predicted = np.array(features.classes)[classes[p[chosen].argmax(axis=1)]]
    rows = candidates[chosen]
    return LabelQueue(rows, features.files[rows], predicted, margin[chosen], len(known), len(free))


def _distinct_files(features: FeatureSet, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sort the rows by content hash, and return the first row of each file.

    Identical files count once. The result does not depend on the order of the rows in the feature
    file, unlike that of `clipfeat.features.near_duplicates.distinct_files`.
    """
    first = np.sort(np.unique(features.files[order], return_index=True)[1])
    rows = order[first]
    kept: NDArray[np.int64] = rows[np.unique(features.keys[rows], return_index=True)[1]]
    return kept


def _labelled_rows(
    features: FeatureSet, rows: NDArray[np.int64], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the rows that have a label, and a labelled copy of each other row."""
    own = features.y[rows] >= 0
    if own.all():
        return rows
    labelled = order[features.y[order] >= 0]
    keys, first = np.unique(features.keys[labelled], return_index=True)
    copies = labelled[first[np.searchsorted(keys, features.keys[rows[~own]])]]
    return np.concatenate([rows[own], copies])


def _cold_queue(
    features: FeatureSet, candidates: NDArray[np.int64], n: int, seed: int, n_unlabelled: int
) -> LabelQueue:
    """Sample images that are far from each other, because there is no classifier."""
    from sklearn.cluster import kmeans_plusplus

    drawn = candidates
    if len(candidates) > MAX_COLD:
        picked = np.random.default_rng(seed).choice(len(candidates), MAX_COLD, replace=False)
        drawn = candidates[np.sort(picked)]
    n = min(n, len(drawn))
    if n:
        Z = _scaled(features, drawn)
        _, chosen = kmeans_plusplus(Z, n, random_state=seed, n_local_trials=1)
        drawn = drawn[_filled(chosen, len(drawn))[:n]]
    unknown = np.full(n, "", dtype=np.str_)
    return LabelQueue(drawn, features.files[drawn], unknown, np.full(n, np.nan), 0, n_unlabelled)


def _filled(chosen: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return the indices of the chosen rows, each once, followed by the other indices below `n`.

    If too few rows are distinct, k-means and k-means++ choose too few rows, or choose a row twice.
    """
    return np.array(list(dict.fromkeys([*chosen.tolist(), *range(n)])), dtype=np.int64)


def _scaled(features: FeatureSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Standardise the columns over all images, and scale the rows to unit length."""
    scale = features.X.std(axis=0)
    scale[scale == 0] = 1
    Z = (features.X[rows] - features.X.mean(axis=0)) / scale
    scaled: NDArray[np.float32] = Z / np.maximum(np.linalg.norm(Z, axis=1, keepdims=True), 1e-12)
    return scaled


def _diverse(
    Z: NDArray[np.float32], n: int, weights: NDArray[np.float64], seed: int
) -> NDArray[np.int64]:
    """Return the row nearest to the centre of each of `n` clusters of weighted rows."""
    from sklearn.cluster import KMeans

    n_clusters = min(n, len(np.unique(Z, axis=0)))
    if n >= len(Z) or n_clusters < 2:
        return np.arange(min(n, len(Z)))
    # A cluster whose weights are all zero would have no centre.
    weights = np.maximum(weights, 1e-6)
    clusters = KMeans(n_clusters, n_init=1, random_state=seed).fit(Z, sample_weight=weights)
    distance = np.square(Z - clusters.cluster_centers_[clusters.labels_]).sum(axis=1)
    order = np.lexsort((distance.round(9), clusters.labels_))
    nearest = order[np.unique(clusters.labels_[order], return_index=True)[1]]
    return _filled(nearest, len(Z))[:n]
