"""Headers of image files: format, size, compression and metadata, read without decoding."""

import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images.formats import pillow_formats
from clipfeat.images.orientation import TRANSPOSED, orientation_of


@dataclass(frozen=True, slots=True)
class Header:
    """Header of an image file.

    Parameters
    ----------
    format : str
        The name of the format in Pillow.
    width, height : int
        Size of the upright image in pixels.
    jpeg_tables : str
        Quantisation of a JPEG. If the tables are those of a quality setting of libjpeg, the value
        is this setting, for example ``"quality 75"``. Otherwise it is ``"tables "`` and a hash of
        the tables. Empty for other formats.
    exif : bool
        Whether the file has EXIF data.
    """

    format: str
    width: int
    height: int
    jpeg_tables: str
    exif: bool


def read_header(data: bytes) -> Header:
    """Read the header of an image file without decoding its pixels.

    Raises
    ------
    DecodeError
        If the bytes do not start with the header of an image in an allowed format.
    """
    try:
        with Image.open(io.BytesIO(data), formats=pillow_formats(data)) as image:
            width, height = image.size
            # Do not call `getexif` for a PNG, because it would decode the pixels.
            exif = "exif" in image.info or "Raw profile type exif" in image.info
            tables: dict[int, list[int]] = getattr(image, "quantization", None) or {}
            if tables and exif and orientation_of(image) in TRANSPOSED:
                width, height = height, width
            return Header(image.format or "", width, height, _quantisation(tables), exif)
    except Exception as error:
        # Pillow's plugins raise errors of many types.
        text = str(error).split(" <_io")[0] or type(error).__name__
        raise DecodeError(f"the header of the image cannot be read: {text}") from error


def _quantisation(tables: dict[int, list[int]]) -> str:
    if not tables:
        return ""
    ordered = tuple(tuple(table) for _, table in sorted(tables.items()))
    number = hash(ordered) % 2**32  # a hash of integers is the same in every process
    return _libjpeg_qualities().get(ordered[0], f"tables {number:08x}")


@lru_cache
def _libjpeg_qualities() -> dict[tuple[int, ...], str]:
    """Map the first table that libjpeg writes for each quality setting to the setting's name."""
    qualities = {}
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("L", (1, 1)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            table = tuple(image.quantization[0])  # type: ignore[attr-defined]
            qualities[table] = f"quality {quality}"
    return qualities
