"""Tests of encoder families: each opens by name and returns the rows of its library.

Each family is tested on its smallest architecture with weights on a hub, with fewer layers if it is
large, and with random weights. Families differ in resizing and cropping, the scaling of pixels, the
activation of the tag, pooling, and the interpolation of the position grid at another size.
"""

import warnings
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import timm.data
import torch
from PIL import Image

from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import check_row
from clipfeat.encoders.encoder_options import EncoderOptions
from tests.encoders.test_contract import least_cosine, photographs

# Name, changes to the architecture, and a second input size.
FAMILIES: dict[str, tuple[str, Mapping[str, Any], int]] = {
    "SigLIP 2": ("open_clip:ViT-B-32-SigLIP2-256/webli", {"depth": 2}, 192),
    "SigLIP 2, timm": ("timm:vit_base_patch32_siglip_256.v2_webli", {"depth": 2}, 192),
    "MetaCLIP": ("open_clip:ViT-B-32-quickgelu/metaclip_fullcc", {"layers": 3}, 192),
    "MetaCLIP 2": ("open_clip:ViT-H-14-worldwide/metaclip2_worldwide", {"layers": 1}, 196),
    "PE-Core": ("open_clip:PE-Core-T-16-384/meta", {"depth": 3}, 192),
    "PE-Core, timm": ("timm:vit_pe_core_tiny_patch16_384.fb", {"depth": 3}, 192),
    "DINOv2": ("timm:vit_small_patch14_dinov2.lvd142m", {"depth": 2}, 224),
    "DINOv3": ("timm:vit_small_patch16_dinov3.lvd1689m", {"depth": 3}, 192),
    "DINOv3, class token": (
        "timm:vit_small_patch16_dinov3.lvd1689m", {"depth": 3, "global_pool": "token"}, 192,
    ),
    "DINOv3, ConvNeXt": ("timm:convnext_tiny.dinov3_lvd1689m", {"depths": (1, 1, 2, 1)}, 160),
    "ConvNeXt": ("timm:convnext_atto.d2_in1k", {}, 160),
    "ConvNeXt, CLIP": (
        "open_clip:convnext_base_w/laion2b_s13b_b82k_augreg",
        {"timm_model_name": "convnext_atto"}, 160,
    ),
}  # fmt: skip


def shrink(monkeypatch: pytest.MonkeyPatch, architecture: str, changes: Mapping[str, Any]) -> None:
    """Remove layers from open_clip's image tower, and shrink its text tower."""
    config = deepcopy(open_clip.get_model_config(architecture))
    timm_changes = {key: value for key, value in changes.items() if key == "depth"}
    config["vision_cfg"] |= {
        key: value for key, value in changes.items() if key not in timm_changes
    }
    config["text_cfg"] |= {"layers": 1, "vocab_size": 100}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, architecture, config)
    if timm_changes:
        monkeypatch.setattr(timm, "create_model", partial(timm.create_model, **timm_changes))


def upstream_open_clip(
    monkeypatch: pytest.MonkeyPatch, name: str, weights: Any, size: int | None
) -> tuple[torch.nn.Module, Any]:
    """Create open_clip's tower and transform of a tag, without downloading weights."""
    architecture, tag = name.split("/")
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: "unused")
    with warnings.catch_warnings():
        # The warning is about an architecture without the tag's activation.
        warnings.filterwarnings("ignore", "QuickGELU mismatch")
        gelu = bool(open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu"))
        model, _, transform = open_clip.create_model_and_transforms(
            architecture, tag, load_weights=False, force_image_size=size, force_quick_gelu=gelu
        )
    model.visual.load_state_dict(weights)
    return model.visual.eval(), transform


def upstream_timm(
    name: str, changes: Mapping[str, Any], weights: Any, size: int | None
) -> tuple[torch.nn.Module, Any]:
    """Create timm's model and transform of a name."""
    grid = {"img_size": size} if size and "vit" in name else {}
    model = timm.create_model(name, num_classes=0, **changes, **grid)
    model.load_state_dict(weights)
    config = timm.data.resolve_model_data_config(model)
    if size is not None:
        config["input_size"] = (3, size, size)
    return model.eval(), timm.data.create_transform(**config)


@pytest.mark.parametrize("other_size", [False, True], ids=["own size", "other size"])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_equal_those_of_the_library(
    family: str, other_size: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels equal those of the library up to rounding, and rows do not depend on the batch."""
    name, changes, size = FAMILIES[family]
    library, _, rest = name.partition(":")
    image_size = size if other_size else None
    arguments = None if library == "open_clip" else changes
    if library == "open_clip":
        shrink(monkeypatch, rest.partition("/")[0], changes)
    options = EncoderOptions(
        untrained=True, device="cpu", image_size=image_size, arguments=arguments
    )
    encoder = open_encoder(name, options)
    ours: Any = encoder.forward
    weights = ours.model.state_dict()
    upstream, transform = (
        upstream_open_clip(monkeypatch, rest, weights, image_size)
        if library == "open_clip"
        else upstream_timm(rest, changes, weights, image_size)
    )
    photos = photographs(3)
    inputs = [encoder.preprocess(photo) for photo in photos]
    theirs = torch.stack([transform(Image.fromarray(photo)) for photo in photos])
    std, mean = (torch.tensor(v).reshape(3, 1, 1) for v in (encoder.spec.std, encoder.spec.mean))
    assert not other_size or theirs.shape[2:] == (size, size)
    assert theirs.shape[2:] == encoder.spec.input_size
    levels = (torch.stack(inputs).float() - 255 * (theirs * std + mean)).abs()
    # Pillow and torch clip overshoot at sharp edges differently between their two passes.
    assert (levels > 2.01).float().mean() < 2e-4
    assert levels.max() < 10
    assert levels.mean() < 0.25

    rows = encoder.encode(inputs)
    with torch.inference_mode():
        expected = upstream(theirs).numpy()
    assert rows.shape == expected.shape == (3, encoder.spec.n_features)
    assert least_cosine(rows, expected) > 0.9999
    exact = encoder.encode(list(theirs))
    assert np.allclose(exact, expected, atol=1e-4 * np.abs(expected).max())
    alone = np.concatenate([encoder.encode([one]) for one in inputs])
    assert np.allclose(rows, alone, rtol=1e-3, atol=1e-4 * np.abs(rows).max())
    for row in rows:
        check_row(row)


@pytest.mark.parametrize("layers", [None, "all"])
def test_a_tower_that_also_returns_tokens_gives_its_first_output(
    layers: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CoCa's tower returns a tuple of its features and its tokens. Only the features are used."""
    name = "coca_ViT-B-32"
    shrink(monkeypatch, name, {"layers": 2})
    config = open_clip.factory._MODEL_CONFIGS[name]
    config["multimodal_cfg"] |= {"layers": 1, "vocab_size": 100}
    options = EncoderOptions(untrained=True, device="cpu", layers=layers)
    encoder = open_encoder(f"open_clip:{name}", options)
    rows = encoder.encode([encoder.preprocess(photo) for photo in photographs(2)])
    assert rows.shape == (2, encoder.spec.n_features)
    if layers is None:
        model, _, transform = open_clip.create_model_and_transforms(name)
        ours: Any = encoder.forward
        model.visual.load_state_dict(ours.model.state_dict())
        pixels = [transform(Image.fromarray(photo)) for photo in photographs(2)]
        with torch.inference_mode():
            expected, _ = model.visual.eval()(torch.stack(pixels))
        assert np.allclose(encoder.encode(pixels), expected.numpy(), atol=1e-4)
