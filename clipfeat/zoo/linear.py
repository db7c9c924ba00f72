"""L-BFGS for linear models, on blocks of rows in memory or on disk."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Blocks = Iterable[tuple[slice, NDArray[np.floating]]]
"""Blocks of rows: for each block, a slice of row numbers and the features of these rows. The
blocks can be iterated over several times."""

Loss = Callable[[NDArray[np.floating], slice], tuple[NDArray[np.floating], NDArray[np.floating]]]
"""Function that takes the scores of a block, of shape (n, n_outputs), and the slice of its row
numbers. It returns the losses and their derivatives with respect to the scores."""


def minimise(
    blocks: Blocks, shape: tuple[int, int], loss: Loss, *, penalty: float, total: float,
    **options: Any,
) -> Any:  # fmt: skip
    """Minimise the sum of the losses of all rows and an L2 penalty.

    Parameters
    ----------
    blocks : iterable of (slice, ndarray of shape (n, n_features))
        Features of the rows; see `Blocks`. Each evaluation of the objective is one pass over the
        blocks. Matrix products use the precision of the blocks. Sums over blocks use float64.
    shape : (int, int)
        Number of outputs, and number of features plus one. The last column holds the intercepts,
        which are not penalised.
    loss : callable
        Loss of a block. See `Loss`.
    penalty : float
        Factor of the penalty, which is half the squared norm of the weights.
    total : float
        Divisor of the objective. It makes the tolerances independent of the number of rows.
    **options
        Options of scipy's L-BFGS-B.

    Returns
    -------
    OptimizeResult
        Result of `scipy.optimize.minimize`, with ``x`` of the shape `shape`.
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
    result = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
    result.x = result.x.reshape(shape)
    return result
