"""Steps of views that torchvision lacks or plans to remove.

A step is a function that takes and returns an image: a uint8 tensor (3, height, width). The size of
the result may differ.
"""

import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image

Transform = Callable[[torch.Tensor], torch.Tensor]

MAX_WEBP = 16_383
"""Longest side of a WebP image in pixels."""
MAX_SCALED = 2**27
"""Maximum number of pixels of a resized image. Its pixels take 400 MB."""


def _compress(file_format: str, quality: int | Sequence[int]) -> Transform:
    """Make a step that compresses and decodes. The quality is a number or a range in [1, 100]."""
    limits = [quality, quality] if isinstance(quality, int) else quality
    is_range = isinstance(limits, Sequence) and [type(limit) for limit in limits] == [int, int]
    if not is_range or not 1 <= limits[0] <= limits[1] <= 100:
        raise ValueError(
            "quality must be a whole number from 1 to 100, or a list of two such numbers, got "
            f"{quality!r}"
        )
    low, high = limits

    def step(image: torch.Tensor) -> torch.Tensor:
        drawn = low if low == high else int(torch.randint(low, high + 1, ()))
        data = io.BytesIO()
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels).save(data, file_format, quality=drawn)
        with Image.open(data) as compressed:
            return torch.from_numpy(np.array(compressed.convert("RGB"))).permute(2, 0, 1)

    return step


def _blur(sigma: float) -> Transform:
    """Make a Gaussian blur with standard deviation `sigma` in pixels. Edge pixels are repeated."""
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    from scipy.ndimage import gaussian_filter

    def step(image: torch.Tensor) -> torch.Tensor:
        sharp = image.numpy().astype(np.float32)
        blurred = gaussian_filter(sharp, (0, sigma, sigma), mode="nearest", truncate=3.0)
        return torch.from_numpy(np.rint(blurred).astype(np.uint8))

    return step


def _scale(factor: float) -> Transform:
    """Make a step that resizes both sides by a factor (bicubic, with antialiasing)."""
    if not 0 < factor <= 16:
        raise ValueError(f"factor must be above 0 and at most 16, got {factor}")

    from torchvision.transforms import v2  # imports the compiler of torch, which takes 0.8 s

    def step(image: torch.Tensor) -> torch.Tensor:
        size = [max(1, round(side * factor)) for side in image.shape[1:]]
        if size[0] * size[1] > MAX_SCALED:
            raise ValueError(
                f"the resized image would have {size[1]}x{size[0]} pixels, more than the limit of "
                f"{MAX_SCALED}"
            )
        bicubic = v2.InterpolationMode.BICUBIC
        scaled: torch.Tensor = v2.functional.resize(image, size, bicubic, antialias=True)
        return scaled

    return step


def _crop_share(share: Sequence[float]) -> Transform:
    """Make a step that crops at random. The kept share of each side is drawn from a range."""
    low, high = share
    if not 0 < low <= high <= 1:
        raise ValueError(f"share must be two ascending numbers above 0 and at most 1, got {share}")

    def step(image: torch.Tensor) -> torch.Tensor:
        sides = [
            max(1, round(side * float(torch.empty(()).uniform_(low, high))))
            for side in image.shape[1:]
        ]
        top, left = (
            int(torch.randint(0, whole - side + 1, ()))
            for whole, side in zip(image.shape[1:], sides, strict=True)
        )
        return image[:, top : top + sides[0], left : left + sides[1]]

    return step


def _cover(box: Sequence[float]) -> Transform:
    """Make a step that fills a rectangle with the mean colour of the image.

    The box is the left, top, right and bottom of the rectangle, as shares of the image's sides.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"box must be left, top, right and bottom in [0, 1], got {box}")

    def step(image: torch.Tensor) -> torch.Tensor:
        height, width = image.shape[1:]
        covered = image.clone()
        rows = slice(round(top * height), round(bottom * height))
        columns = slice(round(left * width), round(right * width))
        mean = image.float().mean(dim=(1, 2), keepdim=True)
        covered[:, rows, columns] = mean.round().to(torch.uint8)
        return covered

    return step


def degrade(draw: int = 0) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Make a step that applies one to three random degradations, as found on the internet.

    Half of the images get one degradation, and the others a chain of two or three in random order.
    The degradations are JPEG and WebP (quality 30 to 95), resizing (factor 0.25 to 2 per side),
    Gaussian blur (sigma 0.3 to 3 pixels), Gaussian noise (1 to 10 % of full scale) and a crop
    (50 to 95 % of each side). ``benchmarks/robust_views.py`` measures their effect on classifiers.

    Parameters
    ----------
    draw : int
        Steps with different numbers draw different degradations of an image, even in one view.

    Returns
    -------
    callable
        Function that takes an image and a seed. It uses no global random generator, so several
        threads can run it.
    """
    if not isinstance(draw, int) or draw < 0:
        raise ValueError(f"draw must be a whole number of 0 or more, got {draw}")

    def step(image: torch.Tensor, seed: int) -> torch.Tensor:
        rng = np.random.default_rng(seed + draw)
        n = int(rng.choice([1, 2, 3], p=[0.5, 0.25, 0.25]))
        for number in rng.choice(len(DEGRADERS), n, replace=False).tolist():
            image = DEGRADERS[number](image, rng)
        return image

    return step


def _noisy(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    sigma = 255 * rng.uniform(0.01, 0.1)
    noise = sigma * rng.standard_normal(tuple(image.shape), dtype=np.float32)
    noisy = np.rint(image.numpy() + noise).clip(0, 255)
    return torch.from_numpy(noisy.astype(np.uint8))


def _cropped(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    whole = image.shape[1:]
    sides = [max(1, round(side * rng.uniform(0.5, 0.95))) for side in whole]
    top, left = (int(rng.integers(n - side + 1)) for n, side in zip(whole, sides, strict=True))
    return image[:, top : top + sides[0], left : left + sides[1]]


def _resized(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Resize an image, but do not enlarge it to more than 4096 pixels."""
    factor = 2 ** rng.uniform(-2, 1)
    return _scale(min(factor, max(1.0, 4096 / max(image.shape[1:]))))(image)


def _recompressed(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Compress an image as WebP, or as JPEG if it is larger than WebP allows."""
    file_format = "WEBP" if max(image.shape[1:]) <= MAX_WEBP else "JPEG"
    return _compress(file_format, int(rng.integers(30, 96)))(image)


DEGRADERS: Sequence[Callable[[torch.Tensor, np.random.Generator], torch.Tensor]] = (
    lambda image, rng: _compress("JPEG", int(rng.integers(30, 96)))(image),
    _recompressed,
    _resized,
    lambda image, rng: _blur(rng.uniform(0.3, 3))(image),
    _noisy,
    _cropped,
)

OWN_STEPS: dict[str, Callable[..., Transform]] = {
    "JPEG": partial(_compress, "JPEG"),
    "WEBP": partial(_compress, "WEBP"),
    "Blur": _blur,
    "Scale": _scale,
    "CropShare": _crop_share,
    "Cover": _cover,
}
"""Functions that make a step."""

SEEDED_STEPS: dict[str, Callable[..., Callable[[torch.Tensor, int], torch.Tensor]]] = {
    "Degrade": degrade,
}
"""Functions that make a step which also takes a seed."""

FIXED_STEPS = frozenset({"JPEG", "WEBP", "Blur", "Scale", "Cover", "Degrade"})
"""Steps that do not use the global random generator and need no lock. JPEG and WEBP use it if
``quality`` is a range."""
