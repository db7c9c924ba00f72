"""Files whose features speak for another label than theirs, by confident learning."""

import numpy as np
from numpy.typing import NDArray

from clipfeat.auditing.finding import Finding
from clipfeat.auditing.subject import Subject
from clipfeat.errors import DataError
from clipfeat.zoo import make_classifier
from clipfeat.zoo.folds import k_fold

FOLDS = 5


def check_labels(subject: Subject, seed: int = 0) -> list[Finding]:
    """Candidates for a wrong label, the likeliest first.

    Probabilities are out of fold: those that the subject brings, else logistic regression's of
    folds that part no group.

    Raises
    ------
    DataError
        If there are no features, or too few files or classes for the folds.
    """
    if not subject.features.X.shape[1]:
        raise DataError("it takes features: give a feature file")
    known = np.flatnonzero(subject.features.y >= 0)
    codes, y = np.unique(subject.features.y[known], return_inverse=True)
    if len(codes) < 2:
        raise DataError("there are not two classes")
    judge, p = _heard(subject, known, y)
    if p is None:
        judge, p = "logistic regression", _judged(subject, known, y, seed)
    else:
        heard = ~np.isnan(p).any(axis=1)
        known, y, p = known[heard], y[heard], p[heard]
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
    worst = rows[0]
    sentence = (
        f"{len(rows)} of {len(y)} files look like another class than their label to {judge}, "
        f"which did not see them (it is right on {accuracy:.1%}), above all "
        f"{worst['path']}: labelled {worst['label']}, {worst['p_suggested']:.0%} "
        f"{worst['suggested']}; look at the first of them"
    )
    numbers = {"files": float(len(rows)), "share": len(rows) / len(y), "accuracy": accuracy}
    return [Finding("mislabelled candidates", "note", sentence, numbers, rows)]


def _heard(
    subject: Subject, rows: NDArray[np.int64], y: NDArray[np.int64]
) -> tuple[str, NDArray[np.float64] | None]:
    """What somebody else said of these rows, NaN where nothing; None if not of every class."""
    n_classes = int(y.max()) + 1
    unknown = np.full(n_classes, np.nan)
    paths = subject.features.paths[rows].tolist()
    of_rows = [subject.probabilities.get(path, unknown) for path in paths]
    if any(len(p) != n_classes for p in of_rows):
        return "", None
    p = np.array(of_rows)
    if len(np.unique(y[~np.isnan(p).any(axis=1)])) < n_classes:
        return "", None
    return subject.judge, p


def _judged(
    subject: Subject, rows: NDArray[np.int64], y: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    X = subject.features.X[rows]
    p = np.zeros((len(y), int(y.max()) + 1))
    for train, test in k_fold(y, subject.units[rows], FOLDS, seed):
        fitted = make_classifier("logreg", random_state=seed).fit(X[train], y[train])
        p[test] = fitted.predict_proba(X[test])
    return p


def confident_labels(y: NDArray[np.int64], p: NDArray[np.float64]) -> NDArray[np.int64]:
    """The label that each row is confidently of; its own where it is of none.

    A row is confidently of a class where its probability is at least the mean probability of that
    class among the rows so labelled; of several such classes the likeliest counts (Northcutt, Jiang
    and Chuang 2021, Confident Learning, eq. 1 and 2).

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        The given labels, as columns of `p`.
    p : ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities.

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
