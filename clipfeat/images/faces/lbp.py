"""Upright frontal faces, detected by the local binary pattern cascade of scikit-image.

The cascade is a sequence of classifiers that is applied to windows of the image. It misses most
faces that are in profile or painted, and sometimes reports a face in an image without one. The
constants below were chosen on these images:

=================  ========================================================
reports a face in  images
=================  ========================================================
73 of 100          tight crops of faces
1 of 100           crops of other content
3 of 75            generated images of streets, ships and fish
12 of 240          photographs of ImageNet's classes
15 of 44           images of people, most of them in profile or painted
=================  ========================================================

MTCNN finds more faces, but needs the extra ``[faces]``. An image of any size takes about 50 ms on
one core.

scikit-image can group the windows of one face, but its result depends on the order in which its
threads finish. This module therefore sorts and groups the windows itself.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.images.decode import RGB
from clipfeat.images.faces.face import Detector, Face
from clipfeat.system.optional_libraries import require

SIDE = 384
"""Length in pixels to which the longer side is resized. More pixels take more time."""
MIN_SIDE = 40
"""Side of the smallest face in the resized image, about a tenth of the image's longer side."""
SCALE_FACTOR = 1.1
MIN_WINDOWS = 7
"""Smallest number of overlapping windows that are reported as a face."""
GROUP_OVERLAP = 0.4
"""Two windows belong to one group if their intersection over union is above this value."""
DUPLICATE_OVERLAP = 0.5
"""A window is a duplicate of a face if their intersection is more than this share of the smaller
square."""
MAX_WINDOWS = 2000
"""Largest number of windows to compare. In an image full of a regular pattern, every window may
match."""


def make(weights: bytes) -> Detector:
    """Load the cascade. It has no weights, so `weights` is empty."""
    require("skimage", "face detection with lbp", extra="faces")
    import skimage.data
    from skimage.feature import Cascade

    cascade: Any = Cascade(skimage.data.lbp_frontal_face_cascade_filename())

    def detect(pixels: RGB) -> list[Face]:
        height, width = pixels.shape[:2]
        scale = SIDE / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        if min(size) <= MIN_SIDE:
            return []
        grey = (
            Image.fromarray(pixels)
            .convert("L")
            .resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR)
        )
        windows = cascade.detect_multi_scale(
            np.asarray(grey),
            scale_factor=SCALE_FACTOR,
            step_ratio=1,
            min_size=(MIN_SIDE, MIN_SIDE),
            max_size=(min(size), min(size)),
            min_neighbor_number=1,
            intersection_score_threshold=2,  # above 1, so that scikit-image groups nothing
        )
        squares = np.array(sorted((w["c"], w["r"], w["width"]) for w in windows), dtype=float)
        return [
            Face(*(value / scale for value in (x, y, s, s))) for x, y, s in group_windows(squares)
        ]

    return detect


def group_windows(squares: NDArray[np.float64]) -> list[tuple[float, float, float]]:
    """Group windows into faces, starting with the window that overlaps the most other windows.

    Parameters
    ----------
    squares : ndarray of shape (n, 3)
        Left, top and side of each window.

    Returns
    -------
    list of (left, top, side)
        The mean window of each group that has at least `MIN_WINDOWS` windows.
    """
    faces: list[tuple[float, float, float]] = []
    squares = squares.reshape(-1, 3)[:MAX_WINDOWS]
    while len(squares) >= MIN_WINDOWS:
        alike = _overlaps(squares, squares)[1] > GROUP_OVERLAP
        group = alike[alike.sum(axis=1).argmax()]
        if group.sum() < MIN_WINDOWS:
            break
        face = squares[group].mean(axis=0, keepdims=True)
        faces.append((float(face[0, 0]), float(face[0, 1]), float(face[0, 2])))
        squares = squares[~group & (_overlaps(squares, face)[0][:, 0] <= DUPLICATE_OVERLAP)]
    return faces


def _overlaps(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Divide the intersection of each pair of squares by the smaller square, and by the union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum((a[:, :2] + a[:, 2:])[:, None], (b[:, :2] + b[:, 2:])[None])
    common = (high - low).clip(min=0).prod(axis=2)
    size_a, size_b = a[:, None, 2] ** 2, b[None, :, 2] ** 2
    return common / np.minimum(size_a, size_b), common / (size_a + size_b - common)
