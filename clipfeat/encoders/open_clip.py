"""Encoders from open_clip, such as ``open_clip:ViT-L-14/openai``.

Only the image tower, the network that encodes images, is kept. A tag, such as ``openai``, names the
weights of an architecture. Preprocessing and activation function are those of the tag, even if the
weights come from a local file. If weights that were trained with QuickGELU run with GELU, the
features are worse and no error is raised.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import open_clip
import torch

from clipfeat.encoders.encoder import Encoder, weights_digest
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.from_model import encoder_from_model
from clipfeat.encoders.layers import Intermediates, parse_layers, with_layers
from clipfeat.encoders.timm import intermediates as intermediates_of_timm
from clipfeat.encoders.timm import layer_names as names_of_timm
from clipfeat.encoders.timm import norm_name as norm_of_timm
from clipfeat.encoders.weights import (
    check_choice,
    explain_misfit,
    explain_missing,
    quiet,
    random_weights,
)
from clipfeat.errors import UsageError, unknown_name
from clipfeat.images.decode import DECODE, RGB
from clipfeat.spec import EncoderSpec

OUTPUTS = ("projection", "pre-projection")


def list_names() -> list[str]:
    """List open_clip's models with weights on a hub, as ``architecture/tag``."""
    return [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]


def build(
    name: str, options: EncoderOptions, *, n_images: int, samples: Callable[[], Sequence[RGB]]
) -> Encoder:
    """Open the image tower of an open_clip model as a frozen encoder.

    Parameters
    ----------
    name : str
        ``architecture/tag``. The tag may be left out if ``weights`` or ``untrained`` is given.
    options : EncoderOptions
        ``layers`` may also be ``"projection"`` or ``"pre-projection"``. ``"projection"``, the
        default, is the output in the space that images share with texts. ``"pre-projection"`` is
        the wider output of the tower before this projection.
    n_images, samples
        The arguments of `clipfeat.encoders.open_encoder`.

    Returns
    -------
    Encoder
        The image tower.

    Raises
    ------
    UnknownNameError
        If open_clip does not have the architecture or the tag.
    UsageError
        If the image tower does not have the layer, or if the tag is missing.
    WeightsError
        If the weights are missing or do not fit the architecture.
    """
    architecture, _, tag = name.partition("/")
    if architecture not in open_clip.list_models():
        raise unknown_name("open_clip architecture", architecture, open_clip.list_models())
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    if tag and tag not in tags:
        raise unknown_name(f"weights of open_clip:{architecture}", tag, tags)
    check_choice(options.weights, options.untrained)
    if not tag and options.weights is None and not options.untrained:
        raise UsageError(
            f"open_clip:{architecture} needs a tag, which names its weights. Pass for example "
            f"open_clip:{architecture}/{tags[0]}."
            if tags
            else f"open_clip:{architecture} has no weights on the hub. Pass --weights FILE."
        )
    model, transform = create(architecture, tag, options)
    visual = model.visual
    if getattr(visual, "output_tokens", False):
        visual.output_tokens = False  # CoCa's tower also returns the tokens, for its text decoder
    config = visual.preprocess_cfg
    digest = weights_digest(visual)
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    names = layer_names(visual)
    norm = norm_name(visual)
    slices = parse_layers(
        options.layers,
        options.pool,
        names=names,
        outputs=OUTPUTS,
        has_class_token=hasattr(visual, "class_embedding") or _class_token_of_trunk(visual),
        has_norm=norm is not None,
    )
    tower = visual if OUTPUTS[1] not in slices else _unprojected(visual, name)
    run = intermediates if tower is visual else intermediates_of_timm
    if norm is not None and tower is not visual:
        norm = norm.removeprefix("trunk.")
    layered, widths = with_layers(
        tower, run, slices, (height, width), (len(names) - 1, norm) if norm else None
    )
    spec = EncoderSpec(
        name=f"open_clip:{name}",
        weights=digest,
        untrained=options.untrained,
        layer=",".join(slices),
        widths=widths,
        options='{"quick_gelu":true}' if _quick_gelu(architecture, tag) else "{}",
        input_size=(height, width),
        interpolation=config["interpolation"],
        crop_pct=1.0,
        crop_mode=config["resize_mode"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        n_features=0,
        precision="fp32",
        decode=DECODE,
    )
    return encoder_from_model(layered, transform, spec, options, n_images=n_images, samples=samples)


def layer_names(visual: Any) -> list[str]:
    """List the names of an image tower's layers."""
    if hasattr(visual, "trunk"):
        return names_of_timm(visual.trunk)
    if hasattr(visual, "transformer"):
        return [f"resblocks.{i}" for i in range(len(visual.transformer.resblocks))]
    return ["stem", "layer1", "layer2", "layer3", "layer4"]


def norm_name(visual: Any) -> str | None:
    """Return the name of an image tower's final norm of all tokens, or None if there is none."""
    if hasattr(visual, "trunk"):
        norm = norm_of_timm(visual.trunk)
        return f"trunk.{norm}" if norm else None
    # If there is an attention pool, the norm comes after it and does not have the tokens' width.
    is_plain = hasattr(visual, "ln_post") and getattr(visual, "attn_pool", None) is None
    return "ln_post" if is_plain else None


def _class_token_of_trunk(visual: Any) -> bool:
    return getattr(getattr(visual, "trunk", None), "cls_token", None) is not None


def intermediates(
    visual: Any, batch: torch.Tensor, numbers: list[int], with_output: bool
) -> Intermediates:
    """Run an image tower up to the last layer in `numbers`, or to the output if requested."""
    # open_clip 3.3 stops a ResNet after the last requested layer, even if the output of the network
    # is needed. Therefore the network's last layer is requested too.
    last = {len(layer_names(visual)) - 1} if with_output else set()
    result = visual.forward_intermediates(
        batch,
        indices=sorted({*numbers, *last}),
        stop_early=not with_output,
        intermediates_only=not with_output,
        output_extra_tokens=True,
    )
    prefixes = result.get("image_intermediates_prefix")
    # The layers are in order, so an additional layer is at the end and is ignored.
    return result.get("image_features"), result["image_intermediates"], prefixes


def _quick_gelu(architecture: str, tag: str) -> bool:
    config = open_clip.get_model_config(architecture) or {}
    tag_config = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    return bool(config.get("quick_gelu") or tag_config.get("quick_gelu"))


def create(architecture: str, tag: str, options: EncoderOptions) -> tuple[Any, Callable[..., Any]]:
    """Create the model with its weights, and its evaluation transform."""
    keywords: dict[str, Any] = {
        "force_image_size": options.image_size,
        "force_quick_gelu": _quick_gelu(architecture, tag),
    }
    if options.crop is not None:
        keywords["image_resize_mode"] = "squash" if options.crop == "resize" else "shortest"
    tag_config = open_clip.get_pretrained_cfg(architecture, tag) if tag else {}
    name = f"open_clip:{architecture}/{tag}".rstrip("/")
    if options.untrained or options.weights is not None:
        # Without pretrained weights, open_clip does not apply the tag's preprocessing.
        for key in ("mean", "std", "interpolation", "resize_mode"):
            if key in tag_config:
                keywords.setdefault(f"image_{key}", tag_config[key])
        create = partial(
            open_clip.create_model_and_transforms,
            architecture, pretrained=None, pretrained_text=False, **keywords,
        )  # fmt: skip
        if options.weights is None:
            with random_weights():
                model, _, transform = create()
            return model, transform
        with quiet(), explain_misfit(name, options.weights):
            model, _, transform = create()
            open_clip.load_checkpoint(model, str(options.weights), strict=True, weights_only=True)
        return model, transform
    hub = str(tag_config.get("hf_hub", "")).rstrip("/") or tag_config.get("url", "")
    with explain_missing(name, f"open_clip_model.safetensors of {hub}"):
        model, _, transform = open_clip.create_model_and_transforms(
            architecture, pretrained=tag, **keywords
        )
    return model, transform


def _unprojected(visual: Any, name: str) -> torch.nn.Module:
    """Return the tower without its projection."""
    tower: torch.nn.Module = visual
    if getattr(visual, "proj", None) is not None:
        visual.proj = None
    elif hasattr(visual, "trunk") and hasattr(visual, "head"):
        tower = visual.trunk
    else:
        raise UsageError(
            f"the projection of open_clip:{name} cannot be removed, so --layers pre-projection is "
            "not possible. Pass --layers projection, which is the output of the encoder."
        )
    return tower
