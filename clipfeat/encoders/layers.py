"""Features of intermediate layers.

A layer is a block of a transformer or a stage of a convolutional network. Its number counts from 0,
as in ``forward_intermediates`` of timm and open_clip. A *slice* is one pooled layer, such as
``"3/mean"``, or the output of the network, ``"last"``. The layer ``"norm"`` has the tokens of the
last block after the final norm of a transformer. A row of features is the concatenation of its
slices.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from clipfeat.errors import UsageError, unknown_name

Intermediates = tuple[torch.Tensor | None, Sequence[torch.Tensor], Sequence[torch.Tensor] | None]
"""Three items: the output of the network, the feature map (batch, channels, height, width) of each
layer, and the prefix tokens (batch, n, width) of each layer."""
RunLayers = Callable[[torch.nn.Module, torch.Tensor, list[int], bool], Intermediates]
"""Function that runs a network. It takes the model, a batch, the numbers of the layers, and whether
to compute the output."""

POOLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda positions: positions.mean(-1),
    "std": lambda positions: positions.std(-1, correction=0),
    "max": lambda positions: positions.amax(-1),
}
"""Pools by name. Each maps (batch, channels, positions) to (batch, channels)."""
CLASS_TOKEN = "cls"
NORM = "norm"


def parse_layers(
    text: str | None,
    pool: str | None,
    *,
    names: Sequence[str],
    outputs: Sequence[str] = ("last",),
    has_class_token: bool = False,
    has_norm: bool = False,
) -> list[str]:
    """Parse a layers option into slices.

    Parameters
    ----------
    text : str, optional
        Numbers or names of layers, or the name of an output, separated by commas. A layer may be
        followed by its own pools, such as ``3/mean+std``. ``norm`` is the layer after the final
        norm. ``all`` selects every layer except ``norm``, and the first output. None and ``last``
        select the first output.
    pool : str, optional
        Pools of every layer for which `text` gives no pools: one or more of ``cls``, ``mean``,
        ``std`` and ``max``, joined with ``+``. None selects ``cls`` for layers with a class token,
        and ``mean+std`` for all others.
    names : sequence of str
        Names of the network's layers. Empty if the network has no intermediate layers.
    outputs : sequence of str
        Names of the network's outputs. The first one is the default.
    has_class_token : bool
        Whether the layers have a class token.
    has_norm : bool
        Whether the network has a layer ``norm``.

    Returns
    -------
    list of str
        Unique slices in the order of the layers, followed by the output if it is requested.

    Raises
    ------
    UnknownNameError
        If a layer or a pool does not exist.
    UsageError
        If `text` names several outputs, or if it names a layer although `names` is empty.

    Examples
    --------
    >>> parse_layers("1,last", "mean+std", names=["stem", "stage"])
    ['1/mean', '1/std', 'last']
    >>> parse_layers("all", None, names=["a", "b"], has_class_token=True)
    ['0/cls', '1/cls', 'last']
    >>> parse_layers("norm/mean,0", None, names=["a", "b"], has_class_token=True, has_norm=True)
    ['0/cls', 'norm/mean']
    """
    pools = [CLASS_TOKEN, *POOLS] if has_class_token else list(POOLS)
    default_pool = pool or (CLASS_TOKEN if has_class_token else "mean+std")
    pooled: set[tuple[int, int]] = set()
    chosen_outputs: set[str] = set()
    for token in (text or outputs[0]).split(","):
        layer, _, own_pools = token.strip().partition("/")
        if layer in outputs or layer == "last":
            chosen_outputs.add(outputs[0] if layer == "last" else layer)
            continue
        for name in (own_pools or default_pool).split("+"):
            if name not in pools:
                raise unknown_name("pool", name, pools)
            for number in _numbers(layer, names, outputs, has_norm):
                pooled.add((number, pools.index(name)))
        if layer == "all":
            chosen_outputs.add(outputs[0])
    if len(chosen_outputs) > 1:
        raise UsageError(
            f"--layers names several outputs: {', '.join(sorted(chosen_outputs))}. Name only one "
            "of them."
        )
    labels = [*map(str, range(len(names))), NORM]
    slices = [f"{labels[number]}/{pools[index]}" for number, index in sorted(pooled)]
    return slices + sorted(chosen_outputs)


def _numbers(
    layer: str, names: Sequence[str], outputs: Sequence[str], has_norm: bool
) -> Sequence[int]:
    if not names:
        raise UsageError(
            f"the encoder has no intermediate layer {layer!r}. "
            f"Set --layers to {' or '.join(outputs)}."
        )
    if layer == "all":
        return range(len(names))
    if layer == NORM and has_norm:
        return [len(names)]
    if layer in names:
        return [names.index(layer)]
    if layer.isdecimal() and int(layer) < len(names):
        return [int(layer)]
    numbered = [f"{i} ({name})" for i, name in enumerate(names)]
    norm = [NORM] if has_norm else []
    raise unknown_name("layer", layer, ["all", *outputs, *norm, *numbered])


class LayeredModel(torch.nn.Module):
    """Network that returns its slices (pooled layers and the output) from one forward pass.

    Parameters
    ----------
    model : Module
        The whole network.
    run : callable
        Function of the model's library that computes the intermediate layers (see `RunLayers`).
    slices : sequence of str
        The slices, as returned by `parse_layers`.
    norm : tuple of int and str, optional
        The number of the last block, and the name of the module with the final norm.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        run: RunLayers,
        slices: Sequence[str],
        norm: tuple[int, str] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.run = run
        self.norm = norm
        self.layers = [self._number(name.split("/")[0]) if "/" in name else -1 for name in slices]
        self.numbers = sorted({*self.layers} - {-1})
        self.slices = list(slices)

    def _number(self, layer: str) -> int:
        return self.norm[0] if layer == NORM and self.norm else int(layer)

    def parts(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """Encode a batch (batch, 3, height, width) to one float32 tensor (batch, n) per slice."""
        with_output = "/" not in self.slices[-1]
        output, maps, prefixes = self.run(self.model, batch, self.numbers, with_output)
        parts = []
        for name, number in zip(self.slices, self.layers, strict=True):
            layer, _, pool = name.partition("/")
            index = self.numbers.index(number) if pool else 0
            if not pool:
                part: Any = output
            elif pool == CLASS_TOKEN:
                token = prefixes[index][:, 0] if prefixes is not None else None
                part = self._normalised(token) if layer == NORM else token
            else:
                tokens: Any = maps[index].flatten(2)
                if layer == NORM:
                    tokens = self._normalised(tokens.transpose(1, 2)).transpose(1, 2)
                part = POOLS[pool](tokens.float())
            parts.append(part.float())
        return parts

    def _normalised(self, tokens: Any) -> Any:
        """Apply the final norm to tokens (…, width)."""
        assert self.norm is not None
        # The module is looked up here, because optimising the model may replace it.
        return self.model.get_submodule(self.norm[1])(tokens)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode a batch to a tensor (batch, n_features)."""
        return torch.cat(self.parts(batch), dim=1)


def with_layers(
    model: torch.nn.Module,
    run: RunLayers,
    slices: Sequence[str],
    size: tuple[int, int],
    norm: tuple[int, str] | None = None,
) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """Wrap a model so that it returns the given slices.

    Parameters
    ----------
    model, run, slices, norm
        The arguments of `LayeredModel`.
    size : tuple of int
        (height, width) of the images.

    Returns
    -------
    Module
        The wrapped model, or the model itself if the only slice is its output.
    tuple of int
        The number of features of each slice. Empty if there is only one slice.

    Raises
    ------
    UsageError
        If the network does not accept images of this size, or if it cannot return these layers.
    """
    if len(slices) == 1 and "/" not in slices[0]:
        return model, ()
    layered = LayeredModel(model, run, slices, norm).eval()
    try:
        with torch.inference_mode():
            parts = layered.parts(torch.zeros(1, 3, *size))
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"the encoder cannot return layers {','.join(slices)}: {reason}. Choose other --layers."
        ) from error
    widths = tuple(part.shape[1] for part in parts)
    return layered, widths if len(widths) > 1 else ()
