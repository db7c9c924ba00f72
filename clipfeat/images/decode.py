"""Bytes to upright 8-bit RGB pixels, or an error; never a guess.

Frozen choices, named by `DECODE` in every fingerprint: the first frame; EXIF orientation applied;
16-bit samples scaled (Pillow's own conversion would clip them to white); transparency laid on
white; a truncated file is an error (`LOAD_TRUNCATED_IMAGES` is never set). The allow-list leaves
out formats that run code or call other programs, EPS above all.

Pillow reads every header. A plain JPEG's pixels then come from libjpeg-turbo's own interface, which
gives the same ones, to the bit, several times faster; whatever that objects to, Pillow judges.
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
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485  # Pillow warns of bombs above

ORIENTATION = ExifTags.Base.Orientation

RGB = NDArray[np.uint8]
NO_ROOM: RGB = np.empty(0, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image's pixels, and what the audit will want to know of its file.

    Parameters
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        Upright RGB.
    format : str
        Pillow's name of the file's format.
    """

    pixels: RGB
    format: str


def decode(data: bytes, room: RGB = NO_ROOM) -> Decoded:
    """Decode an image.

    Parameters
    ----------
    data : bytes
        A whole file of one of `FORMATS`; the name's suffix plays no part.
    room : ndarray of shape (n,), uint8
        Where the pixels may be put if they fit: memory that is there already is a third faster.

    Raises
    ------
    DecodeError
        If the bytes are no image of an allowed format, are damaged or truncated, or hold more
        than `MAX_PIXELS` by their own header.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DecodeError(f"{width}x{height} pixels, over the limit of {MAX_PIXELS}")
            format_name = image.format or ""
            if (pixels := _plain_jpeg(image, data, room)) is not None:
                return Decoded(pixels, format_name)
            image.load()
            return Decoded(pixels_of(image), format_name)
    except DecodeError:
        raise
    except Exception as error:
        # Pillow's plugins raise whatever their parsing runs into: seven types were measured.
        text = str(error).split(" <_io")[0] or type(error).__name__
        raise DecodeError(f"cannot be decoded: {text}") from error


def _plain_jpeg(image: Image.Image, data: bytes, room: RGB) -> RGB | None:
    """The pixels of a JPEG that is upright and grey or RGB; of anything else, None."""
    if image.format != "JPEG" or image.mode not in {"RGB", "L"}:
        return None
    if image.getexif().get(ORIENTATION, 1) != 1:
        return None
    try:
        fits = 3 * image.width * image.height <= room.size
        pixels: RGB = simplejpeg.decode_jpeg(data, "RGB", buffer=room if fits else None)
    except ValueError:
        return None
    return pixels


def pixels_of(image: Image.Image) -> RGB:
    """Turn a Pillow image of any mode into upright RGB of shape (height, width, 3), uint8."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        return _scaled(np.asarray(upright))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        ground = Image.new("RGBA", upright.size, (255, 255, 255, 255))
        upright = Image.alpha_composite(ground, upright)
    return np.array(upright.convert("RGB"))


def _scaled(samples: NDArray[np.generic]) -> RGB:
    """Scale grey samples of 16 or 32 bits, or floats in [0, 1], to 8 bits."""
    if samples.dtype.kind == "f":
        if not np.isfinite(samples).all() or samples.min() < 0 or samples.max() > 1:
            raise DecodeError("floating-point samples outside [0, 1]")
        grey = np.rint(samples.astype(np.float64) * 255)
    else:
        # Pillow opens 16-bit greyscale as I or I;16; the full scale is 65535 in both.
        if samples.min() < 0 or samples.max() > 65535:
            raise DecodeError("integer samples outside 16 bits")
        grey = np.rint(samples.astype(np.float64) / 257)
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
