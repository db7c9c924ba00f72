"""Options for opening an encoder, for all functions and commands. This module imports no torch."""

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

``"center"`` resizes the image and crops its centre. ``"resize"`` resizes the whole image to the
encoder's square input. ``"none"`` crops the centre without resizing. ``"tiles"`` covers the image
with tiles without resizing, and averages the features of the tiles.
"""

DECODING = ("exact", "scaled")
PRECISION_NAMES = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class EncoderOptions:
    """Options for opening an encoder.

    Parameters
    ----------
    weights : path, optional
        A local file of weights, used instead of the weights on the hub. It is a safetensors file,
        or a ``.pt`` file, which is read with ``weights_only=True``.
    untrained : bool
        Use random weights, which are the same in every run. Use their features only for tests and
        measurements of speed.
    layers : str, optional
        Numbers or names of layers, separated by commas, such as ``"3,6,last"`` or ``"all"``. A
        transformer also has ``"norm"``, the tokens of its last block after the final norm. CLIP
        also has ``"projection"`` and ``"pre-projection"``. The features of each layer are a slice
        of the columns. None selects the encoder's own output.
    pool : str, optional
        Pooling of each layer to one row: ``"cls"``, ``"mean"``, ``"std"``, ``"max"``, or several of
        them joined with ``+``. None selects ``"cls"`` (the class token) in networks with a class
        token, and ``"mean+std"`` in all others.
    image_size : int, optional
        Side of the square input in pixels. None selects the encoder's own size. Networks take at
        most 2^21 pixels, which is 1,448 per side.
    crop : str, optional
        One of `CROPS`. None selects the encoder's own crop.
    decode : str
        ``"exact"``, or ``"scaled"`` to decode large JPEG images faster. ``"scaled"`` reduces them
        by a factor of 2, 4 or 8 while they are decoded. The shorter side of the reduced image is at
        least twice the size to which the encoder resizes. The features change slightly, so the
        fingerprint changes, too. Images that are smaller, and other formats, are not affected.
        Views, faces, and encoders that do not resize need exact decoding. If only one class has
        large JPEG images, use exact decoding, because a classifier could learn the difference.
    precision : str
        ``"fp32"``, ``"bf16"``, ``"fp16"`` or ``"auto"``. ``"auto"`` encodes a sample of the images
        and chooses the fastest precision whose features have a cosine of at least 0.9995 with the
        float32 features.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` (every GPU), ``"cuda:1"`` or ``"mps"``, or several of them
        separated by commas.
    arguments : mapping, optional
        Keyword arguments of the architecture. The arguments ``mean``, ``std``, ``interpolation``,
        ``crop_pct`` and ``crop_mode`` replace values of the library's preprocessing.

    Raises
    ------
    UsageError
        If the precision or the image size is invalid.
    UnknownNameError
        If the crop is not one of `CROPS`, or `decode` is not one of `DECODING`.
    """

    weights: str | Path | None = None
    untrained: bool = False
    layers: str | None = None
    pool: str | None = None
    image_size: int | None = None
    crop: str | None = None
    decode: str = "exact"
    precision: str = "auto"
    device: str = "auto"
    arguments: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        if self.precision not in {"auto", *PRECISION_NAMES}:
            known = ", ".join(["auto", *PRECISION_NAMES])
            raise UsageError(f"unknown precision {self.precision!r}. Choose one of {known}")
        if self.crop not in (None, *CROPS):
            raise unknown_name("crop", str(self.crop), CROPS)
        if self.decode not in DECODING:
            raise unknown_name("decoding", self.decode, DECODING)
        if self.image_size is not None and self.image_size < 1:
            raise UsageError(f"the image size is {self.image_size}. Pass 1 pixel or more")
