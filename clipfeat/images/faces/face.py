"""Faces as detectors report them."""

from collections.abc import Callable
from dataclasses import dataclass

from clipfeat.images.decode import RGB

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """Position of a face, in pixels of the image; x increases to the right, y downwards.

    Parameters
    ----------
    left, top, width, height : float
        The face's box, which may reach over the image's border.
    eyes : pair of points, optional
        The eyes of the upright face, the viewer's left one first, as (x, y).
    """

    left: float
    top: float
    width: float
    height: float
    eyes: tuple[Point, Point] | None = None


Detector = Callable[[RGB], list[Face]]
"""A function from an image to its faces, in any order."""
