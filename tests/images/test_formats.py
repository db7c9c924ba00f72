"""Tests of image formats: recognition by content, and Pillow's plug-ins."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images import formats
from clipfeat.images.decode import decode
from clipfeat.images.isolated import IsolatedDecoder

SCENE = np.zeros((24, 32, 3), dtype=np.uint8)
SCENE[:12, :16] = (250, 20, 20)
SCENE[12:, 16:] = (20, 20, 250)

SAVED = {
    "JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp", "TIFF": ".tif",
    "PPM": ".ppm", "AVIF": ".avif", "JPEG2000": ".jp2", "HEIF": ".heic", "JXL": ".jxl",
}  # fmt: skip


def written(format_name: str) -> bytes:
    """Return the scene in a given format. HEIF and JPEG XL need the extra ``formats``."""
    if format_name in {"HEIF", "JXL"}:
        pytest.importorskip("pillow_heif").register_heif_opener()
        pytest.importorskip("pillow_jxl")
    file = io.BytesIO()
    Image.fromarray(SCENE).save(file, format_name)
    return file.getvalue()


@pytest.mark.parametrize("format_name", SAVED)
def test_every_format_is_recognised_and_decoded(format_name: str) -> None:
    """The first bytes identify each format, and a child process decodes it."""
    data = written(format_name)
    assert formats.recognise(data[: formats.HEAD_BYTES]) == SAVED[format_name]
    assert SAVED[format_name] in formats.image_suffixes()
    with IsolatedDecoder() as decoder, decoder.decoded(data) as decoded:
        assert decoded.format == format_name
        assert np.abs(decoded.pixels.astype(int) - SCENE).mean() < 12


@pytest.mark.parametrize("head", [b"", b"P", b"P6", b"BMW brand", b"Pa", b"\0\0\0\x20ftypmp42"])
def test_other_files_are_not_recognised(head: bytes) -> None:
    """Texts and videos are not recognised as images."""
    assert formats.recognise(head) == ""


def test_a_missing_plug_in_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, images in its formats fail with the pip command."""
    data = written("HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DecodeError, match=r"pip install 'clipfeat\[formats\]'"):
        decode(data)
