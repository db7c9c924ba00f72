"""Shifts of the logits of a model, from labelled or unlabelled images of a new domain."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from clipfeat.evaluate.metrics import Labels, Probabilities
from clipfeat.model.adaptation import shifted

Shifts = NDArray[np.float64]

PRIOR_SD = 2.0
"""Standard deviation of the Gaussian prior of each shift. For two classes, the difference of the
shifts then has a standard deviation of 2.8, which changes a probability of 0.5 to 0.94."""
MAX_FOLDS = 100
"""Leave-one-out is used for up to this many images, and this many folds for more images."""
MAX_STEPS = 10_000
TOLERANCE = 1e-9
SMALLEST = 1e-12
"""Smaller probabilities count as 0, which no shift changes."""


def fit_shifts(y: Labels, p: Probabilities) -> Shifts:
    """Fit the shifts by maximum likelihood with a Gaussian prior. Their sum is 0.

    This is a logistic regression that has only intercepts, with the logits of the model as offsets.
    Images whose true class has the probability 0, as with nearest neighbours, are left out: no
    shift changes their probabilities.

    Parameters
    ----------
    y : ndarray of shape (n_images,), int64
        True class indices.
    p : ndarray of shape (n_images, n_classes)
        Probabilities of the original model.

    Examples
    --------
    >>> y, p = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    >>> fit_shifts(y, p).round(2).tolist()
    [-0.53, 0.53]
    """
    possible = p[np.arange(len(y)), y] > SMALLEST
    y, p = y[possible], p[possible]
    logits = np.log(np.clip(p, SMALLEST, None))
    counts = np.bincount(y, minlength=p.shape[1])

    def loss(shifts: Shifts) -> tuple[float, Shifts]:
        moved = logits + shifts
        top = moved.max(axis=1, keepdims=True)
        odds = np.exp(moved - top)
        sums = odds.sum(axis=1, keepdims=True)
        value = (top + np.log(sums)).sum() - counts @ shifts + shifts @ shifts / (2 * PRIOR_SD**2)
        return value, (odds / sums).sum(axis=0) - counts + shifts / PRIOR_SD**2

    start = np.zeros(p.shape[1])
    result = minimize(loss, start, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-7})
    shifts: Shifts = result.x - result.x.mean()
    return shifts


def held_out_probabilities(y: Labels, p: Probabilities) -> Probabilities:
    """Shift the probabilities of each image by shifts that were fitted without this image.

    Up to `MAX_FOLDS` images, this is leave-one-out.
    """
    fold = np.arange(len(y)) % min(len(y), MAX_FOLDS)
    out = np.empty_like(p)
    for number in range(fold.max() + 1):
        test = fold == number
        out[test] = shifted(p[test], fit_shifts(y[~test], p[~test]))
    return out


def estimate_shares(p: Probabilities, prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate the shares of the classes among unlabelled images by expectation-maximisation.

    This is the method of Saerens, Latinne and Decaestecker 2002 (Neural Computation 14). One
    pseudo-image with the shares of the training set is added, so that no share becomes 0.

    Parameters
    ----------
    p : ndarray of shape (n_images, n_classes)
        Probabilities of the original model.
    prior : ndarray of shape (n_classes,)
        Shares of the classes that the probabilities refer to.
    """
    shares: NDArray[np.float64] = prior
    for _ in range(MAX_STEPS):
        updated = (shifted(p, np.log(shares / prior)).sum(axis=0) + prior) / (len(p) + 1)
        if np.abs(updated - shares).max() < TOLERANCE:
            return shares
        shares = updated
    return shares
