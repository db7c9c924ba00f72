"""Tests of crops with and without resizing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder_options import CROPS, EncoderOptions
from clipfeat.encoders.preprocessing import mirrored, native_preprocessing
from clipfeat.encoders.registry import options_of
from clipfeat.errors import UnknownNameError
from tests.encoders.test_layers import opened, picture

NAMES = ("timm:test_vit", "open_clip:ViT-S-32")


@given(st.integers(1, 90), st.integers(1, 90))
def test_tiles_contain_every_pixel(height: int, width: int) -> None:
    """The tiles of an image with up to five tiles per side contain every pixel unchanged."""
    numbers = np.arange(height * width, dtype=np.int64).reshape(height, width)
    pixels = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=2)
    tiles = native_preprocessing("tiles", (20, 18))(pixels.astype(np.uint8))
    assert tiles.shape[1:] == (3, 20, 18)
    values = tiles.numpy().astype(np.int64)
    assert set((values[:, 0] + 256 * values[:, 1]).ravel().tolist()) == set(range(height * width))


def test_the_central_crop_is_not_resized() -> None:
    """Crop ``none`` takes the centre, and pads small images by reflection."""
    pixels = picture()
    middle = native_preprocessing("none", (30, 40))(pixels).permute(1, 2, 0).numpy()
    assert np.array_equal(middle, pixels[20:50, 25:65])
    small = native_preprocessing("none", (75, 90))(pixels).permute(1, 2, 0).numpy()
    assert np.array_equal(small[:70], pixels)
    assert np.array_equal(small[70:], pixels[:-6:-1])
    assert mirrored(pixels[:1, :1], 4, 5).shape == (4, 5, 3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("crop", CROPS)
def test_every_crop_is_in_the_spec(name: str, crop: str) -> None:
    """The spec records the crop and opens the same encoder again."""
    encoder = opened(name, crop=crop)
    assert encoder.spec.crop_mode in CROPS[crop]
    again = open_encoder(name, options_of(encoder.spec, device="cpu"))
    assert again.spec == encoder.spec
    rows = [one.encode_images([picture(), picture()[:40]]) for one in (encoder, again)]
    assert np.allclose(*rows, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_averaged(name: str) -> None:
    """The row of an image is the mean of its tiles' rows."""
    encoder = opened(name, crop="tiles", image_size=64 if name.startswith("open") else None)
    wide = np.tile(picture(), (2, 3, 1))
    tiles = encoder.preprocess(wide)
    assert len(tiles) > 1
    whole = encoder.encode([tiles])
    assert np.allclose(whole[0], encoder.encode(list(tiles)).mean(0), atol=1e-4)


def test_an_unknown_crop_is_named(tmp_path: Path) -> None:
    """The error for a misspelt crop suggests the nearest name."""
    with pytest.raises(UnknownNameError, match="did you mean tiles"):
        replace(EncoderOptions(), crop="tile")
