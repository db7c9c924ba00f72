"""Separation of classes by one property of the images, with a confidence bound."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import LabelError
from clipfeat.zoo.folds import Split, k_fold

FOLDS = 5
MIN_GROUPS = 5
Z = 2.33
"""Quantile of the normal distribution for a one-sided confidence of 99 %."""


@dataclass(frozen=True)
class Separation:
    """Class that a property separates best from the others.

    Parameters
    ----------
    code : int
        Index of the class.
    auc : float
        Area under the ROC curve of out-of-fold probabilities, in [0, 1]; 0.5 is chance.
    lower : float
        Lower confidence bound of `auc` (99 %).
    """

    code: int
    auc: float
    lower: float


def separation(
    values: NDArray[np.generic], y: NDArray[np.int64], groups: NDArray[np.generic], seed: int = 0
) -> Separation:
    """Cross-validate a small classifier that predicts the class from one property of the images.

    For numbers, the classifier is a small decision tree. It can separate one value, such as 512
    pixels, from all others, and also large values from small values. For texts, the classifier is a
    logistic regression on the frequent values. The direction of a difference is learned on training
    folds, so an irrelevant property scores about 0.5 on the test folds.

    Parameters
    ----------
    values : ndarray of shape (n_samples,), float64 or str
        Values of the property, none missing.
    y : ndarray of shape (n_samples,), int
        Class indices.
    groups : ndarray of shape (n_samples,)
        Group of each row. Each group stays in one fold.
    seed : int
        Random seed of the folds.

    Returns
    -------
    Separation
        The class with the largest lower bound. The bound is lower if the rows of a group have
        similar scores.

    Raises
    ------
    LabelError
        If fewer than two classes have `MIN_GROUPS` or more groups.
    """
    from sklearn.metrics import roc_auc_score

    codes = [code for code in np.unique(y) if len(np.unique(groups[y == code])) >= MIN_GROUPS]
    if len(codes) < 2:
        raise LabelError(
            "this property is known for too few groups of images. It must be known for "
            f"{MIN_GROUPS} groups in each of two classes"
        )
    kept = np.isin(y, codes)
    values, y, groups = values[kept], y[kept], groups[kept]
    X = values.reshape(-1, 1)
    p = np.zeros((len(y), len(codes)))
    units = np.unique(groups, return_inverse=True)[1]
    for train, test in _folds(y.tobytes(), units.tobytes(), seed):
        model = _classifier(values, len(codes)).fit(X[train], y[train])
        p[test] = model.predict_proba(X[test])
    results = []
    for column, code in enumerate(codes):
        is_class = y == code
        auc = float(roc_auc_score(is_class, p[:, column]))
        lower = min(
            lower_bound(auc, int(is_class.sum()), int((~is_class).sum())),
            auc - Z * grouped_error(is_class, p[:, column], groups),
        )
        results.append(Separation(int(code), auc, lower))
    return max(results, key=lambda one: one.lower)


@lru_cache(maxsize=4)
def _folds(y: bytes, units: bytes, seed: int) -> list[Split]:
    """Split rows into folds. Most properties of an audit are known for the same rows.

    Making the folds takes longer than fitting the classifiers.
    """
    return k_fold(np.frombuffer(y, np.int64), np.frombuffer(units, np.int64), FOLDS, seed)


def _classifier(values: NDArray[np.generic], n_classes: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    if values.dtype.kind == "f":
        min_leaf = max(2, len(values) // 200)
        return DecisionTreeClassifier(
            max_leaf_nodes=max(8, 2 * n_classes), min_samples_leaf=min_leaf, random_state=0
        )
    frequent = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist")
    return make_pipeline(frequent, LogisticRegression(max_iter=1000))


def lower_bound(auc: float, n_positive: int, n_negative: int) -> float:
    """Return the lower confidence bound of an area under the ROC curve (AUC).

    The bound is the lowest true AUC from which the measured AUC is at most `Z` standard errors
    away. The standard error (Hanley and McNeil 1982) is computed at the true AUC, not at the
    measured AUC (Newcombe 2006, method 5). A perfect score on few images therefore has a low bound.

    Parameters
    ----------
    auc : float
        Measured area under the ROC curve, in [0, 1].
    n_positive, n_negative : int
        Numbers of positive and negative rows.

    Examples
    --------
    >>> round(lower_bound(1.0, 5, 5), 2), round(lower_bound(1.0, 100, 100), 2)
    (0.56, 0.97)
    """
    true = np.linspace(0, auc, 1001)
    q1, q2 = true / (2 - true), 2 * true**2 / (1 + true)
    variance = true * (1 - true) + (n_positive - 1) * (q1 - true**2)
    variance += (n_negative - 1) * (q2 - true**2)
    error = np.sqrt(np.maximum(variance, 0) / (n_positive * n_negative))
    return float(true[np.argmax(auc - true <= Z * error)])


def grouped_error(
    positive: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[np.generic]
) -> float:
    """Return the standard error of an area under the ROC curve for grouped rows.

    The contributions of the rows are summed over each group, and the sums are treated as
    independent (DeLong, DeLong and Clarke-Pearson 1988; for clusters, Obuchowski 1997).

    Parameters
    ----------
    positive : ndarray of shape (n_samples,), bool
        Whether each row is of the positive class.
    scores : ndarray of shape (n_samples,)
        Scores; higher for the positive class.
    groups : ndarray of shape (n_samples,)
        Group of each row.

    Examples
    --------
    >>> positive, scores = np.array([True, False] * 4), np.array([3.0, 2, 1, 0, 3, 2, 1, 0])
    >>> round(grouped_error(positive, scores, np.arange(8)), 3)
    0.189
    >>> round(grouped_error(positive, scores, np.arange(8) // 2 % 2), 3)
    0.0
    """
    from scipy.stats import rankdata

    below = np.empty(len(scores))
    for rows in (positive, ~positive):
        below[rows] = (rankdata(scores)[rows] - rankdata(scores[rows])) / (~rows).sum()
    part = np.where(positive, below, 1 - below)
    share = (part - part[positive].mean()) / np.where(positive, positive.sum(), (~positive).sum())
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=share)
    return float(np.sqrt(np.square(sums).sum() * len(sums) / (len(sums) - 1)))
