"""Facts about an image file, but not about its pixels: format, size, EXIF, XMP and embedded texts.

`read_facts` runs in a child process of `clipfeat.images.isolated`, because the files come from
strangers.
"""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import ExifTags, Image

from clipfeat.images.decode import NO_BUFFER, RGB, Decoded
from clipfeat.images.formats import pillow_formats
from clipfeat.images.header import read_header
from clipfeat.images.isolated import IsolatedDecoder, Isolation
from clipfeat.serving.source_types import SourceType

FACTS = Isolation(
    "clipfeat.serving.file_facts:read_facts", seconds=10.0, wall_seconds=60.0, memory=2**30
)
"""The function that reads the facts in a child process, with its limits."""
MAX_XMP = 2**20
"""Maximum size of an XMP packet in bytes."""
MAX_TEXT = 2000
"""Maximum length of a text. Longer texts are shortened."""
MAX_TEXTS = 24
"""Maximum number of metadata values of a file."""
MAX_SOURCE_TYPES = 8
"""Maximum number of digital source types of a file."""

_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP_TITLES = {
    "{http://ns.adobe.com/xap/1.0/}CreatorTool": "Creator tool",
    "{http://ns.adobe.com/photoshop/1.0/}Credit": "Credit",
}
_SOURCE_TYPES = frozenset({"digitalsourcetype", "digitalsourcefiletype"})
_RESOURCE = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}resource"
_EXIF_TITLES = {
    ExifTags.Base.Make: "Camera maker",
    ExifTags.Base.Model: "Camera",
    ExifTags.Base.Software: "Software",
    ExifTags.Base.DateTime: "Changed",
    ExifTags.Base.Artist: "Artist",
    ExifTags.Base.Copyright: "Copyright",
    ExifTags.Base.ImageDescription: "Description",
}
_EXPOSURE_TITLES = {
    ExifTags.Base.DateTimeOriginal: "Taken",
    ExifTags.Base.LensModel: "Lens",
    ExifTags.Base.UserComment: "Comment",
}
_NO_TEXTS = frozenset({"icc_profile", "exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"})


@dataclass(frozen=True)
class FileFacts:
    """Facts about an image file.

    Parameters
    ----------
    format : str
        The name of the format in Pillow.
    width, height : int
        Size of the upright image in pixels.
    n_bytes : int
        Size of the file.
    jpeg_tables : str
        Quantisation of a JPEG, as in `clipfeat.images.header.Header`.
    metadata : mapping of str to str
        Values from EXIF, XMP and embedded texts, by title. They are not trusted.
    source_types : sequence of SourceType
        Digital source types that the XMP states.
    """

    format: str
    width: int
    height: int
    n_bytes: int
    jpeg_tables: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    source_types: tuple[SourceType, ...] = ()


def file_facts(data: bytes, reader: IsolatedDecoder) -> FileFacts:
    """Read the facts of a file in a child process.

    Parameters
    ----------
    data : bytes
        The whole file.
    reader : IsolatedDecoder
        Reader with the isolation `FACTS`.

    Raises
    ------
    DecodeError
        If the file is not an image, or if the child process crashes or exceeds a limit.
    """
    with reader.decoded(data) as reply:
        facts = json.loads(reply.format)
    return FileFacts(
        format=facts["format"],
        width=facts["width"],
        height=facts["height"],
        n_bytes=len(data),
        jpeg_tables=facts["jpeg_tables"],
        metadata=facts["metadata"],
        source_types=tuple(SourceType.from_uri(uri, "XMP") for uri in facts["source_types"]),
    )


def read_facts(data: bytes, buffer: RGB = NO_BUFFER) -> Decoded:
    """Read the facts of a file.

    Parameters
    ----------
    data : bytes
        The whole file.
    buffer : ndarray
        Unused.

    Returns
    -------
    Decoded
        An image of one pixel, whose attribute ``format`` holds the facts as JSON.

    Raises
    ------
    DecodeError
        If the file is not an image in an allowed format.
    """
    header = read_header(data)
    xmp: bytes = b""
    metadata: dict[str, str] = {}
    with suppress(Exception):  # Pillow raises errors of many types; the header was readable
        image = Image.open(io.BytesIO(data), formats=pillow_formats(data))
        with suppress(Exception):  # this loads the pixels of a PNG, because texts may follow them
            metadata |= _exif(image)
        metadata |= _texts(image.info)
        xmp = _xmp_packet(image.info)
    values = list(_xmp_values(xmp))
    metadata |= {_XMP_TITLES[name]: _short(text) for name, text in values if name in _XMP_TITLES}
    source_types = [_short(text) for name, text in values if _is_source_type(name) and text]
    facts = {
        "format": header.format,
        "width": header.width,
        "height": header.height,
        "jpeg_tables": header.jpeg_tables,
        "metadata": dict(list(metadata.items())[:MAX_TEXTS]),
        "source_types": source_types[:MAX_SOURCE_TYPES],
    }
    return Decoded(np.zeros((1, 1, 3), dtype=np.uint8), json.dumps(facts))


def _exif(image: Image.Image) -> dict[str, str]:
    exif = image.getexif()
    texts = {title: _text(exif.get(tag)) for tag, title in _EXIF_TITLES.items()}
    with suppress(Exception):
        inner = exif.get_ifd(ExifTags.IFD.Exif)
        texts |= {
            title: _text(inner.get(tag), exif.endian) for tag, title in _EXPOSURE_TITLES.items()
        }
        texts["Exposure"] = _exposure(inner)
    with suppress(Exception):
        if exif.get_ifd(ExifTags.IFD.GPSInfo):
            texts["Location"] = "stored in the file"
    return {title: text for title, text in texts.items() if text}


def _exposure(exif: Mapping[int, Any]) -> str:
    seconds, f_number, iso, length = (
        _number(exif.get(tag))
        for tag in (
            ExifTags.Base.ExposureTime, ExifTags.Base.FNumber, ExifTags.Base.ISOSpeedRatings,
            ExifTags.Base.FocalLength,
        )
    )  # fmt: skip
    parts = []
    if seconds:
        parts.append(f"1/{1 / seconds:.0f} s" if seconds < 0.4 else f"{seconds:g} s")
    parts += [f"f/{f_number:g}"] if f_number else []
    parts += [f"ISO {iso:g}"] if iso else []
    parts += [f"{length:g} mm"] if length else []
    return ", ".join(parts)


def _number(value: Any) -> float:
    """Convert a value of EXIF to a positive number, or 0 if it is missing or damaged."""
    with suppress(Exception):
        number = float(value[0] if isinstance(value, tuple) else value)
        return number if 0 < number < 1e9 else 0.0
    return 0.0


def _text(value: Any, endian: str | None = None) -> str:
    if isinstance(value, bytes):
        # A user comment starts with the name of its character set.
        encoding = "utf-8"
        if value.startswith(b"UNICODE\0"):  # in the byte order of the EXIF data
            encoding = "utf-16-be" if endian == ">" else "utf-16-le"
        value = value.removeprefix(b"ASCII\0\0\0").removeprefix(b"UNICODE\0")
        if value[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            encoding = "utf-16"
        value = value.decode(encoding, "replace")
    return "" if value is None else _short(str(value).replace("\0", "").strip())


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _texts(info: Mapping[Any, Any]) -> dict[str, str]:
    """Return the texts of a file, such as the prompt that some generators write into a PNG."""
    texts = {}
    for name, value in info.items():
        if not isinstance(name, str) or name in _NO_TEXTS:
            continue
        if isinstance(value, str) or (name == "comment" and isinstance(value, bytes)):
            texts[f"Text “{_short(name)[:60]}”"] = _text(value)
    return {name: text for name, text in texts.items() if text}


def _xmp_packet(info: Mapping[Any, Any]) -> bytes:
    packet = info.get("xmp", info.get("XML:com.adobe.xmp", b""))
    return packet.encode() if isinstance(packet, str) else bytes(packet)


def _xmp_values(packet: bytes) -> Iterator[tuple[str, str]]:
    """Yield the name (with its name space) and the text of each property of an XMP packet."""
    packet = packet.strip(b"\0 \r\n\t")
    if len(packet) > MAX_XMP or b"<!DOCTYPE" in packet:  # entities may expand without limit
        return
    with suppress(ElementTree.ParseError, ValueError):
        for element in ElementTree.fromstring(packet).iter():
            yield from element.attrib.items()
            if element.tag in _XMP_TITLES or _is_source_type(element.tag):
                inner = " ".join(filter(None, map(str.strip, element.itertext())))
                yield element.tag, element.attrib.get(_RESOURCE, "") or inner


def _is_source_type(name: str) -> bool:
    return name.startswith(f"{{{_IPTC}}}") and name.rpartition("}")[2].lower() in _SOURCE_TYPES
