"""A check that the sizes of all tensors of an ONNX file depend on the shape of the images only.

A trial run on one batch bounds the time and memory of all batches only if no tensor has a size that
depends on pixels. This module therefore follows the values that depend on pixels, or on random
numbers, through the graph. It refuses a model if such a value decides the size of a tensor or the
choice of a branch.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from clipfeat.errors import WeightsError

SIZE_INPUTS: Mapping[str, tuple[int, ...]] = {
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "CropAndResize": (3,),
    "DFT": (1,),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "If": (0,),
    "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "NonMaxSuppression": (0, 1, 2, 3, 4),
    "NonZero": (0,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "SequenceAt": (1,),
    "SequenceErase": (1,),
    "SequenceInsert": (2,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Tile": (1, 2),
    "TopK": (1,),
    "Unique": (0,),
    "Upsample": (1,),
}
"""Positions of the inputs of each operator that decide the size of its results, or the branch."""
RANDOM = frozenset({
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
    "RandomUniformLike",
})  # fmt: skip
SHAPES = frozenset({"Shape", "Size"})
"""Operators whose result depends on the size of a tensor, but not on its values."""
_Name = tuple[str, str]


def check_sizes(model: Any) -> None:
    """Check that no tensor of a parsed model has a size that depends on pixels.

    Raises
    ------
    WeightsError
        If the model has such a tensor.
    """
    functions = {(one.domain, one.name): one for one in model.functions}
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {value.name for value in model.graph.input} - constants
    _Follower(functions).follow(model.graph.node, inputs)


class _Follower:
    """Search for the values in a graph that depend on pixels.

    Parameters
    ----------
    functions : mapping
        The functions of the model by domain and name.
    """

    def __init__(self, functions: Mapping[_Name, Any]) -> None:
        self._functions = functions
        self._known: dict[tuple[_Name, tuple[bool, ...]], list[bool]] = {}

    def follow(self, nodes: Iterable[Any], varying: set[str]) -> None:
        """Add the results of nodes that depend on pixels to the names in `varying`."""
        for node in nodes:
            flags = [name in varying for name in node.input]
            function = self._functions.get((node.domain, node.op_type))
            if function is not None:
                results = self._of_function(function, flags)
            else:
                _check_node(node, flags)
                results = [self._varies(node, flags, varying)] * len(node.output)
            varying.update(name for name, flag in zip(node.output, results, strict=False) if flag)

    def _varies(self, node: Any, flags: list[bool], varying: set[str]) -> bool:
        varies = node.op_type in RANDOM or (any(flags) and node.op_type not in SHAPES)
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                inner = varying - {tensor.name for tensor in graph.initializer}
                self.follow(graph.node, inner)
                varies = varies or any(value.name in inner for value in graph.output)
        return varies

    def _of_function(self, function: Any, flags: list[bool]) -> list[bool]:
        """Return which results of a function depend on pixels, if the flagged inputs do."""
        key = (function.domain, function.name), tuple(flags)
        if key not in self._known:
            self._known[key] = [True] * len(function.output)  # for a function that calls itself
            varying = {name for name, flag in zip(function.input, flags, strict=False) if flag}
            self.follow(function.node, varying)
            self._known[key] = [name in varying for name in function.output]
        return self._known[key]


def _check_node(node: Any, flags: list[bool]) -> None:
    if any(flags[place] for place in SIZE_INPUTS.get(node.op_type, ()) if place < len(flags)):
        raise WeightsError(
            f"the ONNX file has the operator {node.op_type}, and the size of its result depends on "
            "the pixels of the image. Its time and memory are therefore unknown. Export the model "
            "without this operator."
        )
