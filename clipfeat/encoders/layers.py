"""Features of intermediate layers: the maps and tokens of a network's stages, pooled to rows.

A layer is named by its number, from 0, as upstream's ``forward_intermediates`` counts them: the
blocks of a transformer, the stages of a convolutional network. A *slice* is a layer under one pool,
``"3/mean"``, or the network's own output, ``"last"``; a row is its slices side by side.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from clipfeat.errors import UsageError, unknown_name

Intermediates = tuple[torch.Tensor | None, Sequence[torch.Tensor], Sequence[torch.Tensor] | None]
"""The network's output; maps (batch, channels, height, width); prefix tokens (batch, n, width)."""
Run = Callable[[torch.nn.Module, torch.Tensor, list[int], bool], Intermediates]
"""From a model, a batch, numbers of layers, and whether its output is wanted, to these."""

POOLS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mean": lambda positions: positions.mean(-1),
    "std": lambda positions: positions.std(-1, correction=0),
    "max": lambda positions: positions.amax(-1),
}
"""From (batch, channels, positions) to (batch, channels)."""
CLASS_TOKEN = "cls"


def parse_layers(
    text: str | None,
    pool: str | None,
    *,
    names: Sequence[str],
    outputs: Sequence[str] = ("last",),
    has_class_token: bool = False,
) -> list[str]:
    """Read which slices are wanted.

    Parameters
    ----------
    text : str, optional
        Numbers or names of layers, ``all``, or an output, with commas; any may carry its own pools,
        ``3/mean+std``. None is the first output, which ``last`` names too.
    pool : str, optional
        Of layers that carry none: one or more of ``cls``, ``mean``, ``std``, ``max``, with ``+``.
        By default the class token where there is one, else ``mean+std``.
    names : sequence of str
        Of the layers there are.
    outputs : sequence of str
        Names of the network's own outputs, the default first.
    has_class_token : bool
        Whether its layers have one.

    Returns
    -------
    list of str
        Slices in the order of their layers, an output last, each once.

    Examples
    --------
    >>> parse_layers("1,last", "mean+std", names=["stem", "stage"])
    ['1/mean', '1/std', 'last']
    >>> parse_layers("all", None, names=["a", "b"], has_class_token=True)
    ['0/cls', '1/cls', 'last']
    """
    pools = [CLASS_TOKEN, *POOLS] if has_class_token else list(POOLS)
    usual = pool or (CLASS_TOKEN if has_class_token else "mean+std")
    wanted: set[tuple[int, int]] = set()
    last: set[str] = set()
    for token in (text or outputs[0]).split(","):
        layer, _, own = token.strip().partition("/")
        if layer in outputs or layer == "last":
            last.add(outputs[0] if layer == "last" else layer)
            continue
        for name in (own or usual).split("+"):
            if name not in pools:
                raise unknown_name("pool", name, pools)
            for number in _numbers(layer, names, outputs):
                wanted.add((number, pools.index(name)))
        if layer == "all":
            last.add(outputs[0])
    if len(last) > 1:
        raise UsageError(f"name one output, not {' and '.join(sorted(last))}")
    return [f"{number}/{pools[place]}" for number, place in sorted(wanted)] + sorted(last)


def _numbers(layer: str, names: Sequence[str], outputs: Sequence[str]) -> Sequence[int]:
    if not names:
        raise UsageError(f"this encoder gives no layers but {' and '.join(outputs)}")
    if layer == "all":
        return range(len(names))
    if layer in names:
        return [names.index(layer)]
    if layer.isdecimal() and int(layer) < len(names):
        return [int(layer)]
    numbered = [f"{i} ({name})" for i, name in enumerate(names)]
    raise unknown_name("layer", layer, ["all", *outputs, *numbered])


class LayeredModel(torch.nn.Module):
    """A network that gives slices side by side, in one pass.

    Parameters
    ----------
    model : Module
        The whole network.
    run : callable
        How its library gives intermediate layers.
    slices : sequence of str
        As `parse_layers` gives them.
    """

    def __init__(self, model: torch.nn.Module, run: Run, slices: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.run = run
        self.numbers = sorted({int(name.split("/")[0]) for name in slices if "/" in name})
        self.slices = list(slices)

    def parts(self, batch: torch.Tensor) -> list[torch.Tensor]:
        """Each slice of a batch (batch, 3, height, width): (batch, width), float32."""
        with_output = "/" not in self.slices[-1]
        output, maps, prefixes = self.run(self.model, batch, self.numbers, with_output)
        found = []
        for name in self.slices:
            layer, _, pool = name.partition("/")
            place = self.numbers.index(int(layer)) if pool else 0
            if not pool:
                part: Any = output
            elif pool == CLASS_TOKEN:
                part = prefixes[place][:, 0] if prefixes is not None else None
            else:
                part = POOLS[pool](maps[place].float().flatten(2))
            found.append(part.float())
        return found

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode a batch to (batch, n_features)."""
        return torch.cat(self.parts(batch), dim=1)


def with_layers(
    model: torch.nn.Module, run: Run, slices: Sequence[str], size: tuple[int, int]
) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """A model of the given slices, and their widths; the model itself where it is its own output.

    Raises
    ------
    UsageError
        If the network takes no image of `size` (height, width), or cannot give its layers.
    """
    if len(slices) == 1 and "/" not in slices[0]:
        return model, ()
    layered = LayeredModel(model, run, slices).eval()
    try:
        with torch.inference_mode():
            parts = layered.parts(torch.zeros(1, 3, *size))
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"the encoder does not give layers {','.join(slices)}: {reason}"
        ) from error
    widths = tuple(part.shape[1] for part in parts)
    return layered, widths if len(widths) > 1 else ()
