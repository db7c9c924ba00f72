"""Abstention of a model from uncertain predictions, by class-conditional conformal prediction.

The prediction set of an image holds every class that is plausible for it. A class is plausible if
the image's probability of this class is not among the lowest probabilities that calibration images
of this class have. The calibration images were not in the fits that gave their probabilities.

Suppose that a class has n calibration images, which are exchangeable with a new image of this
class. Then the prediction set of the new image lacks the class with a probability of at most the
level, for any classifier (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World,
2005). The probability is over both the calibration images and the new image. For one fitted model,
the share of new images whose set lacks their class varies around
``floor(level * (n + 1)) / (n + 1)`` with a beta distribution. The guarantee is exact if the
calibration images were left out of the fit of the model. If their probabilities are out of fold,
they come from other fits than those of new images. For this case, the guarantee was only verified
by simulation: see the table ``abstain`` of ``benchmarks/statistics.py``.

The p-values are those of the library crepes. Of MAPIE and crepes, only crepes has class-conditional
prediction sets, whose level also holds for a rare class.
"""

import warnings
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from clipfeat.errors import ClipfeatWarning, DataError, UsageError

_ROUNDING = 1e-9
_MANY = 1e15


@dataclass(frozen=True, eq=False)
class Abstention:
    """Calibration of a model that abstains.

    Parameters
    ----------
    level : float
        For each class, the largest share of new images whose prediction set lacks the class. It is
        in (0, 1).
    probabilities : ndarray of shape (n_images,), float64
        Probability of the true class of each calibration image. The values are in the order of the
        classes, and ascend within each class.
    n_images : tuple of int
        Number of calibration images of each class.
    n_independent : tuple of int
        Effective number of independent calibration images of each class. It is smaller than
        `n_images` if the images have groups, such as the frames of one video.

    Raises
    ------
    UsageError
        If the level is not in (0, 1).

    Examples
    --------
    >>> p = np.array([0.1, 0.8, 0.9, 0.3, 0.6, 0.9])
    >>> abstention = Abstention(0.5, p, (3, 3), (3, 3))
    >>> abstention.smallest.tolist()
    [0.8, 0.6]
    >>> abstention.sets(np.array([[0.85, 0.15], [0.75, 0.25], [0.4, 0.6]])).tolist()
    [[True, False], [False, False], [False, True]]
    """

    level: float
    probabilities: NDArray[np.float64]
    n_images: tuple[int, ...]
    n_independent: tuple[int, ...]

    def __post_init__(self) -> None:
        check_level(self.level)

    @cached_property
    def smallest(self) -> NDArray[np.float64]:
        """For each class, the smallest probability that puts the class in a prediction set."""
        return np.array(
            [
                _smallest(probabilities, _level_of_class(self.level, len(probabilities), n))
                for probabilities, n in zip(self._by_class(), self.n_independent, strict=True)
            ]
        )

    def sets(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the prediction sets of images as masks of shape (n_images, n_classes)."""
        return np.asarray(probabilities >= self.smallest, dtype=np.bool_)

    def at(self, level: float, classes: Sequence[str]) -> "Abstention":
        """Return the same calibration with another level.

        Parameters
        ----------
        level : float
            The level, in (0, 1).
        classes : sequence of str
            Names of the classes, for messages.

        Raises
        ------
        DataError
            If a class has too few calibration images for the level.
        """
        changed = replace(self, level=level)
        check_images(level, dict(zip(classes, self.n_images, strict=True)))
        changed.warn_of_few_groups(classes)
        return changed

    def warn_of_few_groups(self, classes: Sequence[str]) -> None:
        """Warn if the guarantee does not hold for images of new groups.

        Warns
        -----
        ClipfeatWarning
            If a class has too few independent calibration images.
        """
        needed = images_needed(self.level)
        n, name = min(zip(self.n_independent, classes, strict=True))
        if n < needed:
            warnings.warn(
                f"the level {self.level:g} of the prediction sets is not guaranteed for images of "
                f"new groups. A guarantee needs {needed} independent groups of each class, but "
                f"class {name!r} has {n}. Add groups",
                ClipfeatWarning,
                stacklevel=4,
            )

    def _by_class(self) -> Iterator[NDArray[np.float64]]:
        yield from np.split(self.probabilities, np.cumsum(self.n_images)[:-1])


def check_level(level: float) -> None:
    """Check that a level is in (0, 1)."""
    if not 0 < level < 1:
        raise UsageError(f"abstain must be above 0 and less than 1, got {level:g}. Use 0.05")


def images_needed(level: float) -> int:
    """Return the smallest number of calibration images of a class for a level.

    With fewer images, every class would be in every prediction set.

    Examples
    --------
    >>> images_needed(0.05), images_needed(0.1), images_needed(0.3)
    (19, 9, 3)
    """
    return ceil(min(1 / level, _MANY) - _ROUNDING) - 1


def check_images(level: float, n_images: Mapping[str, int], held_out_for: str = "") -> None:
    """Check that there are enough calibration images of each class.

    Parameters
    ----------
    level : float
        Level of the prediction sets.
    n_images : mapping of str to int
        Number of images of each class.
    held_out_for : str
        Names of classifiers that are fitted on one half of the images and calibrated on the other
        half. Twice as many images are then needed. Empty for other classifiers.

    Raises
    ------
    DataError
        If a class has too few images.
    """
    share = 2 if held_out_for else 1
    needed = share * images_needed(level)
    n, name = min((n, name) for name, n in n_images.items())
    if n < needed:
        half = f", half of them to calibrate {held_out_for}" if held_out_for else ""
        feasible = ceil(1000 / (n // share + 1) - _ROUNDING) / 1000
        advice = f", or use --abstain {feasible:g} or more" if feasible < 1 else ""
        raise DataError(
            f"prediction sets of level {level:g} need {needed} images of each class{half}, but "
            f"class {name!r} has {n}. Add images of this class{advice}"
        )


def _level_of_class(level: float, n: int, n_independent: int) -> float:
    """Adjust the level for `n` images that are worth only `n_independent` independent images.

    At the adjusted level, the share of calibration images below the smallest probability is the
    same as for `n_independent` images without groups. If `n_independent` is too small for the
    level, groups are ignored.
    """
    if n_independent < images_needed(level):
        n_independent = n
    rank = floor(level * (n_independent + 1) + _ROUNDING)
    n_below = floor((rank - 1) / n_independent * n + _ROUNDING)
    return (n_below + 1) / (n + 1)


def _smallest(calibration: NDArray[np.float64], level: float) -> float:
    """Return the smallest of the probabilities whose p-value is above a level."""
    from crepes import ConformalClassifier

    predictor = ConformalClassifier().fit(-calibration)
    candidates = np.unique(calibration)

    def is_plausible(probability: np.float64) -> bool:
        p_value = predictor.predict_p(np.array([-probability]), smoothing=False)[0]
        return bool(p_value > level)

    # The p-value increases with the probability, and that of the largest probability is 1.
    return float(candidates[bisect_left(candidates, True, key=is_plausible)])
