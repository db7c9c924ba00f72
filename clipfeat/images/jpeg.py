"""JPEG decoding by libjpeg-turbo, in which every warning about the pixels is an error.

libjpeg-turbo decodes damaged data to wrong pixels and only warns. Pillow drops these warnings. In a
test, 400 JPEG files were damaged without changing their length. 110 of them were decoded with wrong
rows although libjpeg-turbo had warned. Therefore simplejpeg decodes in its strict mode, which
raises the first warning as an error.

Damage before the pixels, such as broken metadata or bytes between the segments, does not change the
pixels. Such a file is decoded again without its metadata.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from clipfeat.errors import DecodeError

RGB = NDArray[np.uint8]

UNSUPPORTED = "Could not determine subsampling"
"""simplejpeg's message for combinations of sampling factors that it does not support."""

JFIF, ADOBE, SCAN = 0xE0, 0xEE, 0xDA
SEQUENTIAL = (0xC0, 0xC1)
APPLICATION = range(0xE0, 0xF0)
COMMENT = 0xFE
NO_LENGTH = (0x01, *range(0xD0, 0xD9))
JFIF_SEGMENT = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


def decode_jpeg(image: Image.Image, data: bytes, buffer: RGB, least_side: int = 0) -> RGB | None:
    """Decode the first image of a JPEG or MPO file, without applying its orientation.

    Parameters
    ----------
    image : Image
        The file, opened by Pillow.
    data : bytes
        The whole file.
    buffer : ndarray of shape (n,), uint8
        Memory for the pixels. It is used if the pixels fit.
    least_side : int
        If positive, an image of RGB or grey pixels is decoded at the smallest size of 1/2, 1/4 or
        1/8 in which both sides have at least this many pixels. 0 decodes the full size.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8, or None
        RGB pixels. None if Pillow must convert the colours (CMYK and YCCK), or if simplejpeg does
        not support the sampling factors.

    Raises
    ------
    DecodeError
        If libjpeg-turbo warns about the data of the pixels.
    """
    colours = "CMYK" if image.mode == "CMYK" else "RGB"
    factor = 1 if colours == "CMYK" else _reduction(image.size, least_side)
    width, height = (-(-side // factor) for side in image.size)
    memory = buffer if len(colours) * width * height <= buffer.size else None
    # libjpeg-turbo also scales by other factors, but only these are fast. It rounds sizes up, so
    # these minima select the factor.
    least = {} if factor == 1 else {"min_width": width, "min_height": height}
    try:
        pixels: RGB = simplejpeg.decode_jpeg(data, colours, buffer=memory, **least)
    except ValueError:
        try:
            data = _without_metadata(data)
            pixels = simplejpeg.decode_jpeg(data, colours, buffer=memory, **least)
        except ValueError as error:
            if UNSUPPORTED in str(error):
                return None
            raise DecodeError(f"the image cannot be decoded: {error}") from error
    return pixels if colours == "RGB" else None


def _reduction(size: tuple[int, int], least_side: int) -> int:
    """Return the largest of 8, 4, 2 and 1 by which an image can be reduced."""
    if least_side <= 0:
        return 1
    return next((n for n in (8, 4, 2) if -(-min(size) // n) >= least_side), 1)


def _without_metadata(data: bytes) -> bytes:
    """Remove the metadata of a JPEG file, and all other bytes that do not change its pixels.

    The segments JFIF and Adobe are kept, because they determine the colour space. Some cameras
    write a wrong version of JFIF, or a wrong spectral selection in a sequential file. Both are
    replaced by the only valid values.
    """
    kept = [data[:2]]
    start = 2
    sequential = False
    while (start := data.find(b"\xff", start)) >= 0 and start + 4 <= len(data):
        marker = data[start + 1]
        if marker in (0x00, 0xFF, *NO_LENGTH):
            start += 1 if marker == 0xFF else 2
            continue
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        segment = data[start:end]
        sequential |= marker in SEQUENTIAL
        if marker == SCAN:
            if sequential:
                segment = segment[:-3] + b"\x00\x3f\x00"
            return b"".join([*kept, segment, data[end:]])
        if marker == JFIF and segment[4:8] == b"JFIF":
            kept.append(JFIF_SEGMENT)
        elif marker == ADOBE or marker not in (*APPLICATION, COMMENT):
            kept.append(segment)
        start = end
    return data
