"""Upright frontal faces, by the cascade of local binary patterns that scikit-image brings along.

It finds few faces that are turned away or painted, and now and then one where there is none. The
numbers below were chosen on these pictures: of 100 tight crops of faces it then finds 73, and one
in 100 crops of something else; a face in 3 of 75 generated pictures of streets, ships and fish, in
12 of 240 photographs of ImageNet's classes, and in 15 of 44 pictures of people, most in profile or
painted. For more, give YuNet's weights. A photograph takes some 50 ms of one core at any size.

scikit-image's own grouping depends on the order in which its threads report, so that windows are
grouped here, sorted.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Detector, Face

SIDE = 384
"""Of every image the longer side is brought to this: the cascade slows down with the pixels."""
SMALLEST = 40
"""The side of the smallest face in those pixels: about a tenth of the image."""
STEP = 1.1
AGREEING = 7
"""A face is what so many windows agree upon."""
ALIKE = 0.4
"""Windows agree where they share this part of what they cover together."""
SAME = 0.5
"""What shares this part of the smaller with a face is that face again."""
MOST = 2000
"""Windows that are compared; a pattern that fills the image could set off all of them."""


def make(weights: bytes) -> Detector:
    """Load the cascade; `weights` is empty."""
    import skimage.data
    from skimage.feature import Cascade

    cascade: Any = Cascade(skimage.data.lbp_frontal_face_cascade_filename())

    def detect(pixels: RGB) -> list[Face]:
        height, width = pixels.shape[:2]
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if min(size) <= SMALLEST:
            return []
        grey = (
            Image.fromarray(pixels)
            .convert("L")
            .resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
        )
        windows = cascade.detect_multi_scale(
            np.asarray(grey),
            scale_factor=STEP,
            step_ratio=1,
            min_size=(SMALLEST, SMALLEST),
            max_size=(min(size), min(size)),
            min_neighbor_number=1,
            intersection_score_threshold=2,  # more than all of it: nothing is grouped there
        )
        squares = np.array(sorted((w["c"], w["r"], w["width"]) for w in windows), dtype=float)
        return [Face(*(value / scale for value in (x, y, s, s))) for x, y, s in agreed(squares)]

    return detect


def agreed(squares: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """Group windows into faces: first the one that most others agree with, and so on.

    Parameters
    ----------
    squares : ndarray of shape (n, 3)
        Left, top and side of each window.

    Returns
    -------
    list of (left, top, side)
        The means of groups of at least `AGREEING`.
    """
    faces: list[tuple[float, float, float]] = []
    squares = squares.reshape(-1, 3)[:MOST]
    while len(squares) >= AGREEING:
        alike = _shared(squares, squares)[1] > ALIKE
        group = alike[alike.sum(axis=1).argmax()]
        if group.sum() < AGREEING:
            break
        face = squares[group].mean(axis=0, keepdims=True)
        faces.append((float(face[0, 0]), float(face[0, 1]), float(face[0, 2])))
        squares = squares[~group & (_shared(squares, face)[0][:, 0] <= SAME)]
    return faces


def _shared(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What squares share, each with each: as a part of the smaller, and of both together."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = (high - low).clip(min=0).prod(axis=2)
    size_a, size_b = a[:, None, 2] ** 2, b[None, :, 2] ** 2
    return common / np.minimum(size_a, size_b), common / (size_a + size_b - common)
