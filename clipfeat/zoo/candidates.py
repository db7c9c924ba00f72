"""Scores of a parameter search on held-out rows.

A candidate is one set of parameter values.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss


@dataclass(frozen=True, eq=False)
class CandidateScore:
    """Score of a candidate on held-out rows.

    Parameters
    ----------
    loss : float
        Log loss.
    chance_loss : float
        Log loss of the class frequencies, which ignore the features.
    n_classes : int
        Number of classes.
    hits : ndarray of shape (n_samples,)
        Contribution of each row to the balanced accuracy. It is 0 if the prediction is wrong.
    converged : bool
        Whether every fit of the candidate converged.
    """

    loss: float
    chance_loss: float
    n_classes: int
    hits: NDArray[np.float64]
    converged: bool = True

    def beats(self, default: "CandidateScore") -> bool:
        """Return whether the candidate may replace the default parameters.

        The candidate must meet four conditions:

        - Every fit of the candidate converged.
        - Its log loss is smaller than those of the default and of the class frequencies.
        - Its balanced accuracy is above chance.
        - Its balanced accuracy is at most one standard error below that of the default. This is
          the standard error of the paired difference.

        The last two conditions exclude a penalty so strong that the largest class is predicted for
        every row. With unequal classes, the log loss of such a candidate can be smaller than that
        of an overconfident default.
        """
        difference = self.hits - default.hits
        return bool(
            self.converged
            and self.loss < min(default.loss, self.chance_loss)
            and self.hits.sum() > 1 / self.n_classes + 1e-9
            and difference.sum() >= -np.sqrt(np.square(difference).sum()) - 1e-12
        )


def score_candidate(
    y: NDArray[np.int64],
    p: NDArray[np.float64],
    *,
    equal_priors: bool = False,
    converged: bool = True,
) -> CandidateScore:
    """Compute the log loss and the balanced accuracy of a candidate on held-out rows.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), int
        True class indices of the held-out rows. Every class has rows.
    p : ndarray of shape (n_samples, n_classes)
        Probabilities of the held-out rows.
    equal_priors : bool
        Divide the probabilities by the class frequencies before the balanced accuracy is computed.
        Set this if the classifier that is fitted after the search balances the classes.
    converged : bool
        Whether every fit of the candidate converged.

    Examples
    --------
    >>> y = np.array([0, 0, 1, 1])
    >>> good = score_candidate(y, np.array([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4]]))
    >>> chance = score_candidate(y, np.full((4, 2), 0.5))
    >>> float(good.hits.sum()), good.beats(chance), chance.beats(good)
    (0.75, True, False)
    """
    counts = np.bincount(y, minlength=p.shape[1])
    present = np.flatnonzero(counts)
    frequency = counts / len(y)
    decided = p / np.maximum(frequency, 1 / len(y)) if equal_priors else p
    hits = (decided.argmax(axis=1) == y) / (len(present) * counts[y])
    entropy = -float((frequency[present] * np.log(frequency[present])).sum())
    loss = float(log_loss(y, p, labels=np.arange(p.shape[1])))
    return CandidateScore(loss, entropy, len(present), hits, converged)


@contextmanager
def record_convergence() -> Iterator[list[bool]]:
    """Collect the convergence warnings of a block, and emit its other warnings.

    Yields
    ------
    list of bool
        An empty list. When the block ends, a single False is added if a fit did not converge.
    """
    failures: list[bool] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        yield failures
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            failures[:] = [False]
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
