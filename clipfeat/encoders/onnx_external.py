"""External files of an ONNX file, which hold its tensors.

Parsing a hostile file can need hundreds of times its size in memory. Therefore, only the child
process of `clipfeat.encoders.onnx_trial` calls this module.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from clipfeat.encoders.onnx_sizes import check_sizes
from clipfeat.errors import WeightsError

LOOPS = frozenset({
    "BeamSearch", "GreedySearch", "Loop", "Sampling", "Scan", "SequenceMap", "WhisperBeamSearch"
})  # fmt: skip
"""Operators whose number of steps may depend on the image, so that a trial run cannot test it."""


def external_files(path: Path) -> list[Path]:
    """List the files, except the model itself, that hold tensors of a model.

    Raises
    ------
    WeightsError
        If the file is not an ONNX file, or if an external file is missing, in another folder, or
        shorter than the tensors in it. If the model has a loop, or a tensor whose size depends on
        the pixels of the image.
    """
    ends: dict[str, int] = {}
    for tensor in _external_tensors(path):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        try:
            offset, length = (int(entries.get(key) or 0) for key in ("offset", "length"))
        except ValueError:
            offset = length = -1
        if len(entries) < len(tensor.external_data) or min(offset, length) < 0:
            raise WeightsError(
                f"{path} stores tensor {tensor.name[:80]!r} in the file {location[:80]!r} with an "
                "invalid offset or length. Export the model again."
            )
        ends[location] = max(ends.get(location, 0), offset + length)
    files = {location: _external_file(path, location) for location in sorted(ends)}
    for location, file in files.items():
        if ends[location] > (size := file.stat().st_size):
            raise WeightsError(
                f"{path} stores tensors in the first {ends[location]} bytes of {location!r}, which "
                f"has only {size} bytes. Copy the whole file."
            )
    return list(files.values())


def _external_file(path: Path, location: str) -> Path:
    """Return an external file, which must be in the folder of the model, even if it is a link.

    Download caches contain links to files in a second folder. A model and its external file may
    therefore both be links to files in one other folder.
    """
    file = path.parent / location
    is_plain = location and not Path(location).is_absolute() and ".." not in Path(location).parts
    try:
        folders = {path.parent.resolve(), path.resolve().parent}
        is_usable = is_plain and file.is_file() and any(map(file.resolve().is_relative_to, folders))
    except (OSError, ValueError):
        is_usable = False
    if not is_usable:
        raise WeightsError(
            f"{path} stores tensors in the file {location[:200]!r}, which is not in the folder of "
            f"{path.name}. Copy the file to this folder."
        )
    return file


def _external_tensors(path: Path) -> list[Any]:
    """List the tensors of a model that are stored in other files."""
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:
        # onnx does not export the error classes of protobuf.
        raise WeightsError(f"{path} is not an ONNX file: {error}. Pass another file.") from error
    check_sizes(model)
    nodes = (node for function in model.functions for node in function.node)
    graphs = chain.from_iterable(
        (info.initialization, info.algorithm) for info in model.training_info
    )
    tensors = chain(*map(_tensors, [model.graph, *graphs]), _tensors_of_nodes(nodes))
    return [one for one in tensors if one.data_location == onnx.TensorProto.EXTERNAL]


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from _parts(graph.sparse_initializer)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for attribute in (attribute for node in nodes for attribute in _attributes(node)):
        yield from [attribute.t, *attribute.tensors]
        yield from _parts([attribute.sparse_tensor, *attribute.sparse_tensors])
        for graph in [attribute.g, *attribute.graphs]:
            yield from _tensors(graph)


def _attributes(node: Any) -> Any:
    if node.op_type in LOOPS:
        raise WeightsError(
            f"the ONNX file has the operator {node.op_type}. Its loop may run forever on some "
            "images. Export the model without loops."
        )
    return node.attribute


def _parts(sparse_tensors: Iterable[Any]) -> Iterator[Any]:
    for sparse in sparse_tensors:
        yield from [sparse.values, sparse.indices]
