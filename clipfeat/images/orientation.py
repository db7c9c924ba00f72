"""EXIF orientation: reading it, and turning stored pixels upright."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

UPRIGHT: Mapping[object, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda rows: np.rot90(rows, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda rows: np.rot90(rows, -1),
    7: lambda rows: np.rot90(np.transpose(rows), 2),
    8: np.rot90,
}
"""For each orientation other than 1, the function that turns rows of pixels upright."""
TRANSPOSED = frozenset({5, 6, 7, 8})
"""Orientations that exchange the height and the width."""


def orientation_of(image: Image.Image) -> object:
    """Return the EXIF orientation of an image, or 1 if its EXIF data is broken or absent.

    For a PNG, this loads the pixels, because its EXIF data may be at the end of the file.
    """
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow raises errors of many types, such as SyntaxError
        return 1


def upright(pixels: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    """Turn RGB pixels by an EXIF orientation. An invalid orientation leaves them as they are."""
    turn = UPRIGHT.get(orientation)
    if turn is None:
        return pixels
    # NumPy copies items of three bytes twice as fast as arrays with an axis of three bytes.
    turned = turn(np.ascontiguousarray(pixels).view("V3")[:, :, 0])
    return np.ascontiguousarray(turned).view(np.uint8).reshape(*turned.shape, 3)
