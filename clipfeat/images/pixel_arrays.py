"""Arrays of pixels: their layouts, and their conversion to image files.

An array of images has the dtype uint8 and one of these shapes:

=======================================  ===========================================================
shape                                    images
=======================================  ===========================================================
(n, height, width)                       grey
(n, height, width, channels)             grey, RGB or RGBA, with 1, 3 or 4 channels
(n, channels, height, width)             the same, as in PyTorch
(height, width, channels)                one RGB or RGBA image, with 3 or 4 channels
=======================================  ===========================================================

Readers of arrays return the bytes of a PPM file, which holds the pixels unchanged. An image is then
decoded, hashed and counted like any other file, and equal pixels have equal content hashes.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.errors import DataError
from clipfeat.images.decode import MAX_PIXELS, RGB, pixels_of

CHANNELS = frozenset({1, 3, 4})


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Shape of an array of images.

    Parameters
    ----------
    n : int
        Number of images.
    item : tuple of int
        Shape of one image in the array.
    channels_first : bool
        Whether the channels are the first axis of an image.
    """

    n: int
    item: tuple[int, ...]
    channels_first: bool = False


def pixel_layout(shape: tuple[int, ...], dtype: "np.dtype[Any]", name: str) -> PixelLayout:
    """Return the layout of an array of images.

    Parameters
    ----------
    shape, dtype
        Shape and dtype of the array.
    name : str
        Name of the array, for messages.

    Raises
    ------
    DataError
        If the dtype or shape is not that of images. If two axes may be the channels. If an image
        has more than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> pixel_layout((10, 3, 32, 32), np.dtype("u1"), "x")
    PixelLayout(n=10, item=(3, 32, 32), channels_first=True)
    """
    if dtype != np.uint8:
        scale = "(255 * x).round()" if dtype.kind == "f" else "x"
        raise DataError(
            f"{name} has the dtype {dtype}, but images need uint8 with values from 0 to 255. If "
            f"all values of {scale} are from 0 to 255, save {scale}.astype('uint8') instead"
        )
    if 0 in shape[1:]:
        raise DataError(f"{name} has the shape {shape}, so its images are empty. Save it again")
    if len(shape) == 3 and shape[2] in {3, 4}:
        return _limited(PixelLayout(1, shape), name)
    if len(shape) == 3:
        return _limited(PixelLayout(shape[0], shape[1:]), name)
    first, last = (len(shape) == 4 and shape[axis] in CHANNELS for axis in (1, -1))
    if first and last:
        raise DataError(
            f"{name} has the shape {shape}, in which the channels may be axis 1 or axis 3. Save "
            "images of more than 4 pixels in height and width"
        )
    if first or last:
        return _limited(PixelLayout(shape[0], shape[1:], channels_first=first), name)
    raise DataError(
        f"{name} has the shape {shape}, but images need (n, height, width), (n, height, width, "
        "channels) or (n, channels, height, width), with 1, 3 or 4 channels. Reshape it"
    )


def _limited(layout: PixelLayout, name: str) -> PixelLayout:
    """Return a layout. Raise DataError if its images have more than `MAX_PIXELS` pixels."""
    colour = layout.item[0 if layout.channels_first else 2] if len(layout.item) == 3 else 1
    if (n_pixels := prod(layout.item) // colour) > MAX_PIXELS:
        raise DataError(
            f"{name} has images of {n_pixels} pixels, more than the limit of {MAX_PIXELS}. Save "
            "smaller images"
        )
    return layout


def item_pixels(item: NDArray[np.uint8], *, channels_first: bool = False) -> RGB:
    """Convert one image of an array to RGB of shape (height, width, 3), on white if it has alpha.

    Parameters
    ----------
    item : ndarray of shape (height, width), (height, width, channels) or (channels, height, width)
        The image, uint8.
    channels_first : bool
        Whether the channels are the first axis.
    """
    if channels_first:
        item = item.transpose(1, 2, 0)
    if item.ndim == 3 and item.shape[2] == 1:
        item = item[:, :, 0]
    if item.ndim == 3 and item.shape[2] == 3:
        return np.ascontiguousarray(item)  # a PIL image would need another copy
    return pixels_of(Image.fromarray(np.ascontiguousarray(item)))


def ppm(pixels: RGB) -> bytes:
    """Return a PPM file of RGB pixels."""
    height, width = pixels.shape[:2]
    head = b"P6\n%d %d\n255\n" % (width, height)
    return b"".join((head, np.ascontiguousarray(pixels).data))
