"""Where to draw the line between two classes, when the likelier one is not the right answer."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import UsageError, unknown_name
from clipfeat.evaluate.metrics import DECIDED, METRICS, Labels, Probabilities, decide

Chooser = Callable[[Labels, Probabilities], float]


def threshold_chooser(
    metric: str | None, max_fpr: float | None, classes: Sequence[str]
) -> Chooser | None:
    """What is to be done for a threshold: nothing, by a metric, or by a bound.

    Parameters
    ----------
    metric : str, optional
        The largest of which is looked for: one of `clipfeat.evaluate.metrics.DECIDED`.
    max_fpr : float, optional
        Share of the negatives that may be called positive, in [0, 1).
    classes : sequence of str
        Two, the last the positive one.

    Returns
    -------
    callable or None
        From true class indices and probabilities of rows that were not trained on, to a threshold.

    Raises
    ------
    UsageError
        If both are given, the bound is no share, or there are not two classes.
    UnknownNameError
        If the metric does not depend on a threshold.
    """
    if metric is None and max_fpr is None:
        return None
    if metric is not None and max_fpr is not None:
        raise UsageError("choose a threshold by a metric or by a bound, not by both")
    if metric is not None and metric not in DECIDED:
        raise unknown_name("metric of a threshold", metric, DECIDED)
    if max_fpr is not None and not 0 <= max_fpr < 1:
        raise UsageError(f"a bound on false positives is a share in [0, 1), got {max_fpr}")
    if len(classes) != 2:
        raise UsageError(
            f"a threshold parts two classes, and there are {len(classes)}: {', '.join(classes)}"
        )

    def choose(y: Labels, p: Probabilities) -> float:
        return choose_threshold(y, p[:, 1], metric=metric, max_fpr=max_fpr)

    return choose


def oracle(y: Labels, p: Probabilities) -> dict[str, float]:
    """What decisions would be worth at the best threshold, looked up in the very test rows.

    A bound on what any choice of threshold could give, and no result: ``"accuracy_at_oracle"``, of
    two classes both of which are there; else nothing.
    """
    if p.shape[1] != 2 or len(np.unique(y)) < 2:
        return {}
    best = {metric: choose_threshold(y, p[:, 1], metric=metric) for metric in DECIDED}
    return {
        f"{metric}_at_oracle": METRICS[metric].function(y, np.eye(2)[decide(p, threshold)])
        for metric, threshold in best.items()
    }


def choose_threshold(
    y: Labels,
    positive: NDArray[np.float64],
    *,
    metric: str | None = None,
    max_fpr: float | None = None,
) -> float:
    """The threshold above which a row is called positive.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices, 0 or 1.
    positive : ndarray of shape (n_samples,)
        Probability of class 1, of rows that were not trained on.
    metric : str, optional
        The largest accuracy or balanced accuracy; of equally good ones the nearest to 0.5.
    max_fpr : float, optional
        Instead: the smallest threshold, which is the one of most true positives, of those at which
        no larger share of the negatives is called positive.

    Returns
    -------
    float
        In [0, 1]: halfway between two of the probabilities, or 0, or the largest.

    Examples
    --------
    >>> y, p = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.6, 0.9])
    >>> choose_threshold(y, p, metric="balanced_accuracy"), choose_threshold(y, p, max_fpr=0.0)
    (0.4, 0.8)
    """
    values = np.unique(positive)
    halfway = (values[:-1] + values[1:]) / 2
    between = np.where(halfway < values[1:], halfway, values[:-1])  # of neighbours, no number is
    cuts = np.concatenate([[0.0], between, values[-1:]])
    above = [
        (y == code).sum() - np.searchsorted(np.sort(positive[y == code]), cuts, side="right")
        for code in (0, 1)
    ]
    n_negative, n_positive = max(int((y == 0).sum()), 1), max(int((y == 1).sum()), 1)
    if max_fpr is not None:
        allowed = above[0] / n_negative <= max_fpr
        return float(cuts[allowed].min())
    if metric == "accuracy":
        quality = (above[1] + n_negative - above[0]) / len(y)
    else:
        quality = (above[1] / n_positive + 1 - above[0] / n_negative) / 2
    best = cuts[quality >= quality.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])
