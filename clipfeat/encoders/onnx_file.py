"""An ONNX file as onnxruntime sees it: what identifies it, what it takes, what it gives."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.encoders.encoder import pick_devices
from clipfeat.errors import MissingExtraError, UsageError, WeightsError

Run = Callable[[NDArray[np.float32]], list[Any]]


@dataclass(frozen=True)
class Shape:
    """What a file takes.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.
    layout : str
        ``"NCHW"`` or ``"NHWC"``.
    batch : int or None
        How many images at once; None is any number.
    """

    size: tuple[int, int]
    layout: str
    batch: int | None

    def zeros(self, n: int) -> NDArray[np.float32]:
        """A batch of as many images, all of zeros."""
        inner = (3, *self.size) if self.layout == "NCHW" else (*self.size, 3)
        return np.zeros((n, *inner), np.float32)


def devices_of(name: str) -> list[torch.device]:
    """Find the devices of a name, of those on which onnxruntime runs as it is installed.

    Raises
    ------
    MissingExtraError
        If onnxruntime or onnx is not installed.
    UsageError
        If onnxruntime cannot use one of them; ``"auto"`` is then the CPU.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "an ONNX file needs onnxruntime and onnx: pip install 'clipfeat[onnx]'"
        ) from error
    here = ["cpu"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        here.append("cuda")
    devices = pick_devices(name)
    if all(device.type in here for device in devices):
        return devices
    if name == "auto":
        return [torch.device("cpu")]
    more = "" if "cuda" in here else "; onnxruntime-gpu in place of onnxruntime brings cuda"
    raise UsageError(f"onnxruntime cannot use {name!r} here: --device {' or '.join(here)}{more}")


def open_session(path: Path, device: torch.device, n_threads: int) -> Any:
    """Load a file to a device; on a processor it uses so many threads for every batch.

    Raises
    ------
    WeightsError
        If onnxruntime cannot run it, as where operators are missing.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what matters is raised
    # TensorFloat-32, which is onnxruntime's default, keeps ten bits of float32's twenty-three.
    cuda = ("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": 0})
    providers = [*([cuda] if device.type == "cuda" else []), "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        # Of a dozen classes of its own that have no parent in common.
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"onnxruntime cannot run {path}: {reason}") from error
    if device.type == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise UsageError(f"onnxruntime cannot use {device} here: take --device cpu")
    return session


def runner(session: Any, output: str | None) -> Run:
    """From a batch in the file's own layout to one output, or to all, as a list.

    Raises, when called, MemoryError if the batch does not fit, UsageError if it cannot be run.
    """
    name = session.get_inputs()[0].name

    def run(images: NDArray[np.float32]) -> list[Any]:
        try:
            found: list[Any] = session.run([output] if output else None, {name: images})
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            if "allocate memory" in reason or "bad_alloc" in reason or "out of memory" in reason:
                raise MemoryError(reason) from error
            raise UsageError(f"the file takes no batch of {images.shape}: {reason}") from error
        return found

    return run


def read_shape(session: Any, layout: str | None, image_size: int | None) -> Shape:
    """Read what a file takes; what it leaves open must be given.

    Raises
    ------
    UsageError
        If that is not one batch of images in float32, or not of this size.
    """
    inputs = session.get_inputs()
    told = "its input is " + ", ".join(f"{i.name} {i.type}{i.shape}" for i in inputs)
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise UsageError(f"the file takes no batch of images, float32 of rank 4, alone: {told}")
    # What is not fixed is a name, or None.
    batch, *inner = (n if isinstance(n, int) and n > 0 else None for n in inputs[0].shape)
    layout = layout or ("NHWC" if inner[2] == 3 and inner[0] != 3 else "NCHW")
    channels, height, width = inner if layout == "NCHW" else (inner[2], *inner[:2])
    if channels not in (3, None):
        raise UsageError(f"the file takes no images of 3 channels, as {layout}: {told}")
    if image_size is not None and height not in (image_size, None):
        raise UsageError(f"the file takes {height}×{width} pixels alone: leave --image-size out")
    height, width = height or image_size, width or image_size
    if height is None or width is None:
        raise UsageError(f"the file leaves the size of images open: give --image-size; {told}")
    return Shape((height, width), layout, batch)


def pick_output(session: Any, shape: Shape, layer: str | None) -> tuple[str, int]:
    """Name the output that is one row an image, the first one or `layer`, and count its features.

    Raises
    ------
    UsageError
        If there is none; the outputs are listed with their shapes.
    """
    n = shape.batch or 1
    names = [output.name for output in session.get_outputs()]
    if layer is not None and layer not in names:
        raise UsageError(f"the file has no output {layer!r}: --layers {' or '.join(names)}")
    found = dict(zip(names, runner(session, None)(shape.zeros(n)), strict=True))
    for name in [layer] if layer is not None else names:
        row = found[name]
        if isinstance(row, np.ndarray) and row.dtype == np.float32 and row.shape[:-1] == (n,):
            return name, int(row.shape[1])
    told = ", ".join(
        f"{name} {value.dtype}{list(value.shape)}"
        if isinstance(value, np.ndarray)
        else f"{name} {type(value).__name__}"
        for name, value in found.items()
    )
    which = "no output" if layer is None else f"output {layer!r} not"
    raise UsageError(f"{which} one row of float32 features an image: the file gives {told}")


def check_rows(run: Run, shape: Shape) -> Shape:
    """Refuse rows that chance or other images alter; take images alone where it must be so.

    Raises
    ------
    WeightsError
        If the file gives other rows the second time, or for the same image beside others.
    """
    rng = np.random.default_rng(0)
    images = shape.zeros(shape.batch or 2)
    images += rng.standard_normal(images.shape).astype(np.float32)
    beside = shape.zeros(len(images))
    beside[0] = images[0]
    try:
        first, again, other = (run(batch)[0] for batch in (images, images, beside))
    except UsageError:
        # Its own steps may hold the size of a batch, whatever its input says.
        return check_rows(run, replace(shape, batch=1)) if shape.batch is None else shape
    if len(first) != len(images):
        return check_rows(run, replace(shape, batch=1))
    close = 1e-4 * np.abs(first).max()
    if np.abs(first - again).max() > close or np.abs(first[0] - other[0]).max() > close:
        raise WeightsError(
            "the file gives an image other features each time, or beside other images: it was "
            "exported for training, export it for inference"
        )
    return shape


def digest_of(path: Path) -> str:
    """Digest the bytes of a file, and of those beside it that hold its tensors; not their paths.

    Raises
    ------
    WeightsError
        If it is no ONNX file, or a file of its tensors is missing or lies elsewhere.
    """
    digest = hashlib.blake2b(digest_size=16)
    for file in [path, *(_beside(path, place) for place in sorted(_places(path)))]:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, hashlib.blake2b).digest())
    return digest.hexdigest()


def _beside(path: Path, place: str) -> Path:
    folder = path.resolve().parent
    file = (folder / place).resolve()
    if not file.is_relative_to(folder) or not file.is_file():
        raise WeightsError(f"{path} keeps tensors in {place!r}: that file must lie beside it")
    return file


def _places(path: Path) -> set[str]:
    """Where a model keeps tensors outside of its file, as it says."""
    import onnx

    try:
        model = onnx.load_model(path, load_external_data=False)
    except Exception as error:
        # Of protobuf's own tree, which onnx does not name.
        raise WeightsError(f"{path} is no ONNX file: {error}") from error
    nodes = (node for function in model.functions for node in function.node)
    return {
        entry.value
        for tensor in [*_tensors(model.graph), *_tensors_of_nodes(nodes)]
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        yield from [attribute.t, *attribute.tensors]
        for graph in [attribute.g, *attribute.graphs]:
            yield from _tensors(graph)
