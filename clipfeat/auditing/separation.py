"""How well one fact of an image's file tells the classes apart."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import LabelError
from clipfeat.zoo.folds import k_fold

FOLDS = 5
LEAST = 5
Z = 2.33
"""One-sided 99 %."""


@dataclass(frozen=True)
class Separation:
    """The class that a fact tells best from the others.

    Parameters
    ----------
    code : int
        That class.
    auc : float
        Area under the ROC curve of out-of-fold probabilities, in [0, 1]; 0.5 is chance.
    lower : float
        Its lower confidence bound (99 %).
    """

    code: int
    auc: float
    lower: float


def separation(
    values: NDArray[np.generic], y: NDArray[np.int64], groups: NDArray[np.generic], seed: int = 0
) -> Separation:
    """Learn the classes from one fact and score it on rows that were not learned from.

    Numbers go to a small tree, so that "exactly 512 pixels" is found as well as "larger"; text to
    logistic regression on its frequent values. Which direction tells the classes is learned, and a
    fact that tells nothing scores 0.5, not more: neither was seen in training.

    Parameters
    ----------
    values : ndarray of shape (n_samples,), float64 or str
        The fact; nothing missing.
    y : ndarray of shape (n_samples,), int
        Classes.
    groups : ndarray of shape (n_samples,)
        Rows of one group are in one fold, and the bound is wider the more alike they are.

    Raises
    ------
    LabelError
        If fewer than two classes have `LEAST` groups.
    """
    from sklearn.metrics import roc_auc_score

    codes = [code for code in np.unique(y) if len(np.unique(groups[y == code])) >= LEAST]
    if len(codes) < 2:
        raise LabelError(f"fewer than two classes have {LEAST} images or more of which it is known")
    kept = np.isin(y, codes)
    values, y, groups = values[kept], y[kept], groups[kept]
    X = values.reshape(-1, 1)
    p = np.zeros((len(y), len(codes)))
    for train, test in k_fold(y, groups, FOLDS, seed):
        model = _learner(values, len(codes)).fit(X[train], y[train])
        p[test] = model.predict_proba(X[test])
    found = []
    for column, code in enumerate(codes):
        mine = y == code
        auc = float(roc_auc_score(mine, p[:, column]))
        lower = min(
            lower_bound(auc, int(mine.sum()), int((~mine).sum())),
            auc - Z * grouped_error(mine, p[:, column], groups),
        )
        found.append(Separation(int(code), auc, lower))
    return max(found, key=lambda one: one.lower)


def _learner(values: NDArray[np.generic], n_classes: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder
    from sklearn.tree import DecisionTreeClassifier

    if values.dtype.kind == "f":
        least = max(2, len(values) // 200)
        return DecisionTreeClassifier(
            max_leaf_nodes=max(8, 2 * n_classes), min_samples_leaf=least, random_state=0
        )
    frequent = OneHotEncoder(min_frequency=2, handle_unknown="infrequent_if_exist")
    return make_pipeline(frequent, LogisticRegression(max_iter=1000))


def lower_bound(auc: float, n_positive: int, n_negative: int) -> float:
    """The lowest true area with which this one is still in accord, at `Z` standard errors.

    The standard error is that of Hanley and McNeil 1982 at the true area, not at the one found
    (Newcombe 2006, method 5), so that a perfect score of few images proves little.

    Parameters
    ----------
    auc : float
        What was found, in [0, 1].
    n_positive, n_negative : int
        Rows.

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
    mine: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[np.generic]
) -> float:
    """Standard error of an area under the ROC curve, of rows that come in groups.

    Each row's part in the area is summed over its group, and the sums are taken as independent
    (DeLong, DeLong and Clarke-Pearson 1988; by clusters, Obuchowski 1997).

    Examples
    --------
    >>> mine, scores = np.array([True, False] * 4), np.array([3.0, 2, 1, 0, 3, 2, 1, 0])
    >>> [round(grouped_error(mine, scores, of), 3) for of in (np.arange(8), np.arange(8) // 2 % 2)]
    [0.189, 0.0]
    """
    from scipy.stats import rankdata

    below = np.empty(len(scores))
    for rows in (mine, ~mine):
        below[rows] = (rankdata(scores)[rows] - rankdata(scores[rows])) / (~rows).sum()
    part = np.where(mine, below, 1 - below)
    share = (part - part[mine].mean()) / np.where(mine, mine.sum(), (~mine).sum())
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=share)
    return float(np.sqrt(np.square(sums).sum() * len(sums) / (len(sums) - 1)))
