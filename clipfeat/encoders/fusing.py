"""The same rows of a transformer in fewer passes over memory, for bfloat16 on a CPU.

With AMX the products take about half of the time, so that what is around them counts: pixels are
scaled by the first convolution, activations computed in the product before them. On 2 cores with it
that was measured to be 1.04 to 1.23 times as fast, in batches of 32 (``benchmarks/fusing.py``).
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cosine_similarity

MLPS = (("c_fc", "gelu", "c_proj"), ("fc1", "act", "fc2"))
"""What open_clip and timm call the layers of a transformer's perceptron, and its activation."""

QUICK = 1.702  # QuickGELU is x * sigmoid(1.702 x)
SAME_COSINE = 0.999


def fused(
    model: torch.nn.Module,
    size: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> torch.nn.Module | None:
    """Copy a model to bfloat16, its scaling and activations fused into products.

    Parameters
    ----------
    model : Module
        From a normalised batch (batch, 3, height, width); float32, in evaluation mode.
    size : tuple of int
        (height, width) of images.
    mean, std : tuple of float
        For pixels in [0, 1].

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
            convolution, perceptrons, exact = _traced(changed, normalised)
            _scale_in(convolution, mean, std)
            for perceptron in perceptrons:
                _fuse(perceptron)
            changed = changed.to(torch.bfloat16)
            rows = changed(centred(pixels)).float()
    except Exception:
        # Whatever a model, or an operator that is gone, runs into: it is run as it is.
        return None
    return changed if cosine_similarity(rows, exact).min() >= SAME_COSINE else None


def centred(pixels: torch.Tensor) -> torch.Tensor:
    """Bytes less 128, which bfloat16 holds exactly, and whose mean is near to zero.

    Of numbers from 0 to 255 the error of rounded weights would be twice as large.
    """
    return pixels.bitwise_xor(128).view(torch.int8).to(torch.bfloat16)


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


def _traced(
    model: torch.nn.Module, batch: torch.Tensor
) -> tuple[torch.nn.Conv2d, list[_Perceptron], torch.Tensor]:
    """The one layer that sees the images, what can be fused, and the rows.

    Raises
    ------
    LookupError
        If no layer may scale the images: around them it would see zeros, which are none any more.
    """
    inputs: dict[torch.nn.Module, object] = {}
    outputs: dict[torch.nn.Module, object] = {}
    perceptrons = list(_perceptrons(model))
    convolutions = [module for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    hooks = [
        module.register_forward_pre_hook(lambda module, given: inputs.update({module: given[0]}))
        for module in [*convolutions, *(one.activation for one in perceptrons)]
    ] + [
        one.linear.register_forward_hook(lambda module, _, out: outputs.update({module: out}))
        for one in perceptrons
    ]
    try:
        rows: torch.Tensor = model(batch)
    finally:
        for hook in hooks:
            hook.remove()
    first = [convolution for convolution in convolutions if inputs.get(convolution) is batch]
    # Not of a class of its own, which may do more.
    if (
        len(first) != 1
        or type(first[0]) is not torch.nn.Conv2d
        or first[0].groups != 1
        or first[0].padding not in ((0, 0), "valid")
    ):
        raise LookupError("no convolution that could scale the images")
    joined = [
        one
        for one in perceptrons
        if one.linear in outputs and inputs.get(one.activation) is outputs[one.linear]
    ]
    return first[0], joined, rows


def _scale_in(
    convolution: torch.nn.Conv2d, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    weight = convolution.weight / torch.tensor(std).reshape(1, -1, 1, 1)
    middle = 128 / 255 - torch.tensor(mean).reshape(1, -1, 1, 1)
    shift = (weight * middle).sum(dim=(1, 2, 3))
    bias = shift if convolution.bias is None else convolution.bias + shift
    convolution.weight = torch.nn.Parameter(weight / 255, requires_grad=False)
    convolution.bias = torch.nn.Parameter(bias, requires_grad=False)


class _LinearThen(torch.nn.Module):
    """A linear layer and an activation, by one operator of oneDNN."""

    def __init__(self, linear: torch.nn.Linear, activation: str, variant: str) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self.activation, self.variant = activation, variant

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rows (..., n_in) to rows (..., n_out)."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self.weight, self.bias, self.activation, [], self.variant
        )
        return out


def _fuse(one: _Perceptron) -> None:
    """Let the first layer of a perceptron apply the activation."""
    if isinstance(one.activation, torch.nn.GELU):
        merged = _LinearThen(one.linear, "gelu", one.activation.approximate)
    else:
        # swish(1.702 x) is 1.702 times that, which the next layer takes back.
        for values in one.linear.parameters():
            values.mul_(QUICK)
        one.after.weight.div_(QUICK)
        merged = _LinearThen(one.linear, "swish", "")
    setattr(one.module, one.names[0], merged)
    setattr(one.module, one.names[1], torch.nn.Identity())
