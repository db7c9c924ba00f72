"""Weights of the members of a vote, learned from their out-of-fold probabilities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, unknown_name

GREEDY_ROUNDS = 50
"""Number of rounds of ``"greedy"``."""
SMALLEST = 0.01
"""Learned weights below this value are set to 0. A member with weight 0 is not fitted."""


def learn_weights(
    how: str, probabilities: Sequence[NDArray[np.float64]], y: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Learn the weights of members from their out-of-fold probabilities.

    Parameters
    ----------
    how : str
        Name in `WEIGHTINGS`. ``"uniform"`` weights all members equally. ``"greedy"`` builds a
        list of members (Caruana et al. 2004, Ensemble selection from libraries of models). Each of
        `GREEDY_ROUNDS` rounds appends the member that minimises the log loss of the list's average.
        A member may be appended several times. The weights are the shares of the members in the
        list after the best round. ``"log_loss"`` finds the weights with the smallest log loss.
    probabilities : sequence of ndarray of shape (n_samples, n_classes)
        Out-of-fold probabilities of each member.
    y : ndarray of shape (n_samples,)
        True class indices.

    Returns
    -------
    ndarray of shape (n_members,)
        Weights in [0, 1] with sum 1. Some may be 0.

    Raises
    ------
    UnknownNameError
        If `how` is unknown.
    DataError
        If there are no rows to learn from.

    Examples
    --------
    >>> bad, good = np.array([[0.4, 0.6], [0.6, 0.4]]), np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> learn_weights("greedy", [bad, good], np.array([0, 1])).tolist()
    [0.0, 1.0]
    """
    if how not in WEIGHTINGS:
        raise unknown_name("weighting", how, WEIGHTINGS)
    if not len(y):
        raise DataError(
            f"the vote {how!r} learns its weights from out-of-fold probabilities, but there are "
            "none. Use --cv 2 or more"
        )
    # The log loss of an average depends only on the probability of the true class.
    of_truth = np.stack([p[np.arange(len(y)), y] for p in probabilities], axis=1)
    weights = WEIGHTINGS[how](np.clip(of_truth, 1e-15, 1))
    weights = np.where(weights < SMALLEST, 0.0, weights) if len(weights) < 1 / SMALLEST else weights
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _uniform(of_truth: NDArray[np.float64]) -> NDArray[np.float64]:
    n = of_truth.shape[1]
    return np.full(n, 1 / n)


def _greedy(of_truth: NDArray[np.float64]) -> NDArray[np.float64]:
    n_rows, n_members = of_truth.shape
    counts, total = np.zeros(n_members), np.zeros(n_rows)
    least, best = np.inf, counts
    for size in range(1, GREEDY_ROUNDS + 1):
        losses = -np.log((total[:, None] + of_truth) / size).mean(axis=0)
        chosen = int(losses.argmin())
        counts[chosen] += 1
        total += of_truth[:, chosen]
        if losses[chosen] < least - 1e-9:
            least, best = losses[chosen], counts.copy()
    share: NDArray[np.float64] = best / best.sum()
    return share


def _log_loss(of_truth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Minimise the log loss of the average by expectation maximisation.

    The weights are those of a mixture of the members. The problem is convex.
    """
    weights = _uniform(of_truth)
    for _ in range(2000):
        responsible = of_truth * weights
        last, weights = weights, (responsible / responsible.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(weights - last).max() < 1e-7:
            break
    return weights


WEIGHTINGS = {"uniform": _uniform, "greedy": _greedy, "log_loss": _log_loss}
"""Map from names to functions that learn weights."""
