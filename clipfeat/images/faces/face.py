"""A face as a detector reports it."""

from collections.abc import Callable
from dataclasses import dataclass

from clipfeat.images.decode import RGB

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """Where a face is, in pixels of the image; x goes right, y down.

    Parameters
    ----------
    left, top, width, height : float
        Its box; it may reach over the image's border.
    eyes : pair of points, optional
        The eye on the viewer's left of an upright face, then the other, as (x, y).
    """

    left: float
    top: float
    width: float
    height: float
    eyes: tuple[Point, Point] | None = None


Detector = Callable[[RGB], list[Face]]
"""From an image to its faces, in any order."""
