"""Weights of a vote, learned from probabilities of rows that its members were not fitted on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import DataError, unknown_name

GREEDY_ROUNDS = 50
SMALLEST = 0.01
"""A learned weight below this is none: its member need not be run."""


def learn_weights(
    how: str, probabilities: Sequence[NDArray[np.float64]], y: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weigh members by what they said of rows that they had not seen.

    Parameters
    ----------
    how : str
        One of `WEIGHINGS`: ``"uniform"``; ``"greedy"``, `GREEDY_ROUNDS` rounds each of which adds,
        with replacement, the member that makes the log loss of the average least, up to the best
        round (Caruana et al. 2004, Ensemble selection from libraries of models); ``"log_loss"``,
        the weights of least log loss there are.
    probabilities : sequence of ndarray of shape (n_samples, n_classes)
        One of each member, out of fold.
    y : ndarray of shape (n_samples,)
        True class indices.

    Returns
    -------
    ndarray of shape (n_members,)
        None negative, some perhaps zero; their sum is 1.

    Raises
    ------
    UnknownNameError
        If there is no such way.
    DataError
        If there are no rows to learn from.

    Examples
    --------
    >>> bad, good = np.array([[0.4, 0.6], [0.6, 0.4]]), np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> learn_weights("greedy", [bad, good], np.array([0, 1])).tolist()
    [0.0, 1.0]
    """
    if how not in WEIGHINGS:
        raise unknown_name("way to weigh", how, WEIGHINGS)
    if not len(y):
        raise DataError("there are no out-of-fold rows to learn a vote's weights from")
    # The log loss of an average depends on what each member gives the true class, and on no more.
    of_truth = np.stack([p[np.arange(len(y)), y] for p in probabilities], axis=1)
    weights = WEIGHINGS[how](np.clip(of_truth, 1e-15, 1))
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
    """Expectation maximisation of a mixture's weights: convex, so there is one answer."""
    weights = _uniform(of_truth)
    for _ in range(2000):
        responsible = of_truth * weights
        last, weights = weights, (responsible / responsible.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(weights - last).max() < 1e-7:
            break
    return weights


WEIGHINGS = {"uniform": _uniform, "greedy": _greedy, "log_loss": _log_loss}
"""How weights may be learned."""
