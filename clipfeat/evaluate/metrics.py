"""Metrics of probabilities, by name.

A new one is one function of (true class indices, probabilities, weights of the rows) and one row of
`METRICS`. Weights come many at once, so that a bootstrap costs little more than a score: a row of
weights is one resampling, and the plain metric is the one of equal weights. A metric that is not
defined for the rows at hand (ROC AUC of one class) is NaN, never a guess.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.system.plugins import with_plugins

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]
Weights = NDArray[np.float64]
"""Of shape (n_draws, n_samples), none negative."""
Values = NDArray[np.float64]
"""Of shape (n_draws,)."""

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
    weighted : callable
        From y (n,), probabilities (n, n_classes) and weights (n_draws, n) to (n_draws,) numbers.
    higher_is_better : bool
        Which way is up.
    """

    name: str
    title: str
    weighted: Callable[[Labels, Probabilities, Weights], Values]
    higher_is_better: bool

    def function(self, y: Labels, p: Probabilities) -> float:
        """The metric of rows that count alike."""
        return float(self.weighted(y, p, np.ones((1, len(y))))[0])


def _divided(over: Values, under: Values) -> Values:
    """A quotient, NaN where there is nothing to divide by."""
    quotient: Values = np.divide(over, under, out=np.full(len(under), np.nan), where=under > 0)
    return quotient


def accuracy(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Share of rows whose likeliest class is the true one."""
    return _divided(w @ (p.argmax(axis=1) == y), w.sum(axis=1))


def balanced_accuracy(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Mean over the classes present of the share of their rows that are right."""
    recalls = [accuracy(y[y == code], p[y == code], w[:, y == code]) for code in np.unique(y)]
    return _mean(recalls, len(w))


def _mean(of_classes: Sequence[Values], n_draws: int) -> Values:
    """The mean over classes that have a value."""
    if not of_classes:
        return np.full(n_draws, np.nan)
    known = ~np.isnan(of_classes)
    return _divided(np.nansum(of_classes, axis=0), known.sum(axis=0))


@dataclass(frozen=True, eq=False)
class Curve:
    """True and false positives at every threshold, from the highest down.

    Parameters
    ----------
    true, false : ndarray of shape (n_draws, n_thresholds)
        Weight of the positives and of the negatives at or above each distinct score.
    """

    true: NDArray[np.float64]
    false: NDArray[np.float64]

    @classmethod
    def of(cls, positive: NDArray[np.bool_], scores: Values, w: Weights) -> "Curve":
        """Add up weights by descending score; rows of equal scores are one step."""
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
        right = positive[order]
        weights = w[:, order]
        true = np.cumsum(weights * right, axis=1)[:, ends]
        return cls(true, np.cumsum(weights * ~right, axis=1)[:, ends])

    @property
    def true_rate(self) -> NDArray[np.float64]:
        """Shares of the positives; NaN where there are none."""
        return _rate(self.true)

    @property
    def false_rate(self) -> NDArray[np.float64]:
        """Shares of the negatives; NaN where there are none."""
        return _rate(self.false)


def _rate(summed: NDArray[np.float64]) -> NDArray[np.float64]:
    total = summed[:, -1:]
    rate: NDArray[np.float64] = np.divide(
        summed, total, out=np.full(summed.shape, np.nan), where=total > 0
    )
    return rate


def roc_auc(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Area under the ROC curve; for more than two classes the mean of each against the rest."""

    def area(curve: Curve) -> Values:
        start = np.zeros((len(curve.true), 1))
        true, false = np.hstack([start, curve.true_rate]), np.hstack([start, curve.false_rate])
        under: Values = ((true[:, 1:] + true[:, :-1]) / 2 * np.diff(false, axis=1)).sum(axis=1)
        return under

    return _over_classes(y, p, w, area)


def average_precision(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Average precision of the positive class; for more than two the mean of each.

    The sum over thresholds of precision times the gain in recall, without interpolation.
    """

    def precise(curve: Curve) -> Values:
        called = curve.true + curve.false
        precision = np.divide(curve.true, called, out=np.zeros(called.shape), where=called > 0)
        gained = np.diff(curve.true_rate, axis=1, prepend=0.0)
        found: Values = (precision * gained).sum(axis=1)
        found[curve.false[:, -1] <= 0] = np.nan
        return found

    return _over_classes(y, p, w, precise)


def true_positives_at(max_fpr: float) -> Callable[[Labels, Probabilities, Weights], Values]:
    """The metric: the largest share of positives found with no more false positives than that."""

    def metric(y: Labels, p: Probabilities, w: Weights) -> Values:
        def found(curve: Curve) -> Values:
            false = curve.false_rate
            allowed = np.where(false <= max_fpr, curve.true_rate, 0.0).max(axis=1)
            return np.where(np.isnan(false[:, -1] + curve.true_rate[:, -1]), np.nan, allowed)

        return _over_classes(y, p, w, found)

    return metric


def _over_classes(
    y: Labels, p: Probabilities, w: Weights, one: Callable[[Curve], Values]
) -> Values:
    """The positive class's value where there are two classes, else the mean over all."""
    if not len(y):
        return np.full(len(w), np.nan)
    codes = [1] if p.shape[1] == 2 else range(p.shape[1])
    return _mean([one(Curve.of(y == code, p[:, code], w)) for code in codes], len(w))


def log_loss(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Mean of minus the log of the true class's probability, clipped at 1e-15 (natural log)."""
    losses = -np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1))
    return _divided(w @ losses, w.sum(axis=1))


def brier(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Mean squared distance to the one-hot truth, halved for two classes, in [0, 1] there.

    Brier 1950; the halving makes two classes agree with scikit-learn's ``brier_score_loss``.
    """
    distance = np.square(p - np.eye(p.shape[1])[y]).sum(axis=1)
    return _divided(w @ (distance / 2 if p.shape[1] == 2 else distance), w.sum(axis=1))


def calibration_error(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Expected calibration error of the likeliest class, 15 bins of equal width.

    Guo, Pleiss, Sun and Weinberger 2017, arXiv 1706.04599, eq. 3.
    """
    confidence = p.max(axis=1)
    gap = (p.argmax(axis=1) == y) - confidence
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    gaps = [np.abs(w[:, bins == b] @ gap[bins == b]) for b in np.unique(bins)]
    return _divided(np.sum(gaps, axis=0) if gaps else np.zeros(len(w)), w.sum(axis=1))


_ROWS = (
    Metric("accuracy", "accuracy", accuracy, True),
    Metric("balanced_accuracy", "balanced acc.", balanced_accuracy, True),
    Metric("roc_auc", "ROC AUC", roc_auc, True),
    Metric("average_precision", "AP", average_precision, True),
    Metric("tpr_at_fpr_5", "TPR at 5% FPR", true_positives_at(0.05), True),
    Metric("tpr_at_fpr_1", "TPR at 1% FPR", true_positives_at(0.01), True),
    Metric("log_loss", "log loss", log_loss, False),
    Metric("brier", "Brier", brier, False),
    Metric("calibration_error", "calib. error", calibration_error, False),
)
METRICS = with_plugins({metric.name: metric for metric in _ROWS}, "clipfeat.metrics", Metric)


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


def score(
    y: Labels,
    p: Probabilities,
    threshold: float | None = None,
    classes: Sequence[str] = (),
) -> dict[str, float]:
    """Every metric of `METRICS`, by name, and what further there is to say of decisions.

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
    classes : sequence of str
        Names; by each the share of its rows that are called it: ``"recall/real"``.

    Examples
    --------
    >>> y, p = np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]])
    >>> score(y, p)["accuracy"], score(y, p, threshold=0.3)["accuracy"]
    (0.5, 1.0)
    """
    values = {name: metric.function(y, p) for name, metric in METRICS.items()}
    decided = decide(p, threshold)
    for code, name in enumerate(classes):
        called = decided[y == code] == code
        values[f"recall/{name}"] = float(called.mean()) if len(called) else float("nan")
    if threshold is None:
        return values
    values |= {f"{name}_at_0.5": values[name] for name in DECIDED}
    values |= {name: METRICS[name].function(y, np.eye(2)[decided]) for name in DECIDED}
    values["threshold"] = threshold
    for name, code in (("true_positive_rate", 1), ("false_positive_rate", 0)):
        called = decided[y == code]
        values[name] = float(called.mean()) if len(called) else float("nan")
    return values
