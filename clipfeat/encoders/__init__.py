"""Pixels to features: the registry of encoders.

A new library of encoders is one file with a ``build(name, options)`` and one line in `LIBRARIES`;
a short name is one line in `ALIASES`. Nothing heavy is imported before an encoder is opened.
"""

from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from clipfeat.encoders.options import EncoderOptions
from clipfeat.errors import unknown_name

if TYPE_CHECKING:
    from clipfeat.encoders.encoder import Encoder
    from clipfeat.images.decode import RGB

LIBRARIES = {
    "open_clip": "clipfeat.encoders.open_clip:build",
    "timm": "clipfeat.encoders.timm:build",
    "onnx": "clipfeat.encoders.onnx:build",
    "spectrum": "clipfeat.encoders.spectrum:build",
}

ALIASES = {
    "clip-vit-b-32": "open_clip:ViT-B-32/openai",
    "clip-vit-b-16": "open_clip:ViT-B-16/openai",
    "clip-vit-l-14": "open_clip:ViT-L-14/openai",
    "clip-vit-l-14-336": "open_clip:ViT-L-14-336/openai",
    "clip-vit-l-14-datacomp": "open_clip:ViT-L-14/datacomp_xl_s13b_b90k",
    "clip-convnext-b": "open_clip:convnext_base_w/laion2b_s13b_b82k_augreg",
    "siglip-b-16": "open_clip:ViT-B-16-SigLIP/webli",
    "siglip2-b-16": "open_clip:ViT-B-16-SigLIP2/webli",
    "siglip2-so400m-14": "open_clip:ViT-SO400M-14-SigLIP2/webli",
    "metaclip-b-16": "open_clip:ViT-B-16-quickgelu/metaclip_fullcc",
    "metaclip-l-14": "open_clip:ViT-L-14-quickgelu/metaclip_fullcc",
    "metaclip2-h-14": "open_clip:ViT-H-14-worldwide/metaclip2_worldwide",
    "pe-core-b-16": "open_clip:PE-Core-B-16/meta",
    "pe-core-l-14-336": "open_clip:PE-Core-L-14-336/meta",
    "efficientnet-b0": "timm:efficientnet_b0.ra_in1k",
    "efficientnet-b4": "timm:tf_efficientnet_b4.ns_jft_in1k",
    "resnet50": "timm:resnet50.a1_in1k",
    "vit-b-16": "timm:vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "convnext-b": "timm:convnext_base.fb_in22k",
    "dinov2-b-14": "timm:vit_base_patch14_dinov2.lvd142m",
    "dinov2-l-14": "timm:vit_large_patch14_dinov2.lvd142m",
    "dinov3-b-16": "timm:vit_base_patch16_dinov3.lvd1689m",
    "dinov3-l-16": "timm:vit_large_patch16_dinov3.lvd1689m",
    "spectrum": "spectrum",
}

DEFAULT_ENCODER = "clip-vit-b-32"


def open_encoder(
    name: str,
    options: EncoderOptions,
    *,
    n_images: int = 0,
    samples: "Callable[[], Sequence[RGB]]" = list,
) -> "Encoder":
    """Open an encoder by name.

    Parameters
    ----------
    name : str
        ``"open_clip:architecture/tag"``, ``"timm:architecture.tag"``, ``"onnx:FILE"``, or one of
        `ALIASES`.
    options : EncoderOptions
        Weights, layers, size, precision and device.
    n_images : int
        Number of images that will be encoded, if it is known. A faster runtime takes seconds to
        start, so it is used for many images only.
    samples : callable
        Returns some of these images, uint8 (height, width, 3). It is called only if the precision
        is ``"auto"`` and the device is faster in a lower one. Without samples ``"auto"`` is
        float32.

    Raises
    ------
    UnknownNameError
        If no library has it; the message shows the nearest.
    WeightsError
        If its weights are missing or do not fit.
    """
    full = ALIASES.get(name, name)
    library, _, rest = full.partition(":")
    if library not in LIBRARIES or bool(rest) == (library == "spectrum"):
        raise unknown_name("encoder", name, [*ALIASES, *(f"{one}:…" for one in LIBRARIES)])
    module, _, function = LIBRARIES[library].partition(":")
    encoder: Encoder = getattr(import_module(module), function)(
        rest, options, n_images=n_images, samples=samples
    )
    return encoder


def local_file(name: str, weights: str | Path | None) -> str | None:
    """The file on this machine that an encoder's weights are read from, if they are."""
    library, _, rest = ALIASES.get(name, name).partition(":")
    return str(weights) if weights else (rest if library == "onnx" else None)


def list_encoders(pattern: str = "") -> list[str]:
    """Every encoder with weights on a hub, aliases first.

    Parameters
    ----------
    pattern : str
        A shell pattern, or any part of a name, without regard to case.
    """
    import open_clip
    import timm

    names = [
        *(f"{short} = {full}" for short, full in ALIASES.items() if short != full),
        "spectrum",
        *(f"open_clip:{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()),
        *(f"timm:{name}" for name in timm.list_pretrained()),
    ]
    wanted = pattern.lower()
    return [n for n in names if wanted in n.lower() or fnmatch(n.lower(), wanted)]
