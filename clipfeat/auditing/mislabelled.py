"""The check of labels, by confident learning."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError
from clipfeat.zoo import make_classifier
from clipfeat.zoo.folds import k_fold

FOLDS = 5


def check_labels(subject: Subject, seed: int = 0) -> list[Finding]:
    """Find files that are likely to have a wrong label, most likely first.

    The check uses the out-of-fold probabilities of the subject. Without them, it cross-validates a
    logistic regression, with each group in one fold.

    Raises
    ------
    DataError
        If there are no features, or too few files or classes for the folds.
    """
    if not subject.features.X.shape[1]:
        raise DataError("this check needs features. Pass a feature file")
    known = np.flatnonzero(subject.features.y >= 0)
    codes, y = np.unique(subject.features.y[known], return_inverse=True)
    if len(codes) < 2:
        raise DataError("there are fewer than two classes")
    judge, p = subject.judge, _given_probabilities(subject, known, y)
    if p is None:
        judge, p = "logistic regression", _fitted_probabilities(subject, known, y, seed)
    else:
        has_p = ~np.isnan(p).any(axis=1)
        known, y, p = known[has_p], y[has_p], p[has_p]
    suggested = confident_labels(y, p)
    margin = p[np.arange(len(y)), suggested] - p[np.arange(len(y)), y]
    suspects = np.flatnonzero(suggested != y)
    suspects = suspects[np.argsort(-margin[suspects], kind="stable")]
    if not len(suspects):
        return []
    names = [subject.features.classes[code] for code in codes]
    rows = [
        {
            **subject.row(known[i]),
            "suggested": names[suggested[i]],
            "p_label": float(p[i, y[i]]),
            "p_suggested": float(p[i, suggested[i]]),
        }
        for i in suspects.tolist()
    ]
    accuracy = float((p.argmax(axis=1) == y).mean())
    first = rows[0]
    sentence = (
        f"{len(rows)} of {len(y)} files may be mislabelled according to {judge}, which was not "
        f"trained on them (accuracy {accuracy:.1%}). The most likely is {first['path']}: labelled "
        f"{first['label']}, predicted {first['suggested']} with {first['p_suggested']:.0%}. "
        "Inspect the first files of the list"
    )
    numbers = {"files": float(len(rows)), "share": len(rows) / len(y), "accuracy": accuracy}
    return [Finding("possible label errors", "note", sentence, numbers, rows)]


def _given_probabilities(
    subject: Subject, rows: NDArray[np.int64], y: NDArray[np.int64]
) -> NDArray[np.float64] | None:
    """Return the subject's probabilities of some rows. Unknown probabilities are NaN.

    The result is None if all probabilities of a class are unknown, or if the subject's
    probabilities are for another number of classes.
    """
    n_classes = int(y.max()) + 1
    unknown = np.full(n_classes, np.nan)
    paths = subject.features.paths[rows].tolist()
    of_rows = [subject.probabilities.get(path, unknown) for path in paths]
    if any(len(p) != n_classes for p in of_rows):
        return None
    p = np.array(of_rows)
    if len(np.unique(y[~np.isnan(p).any(axis=1)])) < n_classes:
        return None
    return p


def _fitted_probabilities(
    subject: Subject, rows: NDArray[np.int64], y: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Return out-of-fold probabilities of a logistic regression."""
    X = subject.features.X[rows]
    p = np.zeros((len(y), int(y.max()) + 1))
    for train, test in k_fold(y, subject.units[rows], FOLDS, seed):
        fitted = make_classifier("logreg", random_state=seed).fit(X[train], y[train])
        p[test] = fitted.predict_proba(X[test])
    return p


def confident_labels(y: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the confident label of each row, or the given label if there is none.

    A class is a confident label of a row if its probability is at least the mean probability of
    that class among the rows labelled with it. If several classes qualify, the most probable one is
    chosen (Northcutt, Jiang and Chuang 2021, Confident Learning, eq. 1 and 2).

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        Given labels, as indices of the columns of `p`.
    p : ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities.

    Returns
    -------
    ndarray of shape (n_samples,), int
        Labels, as indices of the columns of `p`.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.1, 0.9]])
    >>> confident_labels(np.array([0, 0, 1, 1, 0]), p).tolist()
    [0, 0, 1, 1, 1]
    """
    thresholds = np.array([p[y == code, code].mean() for code in range(p.shape[1])])
    confident = np.where(p >= thresholds, p, -1.0)
    likeliest = confident.argmax(axis=1)
    return np.where(confident.max(axis=1) >= 0, likeliest, y)
