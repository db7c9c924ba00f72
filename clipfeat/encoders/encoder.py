"""A frozen encoder: pixels in, features out, always the same ones."""

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
    """A frozen encoder, ready to encode.

    Parameters
    ----------
    spec : EncoderSpec
        Its identity.
    preprocess : callable
        From uint8 pixels (height, width, 3) to a tensor of one image, without the batch axis, that
        shares no memory with them.
    forward : callable
        From a batch of such tensors, on `device`, to a tensor (batch, n_features); several threads
        may call it at once.
    device : torch.device
        Where it runs.
    chosen : str
        What was chosen for it, and why; for people.
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
            What `preprocess` gave. Images of unequal shapes are encoded shape by shape.
        watch : Stopwatch, optional
            Told the time for ``"transfer"`` to the device, and to ``"encode"``.

        Returns
        -------
        ndarray of shape (len(inputs), n_features), float32
            Not normalised; of a lower precision, rounded to the float16 that is stored. Rows do
            not depend on what else is in the batch, beyond the last bits of floating-point sums.
            Rows may hold NaN; `check_row` tells.
        """
        watch = watch or Stopwatch()
        rows = np.empty((len(inputs), self.spec.n_features), dtype=np.float32)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, tensor in enumerate(inputs):
            by_shape.setdefault(tuple(tensor.shape), []).append(i)
        with torch.inference_mode():
            for shape, places in by_shape.items():
                if len(shape) == 4 and shape[1] == 3:
                    tiles = [tile for i in places for tile in inputs[i]]
                    each = self._rows(tiles, len(places), watch).reshape(len(places), shape[0], -1)
                    rows[places] = each.mean(1).numpy()
                else:
                    rows[places] = self._rows([inputs[i] for i in places], len(places), watch)
        with np.errstate(over="ignore"):
            return rows.astype(self.spec.dtype).astype(np.float32)

    def _rows(self, tensors: Sequence[torch.Tensor], most: int, watch: Stopwatch) -> torch.Tensor:
        """Encode tensors of one shape, at most so many at once."""
        found = []
        for start in range(0, len(tensors), most):
            with watch.timing("transfer"):
                batch = _stacked(tensors[start : start + most]).to(self.device)
            with watch.timing("encode"):
                found.append(self.forward(batch).float().cpu())
        return torch.cat(found)

    def encode_images(self, images: Sequence[RGB]) -> NDArray[np.float32]:
        """Preprocess and encode uint8 images of any sizes; see `encode`."""
        return self.encode([self.preprocess(image) for image in images])


def _stacked(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """One batch; of bytes of pixels, channels last in memory, as they are."""
    if tensors[0].dtype != torch.uint8:
        return torch.stack(list(tensors))
    return torch.stack([tensor.permute(1, 2, 0) for tensor in tensors]).permute(0, 3, 1, 2)


def check_row(row: NDArray[np.float32]) -> None:
    """Refuse a row of features that must not be stored.

    Raises
    ------
    EncodingError
        If a value is not finite, or all are zero.
    """
    if not np.isfinite(row).all():
        raise EncodingError(f"{int((~np.isfinite(row)).sum())} of {len(row)} features not finite")
    if not row.any():
        raise EncodingError(f"all {len(row)} features are zero")


def pick_devices(name: str) -> list[torch.device]:
    """Find the torch devices of a name.

    Parameters
    ----------
    name : str
        One, or several with commas. ``"auto"`` is the best there is: CUDA, MPS, CPU; ``"cuda"``
        without a number is every GPU.

    Raises
    ------
    UsageError
        If torch has no such device here.
    """
    if name == "auto":
        best = "mps" if torch.backends.mps.is_available() else "cpu"
        name = "cuda" if torch.cuda.is_available() else best
    if name == "cuda" and torch.cuda.device_count() > 1:
        name = ",".join(f"cuda:{i}" for i in range(torch.cuda.device_count()))
    return [_device(one.strip()) for one in name.split(",")]


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        # What it returns is looked at: the device "meta" computes nothing.
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"device {name!r} cannot be used here: {reason}") from error
    return device


def weights_digest(model: torch.nn.Module) -> str:
    """Digest a state dict, by name, dtype, shape and bytes; the file it came from plays no part."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest()
