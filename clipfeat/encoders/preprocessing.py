"""Preprocessing: the evaluation transform of an encoder's library, on uint8 tensors.

torch resizes uint8 tensors, channels last, with vector instructions. It is several times as fast as
Pillow, and the pixels differ by at most one level. Pixels stay uint8, a quarter of the size of
float32, and are normalised on the device.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision.transforms import CenterCrop, Normalize, Resize
from torchvision.transforms.functional import center_crop

from clipfeat.images.decode import MAX_PIXELS, RGB

MODES = ("bilinear", "bicubic")
CONVERSIONS = {"_convert_to_rgb", "MaybeConvertMode", "ToTensor", "MaybeToTensor"}

Preprocess = Callable[[RGB], torch.Tensor]


def preprocessing_of(transform: Any) -> Preprocess:
    """Convert a library's evaluation transform to a function of uint8 pixels.

    Parameters
    ----------
    transform : torchvision.transforms.Compose
        Maps a Pillow image to a normalised float tensor.

    Returns
    -------
    callable
        Maps uint8 pixels (height, width, 3) to a uint8 tensor (3, height, width), not normalised,
        if the transform only resizes, crops the centre and normalises. Otherwise it returns the
        output of the transform itself.
    """
    steps = list(getattr(transform, "transforms", []))
    crop = next((step for step in steps if isinstance(step, CenterCrop)), None)
    resize, *rest = [step for step in steps if step is not crop] or [None]
    if (
        not isinstance(resize, Resize)
        or resize.max_size is not None
        or resize.interpolation.value not in MODES
        or (crop is not None and steps[1] is not crop)
        or not rest
        or not isinstance(rest[-1], Normalize)
        or not {_name(step) for step in rest[:-1]} <= CONVERSIONS
    ):
        return lambda pixels: transform(Image.fromarray(np.ascontiguousarray(pixels)))

    def preprocess(pixels: RGB) -> torch.Tensor:
        # As a batch with channels-last strides torch resizes the pixels without a copy.
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None]
        image = _resized(batch.permute(0, 3, 1, 2), resize.size, resize.interpolation.value)[0]
        if crop is not None:
            image = center_crop(image, crop.size)
        # Always copy, because the pixels' memory is reused. The copy is channels last, so that a
        # batch of such images is channels last too.
        image = image.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
        return image.permute(2, 0, 1)

    return preprocess


NATIVE = ("none", "tiles")
MAX_TILES = 5
"""Maximum number of tiles along each side."""


def native_preprocessing(crop: str, size: tuple[int, int]) -> Preprocess:
    """Make a function that crops an image without resizing it.

    Resizing would remove traces of the image's generator.

    Parameters
    ----------
    crop : {"none", "tiles"}
        The centre of the image, or tiles that cover the image. Tiles are evenly spaced from edge to
        edge, at most 5 along each side, and may overlap.
    size : tuple of int
        (height, width) of a crop. Smaller images are padded by reflection.

    Returns
    -------
    callable
        Maps uint8 pixels (height, width, 3) to a uint8 tensor (3, height, width), or to tiles
        (n_tiles, 3, height, width).
    """

    def preprocess(pixels: RGB) -> torch.Tensor:
        pixels = mirrored(pixels, *size)
        tops, lefts = (
            _offsets(side, tile) if crop == "tiles" else [(side - tile) // 2]
            for side, tile in zip(pixels.shape[:2], size, strict=True)
        )
        crops = [
            torch.from_numpy(pixels[top : top + size[0], left : left + size[1]].copy())
            for top in tops
            for left in lefts
        ]
        batch = torch.stack(crops).permute(0, 3, 1, 2)
        return batch if crop == "tiles" else batch[0]

    return preprocess


def mirrored(pixels: RGB, height: int, width: int) -> RGB:
    """Pad an image to at least this size by reflection at its lower and right edges."""
    more = [max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])]
    if not any(more):
        return pixels
    return np.pad(pixels, [(0, more[0]), (0, more[1]), (0, 0)], mode="symmetric")


def _offsets(side: int, tile: int) -> list[int]:
    n = min(MAX_TILES, -(-side // tile))
    return [round(i * (side - tile) / max(1, n - 1)) for i in range(n)]


def _name(step: Any) -> str:
    return str(getattr(step, "__name__", type(step).__name__))


def _resized(batch: torch.Tensor, size: Any, mode: str) -> torch.Tensor:
    """Resize the shorter side to `size`, or both sides to a pair, with torchvision's rounding."""
    height, width = batch.shape[2:]
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) == 1:
        shorter = min(height, width)
        sides = [int(sides[0] * side / shorter) for side in (height, width)]
    if sides == [height, width]:
        return batch
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f"the resized image would have {sides[1]}×{sides[0]} pixels")
    return interpolate(batch, size=sides, mode=mode, antialias=True)
