"""Preprocessing: the evaluation transform of an encoder's library, on uint8 tensors.

torch resizes channels-last uint8 tensors with vector instructions. This is several times as fast as
Pillow, and the pixels differ by at most 1 (of 255). The pixels stay uint8, which takes a quarter of
the memory of float32, and are normalised on the device.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from clipfeat.encoders.quick_imports import quick_imports
from clipfeat.images.decode import MAX_PIXELS, RGB

with quick_imports():
    from torchvision.transforms import CenterCrop, Normalize, Resize
    from torchvision.transforms.functional import center_crop

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
        A function of uint8 pixels (height, width, 3). For a transform that only resizes, crops the
        centre and normalises, the function returns a uint8 tensor (3, height, width) that is not
        normalised. For any other transform, the function returns the output of the transform.
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
        # torch resizes a batch with channels-last strides without copying the pixels.
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None]
        image = _resized(batch.permute(0, 3, 1, 2), resize.size, resize.interpolation.value)[0]
        if crop is not None:
            image = center_crop(image, crop.size)
        # Always copy, because the memory of the pixels is reused. The copy is channels last, so a
        # batch of copies is channels last too.
        image = image.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
        return image.permute(2, 0, 1)

    return preprocess


NATIVE = ("none", "tiles")
MAX_TILES = 5
"""Maximum number of tiles along each side."""


def native_preprocessing(crop: str, size: tuple[int, int]) -> Preprocess:
    """Make a function that crops an image without resizing it.

    Resizing would remove traces that a generator leaves in its images.

    Parameters
    ----------
    crop : {"none", "tiles"}
        ``"none"`` crops the centre of the image. ``"tiles"`` makes at most 5 tiles along each
        side. The tiles are evenly spaced from edge to edge and may overlap.
    size : tuple of int
        (height, width) of the crop or of each tile. Smaller images are padded by reflection.

    Returns
    -------
    callable
        Maps uint8 pixels (height, width, 3) to a uint8 tensor: (3, height, width) for ``"none"``,
        and (n_tiles, 3, height, width) for ``"tiles"``.
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
    """Pad an image by reflection at its lower and right edges, to at least the given size."""
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
    """Resize an image, and round the new size as torchvision does.

    If `size` is one number, the shorter side is resized to it and the aspect ratio is kept. If it
    is a pair, both sides are resized.
    """
    height, width = batch.shape[2:]
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) == 1:
        shorter = min(height, width)
        sides = [int(sides[0] * side / shorter) for side in (height, width)]
    if sides == [height, width]:
        return batch
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(
            f"the resized image would have {sides[1]}×{sides[0]} pixels, more than the limit of "
            f"{MAX_PIXELS}"
        )
    return interpolate(batch, size=sides, mode=mode, antialias=True)
