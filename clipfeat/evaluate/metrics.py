"""Metrics of predicted probabilities.

A metric is a function of true class indices, probabilities and row weights. `METRICS` lists all
metrics. Another package adds a metric with an entry point of the group ``clipfeat.metrics`` that
refers to a `Metric`.

The weights have one row per bootstrap draw, so one call computes the metric for all draws. Such a
call is only a little slower than a call for a single score, which uses equal weights. A metric that
is undefined for the given rows, such as the ROC AUC of a single class, is NaN.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.system.plugins import with_plugins

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]
Weights = NDArray[np.float64]
"""Non-negative row weights of shape (n_draws, n_samples)."""
Values = NDArray[np.float64]
"""Values of a metric, of shape (n_draws,)."""

CALIBRATION_BINS = 15
MIN_BIN_ROWS = 10
"""Smallest number of rows in a calibration bin. With few rows, there are fewer bins than
`CALIBRATION_BINS`."""


@dataclass(frozen=True)
class Metric:
    """Metric of predicted probabilities.

    Parameters
    ----------
    name : str
        Name in tidy rows and options, such as ``"roc_auc"``.
    title : str
        Heading in tables and plots.
    weighted : callable
        Function of class indices (n,), probabilities (n, n_classes) and weights (n_draws, n). It
        returns an array of shape (n_draws,).
    higher_is_better : bool
        Whether a larger value is better.
    n_trials : callable, optional
        For a metric in [0, 1] with a binomial interval: function that takes the number of test
        units of each class, and returns the number of binomial trials for a perfect score. None
        gives the metric a t interval.
    bounds : (float, float)
        Smallest and largest possible value.
    pooled : bool
        Whether a benchmark computes the metric on the out-of-fold predictions of all folds
        together. The mean over small folds is biased for such a metric.
    needs_probabilities : bool
        Whether the metric is undefined for scores that are not probabilities.
    """

    name: str
    title: str
    weighted: Callable[[Labels, Probabilities, Weights], Values]
    higher_is_better: bool
    n_trials: Callable[[NDArray[np.int64]], float] | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    pooled: bool = False
    needs_probabilities: bool = False

    def function(self, y: Labels, p: Probabilities) -> float:
        """Compute the metric with equal weights."""
        return float(self.weighted(y, p, np.ones((1, len(y))))[0])


def _divide(numerator: Values, denominator: Values) -> Values:
    """Divide elementwise. The quotient is NaN where the denominator is 0."""
    quotient: Values = np.divide(
        numerator, denominator, out=np.full(len(denominator), np.nan), where=denominator > 0
    )
    return quotient


def accuracy(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the fraction of rows whose most probable class is the true class."""
    return _divide(w @ (p.argmax(axis=1) == y), w.sum(axis=1))


def balanced_accuracy(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the mean recall over the classes that have rows."""
    recalls = [accuracy(y[y == code], p[y == code], w[:, y == code]) for code in np.unique(y)]
    return _mean(recalls, len(w))


def _mean(by_class: Sequence[Values], n_draws: int) -> Values:
    """Average over the classes that have a value."""
    if not by_class:
        return np.full(n_draws, np.nan)
    known = ~np.isnan(by_class)
    return _divide(np.nansum(by_class, axis=0), known.sum(axis=0))


@dataclass(frozen=True, eq=False)
class Curve:
    """True and false positives at every threshold, with the thresholds in descending order.

    Parameters
    ----------
    true, false : ndarray of shape (n_draws, n_thresholds)
        Total weight of the positives and of the negatives at or above each distinct score.
    """

    true: NDArray[np.float64]
    false: NDArray[np.float64]

    @classmethod
    def of(cls, positive: NDArray[np.bool_], scores: Values, w: Weights) -> "Curve":
        """Accumulate weights by descending score. Rows with equal scores form one step."""
        order = np.argsort(-scores, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
        right = positive[order]
        weights = w[:, order]
        true = np.cumsum(weights * right, axis=1)[:, ends]
        return cls(true, np.cumsum(weights * ~right, axis=1)[:, ends])

    @property
    def true_rate(self) -> NDArray[np.float64]:
        """True positive rates. NaN if there are no positives."""
        return _rate(self.true)

    @property
    def false_rate(self) -> NDArray[np.float64]:
        """False positive rates. NaN if there are no negatives."""
        return _rate(self.false)


def _rate(cumulative: NDArray[np.float64]) -> NDArray[np.float64]:
    total = cumulative[:, -1:]
    rate: NDArray[np.float64] = np.divide(
        cumulative, total, out=np.full(cumulative.shape, np.nan), where=total > 0
    )
    return rate


def roc_auc(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the area under the ROC curve.

    For more than two classes, this is the mean of the one-versus-rest areas.
    """

    def area(curve: Curve) -> Values:
        start = np.zeros((len(curve.true), 1))
        true, false = np.hstack([start, curve.true_rate]), np.hstack([start, curve.false_rate])
        under: Values = ((true[:, 1:] + true[:, :-1]) / 2 * np.diff(false, axis=1)).sum(axis=1)
        return under

    return _over_classes(y, p, w, area)


def average_precision(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the average precision of the positive class.

    For more than two classes, this is the mean over the classes. Average precision is the sum of
    precision times the increase in recall over all thresholds, without interpolation.
    """

    def area(curve: Curve) -> Values:
        predicted = curve.true + curve.false
        precision = np.divide(
            curve.true, predicted, out=np.zeros(predicted.shape), where=predicted > 0
        )
        gained = np.diff(curve.true_rate, axis=1, prepend=0.0)
        total: Values = (precision * gained).sum(axis=1)
        total[curve.false[:, -1] <= 0] = np.nan
        return total

    return _over_classes(y, p, w, area)


def tpr_at_fpr(max_fpr: float) -> Callable[[Labels, Probabilities, Weights], Values]:
    """Return a metric: the largest true positive rate at a false positive rate up to `max_fpr`.

    The metric is NaN with fewer than ``1 / max_fpr`` negatives, because a single false positive
    then exceeds the limit.
    """

    def metric(y: Labels, p: Probabilities, w: Weights) -> Values:
        def largest(curve: Curve) -> Values:
            false = curve.false_rate
            allowed = np.where(false <= max_fpr, curve.true_rate, 0.0).max(axis=1)
            return np.where(np.isnan(false[:, -1] + curve.true_rate[:, -1]), np.nan, allowed)

        return _over_classes(y, p, w, largest, min_negatives=1 / max_fpr)

    return metric


def _over_classes(
    y: Labels,
    p: Probabilities,
    w: Weights,
    of_curve: Callable[[Curve], Values],
    min_negatives: float = 0.0,
) -> Values:
    """Compute a value for the positive class. For more than two classes, average over the classes.

    The result is NaN if a class has fewer than `min_negatives` negatives.
    """
    codes = [1] if p.shape[1] == 2 else range(p.shape[1])
    if not len(y) or min((y != code).sum() for code in codes) < min_negatives - 1e-9:
        return np.full(len(w), np.nan)
    return _mean([of_curve(Curve.of(y == code, p[:, code], w)) for code in codes], len(w))


def log_loss(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the mean of -ln(p), where p is the probability of the true class, at least 1e-15."""
    losses = -np.log(np.clip(p[np.arange(len(y)), y], 1e-15, 1))
    return _divide(w @ losses, w.sum(axis=1))


def brier(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the mean squared distance between probabilities and one-hot labels (Brier 1950).

    For two classes, the distance is halved. It is then in [0, 1], as in scikit-learn's
    ``brier_score_loss``.
    """
    distance = np.square(p - np.eye(p.shape[1])[y]).sum(axis=1)
    return _divide(w @ (distance / 2 if p.shape[1] == 2 else distance), w.sum(axis=1))


def calibration_error(y: Labels, p: Probabilities, w: Weights) -> Values:
    """Compute the debiased root mean squared calibration error of the most probable class.

    This is the debiased estimator of Kumar, Liang and Ma 2019 (Verified Uncertainty Calibration,
    arXiv 1909.10155, section 5). Bins have equal numbers of rows. The variance of the accuracy
    within each bin is subtracted from the squared gap between accuracy and confidence. This
    corrects for bins with few rows, whose accuracy differs from the confidence by chance alone. A
    negative sum counts as 0. Within a bin, errors of opposite sign cancel.
    """
    confidence, right = p.max(axis=1), (p.argmax(axis=1) == y).astype(np.float64)
    total = np.zeros(len(w))
    bins = _equal_bins(confidence)
    for b in np.unique(bins):
        weights = w[:, bins == b]
        n = weights.sum(axis=1)
        accuracy_of_bin = np.nan_to_num(_divide(weights @ right[bins == b], n))
        gap = accuracy_of_bin - np.nan_to_num(_divide(weights @ confidence[bins == b], n))
        variance = accuracy_of_bin * (1 - accuracy_of_bin) / np.maximum(n - 1, 1)
        total += n * (np.square(gap) - variance)
    return np.sqrt(np.maximum(_divide(total, w.sum(axis=1)), 0))


def _equal_bins(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each value. Bins have equal numbers of values, and ties share a bin."""
    n_bins = min(CALIBRATION_BINS, max(len(values) // MIN_BIN_ROWS, 1))
    ordered = np.sort(values)
    rank = np.searchsorted(ordered, values)
    bins: NDArray[np.int64] = rank * n_bins // max(len(values), 1)
    return bins


def _all_units(per_class: NDArray[np.int64]) -> float:
    return float(per_class.sum())


def _smallest_class_times_classes(per_class: NDArray[np.int64]) -> float:
    """Return the number of binomial trials for a mean of recalls.

    All errors may be in the smallest class. Every class therefore counts with the size of the
    smallest class.
    """
    return _smallest_class(per_class) * int((per_class > 0).sum())


def _smallest_class(per_class: NDArray[np.int64]) -> float:
    return float(min(per_class[per_class > 0].tolist(), default=1))


LOSS = (0.0, np.inf)
_ROWS = (
    Metric("accuracy", "accuracy", accuracy, True, _all_units),
    Metric(
        "balanced_accuracy", "balanced acc.", balanced_accuracy, True, _smallest_class_times_classes
    ),
    Metric("roc_auc", "ROC AUC", roc_auc, True, _smallest_class),
    Metric("average_precision", "AP", average_precision, True, _smallest_class),
    Metric("tpr_at_fpr_5", "TPR at 5% FPR", tpr_at_fpr(0.05), True, _smallest_class, pooled=True),
    Metric("tpr_at_fpr_1", "TPR at 1% FPR", tpr_at_fpr(0.01), True, _smallest_class, pooled=True),
    Metric("log_loss", "log loss", log_loss, False, bounds=LOSS, needs_probabilities=True),
    Metric("brier", "Brier", brier, False, bounds=LOSS, needs_probabilities=True),
    Metric(
        "calibration_error",
        "calib. error",
        calibration_error,
        False,
        bounds=LOSS,
        pooled=True,
        needs_probabilities=True,
    ),
)


class _Metrics(Mapping[str, Metric]):
    """All metrics by name: the built-in metrics, then those of installed packages.

    The packages are imported on first use, and not with this module: a package that is being
    imported may import this module before it defines its metrics.
    """

    def __getitem__(self, name: str) -> Metric:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    @staticmethod
    def _all() -> dict[str, Metric]:
        return with_plugins(_BUILT_IN, "clipfeat.metrics", Metric)


_BUILT_IN = {metric.name: metric for metric in _ROWS}
METRICS = _Metrics()

DECIDED = ("accuracy", "balanced_accuracy")
"""Metrics of the predicted classes, which depend on the decision threshold."""


def decide(p: Probabilities, threshold: float | None = None) -> Labels:
    """Predict the class of each row.

    Parameters
    ----------
    p : ndarray of shape (n_samples, n_classes)
        Probabilities.
    threshold : float, optional
        For two classes, predict the last class if its probability is above this value. None
        predicts the most probable class, as does 0.5.

    Returns
    -------
    ndarray of shape (n_samples,), int64
        Predicted class indices.
    """
    y_pred: Labels = np.asarray(
        p.argmax(axis=1) if threshold is None else p[:, 1] > threshold, dtype=np.int64
    )
    return y_pred


def score(
    y: Labels,
    p: Probabilities,
    threshold: float | None = None,
    classes: Sequence[str] = (),
) -> dict[str, float]:
    """Compute every metric, and the recall of each class.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities. Rows sum to 1.
    threshold : float, optional
        Decision threshold; see `decide`. If given, the metrics of `DECIDED` are computed at this
        threshold.
    classes : sequence of str
        Names of the classes, for the names of their recalls. If empty, recalls are left out.

    Returns
    -------
    dict of str to float
        Value of each metric, by the names of `METRICS`, and recall of each class, with names such
        as ``"recall/real"``. With a threshold, there are five more values: ``"threshold"``, the
        ``"true_positive_rate"`` and the ``"false_positive_rate"`` at the threshold, and
        ``"accuracy_at_0.5"`` and ``"balanced_accuracy_at_0.5"``. Undefined values are NaN.

    Examples
    --------
    >>> y, p = np.array([0, 1]), np.array([[0.8, 0.2], [0.6, 0.4]])
    >>> score(y, p)["accuracy"], score(y, p, threshold=0.3)["accuracy"]
    (0.5, 1.0)
    """
    values = {name: metric.function(y, p) for name, metric in METRICS.items()}
    y_pred = decide(p, threshold)
    for code, name in enumerate(classes):
        correct = y_pred[y == code] == code
        values[f"recall/{name}"] = float(correct.mean()) if len(correct) else float("nan")
    if threshold is None:
        return values
    values |= {f"{name}_at_0.5": values[name] for name in DECIDED}
    values |= {name: METRICS[name].function(y, np.eye(2)[y_pred]) for name in DECIDED}
    values["threshold"] = threshold
    for name, code in (("true_positive_rate", 1), ("false_positive_rate", 0)):
        positive = y_pred[y == code]
        values[name] = float(positive.mean()) if len(positive) else float("nan")
    return values
