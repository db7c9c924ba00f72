"""Decoding of image files to upright 8-bit RGB pixels.

The fingerprint of every encoder contains `DECODE`, the name of these choices:

- The first frame of an animation is used.
- The EXIF orientation is applied.
- Samples of more than 8 bits are scaled (`clipfeat.images.deep`).
- Transparent images are composited on white.
- EXIF data that is broken is ignored.
- A truncated file is an error (`LOAD_TRUNCATED_IMAGES` is never set). JPEG data that libjpeg-turbo
  warns about is an error, too.

Pillow reads every header. Then `clipfeat.images.jpeg` decodes JPEG files with libjpeg-turbo's own
interface. The pixels are the same as Pillow's, bit for bit, and decoding is several times faster.
Pillow decodes all other files.

With ``--decode scaled``, libjpeg-turbo also reduces large JPEG images while it decodes them. The
decoder of the fingerprint is then `DECODE` and `clipfeat.spec.SCALED`.

The pixels of 686 files of Pillow's test suite were compared with those of other decoders: zlib and
NumPy for PNG, tifffile for TIFF, and OpenCV and FFmpeg for the rest. 652 differ by at most 2. The
others differ for these reasons:

=====  ======================================  =====================================================
files  kind                                    reason
=====  ======================================  =====================================================
7      WebP with an EXIF orientation           the other decoders do not apply it
8      AVIF that is rotated or mirrored        the other decoders do not apply it
2      AVIF and PNG with an orientation in     the other decoders do not apply it
       XMP
4      TIFF of CIELAB                          OpenCV assumes another white point
3      TIFF of 16 bits with associated alpha   OpenCV returns the colours multiplied by alpha
4      TIFF of 2 and 4 bits, FillOrder 2       FFmpeg ignores the order of the bits
1      TIFF of 32 signed bits                  white is 65535 here (`clipfeat.images.deep`)
1      TIFF of 16-bit CMYK                     FFmpeg ignores the colour space
2      BMP with unusual headers                OpenCV and FFmpeg misread the palette or the masks
2      BMP with damaged run lengths            each decoder continues differently
=====  ======================================  =====================================================
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images.deep import (
    has_deep_colour_key,
    is_deep_grey,
    scaled_grey,
    without_colour_key,
)
from clipfeat.images.formats import pillow_formats
from clipfeat.images.jpeg import decode_jpeg
from clipfeat.images.orientation import TRANSPOSED, orientation_of, upright

DECODE = "rgb8-first-frame-upright-on-white-1"
MAX_PIXELS = Image.MAX_IMAGE_PIXELS or 89_478_485  # Pillow's limit for decompression bombs

JPEG_FORMATS = ("JPEG", "MPO")

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
        The name of the format in Pillow.
    full_size : tuple of int, optional
        (height, width) of the upright image in the file. None if this is the size of the pixels.
    """

    pixels: RGB
    format: str
    full_size: tuple[int, int] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright image in the file."""
        height, width = self.full_size or self.pixels.shape[:2]
        return height, width


def decode(data: bytes, buffer: RGB = NO_BUFFER, least_side: int = 0) -> Decoded:
    """Decode an image.

    Parameters
    ----------
    data : bytes
        A whole file in a format of `clipfeat.images.formats`. The format is recognised from the
        bytes, not from a name.
    buffer : ndarray of shape (n,), uint8
        Memory for the pixels. It is used only for a JPEG whose pixels fit. Reusing memory
        makes decoding a third faster.
    least_side : int
        If positive, a JPEG image is reduced by the largest factor of 2, 4 and 8 that leaves at
        least this many pixels on both sides. CMYK images and other formats are not reduced.

    Returns
    -------
    Decoded
        The pixels and the format.

    Raises
    ------
    DecodeError
        If the bytes are not an image in an allowed format, or are damaged or truncated. If the
        header declares more than `MAX_PIXELS` pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=pillow_formats(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DecodeError(
                    f"the image has {width * height} pixels ({width}x{height}), more than the "
                    f"limit of {MAX_PIXELS}"
                )
            format_name = image.format or ""
            pixels = _stored_pixels(image, data, buffer, least_side)
            orientation = orientation_of(image)
            turned = upright(pixels, orientation)
            if not least_side or format_name not in JPEG_FORMATS:
                return Decoded(turned, format_name)
            full_size = (width, height) if orientation in TRANSPOSED else (height, width)
            return Decoded(turned, format_name, full_size)
    except DecodeError:
        raise
    except Exception as error:
        # Pillow's plugins raise errors of many types. Seven types were observed.
        text = str(error).split(" <_io")[0] or type(error).__name__
        raise DecodeError(f"the image cannot be decoded: {text}") from error


def _stored_pixels(image: Image.Image, data: bytes, buffer: RGB, least_side: int) -> RGB:
    """Decode an image to RGB, without applying its orientation."""
    if image.format in JPEG_FORMATS:
        pixels = decode_jpeg(image, data, buffer, least_side)
        if pixels is not None:
            return pixels
    if has_deep_colour_key(image):
        return without_colour_key(image, data)
    return _rgb(image)


def pixels_of(image: Image.Image) -> RGB:
    """Convert a Pillow image of any mode to upright RGB of shape (height, width, 3), uint8."""
    return upright(_rgb(image), orientation_of(image))


def _rgb(image: Image.Image) -> RGB:
    """Convert a Pillow image of any mode to RGB, without applying its orientation."""
    image.load()
    if is_deep_grey(image):
        return np.repeat(scaled_grey(image)[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.array(image.convert("RGB"))
