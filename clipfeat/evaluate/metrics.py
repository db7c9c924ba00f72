"""Metrics of probabilities, by name.

A new one is one function of (true class indices, probabilities) and one row of `METRICS`. A metric
that is not defined for the rows at hand (ROC AUC of one class) is NaN, never a guess.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Metric:
    """A metric.

    Parameters
    ----------
    name : str
        As in tables: ``"roc_auc"``.
    title : str
        As a heading.
    function : callable
        From y (n,) and probabilities (n, n_classes) to a number.
    higher_is_better : bool
        Which way is up.
    """

    name: str
    title: str
    function: Callable[[Labels, Probabilities], float]
    higher_is_better: bool


def accuracy(y: Labels, p: Probabilities) -> float:
    """Share of rows whose likeliest class is the true one."""
    return float((p.argmax(axis=1) == y).mean())


def balanced_accuracy(y: Labels, p: Probabilities) -> float:
    """Mean over the classes present of the share of their rows that are right."""
    right = p.argmax(axis=1) == y
    return float(np.mean([right[y == code].mean() for code in np.unique(y)]))


def roc_auc(y: Labels, p: Probabilities) -> float:
    """Area under the ROC curve; for more than two classes the mean of each against the rest."""
    from sklearn.metrics import roc_auc_score

    return _mean_over_classes(y, p, lambda positive, s: float(roc_auc_score(positive, s)))


def average_precision(y: Labels, p: Probabilities) -> float:
    """Average precision of the positive class; for more than two the mean of each."""
    from sklearn.metrics import average_precision_score

    return _mean_over_classes(y, p, lambda positive, s: float(average_precision_score(positive, s)))


def _mean_over_classes(
    y: Labels, p: Probabilities, one: Callable[[NDArray[np.bool_], Probabilities], float]
) -> float:
    """The positive class's value where there are two classes, else the mean over all."""
    codes = [1] if p.shape[1] == 2 else range(p.shape[1])
    positives = [(y == code, p[:, code]) for code in codes]
    defined = [one(positive, s) for positive, s in positives if 0 < positive.sum() < len(y)]
    return float(np.mean(defined)) if defined else float("nan")


def log_loss(y: Labels, p: Probabilities) -> float:
    """Mean of minus the log of the true class's probability, clipped at 1e-15 (natural log)."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1)).mean())


def brier(y: Labels, p: Probabilities) -> float:
    """Mean squared distance to the one-hot truth, halved for two classes, in [0, 1] there.

    Brier 1950; the halving makes two classes agree with scikit-learn's ``brier_score_loss``.
    """
    distance = np.square(p - np.eye(p.shape[1])[y]).sum(axis=1).mean()
    return float(distance / 2 if p.shape[1] == 2 else distance)


def calibration_error(y: Labels, p: Probabilities) -> float:
    """Expected calibration error of the likeliest class, 15 bins of equal width.

    Guo, Pleiss, Sun and Weinberger 2017, arXiv 1706.04599, eq. 3.
    """
    confidence = p.max(axis=1)
    right = p.argmax(axis=1) == y
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [
        (bins == b).mean() * abs(right[bins == b].mean() - confidence[bins == b].mean())
        for b in np.unique(bins)
    ]
    return float(np.sum(gaps))


_ROWS = (
    Metric("accuracy", "accuracy", accuracy, True),
    Metric("balanced_accuracy", "balanced acc.", balanced_accuracy, True),
    Metric("roc_auc", "ROC AUC", roc_auc, True),
    Metric("average_precision", "AP", average_precision, True),
    Metric("log_loss", "log loss", log_loss, False),
    Metric("brier", "Brier", brier, False),
    Metric("calibration_error", "calib. error", calibration_error, False),
)
METRICS = {metric.name: metric for metric in _ROWS}


DECIDED = ("accuracy", "balanced_accuracy")
"""Metrics that depend on nothing but the decisions, and so on the threshold."""


def decide(p: Probabilities, threshold: float | None = None) -> Labels:
    """The class that each row is called.

    Parameters
    ----------
    p : ndarray of shape (n_samples, n_classes)
        Probabilities.
    threshold : float, optional
        Of two classes, the last is called where its probability is above this; else, and for more
        classes, the likeliest is. 0.5 gives the likeliest.

    Returns
    -------
    ndarray of shape (n_samples,), int64
    """
    called: Labels = np.asarray(
        p.argmax(axis=1) if threshold is None else p[:, 1] > threshold, dtype=np.int64
    )
    return called


def score(y: Labels, p: Probabilities, threshold: float | None = None) -> dict[str, float]:
    """Every metric of `METRICS`, by name.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities; rows sum to 1.
    threshold : float, optional
        Of `decide`. The metrics of `DECIDED` are then those at the threshold, and there are
        further: the same at 0.5 (``accuracy_at_0.5``), the ``threshold``, and at it the
        ``true_positive_rate`` and ``false_positive_rate``, NaN where there are no such rows.

    Examples
    --------
    >>> y, p = np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]])
    >>> score(y, p)["accuracy"], score(y, p, threshold=0.3)["accuracy"]
    (0.5, 1.0)
    """
    values = {name: metric.function(y, p) for name, metric in METRICS.items()}
    if threshold is None:
        return values
    decided = decide(p, threshold)
    values |= {f"{name}_at_0.5": values[name] for name in DECIDED}
    values |= {name: METRICS[name].function(y, np.eye(2)[decided]) for name in DECIDED}
    values["threshold"] = threshold
    for name, code in (("true_positive_rate", 1), ("false_positive_rate", 0)):
        called = decided[y == code]
        values[name] = float(called.mean()) if len(called) else float("nan")
    return values
