"""Writer of small ONNX files like those of exported face networks."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

N_FEATURES = 16
Weights = dict[str, NDArray[np.float32]]


def face_weights(seed: int = 0) -> Weights:
    """Draw weights of a convolution, a PReLU and a final linear layer, as in ArcFace's networks."""
    rng = np.random.default_rng(seed)
    shapes = {"kernel": (8, 3, 4, 4), "slope": (8, 1, 1), "linear": (8 * 7 * 7, N_FEATURES)}
    return {
        name: (rng.standard_normal(shape) / 4).astype(np.float32) for name, shape in shapes.items()
    }


def write_face_net(
    path: Path,
    *,
    weights: Weights | None = None,
    batch: int | str = "batch",
    size: int | str = 28,
    layout: str = "NCHW",
    rows: int = 0,
    domain: str = "",
    outside: str = "",
    flavour: str = "",
) -> Path:
    """Write a network that maps images of 28×28 pixels to 16 features.

    Parameters
    ----------
    path : Path
        The file.
    weights : mapping of str to ndarray, optional
        As returned by `face_weights`.
    batch, size : int or str
        Dimensions of the input. A string is a dimension that is not fixed.
    layout : str
        ``"NCHW"`` or ``"NHWC"``.
    rows : int
        Number of rows in the reshape before the linear layer. 0 is the number of the input.
    domain : str
        Domain of the activation. Operators of an unknown domain cannot be run.
    outside : str
        Name of an external file for the weights. Empty stores them in the model.
    flavour : str
        ``"noisy"`` adds noise to every row, ``"mixing"`` subtracts the mean of the batch.
    """
    inner = [3, size, size] if layout == "NCHW" else [size, size, 3]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *inner])
    feature = helper.make_tensor_value_info("feature", TensorProto.FLOAT, None)
    maps = helper.make_tensor_value_info("map", TensorProto.FLOAT, None)
    first = [] if layout == "NCHW" else [
        helper.make_node("Transpose", ["image"], ["pixels"], perm=[0, 3, 1, 2])
    ]  # fmt: skip
    pixels = "pixels" if first else "image"
    last = {
        "": [helper.make_node("Identity", ["row"], ["feature"])],
        "noisy": [
            helper.make_node("RandomNormalLike", ["row"], ["noise"]),
            helper.make_node("Add", ["row", "noise"], ["feature"]),
        ],
        "mixing": [
            helper.make_node("ReduceMean", ["row", "zero"], ["mean"]),
            helper.make_node("Sub", ["row", "mean"], ["feature"]),
        ],
    }[flavour]
    nodes = [
        *first,
        helper.make_node("Conv", [pixels, "kernel"], ["map"], strides=[4, 4]),
        helper.make_node("PRelu", ["map", "slope"], ["active"], domain=domain),
        helper.make_node("Reshape", ["active", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "linear"], ["row"]),
        *last,
    ]  # fmt: skip
    constants = {
        **(weights or face_weights()),
        "shape": np.array([rows, -1], np.int64),
        "zero": np.array([0], np.int64),
    }
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "face", [image], [maps, feature], tensors)
    opsets = [helper.make_opsetid("", 18), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    external = {"location": outside, "size_threshold": 100} if outside else {}
    onnx.save_model(model, path, save_as_external_data=bool(outside), **external)
    return path


def face_features(
    images: NDArray[np.float32], weights: Weights | None = None
) -> NDArray[np.float32]:
    """Compute the network's features of normalised images (n, 3, 28, 28) with NumPy."""
    kernel, slope, linear = (weights or face_weights()).values()
    patches = images.reshape(len(images), 3, 7, 4, 7, 4)
    maps = np.einsum("ncyixj,kcij->nkyx", patches, kernel)
    active = np.where(maps < 0, maps * slope, maps)
    return active.reshape(len(images), -1) @ linear
