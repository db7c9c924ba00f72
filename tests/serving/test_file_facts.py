"""Tests of the facts that are shown about untrusted files."""

import io
import json
from typing import Any

import pytest
from PIL import ExifTags, Image, PngImagePlugin

from clipfeat.errors import DecodeError
from clipfeat.images.isolated import IsolatedDecoder
from clipfeat.serving.file_facts import FACTS, MAX_TEXT, FileFacts, file_facts, read_facts

CODE = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def xmp(properties: str, attributes: str = "", before: str = "") -> bytes:
    """Return an XMP packet."""
    return (
        f'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>{before}'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/" {attributes}>{properties}'
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def image_file(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (90, 60, 30)).save(file, kind, **options)
    return file.getvalue()


def facts_of(data: bytes) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(read_facts(data).format)
    return facts


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_states_the_source_type(kind: str) -> None:
    """The type may be an attribute, an element or a resource, in each image format."""
    packets = (
        xmp("", f'e:DigitalSourceType="{CODE}trainedAlgorithmicMedia"'),
        xmp(f"<e:DigitalSourceType>{CODE}trainedAlgorithmicMedia</e:DigitalSourceType>"),
        xmp(f'<e:DigitalSourceType rdf:resource="{CODE}trainedAlgorithmicMedia"/>'),
    )
    for packet in packets:
        if kind == "PNG":
            texts = PngImagePlugin.PngInfo()
            texts.add_itxt("XML:com.adobe.xmp", packet.decode())
            data = image_file(kind, pnginfo=texts)
        elif kind == "TIFF":
            data = image_file(kind, tiffinfo={700: packet})
        else:
            data = image_file(kind, xmp=packet)
        assert facts_of(data)["source_types"] == [f"{CODE}trainedAlgorithmicMedia"]


@pytest.mark.parametrize(("endian", "encoding"), [("<", "utf-16-le"), (">", "utf-16-be")])
def test_comments_have_the_byte_order_of_exif(endian: str, encoding: str) -> None:
    """Unicode comments without a byte-order mark use the byte order of the EXIF data."""
    exif = Image.Exif()
    exif.endian = endian
    comment = b"UNICODE\0" + "café, 猫".encode(encoding)
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = comment
    data = image_file("JPEG", exif=exif.tobytes())
    assert facts_of(data)["metadata"]["Comment"] == "café, 猫"


def test_a_file_is_described_in_a_child_process() -> None:
    """Format, size, quality, camera and exposure are shown, but not the location."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "<b>Maker</b>"
    inner = exif.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.ExposureTime] = 1 / 125
    inner[ExifTags.Base.FNumber] = 2.8
    inner[ExifTags.Base.ISOSpeedRatings] = 200
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    packet = xmp("", f'e:DigitalSourceType="{CODE}digitalCapture" xmp:CreatorTool="Tool"')
    data = image_file("JPEG", quality=75, exif=exif.tobytes(), xmp=packet)
    with IsolatedDecoder(FACTS) as reader:
        facts = file_facts(data, reader)
        assert facts == FileFacts(
            "JPEG", 30, 20, len(data), "quality 75",
            {"Camera maker": "<b>Maker</b>", "Exposure": "1/125 s, f/2.8, ISO 200",
             "Location": "stored in the file", "Creator tool": "Tool"},
            facts.source_types,
        )  # fmt: skip
        (stated,) = facts.source_types
        assert (stated.code, stated.origin, stated.is_generated) == ("digitalCapture", "XMP", False)
        with pytest.raises(DecodeError, match="header of the image cannot be read"):
            file_facts(b"<svg onload=alert(1)>", reader)
        assert file_facts(data, reader) == facts  # the reader has survived


def test_texts_of_generators_are_shown() -> None:
    """The prompt that Stable Diffusion web UI stores is shown, even from a truncated PNG."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "a cat, Steps: 20\n" + "x" * 5000)
    data = image_file("PNG", pnginfo=texts)
    (shown,) = facts_of(data)["metadata"].values()
    assert shown.startswith("a cat, Steps: 20")
    assert len(shown) == MAX_TEXT + 1
    assert facts_of(data[:-30])["metadata"] == facts_of(data)["metadata"]


def test_hostile_xmp_is_ignored() -> None:
    """Entities are not expanded. Broken or huge packets do not hide the other facts."""
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10 if i else "e"}">' for i in range(9))
    bomb = xmp(
        "<e:DigitalSourceType>&e8;</e:DigitalSourceType>", before=f"<!DOCTYPE x [{entities}]>"
    )
    deep = xmp("<e:DigitalSourceType>" * 1000 + "</e:DigitalSourceType>" * 1000)
    for packet in (bomb, deep, b"<x", b"\xff" * 99):
        facts = facts_of(image_file("PNG", pnginfo=_chunk(packet)))
        assert (facts["format"], facts["source_types"]) == ("PNG", [])


def _chunk(packet: bytes) -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode("latin-1"))
    return texts
