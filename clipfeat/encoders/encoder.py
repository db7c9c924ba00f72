"""The frozen encoder, which maps preprocessed images to features."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from clipfeat.encoders.preprocessing import Preprocess
from clipfeat.encoders.runtime import Forward
from clipfeat.errors import EncodingError, UsageError
from clipfeat.images.decode import RGB
from clipfeat.spec import EncoderSpec
from clipfeat.system.stopwatch import Stopwatch


@dataclass(frozen=True)
class Encoder:
    """Frozen encoder, ready to encode.

    Parameters
    ----------
    spec : EncoderSpec
        The identity of the encoder.
    preprocess : callable
        Maps uint8 pixels (height, width, 3) to a tensor of one image, without the batch axis. If
        the image is cut into tiles, the shape is (n_tiles, 3, height, width). The tensor shares no
        memory with the pixels.
    forward : callable
        Maps a batch of these tensors on `device` to a tensor (batch, n_features). Several threads
        may call it concurrently.
    device : torch.device
        The device of the weights.
    chosen : str
        The precision that ``"auto"`` chose and the reason, as text for the user.
    replicas : sequence of Encoder
        The same encoder on further devices.
    """

    spec: EncoderSpec
    preprocess: Preprocess
    forward: Forward
    device: torch.device
    chosen: str = ""
    replicas: Sequence["Encoder"] = ()

    def encode(
        self, inputs: Sequence[torch.Tensor], watch: Stopwatch | None = None
    ) -> NDArray[np.float32]:
        """Encode preprocessed images.

        Parameters
        ----------
        inputs : sequence of Tensor
            Outputs of `preprocess`. Tensors of different shapes are encoded in separate batches.
        watch : Stopwatch, optional
            Records the time to copy batches to the device as ``"transfer"``, and the time of the
            forward pass as ``"encode"``.

        Returns
        -------
        ndarray of shape (len(inputs), n_features), float32
            Features, not normalised. If the precision is lower than float32, they are rounded to
            float16, the dtype in which they are stored. The features of tiles are averaged. A row
            does not depend on the other images of the batch, except for the last bits of
            floating-point sums. Rows may contain NaN, so call `check_row` before storing them.
        """
        watch = watch or Stopwatch()
        rows = np.empty((len(inputs), self.spec.n_features), dtype=np.float32)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, tensor in enumerate(inputs):
            by_shape.setdefault(tuple(tensor.shape), []).append(i)
        with torch.inference_mode():
            for shape, indices in by_shape.items():
                n = len(indices)
                if len(shape) == 4 and shape[1] == 3:
                    tiles = [tile for i in indices for tile in inputs[i]]
                    features = self._forward(tiles, n, watch).reshape(n, shape[0], -1)
                    rows[indices] = features.mean(1).numpy()
                else:
                    rows[indices] = self._forward([inputs[i] for i in indices], n, watch)
        with np.errstate(over="ignore"):
            return rows.astype(self.spec.dtype).astype(np.float32)

    def _forward(
        self, tensors: Sequence[torch.Tensor], batch_size: int, watch: Stopwatch
    ) -> torch.Tensor:
        """Encode tensors of one shape in batches."""
        rows = []
        for start in range(0, len(tensors), batch_size):
            with watch.timing("transfer"):
                batch = _stack(tensors[start : start + batch_size]).to(self.device)
            with watch.timing("encode"):
                rows.append(self.forward(batch).float().cpu())
        return torch.cat(rows)

    def encode_images(self, images: Sequence[RGB]) -> NDArray[np.float32]:
        """Preprocess and encode uint8 images of any size. See `encode`."""
        return self.encode([self.preprocess(image) for image in images])


def _stack(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Stack tensors to a batch. uint8 pixels keep their memory layout, which is channels last."""
    if tensors[0].dtype != torch.uint8:
        return torch.stack(list(tensors))
    return torch.stack([tensor.permute(1, 2, 0) for tensor in tensors]).permute(0, 3, 1, 2)


def check_row(row: NDArray[np.float32]) -> None:
    """Raise an error for a row of features that must not be stored.

    Raises
    ------
    EncodingError
        If a value is not finite, or if all values are zero.
    """
    if not np.isfinite(row).all():
        n_flaws = int((~np.isfinite(row)).sum())
        raise EncodingError(f"{n_flaws} of {len(row)} features are not finite")
    if not row.any():
        raise EncodingError(f"all {len(row)} features are zero")


def pick_devices(name: str) -> list[torch.device]:
    """List the torch devices of a device option.

    Parameters
    ----------
    name : str
        One device, or several separated by commas. ``"cuda"`` without a number selects every GPU.
        ``"auto"`` selects the first of these that is available: ``"cuda"``, ``"mps"``, ``"cpu"``.

    Returns
    -------
    list of torch.device
        The devices, in the order of `name`.

    Raises
    ------
    UsageError
        If torch cannot use a device on this machine.
    """
    if name == "auto":
        fallback = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else fallback
    if name == "cuda" and torch.cuda.device_count() > 1:
        name = ",".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    return [_device(part.strip()) for part in name.split(",")]


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        # Copying the result back raises an error for the device "meta", which computes nothing.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(
            f"device {name!r} is not available: {reason}. Choose another device with --device."
        ) from error
    return device


def weights_digest(model: torch.nn.Module) -> str:
    """Return a digest of the names, dtypes, shapes and bytes of all weights.

    The digest does not depend on the format of the file from which the weights were loaded.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()
