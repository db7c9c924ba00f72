"""Upstream's evaluation transform, on 8-bit tensors: the same steps, several times faster.

Pillow resizes one pixel at a time; torch resizes tensors of bytes, channels last, with vector
instructions, and comes out at most one level away. Bytes also take a quarter of the room of the
floats that upstream's transform ends with, so that scaling them is left to the device.
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
    """Turn upstream's evaluation transform into a function of uint8 pixels (height, width, 3).

    Parameters
    ----------
    transform : torchvision.transforms.Compose
        From a Pillow image to a normalised float tensor.

    Returns
    -------
    callable
        To a uint8 tensor (3, height, width), not yet normalised, where the transform does nothing
        but resize, crop the centre and normalise; else to what the transform itself gives.
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
        # A batch of one, channels last: torch resizes it as it lies, if its strides say so.
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))[None]
        image = _resized(batch.permute(0, 3, 1, 2), resize.size, resize.interpolation.value)[0]
        if crop is not None:
            image = center_crop(image, crop.size)
        # A copy always, since the pixels' memory is used again; and pixel by pixel, so that a batch
        # of them is channels last too.
        image = image.permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
        return image.permute(2, 0, 1)

    return preprocess


NATIVE = ("none", "tiles")
MOST_TILES = 5
"""Along each side."""


def native_preprocessing(crop: str, size: tuple[int, int]) -> Preprocess:
    """Cut pieces out of an image at its own scale, for traces that resizing would wipe out.

    Parameters
    ----------
    crop : {"none", "tiles"}
        The central piece; or as many as cover the image, at most 5 along each side, evenly spaced
        from edge to edge, overlapping where they must.
    size : tuple of int
        (height, width) of a piece. What is smaller is mirrored outwards.

    Returns
    -------
    callable
        To a uint8 tensor (3, height, width), or of tiles (n_tiles, 3, height, width).
    """

    def preprocess(pixels: RGB) -> torch.Tensor:
        pixels = mirrored(pixels, *size)
        places = [
            _places(whole, piece) if crop == "tiles" else [(whole - piece) // 2]
            for whole, piece in zip(pixels.shape[:2], size, strict=True)
        ]
        pieces = [
            torch.from_numpy(pixels[top : top + size[0], left : left + size[1]].copy())
            for top in places[0]
            for left in places[1]
        ]
        found = torch.stack(pieces).permute(0, 3, 1, 2)
        return found if crop == "tiles" else found[0]

    return preprocess


def mirrored(pixels: RGB, height: int, width: int) -> RGB:
    """An image of at least that size, mirrored outwards at its lower and right edge if need be."""
    more = [max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])]
    if not any(more):
        return pixels
    return np.pad(pixels, [(0, more[0]), (0, more[1]), (0, 0)], mode="symmetric")


def _places(whole: int, piece: int) -> list[int]:
    n = min(MOST_TILES, -(-whole // piece))
    return [round(i * (whole - piece) / max(1, n - 1)) for i in range(n)]


def _name(step: Any) -> str:
    return str(getattr(step, "__name__", type(step).__name__))


def _resized(batch: torch.Tensor, size: Any, mode: str) -> torch.Tensor:
    """Resize the shorter side to `size`, or both to a pair, as torchvision reckons."""
    height, width = batch.shape[2:]
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) == 1:
        shorter = min(height, width)
        sides = [int(sides[0] * side / shorter) for side in (height, width)]
    if sides == [height, width]:
        return batch
    if sides[0] * sides[1] > MAX_PIXELS:
        raise ValueError(f"resized, they would be {sides[1]}x{sides[0]}")
    return interpolate(batch, size=sides, mode=mode, antialias=True)
