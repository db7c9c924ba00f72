"""The registry of encoders: libraries and short names.

`ENCODER_LIBRARIES` has one entry per library. Installed packages add entries through the entry
point group ``clipfeat.encoders``. `ENCODER_ALIASES` has one entry per short name. This module
imports neither torch nor an encoder library.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.encoder_arguments import ARGUMENTS, check_arguments
from clipfeat.encoders.encoder_options import CROPS, EncoderOptions
from clipfeat.encoders.quick_imports import quick_imports
from clipfeat.errors import UsageError, unknown_name
from clipfeat.spec import SCALED, EncoderSpec
from clipfeat.system.plugins import with_plugins

if TYPE_CHECKING:
    from clipfeat.encoders.encoder import Encoder
    from clipfeat.images.decode import RGB

PREPROCESSING = ("mean", "std", "interpolation", "crop_pct", "crop_mode")
"""Arguments that change the preprocessing. Each is a field of `EncoderSpec`."""


@dataclass(frozen=True)
class EncoderLibrary:
    """Entry of the encoder registry: a library of encoders.

    Functions are given as ``"module:function"``, so that reading the registry imports no library.

    Parameters
    ----------
    build : str
        The function that opens an encoder: ``build(name, options, *, n_images, samples)`` returns
        an `Encoder`. ``name`` is the part of the full name after the colon. The other arguments are
        those of `open_encoder`.
    list_names : str, optional
        The function that lists the names of all encoders with weights, without the prefix of the
        library. None if the library cannot list them.
    takes_name : bool
        Whether the name of an encoder has a part after the colon, as in ``timm:resnet50``. If not,
        the library is a single encoder, such as ``spectrum``.
    name_is_file : bool
        Whether the part after the colon is the path of a local file that contains the weights.
    arguments : tuple of str
        Names of the `EncoderOptions.arguments` that `build` accepts.
    has_layers : bool
        Whether the encoders have intermediate layers, which `EncoderOptions.layers` selects.
    """

    build: str
    list_names: str | None = None
    takes_name: bool = True
    name_is_file: bool = False
    arguments: tuple[str, ...] = ()
    has_layers: bool = True


ENCODER_LIBRARIES: Mapping[str, EncoderLibrary] = {
    "package": EncoderLibrary(
        build="clipfeat.encoders.package:build",
        list_names="clipfeat.encoders.package:list_names",
        arguments=(*PREPROCESSING, *ARGUMENTS["package"]),
    ),
    "spectrum": EncoderLibrary(
        build="clipfeat.encoders.spectrum:build",
        takes_name=False,
        has_layers=False,
    ),
    "open_clip": EncoderLibrary(
        build="clipfeat.encoders.open_clip:build",
        list_names="clipfeat.encoders.open_clip:list_names",
    ),
    "timm": EncoderLibrary(
        build="clipfeat.encoders.timm:build",
        list_names="clipfeat.encoders.timm:list_names",
        arguments=(*PREPROCESSING, *ARGUMENTS["timm"]),
    ),
    "onnx": EncoderLibrary(
        build="clipfeat.encoders.onnx:build",
        name_is_file=True,
        arguments=(*PREPROCESSING, *ARGUMENTS["onnx"]),
    ),
}


@dataclass(frozen=True)
class EncoderAlias:
    """Short name of an encoder.

    Parameters
    ----------
    name : str
        The full name.
    licence : str
        Licence of the weights, as stated by timm or by the repository on the hub. Empty if it could
        not be confirmed there.
    parameters : float
        Parameters of the network for images, in millions, without a classifier.
    note : str
        Remark for the user.
    """

    name: str
    licence: str
    parameters: float
    note: str = ""


# The accuracies on GenImage are those of linear classifiers in the paper FGTS, not measured here.
ENCODER_ALIASES: Mapping[str, EncoderAlias] = {
    "efficientnet-lite0": EncoderAlias(
        "package:efficientnet-lite0", "apache-2.0", 3.4, "no download"
    ),
    "efficientnet-lite1": EncoderAlias(
        "package:efficientnet-lite1", "apache-2.0", 4.1, "no download, needs clipfeat[lite]"
    ),
    "efficientnet-lite2": EncoderAlias(
        "package:efficientnet-lite2", "apache-2.0", 4.8, "no download, needs clipfeat[lite]"
    ),
    "clip-vit-b-32": EncoderAlias("open_clip:ViT-B-32/openai", "apache-2.0", 87.8, "the default"),
    "clip-vit-b-16": EncoderAlias("open_clip:ViT-B-16/openai", "apache-2.0", 86.2),
    "clip-vit-l-14": EncoderAlias("open_clip:ViT-L-14/openai", "apache-2.0", 304),
    "clip-vit-l-14-336": EncoderAlias("open_clip:ViT-L-14-336/openai", "apache-2.0", 304),
    "clip-vit-l-14-datacomp": EncoderAlias("open_clip:ViT-L-14/datacomp_xl_s13b_b90k", "mit", 304),
    "clip-convnext-b": EncoderAlias("open_clip:convnext_base_w/laion2b_s13b_b82k_augreg", "", 88.2),
    "siglip-b-16": EncoderAlias("open_clip:ViT-B-16-SigLIP/webli", "apache-2.0", 92.9),
    "siglip2-b-16": EncoderAlias("open_clip:ViT-B-16-SigLIP2/webli", "apache-2.0", 92.9),
    "siglip2-so400m-14": EncoderAlias("open_clip:ViT-SO400M-14-SigLIP2/webli", "apache-2.0", 428),
    "siglip2-g-16-384": EncoderAlias("open_clip:ViT-gopt-16-SigLIP2-384/webli", "apache-2.0", 1164),
    "metaclip-b-16": EncoderAlias(
        "open_clip:ViT-B-16-quickgelu/metaclip_fullcc", "cc-by-nc-4.0", 86.2
    ),
    "metaclip-l-14": EncoderAlias(
        "open_clip:ViT-L-14-quickgelu/metaclip_fullcc", "cc-by-nc-4.0", 304
    ),
    "metaclip2-h-14": EncoderAlias(
        "open_clip:ViT-H-14-worldwide/metaclip2_worldwide", "cc-by-nc-4.0", 632
    ),
    "metaclip2-g-14": EncoderAlias(
        "open_clip:ViT-bigG-14-worldwide/metaclip2_worldwide", "cc-by-nc-4.0", 1845
    ),
    "pe-core-b-16": EncoderAlias("open_clip:PE-Core-B-16/meta", "apache-2.0", 93.7),
    "pe-core-l-14-336": EncoderAlias("open_clip:PE-Core-L-14-336/meta", "apache-2.0", 317),
    "pe-core-g-14-448": EncoderAlias("open_clip:PE-Core-bigG-14-448/meta", "apache-2.0", 1882),
    "efficientnet-b0": EncoderAlias("timm:efficientnet_b0.ra_in1k", "apache-2.0", 4.0),
    "efficientnet-b4": EncoderAlias("timm:tf_efficientnet_b4.ns_jft_in1k", "apache-2.0", 17.5),
    "resnet50": EncoderAlias("timm:resnet50.a1_in1k", "apache-2.0", 23.5),
    "vit-b-16": EncoderAlias("timm:vit_base_patch16_224.augreg2_in21k_ft_in1k", "apache-2.0", 85.8),
    "convnext-b": EncoderAlias("timm:convnext_base.fb_in22k", "apache-2.0", 87.6),
    "dinov2-b-14": EncoderAlias("timm:vit_base_patch14_dinov2.lvd142m", "apache-2.0", 86.6),
    "dinov2-l-14": EncoderAlias("timm:vit_large_patch14_dinov2.lvd142m", "apache-2.0", 304),
    "dinov3-b-16": EncoderAlias(
        "timm:vit_base_patch16_dinov3.lvd1689m",
        "dinov3-license",
        85.6,
        "weak detector: 56.5 % on GenImage",
    ),
    "dinov3-l-16": EncoderAlias(
        "timm:vit_large_patch16_dinov3.lvd1689m",
        "dinov3-license",
        303,
        "weak detector: 70.1 % on GenImage",
    ),
    "dinov3-h-plus-16": EncoderAlias(
        "timm:vit_huge_plus_patch16_dinov3.lvd1689m",
        "dinov3-license",
        840,
        "weak detector: 73.9 % on GenImage",
    ),
    "dinov3-7b-16": EncoderAlias(
        "timm:vit_7b_patch16_dinov3.lvd1689m", "dinov3-license", 6716, "91.8 % on GenImage"
    ),
}

ALIASES: Mapping[str, str] = {short: row.name for short, row in ENCODER_ALIASES.items()}
"""Full names of encoders, by short name."""

DEFAULT_ENCODER = "clip-vit-b-32"


def encoder_libraries() -> dict[str, EncoderLibrary]:
    """Return the entries of the registry, including those of installed packages."""
    return with_plugins(ENCODER_LIBRARIES, "clipfeat.encoders", EncoderLibrary)


def find_library(name: str) -> tuple[EncoderLibrary, str]:
    """Find the library of an encoder.

    Parameters
    ----------
    name : str
        The name of an encoder, as in `open_encoder`.

    Returns
    -------
    library : EncoderLibrary
        The library's entry in the registry.
    rest : str
        The part of the full name after the colon, or an empty string.

    Raises
    ------
    UnknownNameError
        If no library has this name. The message lists the nearest names.
    """
    library, _, rest = ALIASES.get(name, name).partition(":")
    libraries = encoder_libraries()
    row = libraries.get(library)
    if row is None or bool(rest) != row.takes_name:
        prefixes = [f"{key}:…" if one.takes_name else key for key, one in libraries.items()]
        raise unknown_name("encoder", name, [*ALIASES, *prefixes])
    return row, rest


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
        ``"open_clip:architecture/tag"``, ``"timm:architecture.tag"``, ``"onnx:FILE"``,
        ``"package:efficientnet-lite0"``, ``"spectrum"``, one of `ALIASES`, or ``"library:name"``
        for a library of an installed package.
    options : EncoderOptions
        Weights, layers, size, precision and device.
    n_images : int
        Number of images that will be encoded, or 0 if unknown. The faster runtimes take seconds to
        start, so they are used only for many images.
    samples : callable
        Returns some of the images, each uint8 (height, width, 3). It is called only if the
        precision is ``"auto"`` and the device has a precision that is faster than float32. If it
        returns no images, ``"auto"`` chooses float32.

    Returns
    -------
    Encoder
        Ready to encode.

    Raises
    ------
    UnknownNameError
        If no library has this encoder. The message lists the nearest names.
    UsageError
        If the encoder does not accept an option.
    WeightsError
        If the weights are missing or do not fit the architecture.
    """
    library, rest = find_library(name)
    arguments = options.arguments or {}
    if unknown := [one for one in arguments if one not in library.arguments]:
        known = f" (it takes: {', '.join(library.arguments)})" if library.arguments else ""
        raise UsageError(f"{name} takes no --encoder-arg {unknown[0]}{known}. Leave it out.")
    check_arguments(
        ALIASES.get(name, name).partition(":")[0],
        {one: value for one, value in arguments.items() if one not in PREPROCESSING},
    )
    build: Callable[..., Encoder] = _load(library.build)
    encoder = build(rest, options, n_images=n_images, samples=samples)
    return _with_scaled_decoding(encoder) if options.decode == "scaled" else encoder


def _with_scaled_decoding(encoder: "Encoder") -> "Encoder":
    """Record in the spec that large JPEG images are reduced while they are decoded."""
    spec = encoder.spec
    if spec.interpolation == "none":
        raise UsageError(
            f"{spec.title} does not resize images, so it cannot take reduced images (--decode "
            "scaled). Leave out --decode."
        )
    return replace(encoder, spec=replace(spec, decode=spec.decode + SCALED))


def options_of(
    spec: EncoderSpec, *, weights: str | Path | None = None, device: str = "auto"
) -> EncoderOptions:
    """Make the options with which the encoder of a spec can be opened again.

    Parameters
    ----------
    spec : EncoderSpec
        The identity of the encoder.
    weights : path, optional
        A local file of the encoder's weights, used instead of the weights on the hub.
    device : str
        As in `EncoderOptions`.

    Returns
    -------
    EncoderOptions
        The options. The precision is that of the spec, and never ``"auto"``.

    Raises
    ------
    UnknownNameError
        If no library has this encoder.
    UsageError
        If the encoder is a local file, its name in the spec contains a folder, and `weights` is
        None. Such a path is not opened, because the spec may come from somebody else's file.
    """
    library, rest = find_library(spec.name)
    if library.name_is_file and weights is None and Path(rest).name != rest:
        raise UsageError(
            f"the encoder name {spec.name} was read from a file and contains a path. Such paths "
            "are not opened, because the file may come from somebody else. Pass the path with "
            "--weights."
        )
    arguments = json.loads(spec.options)
    # If the crop does not resize, the spec's other preprocessing fields are not arguments.
    names = PREPROCESSING if spec.interpolation != "none" else ("mean", "std")
    arguments |= {name: getattr(spec, name) for name in names}
    accepted = {name: value for name, value in arguments.items() if name in library.arguments}
    return EncoderOptions(
        weights=weights,
        untrained=spec.untrained,
        layers=spec.layer,
        image_size=spec.input_size[0],
        crop=next((crop for crop, modes in CROPS.items() if spec.crop_mode in modes), None),
        decode="scaled" if spec.is_scaled else "exact",
        precision=spec.precision,
        device=device,
        arguments=accepted or None,
    )


def local_file(name: str, weights: str | Path | None) -> str | None:
    """Return the local file of an encoder's weights, or None if neither argument names a file.

    Parameters
    ----------
    name : str
        The name of the encoder.
    weights : path, optional
        As in `EncoderOptions`.
    """
    if weights:
        return str(weights)
    library, _, rest = ALIASES.get(name, name).partition(":")
    row = encoder_libraries().get(library)
    return rest if row is not None and row.name_is_file else None


def list_encoders(pattern: str = "") -> list[str]:
    """List the encoders that need no local file, aliases first.

    Parameters
    ----------
    pattern : str
        A shell pattern, or any part of a name. Case is ignored.

    Returns
    -------
    list of str
        Full names. Aliases have the form ``"alias = full name"``.
    """
    names = [f"{short} = {full}" for short, full in ALIASES.items()]
    for library, row in encoder_libraries().items():
        if not row.takes_name:
            names.append(library)
        elif row.list_names is not None:
            names += [f"{library}:{name}" for name in _load(row.list_names)()]
    wanted = pattern.lower()
    return [n for n in names if wanted in n.lower() or fnmatch(n.lower(), wanted)]


def _load(reference: str) -> Any:
    """Import the function of a reference ``"module:function"``."""
    module, _, function = reference.partition(":")
    with quick_imports():
        return getattr(import_module(module), function)
