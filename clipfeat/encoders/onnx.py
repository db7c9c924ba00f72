"""A local ONNX file as an encoder: ``onnx:arcface.onnx``, run by onnxruntime in float32.

For networks that neither timm nor open_clip has, as those for faces. A file does not say how
pixels are to be scaled, and a wrong guess gives features that are merely worse, without a word: so
``mean`` and ``std`` must be given. Size and layout are the file's own.
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
from clipfeat.encoders.onnx_file import (
    Run,
    Shape,
    check_rows,
    devices_of,
    digest_of,
    open_session,
    pick_output,
    read_shape,
    runner,
)
from clipfeat.encoders.options import EncoderOptions
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

# Mean and standard deviation have none.
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
        The file. Where ``weights`` is given that is the file, and this is what to call it.
    options : EncoderOptions
        ``layers`` names the output; by default the first of shape (batch, n_features).
        ``arguments`` are ``mean`` and ``std`` of pixels in [0, 1], which must be given;
        ``interpolation`` (``"bilinear"``), ``crop_pct`` (1.0) and ``crop_mode`` (``"center"``) in
        timm's words; ``channels`` (``"rgb"`` or ``"bgr"``); and ``layout`` (``"NCHW"`` or
        ``"NHWC"``) where the file leaves it open.

    Raises
    ------
    MissingExtraError
        If onnxruntime or onnx is not installed.
    UsageError
        If it is not said how pixels are scaled, or the file does not take what is asked for.
    WeightsError
        If there is no such file, or onnxruntime cannot run it, or its rows are not its images'.
    """
    if options.untrained:
        raise UsageError("an ONNX file brings its own weights: leave --untrained out")
    if options.pool:
        raise UsageError("an ONNX file's outputs are taken as they are: leave --pool out")
    if options.precision not in ("fp32", "auto"):
        raise UsageError(f"an ONNX file runs in fp32: leave --precision {options.precision} out")
    path = Path(options.weights or name)
    if not path.is_file():
        raise WeightsError(f"no such ONNX file: {path}; if it lies elsewhere give --weights FILE")
    devices = devices_of(options.device)
    digest = digest_of(path)
    # Of images that are known to come, each core has a batch of its own.
    n_threads = 1 if n_images else torch.get_num_threads()
    sessions = [open_session(path, device, n_threads) for device in devices]
    given = _read_arguments(path, options.arguments or {})
    if options.crop in NATIVE:
        given = replace(given, interpolation="none", crop_pct=1.0, crop_mode=options.crop)
    elif options.crop is not None:
        given = replace(given, crop_mode="squash" if options.crop == "resize" else "center")
    shape = read_shape(sessions[0], given.layout, options.image_size)
    output, n_features = pick_output(sessions[0], shape, options.layers)
    shape = check_rows(runner(sessions[0], output), shape)
    spec = EncoderSpec(
        name=f"onnx:{Path(name).name}",
        weights=digest,
        untrained=False,
        layer=output,
        options=json.dumps({"channels": given.channels, "layout": shape.layout}),
        input_size=shape.size,
        interpolation=given.interpolation,
        crop_pct=given.crop_pct,
        crop_mode=given.crop_mode,
        mean=given.mean,
        std=given.std,
        n_features=n_features,
        precision="fp32",
        decode=DECODE,
    )
    preprocess = _preprocessing(given, shape.size)
    chosen = "fp32: an ONNX file runs as it was made"
    first, *others = (
        Encoder(spec, preprocess, _forward(runner(session, output), shape, given), device, chosen)
        for session, device in zip(sessions, devices, strict=True)
    )
    return replace(first, replicas=others)


@dataclass(frozen=True)
class _Arguments:
    """What --encoder-arg says."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    crop_pct: float
    crop_mode: str
    channels: str
    layout: str | None = None


def _read_arguments(path: Path, given: Mapping[str, object]) -> _Arguments:
    if not {"mean", "std"} <= set(given):
        raise UsageError(
            f"{path} does not say how pixels are scaled: give --encoder-arg mean=M and "
            "--encoder-arg std=S as it was trained, for pixels in [0, 1]; 0.5 and 0.5 scale them "
            "to [-1, 1], as most networks for faces take them"
        )
    words: dict[str, Any] = {**DEFAULTS, **given}
    for name, allowed in CHOICES.items():
        if name in words and words[name] not in allowed:
            raise UsageError(f"--encoder-arg {name} is {' or '.join(allowed)}, got {words[name]!r}")
    try:
        words |= {"mean": _three(words["mean"]), "std": _three(words["std"])}
        words["crop_pct"] = float(words["crop_pct"])
    except (TypeError, ValueError) as error:
        raise UsageError(f"preprocessing cannot be as --encoder-arg says: {error}") from error
    if not 0 < words["crop_pct"] <= 1:
        raise UsageError(f"--encoder-arg crop_pct is in (0, 1], got {words['crop_pct']}")
    if not all(abs(m) <= 1 for m in words["mean"]) or not all(0 < s <= 1 for s in words["std"]):
        raise UsageError(
            f"mean={words['mean']} and std={words['std']} are not of pixels in [0, 1]: divide by "
            "255 what is meant for pixels up to 255"
        )
    return _Arguments(**words)


def _three(value: Any) -> tuple[float, ...]:
    """One number for all channels, or one for each; in the order red, green, blue."""
    values = (value,) * 3 if isinstance(value, int | float) else tuple(value)
    if len(values) != 3:
        raise ValueError(f"mean and std are one number or three, got {value!r}")
    return tuple(float(v) for v in values)


def _preprocessing(given: _Arguments, size: tuple[int, int]) -> Preprocess:
    if given.crop_mode in NATIVE:
        return native_preprocessing(given.crop_mode, size)
    try:
        transform = timm.data.create_transform(
            (3, *size),
            interpolation=given.interpolation,
            mean=given.mean,
            std=given.std,
            crop_pct=given.crop_pct,
            crop_mode=given.crop_mode,
        )
    except (TypeError, ValueError, KeyError) as error:
        raise UsageError(f"preprocessing cannot be as --encoder-arg says: {error}") from error
    return preprocessing_of(transform)


def _forward(run: Run, shape: Shape, given: _Arguments) -> Forward:
    """From a batch of bytes, or of what the transform itself gave, to rows."""
    mean = torch.tensor(given.mean).reshape(-1, 1, 1)
    std = torch.tensor(given.std).reshape(-1, 1, 1)

    def forward(batch: torch.Tensor) -> torch.Tensor:
        batch = batch.cpu()
        if batch.dtype == torch.uint8:
            batch = (batch / 255 - mean) / std
        if given.channels == "bgr":
            batch = batch.flip(1)
        if shape.layout == "NHWC":
            batch = batch.permute(0, 2, 3, 1)
        images = batch.contiguous().numpy()
        at_once = shape.batch or len(images)
        rows = []
        for start in range(0, len(images), at_once):
            some = images[start : start + at_once]
            rows.append(run(np.concatenate([some, shape.zeros(at_once - len(some))]))[0])
        return torch.from_numpy(np.concatenate(rows)[: len(images)])

    return forward
