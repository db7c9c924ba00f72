"""Export of an encoder to an ONNX graph, with the normalisation of the pixels in the graph."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.runtime import TorchForward, without_inplace
from clipfeat.encoders.weights import quiet
from clipfeat.errors import UsageError, missing_extra
from clipfeat.spec import EncoderSpec

PIXELS = "pixels"
FEATURES = "features"


class _PixelEncoder(torch.nn.Module):
    """Network that takes uint8 pixels. torch's exporter names the input after the parameter."""

    def __init__(self, forward: TorchForward) -> None:
        super().__init__()
        self.network = forward

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.network(pixels)
        return features.float()


def encoder_to_onnx(encoder: Encoder, opset: int) -> Any:
    """Export an encoder.

    This function uses torch's exporter based on `torch.export`, which needs onnxscript. The older
    exporter, based on TorchScript, will be removed from torch.

    Parameters
    ----------
    encoder : Encoder
        An encoder on the CPU whose network runs in torch. `open_encoder` returns such an encoder if
        the number of images is unknown.
    opset : int
        Version of the operators.

    Returns
    -------
    onnx.ModelProto
        A graph with the input `PIXELS`, uint8 (batch, 3, height, width), and the output `FEATURES`,
        float32 (batch, n_features). The batch may have any size.

    Raises
    ------
    MissingExtraError
        If onnxscript is not installed.
    UsageError
        If the encoder is not a torch network, or if torch cannot export it.
    """
    spec = encoder.spec
    if not isinstance(encoder.forward, TorchForward):
        raise UsageError(
            f"the encoder {spec.title} cannot be exported to ONNX. The export needs a torch "
            "network with a fixed image size. Use an encoder of timm, open_clip or "
            "efficientnet-lite"
        )
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise missing_extra("exporting an encoder to ONNX", "onnxscript", "onnx") from error
    sample = torch.zeros(2, 3, *spec.input_size, dtype=torch.uint8)
    try:
        with quiet(), warnings.catch_warnings(), without_inplace(encoder.forward):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                _PixelEncoder(encoder.forward).eval(),
                (sample,),
                input_names=[PIXELS],
                output_names=[FEATURES],
                opset_version=opset,
                dynamo=True,
                dynamic_shapes={PIXELS: {0: torch.export.Dim("batch")}},
                verbose=False,
            )
    except Exception as error:
        # The exporter raises errors of many types, one for each of its steps.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(
            f"torch cannot export the encoder {spec.title} to ONNX: {reason[:200]}. Use another "
            "encoder"
        ) from error
    assert program is not None
    return program.model_proto


def as_bytes(image: torch.Tensor, spec: EncoderSpec) -> NDArray[np.uint8]:
    """Return the resized pixels (3, height, width) of a preprocessed image.

    `clipfeat.encoders.preprocessing.preprocessing_of` returns pixels, or normalised values for the
    transforms that it does not know. The normalisation of these values is undone.
    """
    if image.dtype != torch.uint8:
        mean, std = (torch.tensor(values).reshape(-1, 1, 1) for values in (spec.mean, spec.std))
        image = ((image * std + mean) * 255).round().clamp(0, 255).byte()
    pixels: NDArray[np.uint8] = image.contiguous().numpy()
    return pixels
