"""Tests of pooled intermediate layers."""

from functools import lru_cache
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import torch

from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.layers import parse_layers
from clipfeat.errors import UnknownNameError, UsageError
from clipfeat.images.decode import RGB

MODELS = ("timm:test_vit", "timm:test_efficientnet", "open_clip:ViT-S-32", "open_clip:RN50")


@lru_cache(maxsize=1)
def picture() -> RGB:
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def opened(name: str, **options: Any) -> Encoder:
    return open_encoder(name, EncoderOptions(untrained=True, device="cpu", **options))


def unwrapped(encoder: Encoder) -> Any:
    """Return the library's model that an encoder wraps."""
    forward: Any = encoder.forward
    return forward.model.model


def normalised(encoder: Encoder) -> torch.Tensor:
    mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (encoder.spec.mean, encoder.spec.std))
    return (encoder.preprocess(picture()).float()[None] / 255 - mean) / std


@pytest.mark.parametrize("name", MODELS)
def test_some_layers_are_a_slice_of_all(name: str) -> None:
    """Selected layers give the same columns as all layers, and the narrowed spec."""
    plain, every = opened(name), opened(name, layers="all", pool="mean+std")
    some = opened(name, layers="1,last", pool="std")
    row = every.encode_images([picture()])
    slices = every.spec.slices
    last = plain.spec.layer
    assert np.allclose(row[:, slices[last]], plain.encode_images([picture()]), atol=1e-5)
    chosen = np.hstack([row[:, slices["1/std"]], row[:, slices[last]]])
    assert np.allclose(chosen, some.encode_images([picture()]), atol=1e-5)
    assert every.spec.narrowed("1/std,last") == some.spec
    assert every.spec.narrowed("last") == plain.spec
    assert some.spec.is_part_of(every.spec)
    assert not every.spec.is_part_of(some.spec)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("timm:test_vit", "blocks.1"),
        ("timm:test_efficientnet", "blocks.1"),
        ("open_clip:ViT-S-32", "transformer.resblocks.1"),
    ],
)
def test_pools_equal_those_of_the_modules_output(name: str, module: str) -> None:
    """Each pool equals the same statistic of the layer output that a hook records."""
    tokens = name != "timm:test_efficientnet"
    number = "1" if tokens else parse_number(name, module)
    encoder = opened(name, layers=number, pool="cls+mean+std+max" if tokens else "mean+std+max")
    model = unwrapped(encoder)
    outputs: list[torch.Tensor] = []
    model.get_submodule(module).register_forward_hook(lambda m, i, out: outputs.append(out))
    with torch.inference_mode():
        model(normalised(encoder))
    out = outputs[0][0]
    prefix = 1 if name.startswith("open_clip") else getattr(model, "num_prefix_tokens", 0)
    positions = out[prefix:].T if tokens else out.flatten(1)
    expected = [out[0]] if tokens else []
    expected += [positions.mean(1), positions.std(1, correction=0), positions.amax(1)]
    row = encoder.encode_images([picture()])[0]
    assert np.allclose(row, torch.cat(expected), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "norm", "blocks"),
    [
        ("timm:test_vit", "norm", "blocks"),
        ("open_clip:ViT-S-32", "ln_post", "transformer.resblocks"),
    ],
)
def test_norm_and_class_tokens_equal_a_computation_by_hand(
    name: str, norm: str, blocks: str
) -> None:
    """``norm`` pools the tokens after the norm, and ``all/cls`` takes all class tokens."""
    encoder = opened(name, layers="all/cls,norm/cls+mean+std")
    model = unwrapped(encoder)
    with torch.no_grad():  # with the initial weight and bias, a missing factor would not show
        model.get_submodule(norm).weight.uniform_(0.5, 2)
        model.get_submodule(norm).bias.uniform_(-1, 1)
    outputs: list[torch.Tensor] = []
    for block in model.get_submodule(blocks):
        block.register_forward_hook(lambda m, i, out: outputs.append(out[0]))
    with torch.inference_mode():
        last = model(normalised(encoder))[0]
    weight, bias = model.get_submodule(norm).weight, model.get_submodule(norm).bias
    tokens = outputs[-1]
    centred = tokens - tokens.mean(1, keepdim=True)
    eps = model.get_submodule(norm).eps
    tokens = centred / (centred.square().mean(1, keepdim=True) + eps).sqrt() * weight + bias
    patches = tokens[1:]
    expected = [*(out[0] for out in outputs), tokens[0], patches.mean(0)]
    expected += [patches.std(0, correction=0), last]
    slices = [f"{i}/cls" for i in range(len(outputs))] + ["norm/cls", "norm/mean", "norm/std"]
    row = encoder.encode_images([picture()])[0]
    assert np.allclose(row, torch.cat(expected).detach(), atol=1e-4)
    assert list(encoder.spec.slices)[:-1] == slices
    assert encoder.spec.narrowed("norm").parts == ["norm/cls", "norm/mean", "norm/std"]


@pytest.mark.parametrize(
    "name", ["timm:vit_small_patch16_dinov3", "open_clip:ViT-B-32-SigLIP2-256"]
)
def test_norm_of_other_transformers(name: str) -> None:
    """``norm/mean`` equals the patch mean of the norm's output in a hook."""
    encoder = opened(name, layers="norm/mean")
    model = unwrapped(encoder)
    trunk = getattr(model, "trunk", model)
    outputs: list[torch.Tensor] = []
    handle = trunk.norm.register_forward_hook(lambda m, i, out: outputs.append(out[0]))
    with torch.inference_mode():
        model(normalised(encoder))
    handle.remove()
    expected = outputs[0][trunk.num_prefix_tokens :].mean(0)
    assert np.allclose(encoder.encode_images([picture()])[0], expected, atol=1e-4)


def parse_number(name: str, module: str) -> str:
    model = timm.create_model(name.partition(":")[2])
    return str([info["module"] for info in model.feature_info].index(module))


def test_names_become_numbers() -> None:
    """A layer can be given by the library's name. The spec stores its number."""
    spec = opened("timm:test_vit", layers="blocks.0").spec
    assert spec.layer == "0/cls"
    assert spec.widths == ()


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("timm:test_vit", {"layers": "0", "pool": "median"}, UnknownNameError, "pool 'median'"),
        ("timm:test_efficientnet", {"layers": "0", "pool": "cls"}, UnknownNameError, "'cls'"),
        ("timm:test_vit", {"layers": "blocks.77"}, UnknownNameError, "blocks.7"),
        ("timm:test_efficientnet", {"layers": "norm"}, UnknownNameError, "layer 'norm'"),
        ("spectrum", {"layers": "all"}, UsageError, "--layers"),
        (
            "open_clip:ViT-S-32",
            {"layers": "projection,pre-projection"},
            UsageError,
            "names several outputs",
        ),
    ],
)
def test_unknown_layers_and_pools(name: str, options: Any, error: type, message: str) -> None:
    """The error for an unknown layer or pool lists the known ones."""
    with pytest.raises(error, match=message):
        open_encoder(name, EncoderOptions(untrained=name != "spectrum", device="cpu", **options))


def test_an_encoder_without_layers() -> None:
    """An encoder without intermediate layers accepts its output only."""
    assert parse_layers(None, None, names=[]) == ["last"]
    with pytest.raises(UsageError, match="no intermediate layer '3'"):
        parse_layers("3", None, names=[])


def test_the_layer_names_of_a_resnet() -> None:
    """open_clip's ResNet has as many layer names as intermediate layers."""
    model = open_clip.create_model("RN50", pretrained=None).visual
    with torch.inference_mode():
        layers = model.forward_intermediates(torch.zeros(1, 3, 224, 224))["image_intermediates"]
    encoder = opened("open_clip:RN50", layers="all", pool="mean")
    assert len(encoder.spec.slices) == len(layers) + 1
