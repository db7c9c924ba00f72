"""Adaptation of a model to a new domain by shifts of the logits of its classes."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

METHODS = ("labels", "prior")
"""Methods to find the shifts. See `Adaptation`."""
MAX_SHIFT = 100.0
"""Largest absolute value of a shift in a model file."""


@dataclass(frozen=True)
class Adaptation:
    """Shifts of the logits of a model for a new domain.

    Parameters
    ----------
    shifts : tuple of float
        For each class, the number that is added to its logit (the logarithm of its probability).
        The sum of the shifts is 0.
    method : {"labels", "prior"}
        ``"labels"`` fitted the shifts to labelled images. ``"prior"`` estimated the shares of the
        classes among unlabelled images.
    n_images : int
        Number of images that the shifts were computed from.
    before, after : mapping of str to float
        For ``"labels"``, metrics of the original model and cross-validated metrics of the adapted
        model. For ``"prior"``, the share of images that are predicted as each class.

    Examples
    --------
    >>> shift = Adaptation((-0.5, 0.5), "labels", 10, {}, {})
    >>> shift.apply(np.array([[0.5, 0.5]])).round(3).tolist()
    [[0.269, 0.731]]
    """

    shifts: tuple[float, ...]
    method: str
    n_images: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    def apply(self, probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
        """Shift the logits of probabilities of shape (n_images, n_classes)."""
        return shifted(probabilities, np.array(self.shifts))


def shifted(
    probabilities: NDArray[np.floating], shifts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Add `shifts` to the logits of each row, and normalise the row. NaN rows stay NaN."""
    odds = probabilities * np.exp(shifts - shifts.max())
    p: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
    return p
