"""Making an encoder from a loaded torch model, with its precision, runtime and devices."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from math import isqrt
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from clipfeat.encoders.encoder import Encoder, pick_devices
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.preprocessing import (
    NATIVE,
    Preprocess,
    native_preprocessing,
    preprocessing_of,
)
from clipfeat.encoders.runtime import Forward, TorchForward, is_convolutional, openvino_forward
from clipfeat.errors import UsageError
from clipfeat.images.decode import RGB
from clipfeat.spec import EncoderSpec

# A lower precision is accepted if, for every sample, the cosine of its features with the float32
# features is at least this value. The documentation promises 0.999 for all images.
SAFE_COSINE = 0.9995
MAX_PIXELS = 2**21
"""Largest number of pixels of an input. A small network takes 10 s and 1 GB for 2,048 x 2,048."""
# For this number of images or fewer, no conversion is worth its time, so the model is not timed.
FEW_IMAGES = 8
# A network is converted to OpenVINO if torch would take more seconds than this for all images.
# A conversion takes 2 to 6 s, and the converted network is about twice as fast.
WORTH_CONVERTING = 12.0
# Fusing a transformer takes FUSED_SECONDS plus the time to encode FUSED_IMAGES images in float32.
# Each encoded image then takes less time. The saving is the float32 time of an image multiplied by
# FUSED_GAIN, in every precision.
FUSED_IMAGES, FUSED_SECONDS, FUSED_GAIN = 10, 0.5, 0.05


def encoder_from_model(
    model: torch.nn.Module,
    transform: Any,
    spec: EncoderSpec,
    options: EncoderOptions,
    *,
    n_images: int,
    samples: Callable[[], Sequence[RGB]],
) -> Encoder:
    """Make an encoder from a loaded model.

    Parameters
    ----------
    model : Module
        Maps a normalised batch (batch, 3, height, width) to (batch, n_features), in float32 on the
        CPU.
    transform : torchvision.transforms.Compose
        The library's evaluation transform.
    spec : EncoderSpec
        The identity of the model. This function sets its `n_features` and `precision`.
    options : EncoderOptions
        Crop, precision and devices.
    n_images, samples
        The arguments of `clipfeat.encoders.open_encoder`.

    Returns
    -------
    Encoder
        The encoder. It has one replica for each device after the first.

    Raises
    ------
    UsageError
        If a device is not available, or if the model does not accept the input size of `spec`. If
        this size has more than `MAX_PIXELS`.
    """
    devices = pick_devices(options.device)
    height, width = spec.input_size
    if height * width > MAX_PIXELS:
        raise UsageError(
            f"{spec.name[:200]} would take images of {width}x{height} pixels, more than the limit "
            f"of {MAX_PIXELS} pixels. Use an image size of {isqrt(MAX_PIXELS)} or less"
        )
    if options.crop in NATIVE:
        preprocess = native_preprocessing(options.crop, spec.input_size)
        spec = replace(spec, interpolation="none", crop_pct=1.0, crop_mode=options.crop)
    else:
        preprocess = preprocessing_of(transform)
    model.eval().requires_grad_(False)

    @cache
    def in_torch(precision: str, device: torch.device, fuse: bool) -> TorchForward:
        return TorchForward(
            model, device, precision, spec.input_size, spec.mean, spec.std, fuse=fuse
        )

    timed = devices[0].type == "cpu" and n_images > FEW_IMAGES
    compared = options.precision == "auto"
    # Probe the forward pass that is used anyway, because the first call in a precision is slow.
    probed = in_torch("fp32" if timed or compared else options.precision, devices[0], False)
    n_features, seconds = _probe(probed, spec.input_size, devices[0], timed=timed)
    in_bytes = preprocess(np.zeros((8, 8, 3), np.uint8)).dtype == torch.uint8
    convert = in_bytes and is_convolutional(model) and seconds * n_images > WORTH_CONVERTING

    saved = seconds * (FUSED_GAIN * n_images - FUSED_IMAGES)
    fuse = saved > FUSED_SECONDS

    @cache
    def run(precision: str, device: torch.device) -> Forward:
        forward = None
        if convert and device.type == "cpu":
            threads = torch.get_num_threads()
            forward = openvino_forward(
                model, spec.input_size, precision, spec.mean, spec.std, threads
            )
        return forward or in_torch(precision, device, fuse)

    precision, chosen = options.precision, ""
    if compared:
        precision, chosen = _choose_precision(run, probed, preprocess, samples, devices[0])
    spec = replace(spec, n_features=n_features, precision=precision)
    first, *others = (Encoder(spec, preprocess, run(precision, d), d, chosen) for d in devices)
    return replace(first, replicas=others)


def _probe(
    forward: Forward, size: tuple[int, int], device: torch.device, *, timed: bool
) -> tuple[int, float]:
    """Return a model's number of features, and its seconds per image if `timed`, or else 0."""
    sample = torch.zeros(1, 3, *size, device=device)
    seconds = 0.0
    try:
        with torch.inference_mode():
            out = forward(sample)
            if timed:  # the first call is slower, because it prepares the layers
                start = time.perf_counter()
                forward(sample)
                seconds = time.perf_counter() - start
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"the encoder does not accept images of {size[0]}×{size[1]} pixels: {reason}. "
            "Choose another --image-size."
        ) from error
    if out.ndim != 2:
        raise UsageError(
            f"the encoder returns features of shape {tuple(out.shape)}, expected one row per "
            "image. Choose another encoder or --layers."
        )
    return int(out.shape[1]), seconds


def _choose_precision(
    run: Callable[[str, torch.device], Forward],
    in_fp32: Forward,
    preprocess: Preprocess,
    samples: Callable[[], Sequence[RGB]],
    device: torch.device,
) -> tuple[str, str]:
    """Choose the fastest precision that preserves the samples' features.

    Return the precision and the reason, as text for the user.
    """
    candidates = _faster_precisions(device)
    if not candidates:
        return "fp32", f"fp32: no other precision is faster on {device}"
    inputs, exact = [], []
    for pixels in samples():
        # An image that raises an error here does not affect the choice. It is recorded as a failure
        # when the run encodes it.
        with suppress(Exception):
            one = preprocess(pixels)
            row = _row(in_fp32, one, device)
            if row.isfinite().all() and row.any():
                inputs.append(one)
                exact.append(row)
    if not inputs:
        return "fp32", "fp32: no image is available to check a lower precision"
    results = []
    for precision in candidates:
        forward = run(precision, device)
        try:
            rows = torch.stack([_row(forward, one, device) for one in inputs])
        except RuntimeError as error:
            results.append(f"{precision} fails ({str(error).partition(chr(10))[0]})")
            continue
        least = float(cosine_similarity(rows, torch.stack(exact)).nan_to_num(-1.0).min())
        results.append(f"the smallest cosine of {precision} with fp32 is {least:.5f}")
        if least >= SAFE_COSINE:
            return precision, f"{precision}: {results[-1]}, on {len(inputs)} images"
    return "fp32", (
        f"fp32: {', '.join(results)}, on {len(inputs)} images, but at least {SAFE_COSINE} is "
        "required"
    )


def _row(forward: Forward, one: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Encode an image. If it consists of tiles, encode the middle tile only."""
    single = one[len(one) // 2] if one.ndim == 4 else one
    with torch.inference_mode():
        return forward(single[None].to(device)).double().cpu()[0]


def _faster_precisions(device: torch.device) -> tuple[str, ...]:
    """List the lower precisions for which the device has instructions.

    The precision with the widest range of numbers is first.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        return ("bf16", "fp16") if major >= 8 else ("fp16",) if major >= 7 else ()
    if device.type == "cpu":
        can = torch.cpu.get_capabilities()
        return ("bf16",) if can.get("amx_bf16") or can.get("avx512_bf16") else ()
    return ()
