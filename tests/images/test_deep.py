"""Tests of images with more than 8 bits per sample."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from clipfeat.errors import DecodeError
from clipfeat.images.decode import decode

GREY = np.tile(np.arange(0, 256, 17, dtype=np.uint8), (12, 1))
RGB = np.dstack([GREY, GREY[:, ::-1], np.roll(GREY, 5, axis=1)])
UNSIGNED, SIGNED, FLOAT = 1, 2, 3


def tiff(samples: bytes, bits: int, sample_format: int = UNSIGNED, photometric: int = 1) -> bytes:
    """Write an uncompressed little-endian TIFF with the shape of `GREY`."""
    height, width = GREY.shape
    tags = {
        256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8 + 2 + 10 * 12 + 4,
        277: 1, 278: height, 279: len(samples), 339: sample_format,
    }  # fmt: skip
    entries = b"".join(struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + samples


def packed_12_bits(samples: NDArray[np.uint16]) -> bytes:
    digits = "".join(f"{sample:03x}" for sample in samples.reshape(-1))
    return bytes.fromhex(digits)


def grey(dtype: str, white: int) -> NDArray[np.generic]:
    return (GREY.astype(np.float64) * (white / 255)).round().astype(dtype)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples: NDArray[np.uint16], colour_type: int, key: tuple[int, ...] = ()) -> bytes:
    """Write a 16-bit PNG. `key` is the colour that is transparent."""
    height, width = samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key)) if key else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + transparent
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip


FILES: dict[str, Callable[[], bytes]] = {
    "16 bits": lambda: tiff(grey("<u2", 65535).tobytes(), 16),
    "16 bits, white is zero": lambda: tiff(
        (65535 - grey("<u2", 65535)).tobytes(), 16, photometric=0
    ),
    "12 bits": lambda: tiff(packed_12_bits(grey("<u2", 4095)), 12),
    "32 bits": lambda: tiff(grey("<u4", 2**32 - 1).tobytes(), 32),
    "32 bits, signed": lambda: tiff(grey("<i4", 65535).tobytes(), 32, SIGNED),
    "float": lambda: tiff((grey("<f8", 255) / 255).astype("<f4").tobytes(), 32, FLOAT),
    "float, white is zero": lambda: tiff(
        (1 - grey("<f8", 255) / 255).astype("<f4").tobytes(), 32, FLOAT, photometric=0
    ),
    "PNG": lambda: png(grey("<u2", 65535), 0),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_grey_levels_are_scaled(kind: str) -> None:
    """One picture saved with different sample types has the same 8-bit pixels."""
    assert np.array_equal(decode(FILES[kind]()).pixels, np.dstack([GREY] * 3))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            tiff(grey("<u4", 255).tobytes(), 32),
            "the image would be black: its largest 32-bit sample is 255",
        ),
        (tiff((grey("<i4", 255) - 9).tobytes(), 32, SIGNED), "from -9 to 246, expected 0 to 65535"),
        (tiff(grey("<f4", 255).tobytes(), 32, FLOAT), "floating-point samples from 0 to 255, exp"),
        (tiff(np.full(192, np.nan, "<f4").tobytes(), 32, FLOAT), "samples from nan to nan"),
    ],
)
def test_samples_without_a_known_scale_are_an_error(file: bytes, message: str) -> None:
    """Samples outside the scale, or only at its dark end, are an error."""
    with pytest.raises(DecodeError, match=message):
        decode(file)


def test_the_transparent_grey_of_a_png_is_white() -> None:
    """The transparent grey of a 16-bit PNG is compared in all 16 bits."""
    samples = np.array([[0, 1, 255, 256, 65535]], dtype=np.uint16)
    assert decode(png(samples, 0, (1,))).pixels[0, :, 0].tolist() == [0, 255, 1, 1, 255]


def test_the_transparent_colour_of_a_png_is_white() -> None:
    """Only pixels that equal the transparent colour in all bits become white."""
    samples = RGB.astype(np.uint16) * 257
    key = tuple(samples[0, 3].tolist())
    samples[5, 3, 2] += 1
    expected = RGB.copy()
    expected[(samples == key).all(2)] = 255
    assert (expected != RGB).any() and (expected[5, 3] == RGB[5, 3]).all()
    assert np.array_equal(decode(png(samples, 2, key)).pixels, expected)


@pytest.mark.parametrize("alpha", [0, 65535])
def test_the_alpha_of_a_png_is_composited_on_white(alpha: int) -> None:
    """16-bit grey with alpha keeps its grey levels, and becomes white where transparent."""
    samples = np.dstack([grey("<u2", 65535), np.full(GREY.shape, alpha)]).astype(np.uint16)
    expected = np.dstack([GREY] * 3) if alpha else np.full((*GREY.shape, 3), 255)
    assert np.array_equal(decode(png(samples, 4)).pixels, expected)
