"""Conversion of images with more than 8 bits per sample to 8 bits.

Pillow's own conversion clips grey samples to white. This module scales them instead. The sample
that becomes white depends on the type of the samples:

================================  ========================================
samples                           white
================================  ========================================
16-bit integers                   65535
12-bit integers in a TIFF         4095
32-bit unsigned integers          4294967295
signed integers of 16 or 32 bits  65535, as in the files that Pillow writes
floating-point numbers            1
================================  ========================================

Samples below 0 or above white are an error. For 16-bit colours, Pillow's conversion is used. It
keeps the high byte, which differs from the scaled value by at most 1.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin, TiffImagePlugin

from clipfeat.errors import DecodeError

Pixels = NDArray[np.uint8]

UINT32_WHITE = 2**32 - 1
WHITE_IS_ZERO = 0
SIGNED = 2


def is_deep_grey(image: Image.Image) -> bool:
    """Return whether an image is grey with more than 8 bits per sample."""
    return image.mode.startswith(("I", "F"))


def scaled_grey(image: Image.Image) -> Pixels:
    """Scale a deep grey image to 8 bits, and make its transparent pixels white."""
    samples = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    white = _white(image.mode, tags)
    if white == UINT32_WHITE:
        samples = samples.view(np.uint32)  # Pillow reads these samples as signed
    low, high = samples.min(), samples.max()
    if not (low >= 0 and high <= white):  # the comparison with NaN is false
        raise DecodeError(
            f"the image has {'floating-point ' if image.mode == 'F' else ''}samples from {low:g} "
            f"to {high:g}, expected 0 to {white}. Save it with 8 or 16 bits"
        )
    grey = np.rint(samples.astype(np.float64) * (255 / white)).astype(np.uint8)
    if white == UINT32_WHITE and high > 0 and not grey.any():
        raise DecodeError(
            f"the image would be black: its largest 32-bit sample is {high}, and white is {white}. "
            "Save it with 8 or 16 bits"
        )
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
        grey = 255 - grey
    if isinstance(key := image.info.get("transparency"), int):
        grey[samples == key] = 255
    return grey


def _white(mode: str, tags: Mapping[int, Any]) -> int:
    """Return the value of a white sample. `tags` is empty if the file is not a TIFF."""
    if mode == "F":
        return 1
    bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
    is_signed = tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0] == SIGNED
    if bits == 12:
        return 2**12 - 1
    return UINT32_WHITE if bits == 32 and not is_signed else 2**16 - 1


def has_deep_colour_key(image: Image.Image) -> bool:
    """Return whether an image is a PNG with 16-bit colours and one transparent colour."""
    return (
        isinstance(image, PngImagePlugin.PngImageFile)
        and isinstance(image.info.get("transparency"), tuple)
        and any(tile.args == "RGB;16B" for tile in image.tile)
    )


def without_colour_key(image: Image.Image, data: bytes) -> Pixels:
    """Return the RGB pixels of an image, with white in place of its transparent colour.

    Parameters
    ----------
    image : Image
        A PNG for which `has_deep_colour_key` is true. Its pixels have not been loaded yet.
    data : bytes
        The whole file.
    """
    key = np.array(image.info["transparency"])
    with Image.open(io.BytesIO(data), formats=["PNG"]) as again:
        # Pillow's decoder for the other byte order keeps the low byte of each sample.
        again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]
        low = np.asarray(again)
    high = np.array(image)
    high[(high == key >> 8).all(2) & (low == key & 255).all(2)] = 255
    return high
