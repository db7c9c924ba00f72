"""Decoding of large JPEG files at a reduced size, for measurements on many images."""

import io

from PIL import Image

from clipfeat.images.decode import MAX_PIXELS, NO_BUFFER, RGB, Decoded, decode, pixels_of

REDUCED_SIDE = 1024


def decode_reduced(data: bytes, buffer: RGB = NO_BUFFER) -> Decoded:
    """Decode an image for measurements. Large JPEG files are reduced by a factor of 2, 4 or 8.

    The parameters and errors are those of `clipfeat.images.decode.decode`. Both sides of a reduced
    image have at least `REDUCED_SIDE` pixels.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.draft("RGB", (REDUCED_SIDE, REDUCED_SIDE))
            if image.width * image.height <= MAX_PIXELS:
                return Decoded(pixels_of(image), "JPEG")
    except Exception:  # another format, or a damaged file, whose error `decode` raises
        return decode(data, buffer)
    return decode(data, buffer)
