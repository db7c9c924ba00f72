"""Upright crops of faces with a margin.

The crop of one face is a square, because an encoder would crop any other shape to a square. A crop
that extends beyond the image's border is moved inwards. A crop that is larger than the image is
made smaller. Crops are not padded, so that a detector of generated images receives pixels of the
image only. If a tilted face is rotated, corners outside the image repeat the nearest pixels.
"""

from collections.abc import Callable, Sequence
from math import atan2, ceil, cos, sin

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Face, Point

TEMPLATE = (
    (38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655),
    (70.7299, 92.2041),
)  # fmt: skip
"""Landmarks of an aligned face in a square of `TEMPLATE_SIDE` pixels, as in InsightFace."""
TEMPLATE_SIDE = 112


def crop_together(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Crop the smallest rectangle that contains all faces and their margins, without rotation."""
    height, width = pixels.shape[:2]
    columns = _span([(f.left, f.width) for f in faces], margin, width)
    rows = _span([(f.top, f.height) for f in faces], margin, height)
    return [pixels[rows, columns].copy()]


def crop_first(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Crop the first face, which is the largest."""
    return [crop(pixels, faces[0], margin)]


def crop_each(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Crop every face, in order."""
    return [crop(pixels, face, margin) for face in faces]


def crop_aligned(pixels: RGB, faces: Sequence[Face], margin: float) -> list[RGB]:
    """Crop the first face so that its landmarks are at fixed positions of the crop.

    The similarity transform that moves `TEMPLATE` to the landmarks is found by least squares. The
    crop keeps the resolution of the image. Outside the image, it repeats the nearest pixels.
    """
    height, width = pixels.shape[:2]
    # A point is a complex number here, so that a similarity transform is z * factor + shift.
    template = _complex(TEMPLATE)
    points = _complex(faces[0].landmarks or ())
    offsets = template - template.mean()
    factor = np.vdot(offsets, points - points.mean()) / np.vdot(offsets, offsets)
    shift = points.mean() - factor * template.mean()
    full_side = (1 + 2 * margin) * TEMPLATE_SIDE * abs(factor)
    side = max(1, round(min(full_side, 2 * max(height, width))))
    centre = factor * complex(TEMPLATE_SIDE, TEMPLATE_SIDE) / 2 + shift
    step = factor / abs(factor) if factor else complex(1)
    # The rotated square is within this distance of the centre. The interpolation needs 2 pixels.
    reach = ceil(side / 2**0.5) + 2
    left, top = round(centre.real) - reach, round(centre.imag) - reach
    rows = np.clip(np.arange(top, top + 2 * reach), 0, height - 1)
    columns = np.clip(np.arange(left, left + 2 * reach), 0, width - 1)
    around = Image.fromarray(pixels[rows[:, None], columns])
    start = centre - step * complex(side, side) / 2 - complex(left, top)
    from_aligned = (step.real, -step.imag, start.real, step.imag, step.real, start.imag)
    square = around.transform(
        (side, side), Image.Transform.AFFINE, from_aligned, Image.Resampling.BICUBIC
    )
    return [np.array(square)]


def _complex(points: Sequence[Point]) -> NDArray[np.complex128]:
    return np.array([complex(x, y) for x, y in points])


MODES: dict[str, Callable[[RGB, Sequence[Face], float], list[RGB]]] = {
    "crop": crop_together,
    "largest": crop_first,
    "all": crop_each,
    "aligned": crop_aligned,
}
"""Functions that return crops. They take an image, its faces (the largest first), and a margin."""


def crop(pixels: RGB, face: Face, margin: float) -> RGB:
    """Crop the square around a face. If the eyes are known, rotate the square to level them.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        The image.
    face : Face
        A face whose centre is within the image.
    margin : float
        Margin on each side, as a share of the longer side of the face's box.

    Returns
    -------
    ndarray of shape (side, side, 3), uint8
        A copy of the pixels, not resized.
    """
    height, width = pixels.shape[:2]
    full_side = (1 + 2 * margin) * max(face.width, face.height)
    side = max(1, round(min(full_side, height, width)))
    left = _start(face.left + face.width / 2, side, width)
    top = _start(face.top + face.height / 2, side, height)
    if face.eyes is None:
        return pixels[top : top + side, left : left + side].copy()
    return _rotated(pixels, left, top, side, face.eyes)


def _span(parts: Sequence[tuple[float, float]], margin: float, limit: int) -> slice:
    first = min(start - margin * size for start, size in parts)
    last = max(start + (1 + margin) * size for start, size in parts)
    start = int(min(max(0, round(first)), limit - 1))
    return slice(start, int(min(max(start + 1, round(last)), limit)))


def _start(centre: float, side: int, limit: int) -> int:
    return int(min(max(0, round(centre - side / 2)), limit - side))


def _rotated(pixels: RGB, left: int, top: int, side: int, eyes: tuple[Point, Point]) -> RGB:
    """Crop a square, rotated about its centre by the angle of the eyes."""
    height, width = pixels.shape[:2]
    (x0, y0), (x1, y1) = eyes
    angle = atan2(y1 - y0, x1 - x0)
    # The rotated square extends this far beyond the crop. The interpolation needs 2 more pixels.
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
