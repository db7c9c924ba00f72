"""Decoding of image files to upright 8-bit RGB pixels.

`DECODE` names these choices in every fingerprint:

- An animation gives its first frame.
- The EXIF orientation is applied.
- 16-bit samples are scaled. Pillow's own conversion would clip them to white.
- Transparent images are composited on white.
- A truncated file is an error (`LOAD_TRUNCATED_IMAGES` is never set).

The list of allowed formats omits formats that run code or call other programs, such as EPS.

Pillow reads every header. libjpeg-turbo's own interface then decodes plain JPEG files to the same
pixels, bit for bit, several times faster. Files that it rejects are decoded by Pillow.
"""

import io
from dataclasses import dataclass

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from clipfeat.errors import DecodeError

DECODE = "rgb8-first-frame-upright-on-white-1"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".gif",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".mpo",
        ".avif",
    ]
)
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485  # Pillow's limit for decompression bombs

ORIENTATION = ExifTags.Base.Orientation

RGB = NDArray[np.uint8]
NO_BUFFER: RGB = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels of an image, and the format of its file.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        Upright RGB.
    format : str
        Pillow's name of the format.
    """

    pixels: RGB
    format: str


def decode(data: bytes, buffer: RGB = NO_BUFFER) -> Decoded:
    """Decode an image.

    Parameters
    ----------
    data : bytes
        A whole file in one of `FORMATS`. The suffix of its name is not used.
    buffer : ndarray of shape (n,), uint8
        Memory for the pixels, used if they fit. Reusing memory is a third faster.

    Returns
    -------
    Decoded
        The pixels and the format.

    Raises
    ------
    DecodeError
        If the bytes are not an image in an allowed format, are damaged or truncated, or their
        header claims more than `MAX_PIXELS`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DecodeError(f"{width}x{height} pixels, over the limit of {MAX_PIXELS}")
            format_name = image.format or ""
            if (pixels := _plain_jpeg(image, data, buffer)) is not None:
                return Decoded(pixels, format_name)
            image.load()
            return Decoded(pixels_of(image), format_name)
    except DecodeError:
        raise
    except Exception as error:
        # Pillow's plugins raise errors of many types: seven were measured.
        text = str(error).split(" <_io")[0] or type(error).__name__
        raise DecodeError(f"cannot be decoded: {text}") from error


def _plain_jpeg(image: Image.Image, data: bytes, buffer: RGB) -> RGB | None:
    """Decode a JPEG file that is upright and grey or RGB; return None for other images."""
    if image.format != "JPEG" or image.mode not in {"RGB", "L"}:
        return None
    if image.getexif().get(ORIENTATION, 1) != 1:
        return None
    try:
        fits = 3 * image.width * image.height <= buffer.size
        pixels: RGB = simplejpeg.decode_jpeg(data, "RGB", buffer=buffer if fits else None)
    except ValueError:
        return None
    return pixels


def pixels_of(image: Image.Image) -> RGB:
    """Convert a Pillow image of any mode to upright RGB of shape (height, width, 3), uint8."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _scaled(np.asarray(upright))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(white, upright)
    return np.array(upright.convert("RGB"))


def _scaled(samples: NDArray[np.generic]) -> RGB:
    """Scale grey samples of 16 or 32 bits, or floats in [0, 1], to 8 bits."""
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all() or samples.min() < 0 or samples.max() > 1:
            raise DecodeError("floating-point samples outside [0, 1]")
        grey = np.rint(samples.astype(np.float64) * 255)
    else:
        # Pillow opens 16-bit greyscale as mode I or I;16. Both have a full scale of 65535.
        if samples.min() < 0 or samples.max() > 65535:
            raise DecodeError("integer samples outside 16 bits")
        grey = np.rint(samples.astype(np.float64) / 257)
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
