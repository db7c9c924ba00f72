"""Tests of decoding image files to upright RGB pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images import decode as module
from clipfeat.images.decode import decode

SCENE = np.zeros((24, 32, 3), dtype=np.uint8)
SCENE[:12, :16] = (250, 20, 20)
SCENE[12:, 16:] = (20, 20, 250)


def encoded(image: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format_name, **options)
    return out.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    """All eight EXIF orientations give the upright scene."""
    turns = {
        1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud,
        5: lambda a: np.transpose(a, (1, 0, 2)), 6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.transpose(a, (1, 0, 2)), 2), 8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](SCENE)))
    assert np.array_equal(decode(encoded(stored, exif=exif)).pixels, SCENE)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage!", b"\0\x08\0\x02zzzz"])
def test_broken_exif_is_ignored(format_name: str, exif: bytes) -> None:
    """Damaged EXIF data are ignored, and the pixels are read."""
    plain, broken = (encoded(Image.fromarray(SCENE), format_name, exif=e) for e in (b"", exif))
    assert exif in broken or exif[6:] in broken
    assert np.array_equal(decode(broken).pixels, decode(plain).pixels)


def test_sixteen_bits_are_scaled() -> None:
    """A 16-bit grey image is scaled to 8 bits."""
    grey = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(grey))).pixels
    assert pixels.shape == (16, 16, 3)
    assert np.abs(pixels[:, :, 0].astype(int) - grey / 257).max() <= 0.5


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA", "RGBA", "PA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    """An image of any mode is converted to RGB."""
    scene = Image.fromarray(SCENE).convert("P" if mode == "PA" else mode)
    scene = scene.convert(mode)
    data = encoded(scene, "TIFF" if mode in {"CMYK", "PA"} else "PNG")
    pixels = decode(data).pixels
    assert np.abs(pixels.astype(int) - np.asarray(scene.convert("RGB")).astype(int)).max() <= 2


def test_transparent_images_are_composited_on_white() -> None:
    """A fully transparent pixel of any colour becomes white."""
    image = Image.fromarray(np.dstack([SCENE, np.zeros((24, 32), dtype=np.uint8)]), "RGBA")
    assert (decode(encoded(image)).pixels == 255).all()


def test_the_first_frame_of_an_animation() -> None:
    """A GIF of two frames gives the first frame."""
    frames = [Image.fromarray(SCENE), Image.fromarray(255 - SCENE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data).pixels[0, 0, 0] > 200


def damaged() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    png, jpeg = encoded(noise), encoded(noise, "JPEG")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    return {
        "empty": b"",
        "text": b"not an image, whatever its name says\n" * 10,
        "truncated png": png[: len(png) // 2],
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "flipped bit": bytes(flipped),
        "header alone": png[:20],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n",
    }


@pytest.mark.parametrize("kind", damaged())
def test_damage_is_an_error(kind: str) -> None:
    """Truncated data and data of other formats are errors."""
    with pytest.raises(DecodeError):
        decode(damaged()[kind])


def test_a_bomb_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image above the pixel limit is refused before it is decoded."""
    monkeypatch.setattr(module, "MAX_PIXELS", 100)
    with pytest.raises(DecodeError, match=r"768 pixels \(32x24\), more than the limit"):
        decode(encoded(Image.fromarray(SCENE)))


def test_junk_is_reported_as_no_image() -> None:
    """The error says that the bytes are not an image."""
    with pytest.raises(DecodeError, match="cannot identify image file"):
        decode(b"junk")


@pytest.mark.parametrize("size", [(64, 48), (33, 17), (1, 1), (501, 3)])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_pixels_equal_pillows(size: tuple[int, int], mode: str, progressive: bool) -> None:
    """Decoding by libjpeg-turbo's own interface gives the same pixels as Pillow."""
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(size)
    for subsampling, quality in [(0, 95), (1, 75), (2, 30)]:
        data = encoded(
            smooth.convert(mode), "JPEG",
            subsampling=subsampling, quality=quality, progressive=progressive,
        )  # fmt: skip
        expected = Image.open(io.BytesIO(data)).convert("RGB")
        assert np.array_equal(decode(data).pixels, np.asarray(expected))
