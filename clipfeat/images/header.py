"""What a file's header tells of an image: all that can be known of it without its pixels."""

import io
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images.decode import FORMATS, ORIENTATION

Tables = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Header:
    """An image file's header.

    Parameters
    ----------
    format : str
        Pillow's name of it.
    width, height : int
        In pixels, of the upright image.
    jpeg_tables : str
        How a JPEG was quantised: ``"quality 75"`` for a libjpeg setting, else ``"tables "`` and a
        number that equal tables share; empty for other formats.
    exif : bool
        Whether it carries EXIF.
    """

    format: str
    width: int
    height: int
    jpeg_tables: str
    exif: bool


def read_header(data: bytes) -> Header:
    """Read an image's header; its pixels are not decoded.

    Raises
    ------
    DecodeError
        If the bytes do not begin as an image of an allowed format does.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            # Of a PNG, `getexif` would decode the pixels in search of it.
            exif = "exif" in image.info or "Raw profile type exif" in image.info
            quantised: dict[int, list[int]] = getattr(image, "quantization", None) or {}
            if quantised and exif and image.getexif().get(ORIENTATION, 1) in {5, 6, 7, 8}:
                width, height = height, width
            return Header(image.format or "", width, height, _tables(quantised), exif)
    except Exception as error:
        # As in decoding: plugins raise whatever their parsing runs into.
        text = str(error).split(" <_io")[0] or type(error).__name__
        raise DecodeError(f"cannot be read: {text}") from error


def _tables(quantised: dict[int, list[int]]) -> str:
    if not quantised:
        return ""
    tables = tuple(tuple(table) for _, table in sorted(quantised.items()))
    number = hash(tables) % 2**32  # of integers alone, so the same in every process
    return _libjpeg_qualities().get(tables[0], f"tables {number:08x}")


@lru_cache
def _libjpeg_qualities() -> dict[tuple[int, ...], str]:
    """The first table of each quality setting of libjpeg, as libjpeg itself writes it."""
    found = {}
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("L", (1, 1)).save(file, "JPEG", quality=quality)
        with Image.open(file) as image:
            found[tuple(image.quantization[0])] = f"quality {quality}"  # type: ignore[attr-defined]
    return found
