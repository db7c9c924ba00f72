"""Linear models by L-BFGS on losses that are summed over blocks of rows, in memory or not."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Blocks = Iterable[tuple[slice, NDArray[np.floating]]]
"""Can be iterated again and again: the places of some rows, and their features."""

Loss = Callable[[NDArray[np.floating], slice], tuple[NDArray[np.floating], NDArray[np.floating]]]
"""From scores (n, n_outputs) of the rows at some places to the rows' losses and the derivatives of
these by the scores."""


def minimise(
    blocks: Blocks, shape: tuple[int, int], loss: Loss, *, penalty: float, total: float,
    **options: Any,
) -> Any:  # fmt: skip
    """Minimise the rows' losses and half the squared norm of the weights, both over a total.

    Parameters
    ----------
    blocks : iterable of (slice, ndarray of shape (n, n_features))
        Each evaluation is one pass over them. Products are taken in their precision, sums over
        blocks in float64.
    shape : (int, int)
        Outputs, and features plus one: the last column is the intercept, which is free.
    loss : callable
        See `Loss`.
    penalty : float
        On half the squared norm.
    total : float
        What everything is divided by, so that tolerances do not depend on the number of rows.
    **options
        Of scipy's L-BFGS-B.

    Returns
    -------
    OptimizeResult
        Of `scipy.optimize.minimize`; its ``x`` has `shape`.
    """

    def objective(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = flat.reshape(shape)
        gradient = penalty * weights
        gradient[:, -1] = 0
        value = 0.5 * penalty * float(np.square(weights[:, :-1]).sum())
        for places, X in blocks:
            scores = X @ weights[:, :-1].T.astype(X.dtype) + weights[:, -1].astype(X.dtype)
            losses, pull = loss(scores, places)
            value += float(losses.sum(dtype=np.float64))
            gradient[:, :-1] += pull.T.astype(X.dtype, copy=False) @ X
            gradient[:, -1] += pull.sum(axis=0, dtype=np.float64)
        return value / total, gradient.ravel() / total

    begin = np.zeros(shape).ravel()
    found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    found.x = found.x.reshape(shape)
    return found
