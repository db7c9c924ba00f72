"""Tests of JPEG decoding: damage, broken metadata and rare layouts."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from clipfeat.errors import DecodeError
from clipfeat.images.decode import MAX_PIXELS, decode
from clipfeat.images.isolated import IsolatedDecoder

NOISE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


def jpeg(mode: str = "RGB", format_name: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(out, format_name, **options)
    return out.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(exif=exif)


LAYOUTS: dict[str, Callable[[], bytes]] = {
    "colour": jpeg,
    "grey": lambda: jpeg("L"),
    "progressive": lambda: jpeg(progressive=True),
    "rotated": rotated,
    "CMYK": lambda: jpeg("CMYK"),
    "two frames": lambda: jpeg(
        format_name="MPO", save_all=True, append_images=[Image.fromarray(255 - NOISE)]
    ),
}


def with_damaged_pixels(data: bytes) -> bytes:
    at = data.find(b"\xff\xda") + 1000
    return data[:at] + bytes(range(128)) + data[at + 128 :]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_damaged_pixels_are_an_error(layout: str) -> None:
    """Damage that keeps the file's length is an error, although Pillow decodes the file."""
    data = LAYOUTS[layout]()
    assert decode(data).pixels.size == NOISE.size
    damaged = with_damaged_pixels(data)
    Image.open(io.BytesIO(damaged)).load()
    with pytest.raises(DecodeError, match="decoded: Corrupt JPEG data"):
        decode(damaged)


def test_a_missing_end_is_an_error() -> None:
    """A file without its end marker, the last two bytes, is truncated."""
    with pytest.raises(DecodeError, match="Premature end of JPEG file"):
        decode(jpeg()[:-2])


def junk_between_segments(data: bytes) -> bytes:
    return data[:20] + b"junk!" + data[20:]


def unknown_jfif(data: bytes) -> bytes:
    return data[:11] + b"\x09" + data[12:]


def wrong_spectral_selection(data: bytes) -> bytes:
    """Set the end of the spectral selection to 0, as some cameras do."""
    end = data.find(b"\xff\xda") + 13
    return data[:end] + b"\x00" + data[end + 1 :]


def broken_profile(data: bytes) -> bytes:
    return data[:20] + b"\xff\xe2\x00\x12ICC_PROFILE\x00\x05\x01ab" + data[20:]


METADATA = [junk_between_segments, unknown_jfif, wrong_spectral_selection, broken_profile]


@pytest.mark.parametrize("spoil", METADATA, ids=lambda spoil: spoil.__name__)
def test_broken_metadata_keeps_the_pixels(spoil: Callable[[bytes], bytes]) -> None:
    """A damaged metadata header does not matter, unless the pixels are damaged too."""
    data = spoil(jpeg())
    assert np.array_equal(decode(data).pixels, decode(jpeg()).pixels)
    with pytest.raises(DecodeError, match="Corrupt JPEG data"):
        decode(with_damaged_pixels(data))


def test_rare_sampling_factors_decode() -> None:
    """Sampling factors that simplejpeg does not support are decoded by Pillow."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (128, 128, 128)).save(out, "JPEG", subsampling=0)
    header = bytearray(out.getvalue()[: out.getvalue().find(b"\xff\xda") + 14])
    frame = header.find(b"\xff\xc0")
    header[frame + 11 : frame + 18 : 3] = (0x31, 0x11, 0x11)  # three blocks of grey, one of colour
    block, colour_block = "001010", "0000"
    bits = (3 * block + 2 * colour_block) * 3 * 6
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8)
    assert (decode(bytes(header) + scan + b"\xff\xd9").pixels == 128).all()


def photograph(
    orientation: int = 1, size: tuple[int, int] = (403, 301), **options: object
) -> bytes:
    """Write a smooth image of `size` as a JPEG file with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(NOISE[:6, :8]).resize(size, Image.Resampling.BICUBIC).save(
        out, "JPEG", exif=exif, **options
    )
    return out.getvalue()


@pytest.mark.parametrize(
    ("least_side", "factor"), [(1, 8), (38, 8), (39, 4), (76, 4), (77, 2), (151, 2), (152, 1)]
)
def test_reduced_pixels_are_those_of_libjpeg(least_side: int, factor: int) -> None:
    """The factor is the largest that keeps the least side. Pixels equal Pillow's draft mode."""
    data = photograph()
    decoded = decode(data, least_side=least_side)
    with Image.open(io.BytesIO(data)) as image:
        image.draft("RGB", (image.width // factor, image.height // factor))
        assert np.array_equal(decoded.pixels, np.asarray(image))
    assert decoded.pixels.shape[:2] == (-(-301 // factor), -(-403 // factor))
    assert decoded.size == (301, 403)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(403, 301), (304, 303)])
def test_reduced_pixels_are_upright(orientation: int, size: tuple[int, int]) -> None:
    """A reduced image is upright, and the full size is known, even from a child process."""
    data = photograph(orientation, size)
    full = decode(data)
    with IsolatedDecoder() as decoder, decoder.decoded(data, least_side=70) as decoded:
        assert decoded.size == full.size == full.pixels.shape[:2]
        small = Image.fromarray(full.pixels).resize(
            decoded.pixels.shape[1::-1], Image.Resampling.BOX
        )
        assert min(decoded.pixels.shape[:2]) == 76
        assert np.abs(decoded.pixels - np.asarray(small, dtype=np.int16)).mean() < 3
        assert np.array_equal(decoded.pixels, decode(data, least_side=70).pixels)


@pytest.mark.parametrize("data", [jpeg(), jpeg(format_name="PNG"), jpeg("CMYK")])
def test_images_that_are_not_reduced_are_exact(data: bytes) -> None:
    """Small JPEG files, other formats and CMYK are decoded exactly."""
    least_side = 1 if data != jpeg() else 40
    assert np.array_equal(decode(data, least_side=least_side).pixels, decode(data).pixels)


def test_reduced_images_have_the_same_limits() -> None:
    """Damage and too many pixels are errors at every factor."""
    with pytest.raises(DecodeError, match="Corrupt JPEG data"):
        decode(with_damaged_pixels(jpeg()), least_side=8)
    with pytest.raises(DecodeError, match="Premature end"):
        decode(photograph()[:-2], least_side=8)
    huge = bytearray(photograph())
    frame = huge.find(b"\xff\xc0")
    huge[frame + 5 : frame + 9] = (MAX_PIXELS // 9000 + 1).to_bytes(2) + (9000).to_bytes(2)
    with pytest.raises(DecodeError, match=f"limit of {MAX_PIXELS}"):
        decode(bytes(huge), least_side=8)
