"""Faces as detectors report them."""

from collections.abc import Callable
from dataclasses import dataclass

from clipfeat.images.decode import RGB

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """Position of a face in pixels of the image. x increases to the right, y downwards.

    Parameters
    ----------
    left, top, width, height : float
        The box of the face. It may extend beyond the image's border.
    eyes : pair of points, optional
        The eyes as (x, y), ordered from left to right in an upright face.
    landmarks : tuple of five points, optional
        The eyes, the tip of the nose and the corners of the mouth.
    """

    left: float
    top: float
    width: float
    height: float
    eyes: tuple[Point, Point] | None = None
    landmarks: tuple[Point, ...] | None = None


Detector = Callable[[RGB], list[Face]]
"""A function from an image to its faces, in any order."""
