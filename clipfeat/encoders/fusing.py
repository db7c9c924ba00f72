"""The same rows of a transformer in fewer passes over memory, on a CPU.

With AMX the products take about half of the time, so that what is around them counts: weights lie
as oneDNN wants them, pixels are scaled by the first product, activations computed in the one before
them. On a core with AMX that was measured to be 1.2 to 1.4 times as fast in bfloat16, and 1.0 to
1.08 times in float32 (``benchmarks/fusing.py``).
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
"""What open_clip and timm call the layers of a transformer's perceptron, and its activation."""

QUICK = 1.702  # QuickGELU is x * sigmoid(1.702 x)
SAME_COSINE = {torch.bfloat16: 0.999, torch.float32: 0.99999}


def fused(
    model: torch.nn.Module,
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    dtype: torch.dtype,
) -> torch.nn.Module | None:
    """Copy a model to the CPU's own products, scaling and activations fused into them.

    Parameters
    ----------
    model : Module
        From a normalised batch (batch, 3, height, width); float32, in evaluation mode.
    size : tuple of int
        (height, width) of images.
    mean, std : tuple of float
        For pixels in [0, 1].
    dtype : torch.dtype
        What it is to compute in, one of `SAME_COSINE`.

    Returns
    -------
    Module or None
        The same from `centred` pixels, not normalised; None where it is no such model, or its rows
        would be others: the operators are those of torch's compiler, and not documented.
    """
    if not any(_perceptrons(model)):
        return None
    # Noise, a dark image, a bright one, and one of little contrast.
    noise = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    pixels = torch.stack([noise * 255, noise * 32, 255 - noise * 32, 112 + noise * 32]).byte()
    middle, spread = (torch.tensor(values).reshape(-1, 1, 1) for values in (mean, std))
    normalised = (pixels / 255 - middle) / spread
    changed = copy.deepcopy(model)
    try:
        with torch.no_grad():
            parts, exact = _traced(changed, normalised)
            _scale_in(parts.stem, mean, std)
            for perceptron in parts.perceptrons:
                _as_swish(perceptron)
            changed = changed.to(dtype)
            _fuse(changed, parts)
            rows = changed(centred(pixels, dtype)).float()
    except Exception:
        # Whatever a model, or an operator that is gone, runs into: it is run as it is.
        return None
    return changed if cosine_similarity(rows, exact).min() >= SAME_COSINE[dtype] else None


def centred(pixels: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Bytes less 128, which bfloat16 holds exactly, and whose mean is near to zero.

    Of numbers from 0 to 255 the error of rounded weights would be twice as large.
    """
    return pixels.bitwise_xor(128).view(torch.int8).to(dtype)


@dataclass(frozen=True, eq=False)
class _Perceptron:
    """Two linear layers with an activation between them, and what they are parts of."""

    module: torch.nn.Module
    names: tuple[str, str, str]
    linear: torch.nn.Linear
    activation: torch.nn.Module
    after: torch.nn.Linear


def _perceptrons(model: torch.nn.Module) -> Iterator[_Perceptron]:
    """Those whose activation an operator has."""
    for module in model.modules():
        for names in MLPS:
            linear, activation, after = (getattr(module, name, None) for name in names)
            if (
                isinstance(linear, torch.nn.Linear)
                and isinstance(activation, torch.nn.Module)
                and isinstance(after, torch.nn.Linear)
                and (isinstance(activation, torch.nn.GELU) or _is_quick(activation))
                # Nothing but dropping may come before a layer that is to take the factor back.
                and isinstance(getattr(module, "norm", None), torch.nn.Identity | None)
            ):
                yield _Perceptron(module, names, linear, activation, after)


def _is_quick(activation: object) -> bool:
    return type(activation).__name__ == "QuickGELU"


@dataclass(frozen=True, eq=False)
class _Parts:
    """What of a model can be run otherwise."""

    stem: torch.nn.Conv2d
    perceptrons: list[_Perceptron]
    linear: set[torch.nn.Linear]
    attentions: set[MultiheadAttention]


def _traced(model: torch.nn.Module, batch: torch.Tensor) -> tuple[_Parts, torch.Tensor]:
    """The one layer that sees the images, what can be fused, and the rows.

    Raises
    ------
    LookupError
        If no layer may scale the images: around them it would see zeros, which are none any more.
    """
    inputs: dict[torch.nn.Module, tuple[Any, ...]] = {}
    outputs: dict[torch.nn.Module, Any] = {}
    told: dict[torch.nn.Module, dict[str, Any]] = {}

    def see(module: torch.nn.Module, given: tuple[Any, ...], words: dict[str, Any]) -> None:
        inputs[module], told[module] = given, words

    perceptrons = list(_perceptrons(model))
    kinds = (torch.nn.Conv2d, torch.nn.Linear, MultiheadAttention)
    seen = [
        *(module for module in model.modules() if type(module) in kinds),
        *(one.activation for one in perceptrons),
    ]
    hooks = [module.register_forward_pre_hook(see, with_kwargs=True) for module in seen]
    hooks += [
        one.linear.register_forward_hook(lambda module, _, out: outputs.update({module: out}))
        for one in perceptrons
    ]
    try:
        rows: torch.Tensor = model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    of_images = [module for module, given in inputs.items() if _first(given) is batch]
    if len(of_images) != 1 or not _may_scale(of_images[0]):
        raise LookupError("no convolution that could scale the images")
    joined = [
        one
        for one in perceptrons
        if one.linear in outputs and _first(inputs.get(one.activation)) is outputs[one.linear]
    ]
    # Not those whose weights are taken by somebody else.
    linear = {module for module in inputs if isinstance(module, torch.nn.Linear)}
    attentions = {
        module
        for module, given in inputs.items()
        if isinstance(module, MultiheadAttention) and _is_plain(module, given, told[module])
    }
    return _Parts(of_images[0], joined, linear, attentions), rows


def _first(given: tuple[Any, ...] | None) -> Any:
    return given[0] if given else None


def _may_scale(stem: torch.nn.Module) -> TypeGuard[torch.nn.Conv2d]:
    """Whether a layer is a plain convolution without a border, not of a class of its own."""
    return type(stem) is torch.nn.Conv2d and stem.groups == 1 and stem.padding in ((0, 0), "valid")


def _is_plain(attention: MultiheadAttention, given: tuple[Any, ...], words: dict[str, Any]) -> bool:
    """Whether a batch attends to itself, all of it, and nobody asks how."""
    return (
        len(given) == 3
        and given[0] is given[1] is given[2]
        and words.get("need_weights") is False
        and all(word is None for name, word in words.items() if name != "need_weights")
        and attention.batch_first
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )


def _scale_in(
    convolution: torch.nn.Conv2d, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    weight = convolution.weight / torch.tensor(std).reshape(1, -1, 1, 1)
    middle = 128 / 255 - torch.tensor(mean).reshape(1, -1, 1, 1)
    shift = (weight * middle).sum(dim=(1, 2, 3))
    bias = shift if convolution.bias is None else convolution.bias + shift
    convolution.weight = torch.nn.Parameter(weight / 255, requires_grad=False)
    convolution.bias = torch.nn.Parameter(bias, requires_grad=False)


def _as_swish(one: _Perceptron) -> None:
    """Make QuickGELU a swish: of 1.702 x that is 1.702 times it, which the next layer undoes."""
    if _is_quick(one.activation):
        for values in one.linear.parameters():
            values.mul_(QUICK)
        one.after.weight.div_(QUICK)


def _fuse(model: torch.nn.Module, parts: _Parts) -> None:
    """Put what runs faster in the places of a model's layers."""
    activated = {}
    for one in parts.perceptrons:
        setattr(one.module, one.names[1], torch.nn.Identity())
        gelu = isinstance(one.activation, torch.nn.GELU)
        how = ("gelu", one.activation.approximate) if gelu else ("swish", "")
        activated[one.linear] = PackedLinear(one.linear.weight, one.linear.bias, *how)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child in activated:
                setattr(parent, name, activated[child])
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
