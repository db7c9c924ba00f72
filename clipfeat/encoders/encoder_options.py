"""Options for opening an encoder, shared by every entry point. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clipfeat.errors import UsageError, unknown_name

CROPS = {
    "center": ("center", "shortest"),
    "resize": ("squash",),
    "none": ("none",),
    "tiles": ("tiles",),
}
"""Crops, with their names in timm and open_clip.

``"center"`` is the centre of the resized image, ``"resize"`` the whole image resized to the square,
``"none"`` the centre without resizing, and ``"tiles"`` tiles that cover the image without resizing,
whose features are averaged.
"""

PRECISION_NAMES = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class EncoderOptions:
    """Options for opening an encoder.

    Parameters
    ----------
    weights : path, optional
        A local file of weights, instead of the hub's: safetensors, or a ``.pt`` file that is read
        with ``weights_only=True``.
    untrained : bool
        Use random weights, always the same ones. For tests and speed, never for quality.
    layers : str, optional
        Layers, by number or name, separated by commas: ``"all"``, ``"3,6,last"``, for CLIP
        ``"projection"`` or ``"pre-projection"``. Each becomes a slice of the columns. None is the
        encoder's own output.
    pool : str, optional
        How a layer becomes one row: ``"cls"``, ``"mean"``, ``"std"``, ``"max"``, or several joined
        with ``+``. None is the class token if the network has one, else ``"mean+std"``.
    image_size : int, optional
        Side of the square input in pixels. None is the encoder's own.
    crop : str, optional
        One of `CROPS`. None is the encoder's own.
    precision : str
        ``"fp32"``, ``"bf16"``, ``"fp16"``, or ``"auto"``: the fastest precision whose features stay
        within cosine 0.9995 of the float32 ones on some of the images.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` (every GPU), ``"cuda:1"``, ``"mps"``; several separated by
        commas.
    arguments : mapping, optional
        Keyword arguments of the architecture, and any of ``mean``, ``std``, ``interpolation`` and
        ``crop_pct`` for weights that need another preprocessing than the library's.

    Raises
    ------
    UsageError
        If the precision or the image size is invalid.
    UnknownNameError
        If the crop is not one of `CROPS`.
    """

    weights: str | Path | None = None
    untrained: bool = False
    layers: str | None = None
    pool: str | None = None
    image_size: int | None = None
    crop: str | None = None
    precision: str = "auto"
    device: str = "auto"
    arguments: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if self.precision not in {"auto", *PRECISION_NAMES}:
            known = ", ".join(["auto", *PRECISION_NAMES])
            raise UsageError(f"precision must be one of {known}, got {self.precision!r}")
        if self.crop not in (None, *CROPS):
            raise unknown_name("crop", str(self.crop), CROPS)
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"the image size must be 1 or more, got {self.image_size}")
