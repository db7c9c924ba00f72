"""Tests of the uint8 versions of the libraries' transforms."""

from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import timm.data
import torch
from PIL import Image
from torchvision import transforms

from clipfeat.encoders.preprocessing import preprocessing_of
from clipfeat.images.decode import RGB

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


def timm_transform(**config: object) -> Any:
    return timm.data.create_transform(
        input_size=(3, 64, 64), is_training=False, mean=MEAN, std=STD, **config
    )


def open_clip_transform(**config: object) -> Any:
    return open_clip.image_transform(64, is_train=False, mean=MEAN, std=STD, **config)


TRANSFORMS = {
    "timm": timm_transform(interpolation="bicubic", crop_pct=0.9),
    "timm bilinear": timm_transform(interpolation="bilinear", crop_pct=1.0),
    "timm squash": timm_transform(interpolation="bicubic", crop_mode="squash"),
    "open_clip": open_clip_transform(),
    "open_clip squash": open_clip_transform(resize_mode="squash"),
}


def photograph(height: int, width: int) -> RGB:
    import skimage.data

    photo = Image.fromarray(skimage.data.astronaut())
    return np.array(photo.resize((width, height), Image.Resampling.BICUBIC))


def normalised(image: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values).reshape(3, 1, 1) for values in (MEAN, STD))
    return (image.float() / 255 - mean) / std


@pytest.mark.parametrize("size", [(512, 400), (90, 333), (64, 64), (20, 31), (1, 5)])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_pixels_differ_by_at_most_two_levels(name: str, size: tuple[int, int]) -> None:
    """Pixels of images of any size are within two levels of the library's pixels."""
    photo = photograph(*size)
    ours = preprocessing_of(TRANSFORMS[name])(photo)
    theirs = TRANSFORMS[name](Image.fromarray(photo))
    assert ours.dtype == torch.uint8
    assert ours.shape == theirs.shape
    levels = (normalised(ours) - theirs).abs() * torch.tensor(STD).reshape(3, 1, 1) * 255
    assert levels.max() < 2.01
    assert levels.mean() < 0.1


@pytest.mark.parametrize(
    "transform",
    [
        open_clip_transform(resize_mode="longest"),
        timm_transform(interpolation="lanczos"),
        transforms.Compose([transforms.Grayscale(3), *timm_transform().transforms]),
    ],
    ids=["longest", "lanczos", "another step"],
)
def test_other_transforms_run_unchanged(transform: Any) -> None:
    """A transform with unknown steps is called unchanged."""
    photo = photograph(100, 80)
    assert torch.equal(preprocessing_of(transform)(photo), transform(Image.fromarray(photo)))
