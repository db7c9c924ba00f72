"""Cutting faces out of an image, with a margin and upright.

Of one face the crop is a square: an encoder would cut one out of anything else. At a border it
is moved inwards, and made smaller where it is wider than the image, rather than filled up: what a
detector of generated images sees must come from the image. Only where a tilted face is set upright
do corners reach outside; they repeat the nearest pixels.
"""

from collections.abc import Callable, Sequence
from math import atan2, ceil, cos, sin

import numpy as np
from PIL import Image

from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Face, Point


def together(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Cut out the smallest rectangle that holds every face and its margin; not turned."""
    height, width = pixels.shape[:2]
    columns = _span([(f.left, f.width) for f in faces], margin, width)
    rows = _span([(f.top, f.height) for f in faces], margin, height)
    return [pixels[rows, columns].copy()]


def largest(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Cut out the first face."""
    return [crop(pixels, faces[0], margin)]


def each(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Cut out every face, in their order."""
    return [crop(pixels, face, margin) for face in faces]


MODES: dict[str, Callable[[RGB, Sequence[Face], float], list[RGB]]] = {
    "crop": together,
    "largest": largest,
    "all": each,
}
"""From an image and its faces, the largest first, to crops."""


def crop(pixels: RGB, face: Face, margin: float) -> RGB:
    """Cut out the square around a face; where its eyes are known, turned until they are level.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
    face : Face
        Its centre is within the image.
    margin : float
        Added on every side, as a share of the longer side of the face's box.

    Returns
    -------
    ndarray of shape (side, side, 3), uint8
        A copy, at the image's own scale.
    """
    height, width = pixels.shape[:2]
    wanted = (1 + 2 * margin) * max(face.width, face.height)
    side = max(1, round(min(wanted, height, width)))
    left = _start(face.left + face.width / 2, side, width)
    top = _start(face.top + face.height / 2, side, height)
    if face.eyes is None:
        return pixels[top : top + side, left : left + side].copy()
    return _turned(pixels, left, top, side, face.eyes)


def _span(parts: Sequence[tuple[float, float]], margin: float, limit: int) -> slice:
    first = min(start - margin * size for start, size in parts)
    last = max(start + (1 + margin) * size for start, size in parts)
    start = int(min(max(0, round(first)), limit - 1))
    return slice(start, int(min(max(start + 1, round(last)), limit)))


def _start(centre: float, side: int, limit: int) -> int:
    return int(min(max(0, round(centre - side / 2)), limit - side))


def _turned(pixels: RGB, left: int, top: int, side: int, eyes: tuple[Point, Point]) -> RGB:
    """The square turned about its centre by the angle of the eyes."""
    height, width = pixels.shape[:2]
    (x0, y0), (x1, y1) = eyes
    angle = atan2(y1 - y0, x1 - x0)
    # What the turned square can touch, and two pixels more for the interpolation.
    reach = ceil(side * (2**0.5 - 1) / 2) + 2
    rows = np.clip(np.arange(top - reach, top + side + reach), 0, height - 1)
    columns = np.clip(np.arange(left - reach, left + side + reach), 0, width - 1)
    around = Image.fromarray(pixels[rows[:, None], columns])
    c, s, half = cos(angle), sin(angle), side / 2
    centre = reach + half
    from_upright = (c, -s, centre - c * half + s * half, s, c, centre - s * half - c * half)
    square = around.transform(
        (side, side), Image.Transform.AFFINE, from_upright, Image.Resampling.BICUBIC
    )
    return np.array(square)
