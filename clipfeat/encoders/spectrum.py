"""The azimuthally averaged power spectrum, an encoder without weights.

Image generators upsample small feature maps, and each upsampling method leaves a trace at high
frequencies (Durall, Keuper, Pfreundt and Keuper 2019, *Unmasking DeepFakes with simple Features*,
arXiv 1911.00686). Resizing would leave its own traces. The encoder therefore crops the largest
central square of an image, at most `input_size` wide, and does not resize it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from clipfeat.encoders.encoder import Encoder, pick_devices
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.preprocessing import mirrored
from clipfeat.errors import UsageError
from clipfeat.images.decode import DECODE, RGB
from clipfeat.spec import EncoderSpec

N_BINS = 80
DEFAULT_SIZE = 256
SMALLEST = 8
# ITU-R BT.601, as in Pillow's conversion to greyscale.
GREY = (0.299, 0.587, 0.114)


def build(
    name: str, options: EncoderOptions, *, n_images: int, samples: Callable[[], Sequence[RGB]]
) -> Encoder:
    """Open the spectrum encoder, which returns 80 features of the greyscale image.

    Parameters
    ----------
    name : str
        Ignored.
    options : EncoderOptions
        ``image_size`` is the maximum side of the square. Only ``image_size`` and ``device`` may be
        set.
    n_images, samples
        Ignored.

    Raises
    ------
    UsageError
        If another option is set, or if the image size is below 8.
    """
    refused = {
        "--weights": options.weights,
        "--untrained": options.untrained,
        "--layers": options.layers not in (None, "last"),
        "--pool": options.pool,
        "--precision": options.precision not in ("fp32", "auto"),
        "--crop": options.crop not in (None, "center"),
    }
    for flag, is_set in refused.items():
        if is_set:
            raise UsageError(f"the encoder 'spectrum' has no {flag}. Leave it out.")
    size = options.image_size or DEFAULT_SIZE
    if size < SMALLEST:
        raise UsageError(
            f"--image-size {size} is too small for a spectrum. Pass {SMALLEST} or more."
        )
    spec = EncoderSpec(
        name="spectrum",
        weights="",
        untrained=False,
        layer="last",
        options=json.dumps({"bins": N_BINS, "version": 1}),
        input_size=(size, size),
        interpolation="none",
        crop_pct=1.0,
        crop_mode="center",
        mean=(0.0,),
        std=(1.0,),
        n_features=N_BINS,
        precision="fp32",
        decode=DECODE,
    )

    def preprocess(pixels: RGB) -> torch.Tensor:
        return torch.from_numpy(_central_square(pixels, size).astype(np.float32) / 255)

    first, *others = (
        Encoder(spec, preprocess, power_spectrum, device) for device in pick_devices(options.device)
    )
    return replace(first, replicas=others)


def _central_square(pixels: RGB, size: int) -> RGB:
    """Crop the central square. Its side is `size`, or the image's shorter side if that is less."""
    height, width = pixels.shape[:2]
    side = min(height, width, size)
    if side < SMALLEST:
        # Pad thin images by reflection, so that they have a spectrum too.
        pixels = mirrored(pixels, SMALLEST, SMALLEST)
        height, width = pixels.shape[:2]
        side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def power_spectrum(images: torch.Tensor) -> torch.Tensor:
    """Average the log power spectrum over circles of equal frequency.

    Parameters
    ----------
    images : Tensor of shape (batch, side, side, 3), float32
        RGB images with values in [0, 1].

    Returns
    -------
    Tensor of shape (batch, 80)
        One row per image, computed in four steps. ``log10`` of the power is averaged over each ring
        of whole-pixel radius. The averages are interpolated linearly to 80 radii from 1 to the
        corner. The mean of the row is subtracted, which removes the gain of the image. Finally,
        1 is added. Otherwise, an image of one colour would give a row of zeros, and `check_row`
        refuses such a row.
    """
    side = images.shape[1]
    grey = images @ torch.tensor(GREY, device=images.device)
    grey = grey - grey.mean(dim=(1, 2), keepdim=True)
    power = torch.fft.fft2(grey, norm="ortho").abs().square()
    # Rounding to 8 bits adds noise to the power at every frequency: (1/255)² / 12 per channel,
    # which is about 1e-6. Adding 1e-8 is negligible in comparison and avoids log10(0).
    log_power = torch.log10(power + 1e-8).flatten(1)

    frequency = torch.fft.fftfreq(side, d=1 / side, device=images.device)
    radius = (frequency[:, None].square() + frequency[None, :].square()).sqrt()
    ring = radius.round().long().flatten()
    n_rings = int(ring.max()) + 1
    counts = torch.zeros(n_rings, device=images.device).index_add_(
        0, ring, torch.ones(side * side, device=images.device)
    )
    sums = torch.zeros(len(images), n_rings, device=images.device)
    profile = sums.index_add_(1, ring, log_power) / counts

    at = torch.linspace(1, n_rings - 1, N_BINS, device=images.device)
    low = at.floor().long().clamp(max=n_rings - 2)
    share = at - low
    rows = profile[:, low] * (1 - share) + profile[:, low + 1] * share
    return rows - rows.mean(dim=1, keepdim=True) + 1
