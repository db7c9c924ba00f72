"""Image formats: their suffixes, their first bytes, and the plug-ins of Pillow that read them.

The list of formats omits formats that run code or call other programs, such as EPS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec

from clipfeat.errors import DecodeError, missing_extra

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""Formats that Pillow reads without a plug-in."""

SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm",
    ".pgm", ".pbm", ".pnm", ".mpo", ".avif", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx",
})  # fmt: skip
"""Suffixes of `FORMATS`."""

HEAD_BYTES = 32
"""Number of bytes that `recognise` needs."""


@dataclass(frozen=True, slots=True)
class PluginFormat:
    """Format that a plug-in adds to Pillow.

    Parameters
    ----------
    format : str
        The name of the format in Pillow.
    suffixes : tuple of str
        Suffixes of its files.
    module : str
        Module to import.
    register : str
        Function of the module that registers the format. Empty if the import registers it.
    package : str
        Name of the package on PyPI.
    """

    format: str
    suffixes: tuple[str, ...]
    module: str
    register: str
    package: str


PLUGIN_FORMATS = (
    PluginFormat(
        "HEIF", (".heic", ".heif", ".hif"), "pillow_heif", "register_heif_opener", "pillow-heif"
    ),
    PluginFormat("JXL", (".jxl",), "pillow_jxl", "", "pillow-jxl-plugin"),
)
"""Formats of the extra ``formats``."""

_HEIF_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 msf1".split())
_SUFFIX_OF_HEAD: Mapping[bytes, str] = {
    b"\xff\xd8\xff": ".jpg",
    b"\x89PNG\r\n\x1a\n": ".png",
    b"GIF87a": ".gif",
    b"GIF89a": ".gif",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
    b"\0\0\0\x0cjP  \r\n\x87\n": ".jp2",
    b"\xff\x4f\xff\x51\0": ".j2k",
    b"\0\0\0\x0cJXL \r\n\x87\n": ".jxl",
    b"\xff\x0a": ".jxl",
}


def recognise(head: bytes) -> str:
    """Return the suffix of the image format that starts with these bytes, or an empty string.

    Parameters
    ----------
    head : bytes
        The first `HEAD_BYTES` of a file.

    Examples
    --------
    >>> recognise(b"GIF89a..."), recognise(b"a text")
    ('.gif', '')
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in (8, *range(16, len(head) - 3, 4))}
        if brands & {b"avif", b"avis"}:
            return ".avif"
        return ".heic" if head[8:12] in _HEIF_BRANDS else ""
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return ".bmp"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \n\r\t#" and head[2:3]:
        return ".ppm"
    return next((suffix for start, suffix in _SUFFIX_OF_HEAD.items() if head.startswith(start)), "")


@cache
def image_suffixes() -> frozenset[str]:
    """Return the suffixes of images that Pillow and the installed plug-ins read."""
    return SUFFIXES | {s for f in PLUGIN_FORMATS if find_spec(f.module) for s in f.suffixes}


def plugin_format(suffix: str) -> PluginFormat | None:
    """Return the plug-in format that has a suffix, or None if there is none."""
    return next((f for f in PLUGIN_FORMATS if suffix in f.suffixes), None)


def pillow_formats(data: bytes) -> tuple[str, ...]:
    """Return the formats that Pillow may try for an image.

    If the image's format needs a plug-in, the plug-in is registered.

    Raises
    ------
    DecodeError
        If the plug-in of the image's format is not installed.
    """
    needed = plugin_format(recognise(data[:HEAD_BYTES]))
    if needed is None:
        return FORMATS
    try:
        module = import_module(needed.module)
    except ImportError as error:
        raise DecodeError(
            str(missing_extra(f"reading {needed.format} images", needed.package, "formats"))
        ) from error
    if needed.register:
        getattr(module, needed.register)()
    return (*FORMATS, needed.format)
