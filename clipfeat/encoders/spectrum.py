"""The azimuthally averaged power spectrum: what upsampling leaves behind, without any weights.

Generators enlarge small feature maps, and each way of enlarging leaves its own trace at high
frequencies (Durall, Keuper, Pfreundt and Keuper 2019, *Unmasking DeepFakes with simple Features*,
arXiv 1911.00686). Images are never resized here, which would leave traces of its own: the largest
central square of an image, up to `input_size`, is taken as it is.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from clipfeat.encoders.encoder import Encoder, pick_devices
from clipfeat.encoders.options import EncoderOptions
from clipfeat.encoders.preprocessing import mirrored
from clipfeat.errors import UsageError
from clipfeat.images.decode import DECODE, RGB
from clipfeat.spec import EncoderSpec

N_BINS = 80
DEFAULT_SIZE = 256
SMALLEST = 8
# ITU-R BT.601, as Pillow's conversion to grey.
GREY = (0.299, 0.587, 0.114)


def build(
    name: str, options: EncoderOptions, *, n_images: int, samples: Callable[[], Sequence[RGB]]
) -> Encoder:
    """Open the spectrum encoder: 80 features of the grey image.

    Raises
    ------
    UsageError
        If it is given weights, layers, arguments or a lower precision: it has none of these.
    """
    refused = {
        "--weights": options.weights,
        "--untrained": options.untrained,
        "--layers": options.layers not in (None, "last"),
        "--pool": options.pool,
        "--precision": options.precision not in ("fp32", "auto"),
        "--crop": options.crop not in (None, "center"),
    }
    for flag, given in refused.items():
        if given:
            raise UsageError(f"the encoder 'spectrum' has no {flag}: leave it out")
    size = options.image_size or DEFAULT_SIZE
    if size < SMALLEST:
        raise UsageError(f"--image-size {size} is too small for a spectrum: {SMALLEST} at least")
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
    """The central square of side `size`, or of the shorter side where that is less."""
    height, width = pixels.shape[:2]
    side = min(height, width, size)
    if side < SMALLEST:
        # Mirrored outwards, so that a thin image has a spectrum too.
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
        RGB in [0, 1].

    Returns
    -------
    Tensor of shape (batch, 80)
        ``log10`` of the power, averaged over each ring of whole-pixel radius, interpolated
        linearly to 80 radii from 1 to the corner, relative to a tenth of their geometric mean.
        The gain of the image, which says nothing about its generator, cancels; and a picture of
        one colour is a row of ones, since one of zeros could not be told from a failure.
    """
    side = images.shape[1]
    grey = images @ torch.tensor(GREY, device=images.device)
    grey = grey - grey.mean(dim=(1, 2), keepdim=True)
    power = torch.fft.fft2(grey, norm="ortho").abs().square()
    # 1e-8 is below what rounding to 8 bits adds at every frequency (1/12 of a squared level).
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
