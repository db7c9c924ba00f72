"""Encoders from timm, such as ``timm:tf_efficientnet_b4.ns_jft_in1k``.

Preprocessing is timm's evaluation transform for the model's configuration. Features are the output
of the model without its classifier, which timm calls pre-logits. A tag, such as ``ns_jft_in1k``,
names the weights of an architecture.
"""

import inspect
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import timm
import timm.data
import torch

from clipfeat.encoders.encoder import Encoder, weights_digest
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.from_model import encoder_from_model
from clipfeat.encoders.layers import Intermediates, parse_layers, with_layers
from clipfeat.encoders.registry import PREPROCESSING
from clipfeat.encoders.weights import check_choice, explain_misfit, explain_missing, random_weights
from clipfeat.errors import ClipfeatWarning, UsageError, unknown_name
from clipfeat.images.decode import DECODE, RGB
from clipfeat.spec import EncoderSpec


def list_names() -> list[str]:
    """List timm's models with weights on the hub, as ``architecture.tag``."""
    names: list[str] = timm.list_pretrained()
    return names


def build(
    name: str, options: EncoderOptions, *, n_images: int, samples: Callable[[], Sequence[RGB]]
) -> Encoder:
    """Open a timm model as a frozen encoder.

    Parameters
    ----------
    name : str
        The architecture, with or without the tag of its weights.
    options : EncoderOptions
        ``arguments`` may contain arguments of the preprocessing. All other arguments are passed to
        `timm.create_model`.
    n_images, samples
        The arguments of `clipfeat.encoders.open_encoder`.

    Returns
    -------
    Encoder
        The model without its classifier.

    Raises
    ------
    UnknownNameError
        If timm does not have the architecture or the tag.
    UsageError
        If the architecture does not have the layer or does not take the arguments.
    WeightsError
        If the weights are missing or do not fit the architecture.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise unknown_name("timm architecture", architecture, timm.list_models())
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise unknown_name(f"weights of timm:{architecture}", tag, tags)
    check_choice(options.weights, options.untrained)
    model = create_model(name, options)
    full = name if options.weights or options.untrained else _full(model)
    return encoder_from_timm(model, f"timm:{full}", options, n_images=n_images, samples=samples)


def encoder_from_timm(
    model: Any,
    name: str,
    options: EncoderOptions,
    *,
    n_images: int,
    samples: Callable[[], Sequence[RGB]],
) -> Encoder:
    """Make an encoder from a timm model with its weights.

    Parameters
    ----------
    model : Module
        The model without its classifier.
    name : str
        The canonical name of the encoder.
    options, n_images, samples
        The arguments of `build`.

    Returns
    -------
    Encoder
        The model with timm's preprocessing.

    Raises
    ------
    UsageError
        If the model does not have a layer, or if an argument of the preprocessing is invalid.
    """
    arguments, overlay = split_arguments(options)
    try:
        config = _configuration(model, overlay, options.image_size)
        transform = timm.data.create_transform(**config)
    except (TypeError, ValueError, KeyError, ZeroDivisionError) as error:
        raise UsageError(
            f"invalid preprocessing in --encoder-arg: {error}. Correct the value."
        ) from error
    digest = weights_digest(model)
    names = layer_names(model)
    norm = norm_name(model)
    slices = parse_layers(
        options.layers,
        options.pool,
        names=names,
        has_class_token=getattr(model, "cls_token", None) is not None,
        has_norm=norm is not None,
    )
    layered, widths = with_layers(
        model,
        intermediates,
        slices,
        tuple(config["input_size"][1:]),
        (len(names) - 1, norm) if norm else None,
    )
    spec = EncoderSpec(
        name=name,
        weights=digest,
        untrained=options.untrained,
        layer=",".join(slices),
        widths=widths,
        options=json.dumps(arguments, sort_keys=True),
        input_size=tuple(config["input_size"][1:]),
        interpolation=config["interpolation"],
        crop_pct=float(config["crop_pct"]),
        crop_mode=config["crop_mode"],
        mean=tuple(float(v) for v in config["mean"]),
        std=tuple(float(v) for v in config["std"]),
        n_features=0,
        precision="fp32",
        decode=DECODE,
    )
    return encoder_from_model(layered, transform, spec, options, n_images=n_images, samples=samples)


def layer_names(model: Any) -> list[str]:
    """List the names of a model's layers. The list is empty if timm cannot return its layers."""
    if not hasattr(model, "forward_intermediates"):
        return []
    return [info["module"] for info in model.feature_info]


def norm_name(model: Any) -> str | None:
    """Return the name of a transformer's final norm of all tokens, or None if there is none."""
    is_transformer = hasattr(model, "blocks") and hasattr(model, "num_prefix_tokens")
    norm = getattr(model, "norm", None)
    is_norm = isinstance(norm, torch.nn.Module) and not isinstance(norm, torch.nn.Identity)
    return "norm" if is_transformer and is_norm and layer_names(model) else None


def intermediates(
    model: Any, batch: torch.Tensor, numbers: list[int], with_output: bool
) -> Intermediates:
    """Run a timm model up to the last layer in `numbers`, or to the output if requested."""
    keywords: dict[str, Any] = {"indices": numbers, "output_fmt": "NCHW"}
    tokens = "return_prefix_tokens" in inspect.signature(model.forward_intermediates).parameters
    if tokens:
        keywords["return_prefix_tokens"] = True
    if with_output:
        features, layers = model.forward_intermediates(batch, **keywords)
        output = model.forward_head(features)
    else:
        output = None
        layers = model.forward_intermediates(
            batch, intermediates_only=True, stop_early=True, **keywords
        )
    if layers and isinstance(layers[0], tuple):
        return output, [maps for maps, _ in layers], [prefix for _, prefix in layers]
    return output, layers, None


def split_arguments(options: EncoderOptions) -> tuple[dict[str, object], dict[str, object]]:
    """Split the arguments into those of the architecture and those of the preprocessing."""
    arguments = dict(options.arguments or {})
    overlay = {key: arguments.pop(key) for key in PREPROCESSING if key in arguments}
    if options.crop is not None:
        overlay |= {"crop_mode": "squash" if options.crop == "resize" else "center"}
    return arguments, overlay


def create_model(name: str, options: EncoderOptions) -> Any:
    """Create a model with its weights and without its classifier."""
    architecture = name.partition(".")[0]
    arguments, _ = split_arguments(options)
    if options.image_size is not None and "img_size" not in arguments:
        # A vision transformer needs the image size when it is created. A convolutional network does
        # not accept the argument.
        arguments = {**arguments, **_grid(name, options.image_size)}
    if options.untrained:
        with random_weights(), explain_arguments(architecture, arguments):
            model = timm.create_model(name, pretrained=False, **arguments)
        model.reset_classifier(0)
        return model
    if options.weights is not None:
        _warn_of_other_tag(name, options)
        with explain_misfit(f"timm:{name}", options.weights), explain_arguments(name, arguments):
            # The classifier is loaded too, because only a strict load detects missing weights.
            overlay = {"file": str(options.weights)}
            model = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **arguments
            )
        model.reset_classifier(0)
        return model
    config = timm.get_pretrained_cfg(name)
    hub = getattr(config, "hf_hub_id", None) or f"timm/{name}"
    wanted = f"model.safetensors of the hub's repository {hub}"
    with explain_missing(f"timm:{name}", wanted), explain_arguments(name, arguments):
        return timm.create_model(name, pretrained=True, num_classes=0, **arguments)


def _warn_of_other_tag(name: str, options: EncoderOptions) -> None:
    """Warn if the file name suggests weights of another tag. Their preprocessing may differ."""
    architecture, _, tag = Path(options.weights or "").stem.partition(".")
    config = timm.get_pretrained_cfg(name)
    named = tag and config and architecture == name.partition(".")[0]
    if named and tag != config.tag and not options.arguments:
        warnings.warn(
            f"the file name {options.weights} suggests weights of tag {tag}, but the preprocessing "
            f"of tag {config.tag} is used. If this preprocessing is wrong, set the "
            "correct values, for example with --encoder-arg mean=0.5.",
            ClipfeatWarning,
            stacklevel=2,
        )


@contextmanager
def explain_arguments(name: str, arguments: Mapping[str, object]) -> Iterator[None]:
    """Convert the error of an argument that an architecture does not take to a UsageError."""
    try:
        yield
    except (TypeError, AssertionError) as error:
        given = ", ".join(f"{key}={value}" for key, value in arguments.items())
        reason = f": {error}" if str(error) else ""
        raise UsageError(
            f"timm:{name} does not take --encoder-arg {given}{reason}. Leave it out."
        ) from error


def _grid(name: str, image_size: int) -> dict[str, object]:
    config = timm.get_pretrained_cfg(name)
    fixed = bool(config and config.fixed_input_size)
    return {"img_size": image_size} if fixed else {}


def _full(model: Any) -> str:
    config = model.pretrained_cfg
    tag = config.get("tag") or ""
    return f"{config['architecture']}.{tag}" if tag else str(config["architecture"])


def _configuration(model: Any, overlay: Mapping[str, object], size: int | None) -> dict[str, Any]:
    """Return timm's evaluation configuration, updated with the user's arguments."""
    config: dict[str, Any] = timm.data.resolve_model_data_config(model)
    for key, value in overlay.items():
        config[key] = (
            (value,) * 3 if key in ("mean", "std") and isinstance(value, int | float) else value
        )
    if size is not None:
        config["input_size"] = (3, size, size)
    return config
