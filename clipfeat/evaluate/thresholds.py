"""Choice of a decision threshold between two classes.

A bound on the false positive rate uses the Neyman-Pearson umbrella algorithm (Tong, Feng and Li,
Science Advances 4, 2018). A simple threshold has a false positive rate on the held-out negatives
that equals the bound. Its rate on new images exceeds the bound in about half of all cases. The
algorithm instead chooses an order statistic of the negatives' probabilities. The rate on new images
then exceeds the bound with a probability of at most `VIOLATION`.
"""

import warnings
from collections.abc import Callable, Sequence
from math import ceil, log, log1p

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from clipfeat.errors import ClipfeatWarning, DataError, UsageError
from clipfeat.evaluate.metrics import DECIDED, METRICS, Labels, Probabilities, decide
from clipfeat.zoo.fit_options import FitOptions

Groups = NDArray[np.generic]
Chooser = Callable[[Labels, Probabilities, Groups | None], float]
"""Function that takes true class indices, probabilities and groups of held-out rows, and returns a
threshold."""

VIOLATION = 0.05
"""Largest probability that the false positive rate exceeds its bound on new images."""


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

    def choose(y: Labels, p: Probabilities, groups: Groups | None) -> float:
        return choose_threshold(
            y, p[:, 1], groups, metric=options.threshold, max_fpr=options.max_fpr
        )

    return choose


def negatives_needed(max_fpr: float) -> int:
    """Return the smallest number of held-out negatives that guarantees a false positive rate.

    With fewer negatives, no threshold has this guarantee. Even if the threshold is the largest
    score of these negatives, the rate exceeds `max_fpr` with a probability of more than
    `VIOLATION`.

    Parameters
    ----------
    max_fpr : float
        Largest false positive rate, in (0, 1).

    Examples
    --------
    >>> negatives_needed(0.05), negatives_needed(0.01)
    (59, 299)
    """
    return ceil(log(VIOLATION) / log1p(-max_fpr) - 1e-9)


def check_negatives(
    max_fpr: float, n_negatives: int, negative: str, where: str, held_out_for: str = ""
) -> None:
    """Check that a training set has enough negatives to choose a threshold.

    Parameters
    ----------
    max_fpr : float
        Largest false positive rate.
    n_negatives : int
        Number of images of the negative class in the training set.
    negative : str
        Name of the negative class.
    where : str
        Name of the training set for the message.
    held_out_for : str
        Name of a classifier that is fitted on one half of the training set, and whose threshold is
        chosen on the other half. The training set then needs twice as many negatives. Empty for
        classifiers that are fitted on the whole training set.

    Raises
    ------
    DataError
        If the training set has too few negatives.
    """
    share = 2 if held_out_for else 1
    needed = share * negatives_needed(max_fpr)
    if n_negatives < needed:
        feasible = 1 - VIOLATION ** (1 / max(n_negatives // share, 1))
        half = f", half of them to choose the threshold of {held_out_for}" if held_out_for else ""
        raise DataError(
            f"a false positive rate of at most {max_fpr:g} needs {needed} images of class "
            f"{negative!r} in each training set{half}, but {where} has {n_negatives}. Add images "
            f"of this class, or use --max-fpr {ceil(feasible * 1000 + 1e-6) / 1000:g} or more"
        )


def effective_number(groups: Groups) -> int:
    """Return the effective number of independent images among grouped images.

    This is Kish's effective sample size for images that are equal within a group, rounded down:
    ``sum(sizes) ** 2 / sum(sizes ** 2)``. It equals the number of groups if all groups have the
    same size.

    Parameters
    ----------
    groups : ndarray of shape (n_images,)
        Group of each image.

    Examples
    --------
    >>> effective_number(np.array(["a", "a", "b", "b"])), effective_number(np.array(["a", "b"]))
    (2, 2)
    """
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return int(sizes.sum() ** 2 / (sizes**2).sum() + 1e-9)


def warn_of_few_groups(max_fpr: float, n_groups: int, negative: str) -> None:
    """Warn if a false positive rate cannot be guaranteed for images of new groups.

    Parameters
    ----------
    max_fpr : float
        Largest false positive rate.
    n_groups : int
        Smallest effective number of negatives in a training set. See `effective_number`.
    negative : str
        Name of the negative class.

    Warns
    -----
    ClipfeatWarning
        If there are too few groups.
    """
    needed = negatives_needed(max_fpr)
    if n_groups < needed:
        warnings.warn(
            f"the false positive rate of at most {max_fpr:g} is not guaranteed for images of new "
            f"groups. A guarantee needs {needed} independent groups of class {negative!r} in each "
            f"training set, but one training set has {n_groups}. Add groups",
            ClipfeatWarning,
            stacklevel=4,
        )


def umbrella_rank(n_negatives: int, max_fpr: float) -> int:
    """Return the rank of the negative whose probability is the threshold.

    Let the threshold be the k-th smallest of the n negatives' scores. Its false positive rate then
    exceeds `max_fpr` with the probability that a binomial variable with parameters n and
    ``1 - max_fpr`` is at least k. This function returns the smallest k for which this probability
    is at most `VIOLATION`.

    Parameters
    ----------
    n_negatives : int
        Number of held-out negatives.
    max_fpr : float
        Largest false positive rate, in (0, 1).

    Returns
    -------
    int
        Rank from 1 (smallest) to `n_negatives`.

    Raises
    ------
    DataError
        If there are too few negatives for any rank.

    Examples
    --------
    >>> umbrella_rank(59, 0.05), umbrella_rank(200, 0.05)
    (59, 196)
    """
    check_negatives(max_fpr, n_negatives, "negative", "the training set")
    ranks = np.arange(1, n_negatives + 1)
    violation = binom.sf(ranks - 1, n_negatives, 1 - max_fpr)
    return int(ranks[violation <= VIOLATION * (1 + 1e-9)][0])


def allowed_above(n_negatives: int, groups: Groups | None, max_fpr: float) -> int:
    """Return the number of held-out negatives that may be above the threshold.

    Without groups, these are the negatives whose rank is above `umbrella_rank`. With groups, the
    same share of the negatives is allowed as for `effective_number` negatives without groups. If
    `effective_number` is too small for a guarantee, groups are ignored.

    Parameters
    ----------
    n_negatives : int
        Number of held-out negatives.
    groups : ndarray of shape (n_negatives,), optional
        Group of each negative.
    max_fpr : float
        Largest false positive rate, in (0, 1).

    Raises
    ------
    DataError
        If there are too few negatives.

    Examples
    --------
    >>> allowed_above(400, None, 0.05), allowed_above(400, np.arange(400) // 4, 0.05)
    (12, 4)
    """
    n = n_negatives if groups is None else effective_number(groups)
    if n < negatives_needed(max_fpr):
        n = n_negatives
    return int((n - umbrella_rank(n, max_fpr)) / n * n_negatives + 1e-9)


def oracle(y: Labels, p: Probabilities) -> dict[str, float]:
    """Return the scores of the best threshold for the test rows.

    The threshold is chosen on the test rows themselves. The scores are therefore upper bounds on
    the scores of any threshold, not estimates for new images.

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
    groups: Groups | None = None,
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
    groups : ndarray of shape (n_samples,), optional
        Group of each row. Only `max_fpr` uses them.
    metric : str, optional
        Metric to maximise, ``"accuracy"`` or ``"balanced_accuracy"``. Of several best thresholds,
        the nearest to 0.5 is chosen.
    max_fpr : float, optional
        If given, choose the smallest threshold whose false positive rate on new images is at most
        this value with 95 % confidence. Rows of different groups must be independent. If there are
        too few groups of class 0, all rows are treated as independent.

    Returns
    -------
    float
        Threshold in [0, 1]: 0, the midpoint of two neighbouring probabilities, or the largest
        probability.

    Raises
    ------
    DataError
        If `max_fpr` is given and there are too few rows of class 0.

    Examples
    --------
    >>> y, p = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.6, 0.9])
    >>> choose_threshold(y, p, metric="balanced_accuracy"), choose_threshold(y, p, max_fpr=0.7)
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
        negatives = np.sort(positive[y == 0])
        n_allowed = allowed_above(
            len(negatives), None if groups is None else groups[y == 0], max_fpr
        )
        bound = negatives[len(negatives) - n_allowed - 1]
        return float(candidates[candidates >= bound].min())
    if metric == "accuracy":
        quality = (above[1] + n_negative - above[0]) / len(y)
    else:
        quality = (above[1] / n_positive + 1 - above[0] / n_negative) / 2
    best = candidates[quality >= quality.max() - 1e-12]
    return float(best[np.abs(best - 0.5).argmin()])
