"""Tests of fused transformers, which return equal rows or are not used."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import timm
import torch
from open_clip.transformer import QuickGELU, VisionTransformer

from clipfeat.encoders import fusing
from clipfeat.encoders.fusing import fused
from clipfeat.encoders.packed_layers import PackedAttention, PackedLinear, PackedPatches
from clipfeat.encoders.runtime import TorchForward

CPU = torch.device("cpu")
HAS_BF16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
"""Whether this processor has the instructions for packed layers in bfloat16."""
DTYPE = torch.bfloat16 if HAS_BF16 else torch.float32
SIZE = (160, 160)
SCALING = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def vit(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model("test_vit", num_classes=0, **options)
    return model.eval().requires_grad_(False)


def clip(**options: Any) -> torch.nn.Module:
    """Make a small image tower of CLIP with torch's attention."""
    torch.manual_seed(0)
    shape = {"image_size": SIZE[0], "patch_size": 32, "width": 64, "layers": 2, "heads": 4}
    model: torch.nn.Module = VisionTransformer(**shape, mlp_ratio=4.0, output_dim=16, **options)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(
    "model",
    [
        partial(vit),
        partial(vit, act_layer="quick_gelu"),
        partial(vit, act_layer="quick_gelu", scale_mlp_norm=True),
        partial(clip),
        partial(clip, act_layer=QuickGELU),
        # The queries differ from the keys.
        partial(clip, attentional_pool=True, attn_pooler_queries=8, attn_pooler_heads=2),
    ],
    ids=["GELU", "QuickGELU", "norm in the MLP", "CLIP", "CLIP, QuickGELU", "CLIP, pooled"],
)
@pytest.mark.parametrize(
    ("precision", "bound"),
    [
        pytest.param(
            "bf16",
            0.9995,
            marks=pytest.mark.skipif(not HAS_BF16, reason="no bfloat16 in this processor"),
        ),
        ("fp32", 0.9999999),
    ],
)
def test_rows_are_the_same(model: partial[torch.nn.Module], precision: str, bound: float) -> None:
    """Fusing keeps the rows of uint8 and of normalised images, and does not change the model."""
    plain = model()
    before = copy.deepcopy(plain.state_dict())
    forward = TorchForward(plain, CPU, precision, SIZE, *SCALING, fuse=True)
    assert forward.scales == ("scale_mlp_norm" not in model.keywords)
    batch = torch.randint(0, 256, (5, *SIZE, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    middle, spread = (torch.tensor(values).reshape(-1, 1, 1) for values in SCALING)
    with torch.inference_mode():
        exact = plain((batch / 255 - middle) / spread)
        for images in (batch, (batch / 255 - middle) / spread):
            least = torch.nn.functional.cosine_similarity(forward(images).double(), exact.double())
            assert least.min() > bound
    assert all(torch.equal(values, before[name]) for name, values in plain.state_dict().items())


class Standardised(torch.nn.Conv2d):
    """Convolution that standardises its weights before it multiplies by them."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Convolve with weights of zero mean."""
        return self._conv_forward(batch, self.weight - self.weight.mean(), self.bias)


class Gated(torch.nn.Module):
    """Module with layers of known names, but with an additional step before the activation."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = torch.nn.Linear(n, 4), torch.nn.GELU(), torch.nn.Linear(4, n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Double the first layer's output."""
        out: torch.Tensor = self.fc2(self.act(2 * self.fc1(x)))
        return out


def with_stem(stem: type[torch.nn.Conv2d], side: int, padding: int) -> torch.nn.Module:
    model = vit()
    patches: Any = model.patch_embed
    patches.proj = stem(3, patches.proj.out_channels, side, stride=16, padding=padding)
    return model.requires_grad_(False)


@pytest.mark.parametrize(
    "model",
    [
        partial(torch.nn.Sequential, torch.nn.Flatten(), torch.nn.Linear(3 * 160**2, 4)),
        partial(vit, act_layer="relu"),
        partial(with_stem, torch.nn.Conv2d, 18, 1),
        partial(with_stem, Standardised, 16, 0),
    ],
    ids=["no convolution", "ReLU", "zero padding", "subclass"],
)
def test_unsupported_models_are_not_fused(model: Callable[[], torch.nn.Module]) -> None:
    """Models without layers to fuse, or whose stem pads with zeros, are not fused."""
    assert fused(model().eval(), SIZE, *SCALING, DTYPE) is None


def test_only_supported_layers_are_packed() -> None:
    """Self-attention is packed. Cross-attention and overlapping windows are not."""
    packed: Any = fused(clip(), SIZE, *SCALING, DTYPE)
    assert isinstance(packed.conv1, PackedPatches)
    assert all(isinstance(block.attn, PackedAttention) for block in packed.transformer.resblocks)
    pooled: Any = fused(
        clip(attentional_pool=True, attn_pooler_queries=8, attn_pooler_heads=2),
        SIZE,
        *SCALING,
        DTYPE,
    )
    assert isinstance(pooled.attn_pool.attn, torch.nn.MultiheadAttention)
    overlapping: Any = fused(with_stem(torch.nn.Conv2d, 32, 0), SIZE, *SCALING, DTYPE)
    assert isinstance(overlapping.patch_embed.proj, torch.nn.Conv2d)


class Padded(torch.nn.Module):
    """Attention with a key padding mask."""

    def __init__(self, whole: torch.nn.Module) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, *arguments: torch.Tensor, **keywords: Any) -> Any:
        """Pass a mask that masks nothing."""
        n, length, _ = arguments[0].shape
        mask = torch.zeros(n, length, dtype=torch.bool)
        return self.whole(*arguments, **keywords, key_padding_mask=mask)


def test_layers_used_in_other_ways_are_not_packed() -> None:
    """Masked attention, and layers whose weights are read directly, are not packed."""
    model: Any = clip()
    model.transformer.resblocks[0].attn = Padded(model.transformer.resblocks[0].attn)
    packed: Any = fused(model, SIZE, *SCALING, DTYPE)
    assert isinstance(packed.transformer.resblocks[0].attn.whole, torch.nn.MultiheadAttention)
    assert isinstance(packed.transformer.resblocks[1].attn, PackedAttention)
    torch.manual_seed(0)
    beit = timm.create_model(
        "beit_base_patch16_224", num_classes=0, img_size=SIZE[0], depth=2, embed_dim=48, num_heads=4
    )
    packed = fused(beit.eval().requires_grad_(False), SIZE, *SCALING, DTYPE)
    assert isinstance(packed.blocks[0].attn.qkv, torch.nn.Linear)
    assert isinstance(packed.blocks[0].attn.proj, PackedLinear)


def test_an_activation_is_fused_only_after_its_layer() -> None:
    """An MLP with known layer names but another data flow is not fused."""
    model = vit()
    blocks: Any = model.blocks
    blocks[0].mlp = Gated(blocks[0].mlp.fc1.in_features).requires_grad_(False)
    packed: Any = fused(model, SIZE, *SCALING, DTYPE)
    assert isinstance(packed.blocks[0].mlp.act, torch.nn.GELU)
    assert isinstance(packed.blocks[1].mlp.act, torch.nn.Identity)


def test_a_changed_result_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fusing is dropped if rows change or an operator is missing."""
    assert fused(vit(act_layer="quick_gelu"), SIZE, *SCALING, DTYPE) is not None
    monkeypatch.setattr(fusing, "QUICK", 1.0)
    assert fused(vit(act_layer="quick_gelu"), SIZE, *SCALING, DTYPE) is None
    monkeypatch.setattr(PackedLinear, "forward", lambda *_: torch.ops.mkldnn.gone())
    assert fused(vit(), SIZE, *SCALING, DTYPE) is None
