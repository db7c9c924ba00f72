"""Encoders from local ONNX files, such as ``onnx:arcface.onnx``, run by onnxruntime in float32.

Use an ONNX file for a network that timm and open_clip do not include, for example for face
recognition. An ONNX file does not record the scaling of pixels, and wrong scaling gives worse
features without an error. The arguments ``mean`` and ``std`` are therefore required. The image size
and the layout are read from the file.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import timm.data
import torch

from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.onnx_file import (
    OnnxInput,
    RunSession,
    check_rows,
    devices_of,
    digest_of,
    open_session,
    pick_output,
    read_input,
    runner,
)
from clipfeat.encoders.onnx_trial import try_file
from clipfeat.encoders.preprocessing import (
    NATIVE,
    Preprocess,
    native_preprocessing,
    preprocessing_of,
)
from clipfeat.encoders.runtime import Forward
from clipfeat.errors import UsageError, WeightsError
from clipfeat.images.decode import DECODE, RGB
from clipfeat.spec import EncoderSpec

# The arguments mean and std have no default, because they are required.
DEFAULTS = {"interpolation": "bilinear", "crop_pct": 1.0, "crop_mode": "center", "channels": "rgb"}
CHOICES = {
    "crop_mode": ("center", "squash", "border"),
    "channels": ("rgb", "bgr"),
    "layout": ("NCHW", "NHWC"),
}


def build(
    name: str, options: EncoderOptions, *, n_images: int, samples: Callable[[], Sequence[RGB]]
) -> Encoder:
    """Open an ONNX file as a frozen encoder.

    Parameters
    ----------
    name : str
        The path of the file. If ``options.weights`` gives the path, `name` is used only in the
        spec.
    options : EncoderOptions
        ``layers`` names the output. The default is the first output of shape (batch, n_features).
        ``arguments`` must contain ``mean`` and ``std`` for pixels in [0, 1]. Three optional
        arguments are those of timm: ``interpolation`` (default ``"bilinear"``), ``crop_pct``
        (default 1.0) and ``crop_mode`` (default ``"center"``). ``channels`` is ``"rgb"`` (the
        default) or ``"bgr"``. ``layout`` is ``"NCHW"`` or ``"NHWC"``, and is needed only if the
        number of channels in the file does not determine it.
    n_images : int
        Number of images that will be encoded, or 0 if unknown. If the number is known, each batch
        runs on one core, because several batches run concurrently.
    samples : callable
        Ignored: the precision is always float32.

    Returns
    -------
    Encoder
        The encoder. It has one replica for each device after the first.

    Raises
    ------
    MissingExtraError
        If onnxruntime or onnx is not installed.
    UsageError
        If ``mean`` or ``std`` is missing, or if an option does not fit the file.
    WeightsError
        If the file does not exist, if onnxruntime cannot run it within limits of time and memory,
        or if the features of an image are not reproducible (see
        `clipfeat.encoders.onnx_file.check_rows`).
    """
    if options.untrained:
        raise UsageError("an ONNX file contains its own weights. Leave --untrained out.")
    if options.pool:
        raise UsageError(
            f"the outputs of an ONNX file are not pooled, got --pool {options.pool}. "
            "Leave --pool out."
        )
    if options.precision not in ("fp32", "auto"):
        raise UsageError(
            f"an ONNX file always runs in fp32. Leave --precision {options.precision} out."
        )
    path = Path(options.weights or name)
    if not path.is_file():
        raise WeightsError(f"no such ONNX file: {path}. Pass its path with --weights FILE.")
    devices = devices_of(options.device)
    digest = digest_of(path, try_file(path, options.image_size))
    n_threads = 1 if n_images else torch.get_num_threads()
    sessions = [open_session(path, device, n_threads) for device in devices]
    arguments = _read_arguments(path, options.arguments or {})
    if options.crop in NATIVE:
        arguments = replace(arguments, interpolation="none", crop_pct=1.0, crop_mode=options.crop)
    elif options.crop is not None:
        crop_mode = "squash" if options.crop == "resize" else "center"
        arguments = replace(arguments, crop_mode=crop_mode)
    images = read_input(sessions[0], arguments.layout, options.image_size)
    try:
        output, n_features = pick_output(sessions[0], images, options.layers)
        images = check_rows(runner(sessions[0], output), images)
    except MemoryError as error:
        raise WeightsError(
            f"{path} needs more memory for one batch than is available. Use a smaller network, or "
            "a smaller --image-size"
        ) from error
    spec = EncoderSpec(
        name=f"onnx:{Path(name).name}",
        weights=digest,
        untrained=False,
        layer=output,
        options=json.dumps({"channels": arguments.channels, "layout": images.layout}),
        input_size=images.size,
        interpolation=arguments.interpolation,
        crop_pct=arguments.crop_pct,
        crop_mode=arguments.crop_mode,
        mean=arguments.mean,
        std=arguments.std,
        n_features=n_features,
        precision="fp32",
        decode=DECODE,
    )
    preprocess = _preprocessing(arguments, images.size)
    chosen = "fp32: ONNX files always run in fp32"
    forwards = [_forward(runner(session, output), images, arguments) for session in sessions]
    first, *others = (
        Encoder(spec, preprocess, forward, device, chosen)
        for forward, device in zip(forwards, devices, strict=True)
    )
    return replace(first, replicas=others)


@dataclass(frozen=True)
class _OnnxArguments:
    """Checked values of the encoder arguments."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str
    channels: str
    layout: str | None = None


def _read_arguments(path: Path, arguments: Mapping[str, object]) -> _OnnxArguments:
    if not {"mean", "std"} <= set(arguments):
        raise UsageError(
            f"{path} does not record the scaling of pixels. Pass the mean and the standard "
            "deviation used in its training, for pixels in [0, 1], with --encoder-arg mean=M and "
            "--encoder-arg std=S. Most face networks take pixels in [-1, 1], which is mean=0.5 and "
            "std=0.5."
        )
    values: dict[str, Any] = {**DEFAULTS, **arguments}
    for name, allowed in CHOICES.items():
        if name in values and values[name] not in allowed:
            raise UsageError(
                f"--encoder-arg {name} is {values[name]!r}. Set it to {' or '.join(allowed)}."
            )
    try:
        values |= {"mean": _three(values["mean"]), "std": _three(values["std"])}
        values["crop_pct"] = float(values["crop_pct"])
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"invalid preprocessing in --encoder-arg: {error}. Correct the value."
        ) from error
    if not 0 < values["crop_pct"] <= 1:
        raise UsageError(
            f"--encoder-arg crop_pct must be above 0 and at most 1, got {values['crop_pct']}. "
            "Correct the value."
        )
    if not all(abs(m) <= 1 for m in values["mean"]) or not all(0 < s <= 1 for s in values["std"]):
        raise UsageError(
            f"mean={values['mean']} and std={values['std']} do not fit pixels in [0, 1]. "
            "If they are for pixels in [0, 255], divide them by 255."
        )
    return _OnnxArguments(**values)


def _three(value: Any) -> tuple[float, ...]:
    """Return a number for each colour channel, from one number or three numbers."""
    values = (value,) * 3 if isinstance(value, int | float) else tuple(value)
    if len(values) != 3:
        raise ValueError(f"mean and std must each be one number or three numbers, got {value!r}")
    return tuple(float(v) for v in values)


def _preprocessing(arguments: _OnnxArguments, size: tuple[int, int]) -> Preprocess:
    if arguments.crop_mode in NATIVE:
        return native_preprocessing(arguments.crop_mode, size)
    try:
        transform = timm.data.create_transform(
            (3, *size),
            interpolation=arguments.interpolation,
            mean=arguments.mean,
            std=arguments.std,
            crop_pct=arguments.crop_pct,
            crop_mode=arguments.crop_mode,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(
            f"invalid preprocessing in --encoder-arg: {error}. Correct the value."
        ) from error
    return preprocessing_of(transform)


def _forward(run: RunSession, expected: OnnxInput, arguments: _OnnxArguments) -> Forward:
    """Make a function that maps a batch of uint8 pixels, or of normalised floats, to rows."""
    mean = torch.tensor(arguments.mean).reshape(-1, 1, 1)
    std = torch.tensor(arguments.std).reshape(-1, 1, 1)

    def forward(batch: torch.Tensor) -> torch.Tensor:
        batch = batch.cpu()
        if batch.dtype == torch.uint8:
            batch = (batch / 255 - mean) / std
        if arguments.channels == "bgr":
            batch = batch.flip(1)
        if expected.layout == "NHWC":
            batch = batch.permute(0, 2, 3, 1)
        images = batch.contiguous().numpy()
        size = expected.batch_size or len(images)
        rows = []
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            padding = expected.zeros(size - len(chunk))
            rows.append(run(np.concatenate([chunk, padding]))[0])
        return torch.from_numpy(np.concatenate(rows)[: len(images)])

    return forward
