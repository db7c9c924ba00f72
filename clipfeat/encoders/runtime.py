"""Runtimes of a frozen model: torch, or OpenVINO on a CPU.

OpenVINO is used only for convolutional networks, because it is slower for transformers. It is used
only for many images, because a conversion takes seconds. Both runtimes return the same rows, except
for rounding in the chosen precision.

Each cell of the table gives the images per second of torch, in its best memory layout, and then of
OpenVINO. The speeds were measured on 2 cores with AMX at 224 px (EfficientNet at 380 px).

=============== ============ ============
Network         float32      bfloat16
=============== ============ ============
ResNet50        26 and 44    92 and 264
EfficientNet-B4 4.6 and 19   11 and 36
ViT-B/32                     177 and 138
=============== ============ ============
"""

import copy
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from threading import local
from typing import Any

import torch

from clipfeat.encoders.fusing import SAME_COSINE, centred, fused
from clipfeat.encoders.weights import quiet

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
OPENVINO_PRECISIONS = {"fp32": "f32", "bf16": "bf16"}

Forward = Callable[[torch.Tensor], torch.Tensor]


def is_convolutional(model: torch.nn.Module) -> bool:
    """Return whether more than half of a model's weights belong to convolutions."""
    weights = sum(p.numel() for p in model.parameters())
    convolved = sum(
        p.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Conv2d)
        for p in module.parameters()
    )
    return 2 * convolved > weights


class TorchForward(torch.nn.Module):
    """Model in torch that takes uint8 pixels as well as normalised floats.

    Parameters
    ----------
    model : Module
        The model, in float32 and in evaluation mode. Its weights are not changed.
    device : torch.device
        The device of the computation.
    precision : str
        A key of `PRECISIONS`.
    size : tuple of int
        (height, width) of the images.
    mean, std : tuple of float
        Mean and standard deviation of the normalisation, for pixels in [0, 1].
    fuse : bool
        Whether to fuse layers with `clipfeat.encoders.fusing`. Ignored if the device is not a CPU.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        device: torch.device,
        precision: str,
        size: tuple[int, int],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        *,
        fuse: bool,
    ) -> None:
        super().__init__()
        self.dtype = PRECISIONS[precision]
        # Compute (x / 255 - mean) / std with one multiplication and one addition.
        shift = [-m / s for m, s in zip(mean, std, strict=True)]
        self.scale = torch.tensor([1 / (255 * s) for s in std], device=device).reshape(-1, 1, 1)
        self.shift = torch.tensor(shift, device=device).reshape(-1, 1, 1)
        on_cpu = device.type == "cpu"
        fuse = fuse and on_cpu and self.dtype in SAME_COSINE
        fused_model = fused(model, size, mean, std, self.dtype) if fuse else None
        self.scales = fused_model is not None  # whether the model scales the pixels
        if fused_model is None and (self.dtype != torch.float32 or not on_cpu):
            model = copy.deepcopy(model).to(device, self.dtype)
        if fused_model is None and is_convolutional(model):
            model = model.to(memory_format=torch.channels_last)
        self.model = model if fused_model is None else fused_model
        self.eval()

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Encode a batch (batch, 3, height, width) to (batch, n_features)."""
        in_bytes = batch.dtype == torch.uint8
        if self.scales:
            batch = (
                centred(batch, self.dtype) if in_bytes else (batch - self.shift) / self.scale - 128
            )
        elif in_bytes:
            batch = torch.addcmul(self.shift, batch.float(), self.scale)
        out: torch.Tensor = self.model(batch.to(self.dtype))
        return out


def openvino_forward(
    model: torch.nn.Module,
    size: tuple[int, int],
    precision: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    threads: int,
) -> Forward | None:
    """Convert a model to OpenVINO on the CPU.

    Parameters
    ----------
    model, precision, mean, std
        See `TorchForward`.
    size : tuple of int
        (height, width) of every image.
    threads : int
        Number of threads that may call the returned function concurrently. Each call uses one core.

    Returns
    -------
    callable or None
        Maps a batch of uint8 pixels (batch, 3, height, width), channels last in memory, to
        (batch, n_features). None if OpenVINO is not installed or cannot convert the model.
    """
    if precision not in OPENVINO_PRECISIONS:
        return None
    try:
        with quiet():
            converted = _convert(model, size)
    except Exception:
        # The exporter may raise any exception. The model then runs in torch.
        return None
    from openvino import Core, Type
    from openvino.preprocess import PrePostProcessor

    prepared = PrePostProcessor(converted)
    prepared.input().tensor().set_element_type(Type.u8).set_layout("NHWC")
    prepared.input().model().set_layout("NCHW")
    steps = prepared.input().preprocess().convert_element_type(Type.f32)
    steps.mean([255 * m for m in mean]).scale([255 * s for s in std])
    compiled = Core().compile_model(
        prepared.build(),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": OPENVINO_PRECISIONS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": str(threads),  # each core encodes its own batch, as in torch
        },
    )
    requests = local()

    def forward(batch: torch.Tensor) -> torch.Tensor:
        if not hasattr(requests, "own"):
            requests.own = compiled.create_infer_request()
        pixels = batch.permute(0, 2, 3, 1).contiguous().numpy()
        (rows,) = requests.own.infer([pixels]).values()
        return torch.from_numpy(rows.copy())

    return forward


def _convert(model: torch.nn.Module, size: tuple[int, int]) -> Any:
    """Convert a model to an OpenVINO model that takes any batch size.

    This function calls OpenVINO's frontend, because the usual function `convert_model` sends usage
    reports to a server.
    """
    load_newest_tbb()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    batch = torch.export.Dim("batch", min=1, max=2**16)
    sample = torch.zeros(2, 3, *size)
    with without_inplace(model):
        exported = torch.export.export(model, (sample,), dynamic_shapes=({0: batch},))
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchFXPythonDecoder.from_exported_program(exported)  # convert needs the object
    return frontend.convert(frontend.load(decoder))


@cache
def load_newest_tbb() -> None:
    """Load the TBB library of scikit-learn-intelex, before OpenVINO loads its own.

    Linux loads one library of a name. OpenVINO 2026.4 brings TBB 2021.13, with which
    scikit-learn-intelex 2026.2 cannot be imported ("undefined symbol"), so the SVMs and forests of
    the same process would be those of scikit-learn. OpenVINO works with the newer TBB.
    """
    with suppress(PackageNotFoundError, OSError):
        for file in distribution("tbb").files or []:
            if file.name == "libtbb.so.12":
                ctypes.CDLL(str(file.locate()))


@contextmanager
def without_inplace(network: torch.nn.Module) -> Iterator[None]:
    """Let activations return new tensors, for an export. The graph is the same.

    torch traces operators that change their input much more slowly. Without them, a conversion of
    EfficientNet-Lite0 to OpenVINO takes 5.0 s of processor time instead of 9.1 s, and an export to
    ONNX 7.1 s instead of 9.4 s.
    """
    changed = [module for module in network.modules() if getattr(module, "inplace", None) is True]
    for module in changed:
        module.inplace = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True  # type: ignore[assignment]
