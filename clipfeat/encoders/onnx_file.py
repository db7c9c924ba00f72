"""ONNX files: reading of their input and outputs, checks, and digests.

`clipfeat.encoders.onnx_trial` tries a file before this process loads it.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.encoders.encoder import pick_devices
from clipfeat.encoders.onnx_trial import is_memory_error, refusal
from clipfeat.errors import UsageError, WeightsError, missing_extra
from clipfeat.system.memory import available_memory

SHARE_OF_MEMORY = 0.75
"""Largest share of the available memory that all sessions on CPUs may use in total."""
RunSession = Callable[[NDArray[np.float32]], list[Any]]
"""Maps a batch in the file's layout to a list of outputs."""


@dataclass(frozen=True)
class OnnxInput:
    """Input of an ONNX file.

    Parameters
    ----------
    size : tuple of int
        (height, width) in pixels.
    layout : str
        ``"NCHW"`` or ``"NHWC"``.
    batch_size : int or None
        Number of images in every batch. None if the file accepts batches of any size.
    """

    size: tuple[int, int]
    layout: str
    batch_size: int | None

    def zeros(self, n: int) -> NDArray[np.float32]:
        """Make a batch of `n` images of zeros."""
        inner = (3, *self.size) if self.layout == "NCHW" else (*self.size, 3)
        return np.zeros((n, *inner), np.float32)


def devices_of(name: str) -> list[torch.device]:
    """Return the devices of a device option, and check that onnxruntime can use them.

    Parameters
    ----------
    name : str
        Device option, as in `EncoderOptions`. If onnxruntime cannot use the GPU, ``"auto"`` selects
        the CPU.

    Returns
    -------
    list of torch.device
        The devices, in the order of `name`.

    Raises
    ------
    MissingExtraError
        If onnxruntime or onnx is not installed.
    UsageError
        If onnxruntime cannot use one of the devices.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as error:
        raise missing_extra("an ONNX file", "onnxruntime and onnx", "onnx") from error
    usable = ["cpu"]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        usable.append("cuda")
    devices = pick_devices(name)
    if all(device.type in usable for device in devices):
        return devices
    if name == "auto":
        return [torch.device("cpu")]
    hint = "" if "cuda" in usable else ", or install onnxruntime-gpu to use cuda"
    raise UsageError(
        f"the installed onnxruntime cannot use device {name!r}. "
        f"Pass --device {' or '.join(usable)}{hint}."
    )


def open_session(path: Path, device: torch.device, n_threads: int) -> Any:
    """Load a file on a device.

    Parameters
    ----------
    path : Path
        The ONNX file.
    device : torch.device
        A CPU or a CUDA device.
    n_threads : int
        Number of threads for each batch on a CPU.

    Returns
    -------
    onnxruntime.InferenceSession
        The loaded file. It computes float32 in full precision, without TensorFloat-32.

    Raises
    ------
    UsageError
        If onnxruntime cannot use the device.
    WeightsError
        If onnxruntime cannot run the file, for example because an operator is missing.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    _limit_memory()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # log nothing, because errors are raised
    # onnxruntime's default, TensorFloat-32, keeps 10 of the 23 bits of float32's fraction.
    cuda = ("CUDAExecutionProvider", {"device_id": device.index or 0, "use_tf32": 0})
    providers = [*([cuda] if device.type == "cuda" else []), "CPUExecutionProvider"]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:
        # onnxruntime has a dozen error classes without a common parent.
        raise WeightsError(refusal(path, error)) from error
    if device.type == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        raise UsageError(
            f"onnxruntime has CUDA support, but cannot start on device {str(device)!r}. Pass "
            "--device cpu, or install the CUDA libraries that onnxruntime-gpu needs."
        )
    return session


@cache
def _limit_memory() -> None:
    """Limit the total memory of all sessions on CPUs. Only the first call has an effect.

    A trial run does not show how much memory a larger batch needs. A batch that needs more than the
    limit fails with an error of onnxruntime.
    """
    import onnxruntime

    most = int(SHARE_OF_MEMORY * available_memory())
    cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
        onnxruntime.OrtMemType.DEFAULT,
    )  # fmt: skip
    onnxruntime.create_and_register_allocator(cpu, onnxruntime.OrtArenaCfg({"max_mem": most}))


def runner(session: Any, output: str | None) -> RunSession:
    """Make a function that runs a session.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The loaded file.
    output : str, optional
        Name of the output to compute. None computes every output.

    Returns
    -------
    callable
        Maps a batch in the file's layout to a list of outputs. It raises MemoryError if the batch
        does not fit into memory, and UsageError if the file cannot run the batch.
    """
    name = session.get_inputs()[0].name

    def run(images: NDArray[np.float32]) -> list[Any]:
        try:
            outputs: list[Any] = session.run([output] if output else None, {name: images})
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            if is_memory_error(error):
                raise MemoryError(reason) from error
            raise UsageError(
                f"the ONNX file cannot run a batch of shape {images.shape}: {reason}. "
                "Choose another --image-size."
            ) from error
        return outputs

    return run


def read_input(session: Any, layout: str | None, image_size: int | None) -> OnnxInput:
    """Read the input of a file.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The loaded file.
    layout : str, optional
        ``"NCHW"`` or ``"NHWC"``. None infers the layout from the axis of length 3.
    image_size : int, optional
        Side of the images in pixels. It is required if the file does not fix the size.

    Returns
    -------
    OnnxInput
        Size, layout and batch size.

    Raises
    ------
    UsageError
        If the input is not one float32 batch of images, or if the image size does not fit the file.
    """
    inputs = session.get_inputs()
    described = ", ".join(f"{i.name} {i.type}{i.shape}" for i in inputs)
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        raise UsageError(
            "the ONNX file must have one input, a float32 batch of images, but its inputs are "
            f"{described}. Export the model with one image input."
        )
    # A dimension that is not fixed is a name or None.
    batch_size, *inner = (n if isinstance(n, int) and n > 0 else None for n in inputs[0].shape)
    layout = layout or ("NHWC" if inner[2] == 3 and inner[0] != 3 else "NCHW")
    channels, height, width = inner if layout == "NCHW" else (inner[2], *inner[:2])
    if channels not in (3, None):
        raise UsageError(
            f"expected an ONNX file that takes 3 channels, got {channels} in the layout {layout} "
            f"(its input is {described}). If the layout is wrong, pass --encoder-arg layout=NCHW "
            "or layout=NHWC."
        )
    if image_size is not None and height not in (image_size, None):
        raise UsageError(
            f"the ONNX file takes images of {height}×{width} pixels only, got --image-size "
            f"{image_size}. Leave --image-size out."
        )
    height, width = height or image_size, width or image_size
    if height is None or width is None:
        raise UsageError(
            f"the ONNX file does not fix the image size (its input is {described}). "
            "Pass --image-size."
        )
    return OnnxInput((height, width), layout, batch_size)


def pick_output(session: Any, images: OnnxInput, layer: str | None) -> tuple[str, int]:
    """Find an output that has one row of features per image.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        The loaded file.
    images : OnnxInput
        The input of the file.
    layer : str, optional
        The name of the output. None selects the first output of shape (batch, n_features).

    Returns
    -------
    str
        The name of the output.
    int
        The number of features of the output.

    Raises
    ------
    UsageError
        If no output is suitable. The message lists the outputs with their shapes.
    """
    n = images.batch_size or 1
    names = [output.name for output in session.get_outputs()]
    if layer is not None and layer not in names:
        raise UsageError(
            f"the ONNX file has no output {layer!r}. Set --layers to {' or '.join(names)}."
        )
    outputs = dict(zip(names, runner(session, None)(images.zeros(n)), strict=True))
    for name in [layer] if layer is not None else names:
        row = outputs[name]
        if isinstance(row, np.ndarray) and row.dtype == np.float32 and row.shape[:-1] == (n,):
            return name, int(row.shape[1])
    described = ", ".join(
        f"{name} {value.dtype}{list(value.shape)}"
        if isinstance(value, np.ndarray)
        else f"{name} {type(value).__name__}"
        for name, value in outputs.items()
    )
    subject = (
        "no output of the ONNX file has" if layer is None else f"output {layer!r} does not have"
    )
    raise UsageError(
        f"{subject} one row of float32 features per image. The outputs are {described}. "
        "Name another output with --layers, or export the model with such an output."
    )


def check_rows(run: RunSession, expected: OnnxInput) -> OnnxInput:
    """Check that the features of an image depend on this image only.

    Parameters
    ----------
    run : callable
        The function that `runner` returns for one output.
    expected : OnnxInput
        The input of the file.

    Returns
    -------
    OnnxInput
        The input of the file. Its batch size is 1 if the file cannot run larger batches.

    Raises
    ------
    WeightsError
        If the features of an image change when the file is run again, or when the batch contains
        other images.
    """
    rng = np.random.default_rng(0)
    images = expected.zeros(expected.batch_size or 2)
    images += rng.standard_normal(images.shape).astype(np.float32)
    others = expected.zeros(len(images))
    others[0] = images[0]
    try:
        first, second, among_others = (run(batch)[0] for batch in (images, images, others))
    except UsageError:
        # A node may fix the batch size even if the input does not.
        if expected.batch_size is not None:
            return expected
        return check_rows(run, replace(expected, batch_size=1))
    if len(first) != len(images):
        return check_rows(run, replace(expected, batch_size=1))
    tolerance = 1e-4 * np.abs(first).max()
    changes = np.abs(first - second).max(), np.abs(first[0] - among_others[0]).max()
    if any(change > tolerance for change in changes):
        raise WeightsError(
            "the features of an image change when the ONNX file is run again, or when the batch "
            "contains other images. The file was probably exported for training. Export the model "
            "for inference."
        )
    return expected


def digest_of(path: Path, external: Iterable[Path]) -> str:
    """Return a digest of the bytes of a file and of the external files that hold its tensors."""
    digest = hashlib.blake2b(digest_size=16)
    for file in [path, *external]:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, hashlib.blake2b).digest())
    return digest.hexdigest()
