"""Choice of a decision threshold between two classes."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import UsageError
from clipfeat.evaluate.metrics import DECIDED, METRICS, Labels, Probabilities, decide
from clipfeat.zoo.fit_options import FitOptions

Chooser = Callable[[Labels, Probabilities], float]
"""Function that takes true class indices and probabilities of held-out rows, and returns a
threshold."""


def threshold_chooser(options: FitOptions, classes: Sequence[str]) -> Chooser | None:
    """Return a function that chooses a threshold, or None if the options request no threshold.

    Parameters
    ----------
    options : FitOptions
        The options `threshold` and `max_fpr`.
    classes : sequence of str
        Names of the classes, the positive class last.

    Raises
    ------
    UsageError
        If a threshold is requested and there are not exactly two classes.
    """
    if not options.decides:
        return None
    if len(classes) != 2:
        raise UsageError(
            f"a threshold needs two classes, got {len(classes)}: {', '.join(classes)}. Leave out "
            "--threshold and --max-fpr"
        )

    def choose(y: Labels, p: Probabilities) -> float:
        return choose_threshold(y, p[:, 1], metric=options.threshold, max_fpr=options.max_fpr)

    return choose


def oracle(y: Labels, p: Probabilities) -> dict[str, float]:
    """Return the scores of the best threshold for the test rows.

    The threshold is chosen on the rows that it scores. The scores are therefore upper bounds on the
    scores of any threshold, and no estimates for new images.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities.

    Returns
    -------
    dict of str to float
        ``"accuracy_at_oracle"`` and ``"balanced_accuracy_at_oracle"``. Empty if there are not two
        classes, or if one class has no rows.
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
    """Choose the threshold above which a row is predicted as positive.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices, 0 or 1.
    positive : ndarray of shape (n_samples,)
        Probability of class 1 for held-out rows.
    metric : str, optional
        Metric to maximise, ``"accuracy"`` or ``"balanced_accuracy"``. Of several best thresholds,
        the nearest to 0.5 is chosen.
    max_fpr : float, optional
        If given, choose the smallest threshold with at most this false positive rate. It has the
        most true positives of all such thresholds.

    Returns
    -------
    float
        Threshold in [0, 1]: 0, the midpoint of two neighbouring probabilities, or the largest
        probability.

    Examples
    --------
    >>> y, p = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.6, 0.9])
    >>> choose_threshold(y, p, metric="balanced_accuracy"), choose_threshold(y, p, max_fpr=0.0)
    (0.4, 0.8)
    """
    values = np.unique(positive)
    halfway = (values[:-1] + values[1:]) / 2
    # Adjacent floating-point numbers have no number between them.
    between = np.where(halfway < values[1:], halfway, values[:-1])
    candidates = np.concatenate([[0.0], between, values[-1:]])
    above = [
        (y == code).sum() - np.searchsorted(np.sort(positive[y == code]), candidates, side="right")
        for code in (0, 1)
    ]
    n_negative, n_positive = max(int((y == 0).sum()), 1), max(int((y == 1).sum()), 1)
    if max_fpr is not None:
        allowed = above[0] / n_negative <= max_fpr
        return float(candidates[allowed].min())
    if metric == "accuracy":
        quality = (above[1] + n_negative - above[0]) / len(y)
    else:
        quality = (above[1] / n_positive + 1 - above[0] / n_negative) / 2
    best = candidates[quality >= quality.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])
