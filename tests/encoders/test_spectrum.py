"""Tests of the spectrum encoder on files."""

from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from clipfeat import embed, load
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.spectrum import power_spectrum


def test_images_are_not_resized(tmp_path: Path) -> None:
    """The row is the spectrum of the central pixels, without interpolation."""
    photo = skimage.data.astronaut()
    expected = {}
    for height, width, kind in ((500, 300, "png"), (300, 512, "jpg"), (60, 100, "png")):
        name = f"{height}x{width}.{kind}"
        Image.fromarray(photo[:height, :width]).save(tmp_path / name, quality=90)
        pixels = np.asarray(Image.open(tmp_path / name))
        side = min(height, width, 256)
        top, left = (height - side) // 2, (width - side) // 2
        centre = pixels[top : top + side, left : left + side] / np.float32(255)
        expected[name] = power_spectrum(torch.from_numpy(centre)[None])[0].numpy()
    embed(tmp_path, tmp_path / "out.h5", encoder="spectrum", options=EncoderOptions(device="cpu"))
    features = load(tmp_path / "out.h5")
    assert len(features.paths) == len(expected)
    for path, row in zip(features.paths.tolist(), features.X, strict=True):
        assert np.allclose(row, expected[path], atol=1e-4)
