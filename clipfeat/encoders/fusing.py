"""Fusing of the layers of a vision transformer on a CPU.

On a CPU with AMX, matrix products take only about half of a transformer's time. Fusing reduces the
rest. It packs the weights in oneDNN's layout, scales the pixels inside the first product, and
computes each activation inside the product before it. On one core with AMX, a fused model is 1.2 to
1.4 times as fast in bfloat16 and 1.0 to 1.08 times as fast in float32 (``benchmarks/fusing.py``).

This module uses undocumented operators of torch. It is kept because no maintained library comes
within 10 % of its speed for every network and precision. The table gives speeds relative to the
fused model, for batches of 32 on one core of an AMD EPYC (AVX-512 BF16). They are medians of 5
interleaved repeats.

===================== ========= ======== ======== =======================
Network               Precision Unfused  OpenVINO torch.compile, freezing
===================== ========= ======== ======== =======================
open_clip ViT-B/32    bfloat16  0.88     1.01     0.36
open_clip ViT-B/32    float32   0.91     0.88     0.88
timm ViT-S/16         bfloat16  0.93     1.14     1.04
timm ViT-S/16         float32   0.79     0.90     0.78
===================== ========= ======== ======== =======================

On this CPU, OpenVINO is as fast or faster in bfloat16, but it takes 4 to 16 s longer to start. On
2 cores with AMX, OpenVINO is slower: with ViT-B/32 in bfloat16, it encodes 138 images/s and torch
encodes 177 (see `clipfeat.encoders.runtime`).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch.nn import MultiheadAttention
from torch.nn.functional import cosine_similarity

from clipfeat.encoders.packed_layers import PackedAttention, PackedLinear, PackedPatches

MLPS = (("c_fc", "gelu", "c_proj"), ("fc1", "act", "fc2"))
"""Names of the first layer, the activation and the second layer of an MLP, by library."""

QUICK = 1.702  # QuickGELU is x * sigmoid(1.702 x)
SAME_COSINE = {torch.bfloat16: 0.999, torch.float32: 0.99999}
"""Smallest accepted cosine between a row of the fused model and the original row, by dtype."""


def fused(
    model: torch.nn.Module,
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    dtype: torch.dtype,
) -> torch.nn.Module | None:
    """Copy a model and fuse its layers.

    Parameters
    ----------
    model : Module
        A model in float32 and in evaluation mode. It takes a normalised batch
        (batch, 3, height, width).
    size : tuple of int
        (height, width) of the images.
    mean, std : tuple of float
        Mean and standard deviation of the normalisation, for pixels in [0, 1].
    dtype : torch.dtype
        The dtype of the computation, a key of `SAME_COSINE`.

    Returns
    -------
    Module or None
        A model that takes the output of `centred` instead of normalised pixels. None if the model
        has no layers to fuse, if fusing raises an error, or if the features of test images change.
        The features are compared because torch does not document the fused operators, which belong
        to its compiler.
    """
    if not any(_find_mlps(model)):
        return None
    # Noise, a dark image, a bright image, and an image of low contrast.
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    pixels = torch.stack([noise * 255, noise * 32, 255 - noise * 32, 112 + noise * 32]).byte()
    middle, spread = (torch.tensor(values).reshape(-1, 1, 1) for values in (mean, std))
    normalised = (pixels / 255 - middle) / spread
    changed = copy.deepcopy(model)
    try:
        with torch.no_grad():
            parts, exact = _trace(changed, normalised)
            _fold_scaling(parts.stem, mean, std)
            for mlp in parts.mlps:
                _fold_quick_gelu(mlp)
            changed = changed.to(dtype)
            _fuse(changed, parts)
            rows = changed(centred(pixels, dtype)).float()
    except Exception:
        # The model may raise any exception, and so may an operator that this torch lacks.
        return None
    return changed if cosine_similarity(rows, exact).min() >= SAME_COSINE[dtype] else None


def centred(pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Subtract 128 from uint8 pixels.

    bfloat16 represents the centred pixels exactly. Rounding the weights causes an error in the
    output. Centred pixels halve this error compared with pixels from 0 to 255, because their mean
    is near zero.
    """
    return pixels.bitwise_xor(128).view(torch.int8).to(dtype)


@dataclass(frozen=True, eq=False)
class _Mlp:
    """Two linear layers with an activation between them, and their parent module."""

    module: torch.nn.Module
    names: tuple[str, str, str]
    linear: torch.nn.Linear
    activation: torch.nn.Module
    after: torch.nn.Linear


def _find_mlps(model: torch.nn.Module) -> Iterator[_Mlp]:
    """Find the MLPs whose activation the fused operator supports."""
    for module in model.modules():
        for names in MLPS:
            linear, activation, after = (getattr(module, name, None) for name in names)
            if (
                isinstance(linear, torch.nn.Linear)
                and isinstance(activation, torch.nn.Module)
                and isinstance(after, torch.nn.Linear)
                and (isinstance(activation, torch.nn.GELU) or _is_quick(activation))
                # Folding QuickGELU needs the second layer to be linear in the activation's output.
                and isinstance(getattr(module, "norm", None), torch.nn.Identity | None)
            ):
                yield _Mlp(module, names, linear, activation, after)


def _is_quick(activation: object) -> bool:
    return type(activation).__name__ == "QuickGELU"


@dataclass(frozen=True, eq=False)
class _Parts:
    """Parts of a model that can be fused."""

    stem: torch.nn.Conv2d
    mlps: list[_Mlp]
    linear: set[torch.nn.Linear]
    attentions: set[MultiheadAttention]


def _trace(model: torch.nn.Module, batch: torch.Tensor) -> tuple[_Parts, torch.Tensor]:
    """Run a batch through a model and find the parts that can be fused.

    Returns
    -------
    _Parts
        The layers that can be fused. The stem is the layer that takes the images.
    Tensor
        The rows of the batch.

    Raises
    ------
    LookupError
        If the stem cannot take unscaled pixels, for example because it pads them with zeros.
    """
    inputs: dict[torch.nn.Module, tuple[Any, ...]] = {}
    outputs: dict[torch.nn.Module, Any] = {}
    keywords: dict[torch.nn.Module, dict[str, Any]] = {}

    def record(module: torch.nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        inputs[module], keywords[module] = arguments, named

    mlps = list(_find_mlps(model))
    kinds = (torch.nn.Conv2d, torch.nn.Linear, MultiheadAttention)
    traced = [
        *(module for module in model.modules() if type(module) in kinds),
        *(mlp.activation for mlp in mlps),
    ]
    hooks = [module.register_forward_pre_hook(record, with_kwargs=True) for module in traced]
    hooks += [
        mlp.linear.register_forward_hook(lambda module, _, out: outputs.update({module: out}))
        for mlp in mlps
    ]
    try:
        rows: torch.Tensor = model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    stems = [module for module, arguments in inputs.items() if _first(arguments) is batch]
    if len(stems) != 1 or not _can_scale(stems[0]):
        raise LookupError("the normalisation cannot be folded into the first layer")
    # The activation must take the first layer's output unchanged.
    joined = [
        mlp
        for mlp in mlps
        if mlp.linear in outputs and _first(inputs.get(mlp.activation)) is outputs[mlp.linear]
    ]
    # Layers that were not called are left out, because another module may read their weights.
    linear = {module for module in inputs if isinstance(module, torch.nn.Linear)}
    attentions = {
        module
        for module, arguments in inputs.items()
        if isinstance(module, MultiheadAttention) and _is_plain(module, arguments, keywords[module])
    }
    return _Parts(stems[0], joined, linear, attentions), rows


def _first(arguments: tuple[Any, ...] | None) -> Any:
    return arguments[0] if arguments else None


def _can_scale(stem: torch.nn.Module) -> TypeGuard[torch.nn.Conv2d]:
    """Return whether a layer is exactly a `torch.nn.Conv2d`, without padding or groups."""
    return type(stem) is torch.nn.Conv2d and stem.groups == 1 and stem.padding in ((0, 0), "valid")


def _is_plain(
    attention: MultiheadAttention, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> bool:
    """Return whether a call computes self-attention without masks and returns no weights."""
    return (
        len(arguments) == 3
        and arguments[0] is arguments[1] is arguments[2]
        and keywords.get("need_weights") is False
        and all(value is None for name, value in keywords.items() if name != "need_weights")
        and attention.batch_first
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


def _fold_scaling(
    convolution: torch.nn.Conv2d, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """Change a convolution that takes normalised images, so that it takes `centred` pixels."""
    weight = convolution.weight / torch.tensor(std).reshape(1, -1, 1, 1)
    middle = 128 / 255 - torch.tensor(mean).reshape(1, -1, 1, 1)
    shift = (weight * middle).sum(dim=(1, 2, 3))
    bias = shift if convolution.bias is None else convolution.bias + shift
    convolution.weight = torch.nn.Parameter(weight / 255, requires_grad=False)
    convolution.bias = torch.nn.Parameter(bias, requires_grad=False)


def _fold_quick_gelu(mlp: _Mlp) -> None:
    """Scale the weights so that QuickGELU becomes a swish, which the fused operator supports.

    The swish of 1.702 x is 1.702 times the QuickGELU of x, and the second layer divides by 1.702.
    """
    if _is_quick(mlp.activation):
        for values in mlp.linear.parameters():
            values.mul_(QUICK)
        mlp.after.weight.div_(QUICK)


def _fuse(model: torch.nn.Module, parts: _Parts) -> None:
    """Replace a model's layers by packed layers, and fuse the activations into them."""
    with_activation = {}
    for mlp in parts.mlps:
        setattr(mlp.module, mlp.names[1], torch.nn.Identity())
        gelu = isinstance(mlp.activation, torch.nn.GELU)
        activation = ("gelu", mlp.activation.approximate) if gelu else ("swish", "")
        with_activation[mlp.linear] = PackedLinear(mlp.linear.weight, mlp.linear.bias, *activation)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in with_activation:
                setattr(parent, name, with_activation[child])
            elif isinstance(child, torch.nn.Linear) and child in parts.linear:
                setattr(parent, name, PackedLinear(child.weight, child.bias))
            elif isinstance(child, MultiheadAttention) and child in parts.attentions:
                setattr(parent, name, PackedAttention(child))
            elif (
                child is parts.stem
                and child.kernel_size == child.stride
                and child.dilation == (1, 1)
            ):
                setattr(parent, name, PackedPatches(child))
