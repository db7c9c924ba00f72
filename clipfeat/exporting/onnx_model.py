"""Export of a model, with its encoders and its classifier, to one ONNX file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipfeat.embedding.in_memory import weights_of
from clipfeat.encoders import open_encoder, options_of
from clipfeat.encoders.encoder import Encoder
from clipfeat.errors import OutputExistsError, UsageError, missing_extra
from clipfeat.exporting.checking import Agreement, check_agreement
from clipfeat.exporting.classifiers import add_classifier
from clipfeat.exporting.graph import ML_DOMAIN, ML_OPSET, OPSET, Graph
from clipfeat.exporting.notes import InputNotes, describe, input_notes, metadata
from clipfeat.images.memory import ImageInput
from clipfeat.model import Model
from clipfeat.prediction.predicting import as_model
from clipfeat.spec import check_same
from clipfeat.system.files import is_taken, publish, storage_errors
from clipfeat.system.locations import local_path
from clipfeat.system.progress import Phase, Report, reporting, silent

OUTPUT = "probabilities"
IR_VERSION = 10
"""Version of the file format. onnxruntime reads it since version 1.18."""
MAX_BYTES = 2**31 - 2**20
"""Largest size of a file. The format of ONNX files, Protocol Buffers, is limited to 2 GiB."""


@dataclass(frozen=True)
class OnnxExport:
    """An exported model.

    Parameters
    ----------
    data : bytes
        The content of the ONNX file.
    description : dict
        The classes and the preprocessing. See `clipfeat.exporting.notes.describe`.
    agreement : Agreement
        The comparison with the model.
    """

    data: bytes
    description: dict[str, Any]
    agreement: Agreement


def export_onnx(
    model: Model | str | Path,
    out: str | Path,
    *,
    check: ImageInput | None = None,
    weights: str | Path | Sequence[str | Path] = (),
    overwrite: bool = False,
    progress: bool | Report = True,
) -> Agreement:
    """Write a model as one ONNX graph from pixels to probabilities.

    Parameters
    ----------
    model : Model or path
        A fitted model, or a model file.
    out : path
        The new file.
    check : path, sequence of paths, images in memory, or ImageSource, optional
        Images on which the graph is compared with the model, in addition to 200 random images.
        At most 200 of them are used, without training images.
    weights : path, or sequence of path
        Local weight files, as in `clipfeat.predict`.
    overwrite : bool
        Replace an existing file.
    progress : bool or callable
        As in `clipfeat.predict`.

    Returns
    -------
    Agreement
        The comparison of the graph with the model.

    Raises
    ------
    MissingExtraError
        If onnx, onnxruntime or onnxscript is not installed.
    OutputExistsError
        If the file exists and `overwrite` is false.
    UsageError
        If an encoder or a classifier cannot be exported. If the file would have 2 GiB or more.
    DataError
        If the probabilities of the graph differ from those of the model by more than 1e-4, or too
        many verdicts differ. If the probabilities hardly vary on the images.
    """
    target = local_path(out)
    if is_taken(target) and not overwrite:
        raise OutputExistsError(f"{target} exists. Choose another path, or pass --overwrite")
    with storage_errors(f"creating {target.parent}"):
        target.parent.mkdir(parents=True, exist_ok=True)
    exported = to_onnx(model, check=check, weights=weights, progress=progress)
    publish(exported.data, target)
    return exported.agreement


def to_onnx(
    model: Model | str | Path,
    *,
    check: ImageInput | None = None,
    weights: str | Path | Sequence[str | Path] = (),
    progress: bool | Report = True,
) -> OnnxExport:
    """Export a model to the bytes of an ONNX file. See `export_onnx`."""
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise missing_extra("exporting a model to ONNX", "onnx and onnxruntime", "onnx") from error
    with reporting(progress) as report:
        report(Phase("loading"))
        fitted = as_model(model)
        if not fitted.specs:
            raise UsageError(
                "the model was fitted on arrays, so it has no encoder to export. Fit it on a "
                "feature file"
            )
        inputs = input_notes(fitted.specs)
        description = describe(fitted, inputs)
        # A classifier without an ONNX graph fails here, before the encoders are opened.
        classifier = Graph()
        output = add_classifier(classifier, fitted, "features")
        encoders = _open(fitted, weights, report)
        report(Phase("exporting"))
        proto = _join(inputs, encoders, classifier, output, len(fitted.classes))
        onnx.helper.set_model_props(proto, metadata(description))
        data = serialized(proto)
        agreement = check_agreement(data, fitted, description, encoders, check, report)
        return OnnxExport(data, description, agreement)


def serialized(proto: Any) -> bytes:
    """Return the bytes of an ONNX model.

    Raises
    ------
    UsageError
        If the file would have 2 GiB or more.
    """
    from google.protobuf.message import EncodeError

    try:
        if proto.ByteSize() <= MAX_BYTES:
            return bytes(proto.SerializeToString())
    except (EncodeError, ValueError):  # Protocol Buffers do not even count so many bytes
        pass
    raise UsageError(
        "the ONNX file would have 2 GiB or more, which its format does not allow. Use a smaller "
        "encoder, or a classifier that stores no training rows"
    )


def _open(
    model: Model, weights: str | Path | Sequence[str | Path], report: Report = silent
) -> list[Encoder]:
    """Open the encoders of a model in torch on the CPU."""
    file_of = weights_of(model.specs, weights, model.weight_files)
    encoders = []
    for spec in model.specs:
        report(Phase("opening", detail=spec.name))
        options = options_of(spec, weights=file_of.get(spec.weights), device="cpu")
        encoder = open_encoder(spec.name, options)
        check_same([spec], [encoder.spec])
        encoders.append(encoder)
    return encoders


def _join(
    inputs: Sequence[InputNotes],
    encoders: Sequence[Encoder],
    classifier: Graph,
    output: str,
    n_classes: int,
) -> Any:
    """Join the graphs of the encoders and of the classifier into one ONNX model."""
    from onnx import compose, helper

    from clipfeat.encoders.onnx_export import FEATURES, PIXELS, encoder_to_onnx

    whole = Graph("")
    values, parts = [], []
    for number, (notes, encoder) in enumerate(zip(inputs, encoders, strict=True)):
        prefix = f"encoder_{number}/"
        own = compose.add_prefix(encoder_to_onnx(encoder, OPSET), prefix).graph
        for node in own.node:
            # torch records source lines, with paths of this machine.
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        _rename(own, f"{prefix}{PIXELS}", notes.name)
        whole.nodes += own.node
        whole.initializers += own.initializer
        parts.append(f"{prefix}{FEATURES}")
        shape: list[str | int | None] = ["batch", 3, *notes.spec.input_size]
        values.append(helper.make_tensor_value_info(notes.name, _UINT8, shape))
    whole.nodes.append(helper.make_node("Concat", parts, ["features"], axis=1))
    whole.nodes += classifier.nodes
    whole.nodes.append(helper.make_node("Identity", [output], [OUTPUT]))
    whole.initializers += classifier.initializers
    result = helper.make_tensor_value_info(OUTPUT, Graph.FLOAT, ["batch", n_classes])
    graph = helper.make_graph(whole.nodes, "clipfeat", values, [result], whole.initializers)
    domains = {node.domain for node in whole.nodes}
    opsets = [helper.make_opsetid("", OPSET)]
    if ML_DOMAIN in domains:
        opsets.append(helper.make_opsetid(ML_DOMAIN, ML_OPSET))
    return helper.make_model(
        graph, producer_name="clipfeat", opset_imports=opsets, ir_version=IR_VERSION
    )


_UINT8 = 2  # onnx.TensorProto.UINT8


def _rename(graph: Any, old: str, new: str) -> None:
    """Rename the input of a graph."""
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
