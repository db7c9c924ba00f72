"""Fewer passes over memory give the same rows, or are not taken."""

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
BF16 = torch.bfloat16
SIZE = (160, 160)
SCALING = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def vit(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model("test_vit", num_classes=0, **options)
    return model.eval().requires_grad_(False)


def clip(**options: Any) -> torch.nn.Module:
    """A small CLIP's image half, with torch's own attention."""
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
        # Its queries are not what they look at.
        partial(clip, attentional_pool=True, attn_pooler_queries=8, attn_pooler_heads=2),
    ],
    ids=["GELU", "QuickGELU", "a norm between", "CLIP", "CLIP, QuickGELU", "CLIP, pooled"],
)
@pytest.mark.parametrize(("precision", "bound"), [("bf16", 0.9995), ("fp32", 0.9999999)])
def test_rows_are_the_same(model: partial[torch.nn.Module], precision: str, bound: float) -> None:
    """Of bytes and of normalised images; the model itself is left as it was."""
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
    """A convolution of a class of its own, whose weights are not what it multiplies by."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """With weights whose mean is zero."""
        return self._conv_forward(batch, self.weight - self.weight.mean(), self.bias)


class Gated(torch.nn.Module):
    """Two layers with a familiar name and something else before the activation."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = torch.nn.Linear(n, 4), torch.nn.GELU(), torch.nn.Linear(4, n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """By twice the first layer's output."""
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
    ids=["no convolution", "ReLU", "a border of zeros", "a class of its own"],
)
def test_what_cannot_be_fused_is_run_as_it_is(model: Callable[[], torch.nn.Module]) -> None:
    """Where there is nothing to fuse, or scaled zeros would be no zeros."""
    assert fused(model().eval(), SIZE, *SCALING, BF16) is None


def test_what_lies_between_products_is_left_to_torch() -> None:
    """Attention to itself is two products; windows that overlap are no product, nor other masks."""
    found: Any = fused(clip(), SIZE, *SCALING, BF16)
    assert isinstance(found.conv1, PackedPatches)
    assert all(isinstance(block.attn, PackedAttention) for block in found.transformer.resblocks)
    pooled: Any = fused(
        clip(attentional_pool=True, attn_pooler_queries=8, attn_pooler_heads=2),
        SIZE,
        *SCALING,
        BF16,
    )
    assert isinstance(pooled.attn_pool.attn, torch.nn.MultiheadAttention)
    overlapping: Any = fused(with_stem(torch.nn.Conv2d, 32, 0), SIZE, *SCALING, BF16)
    assert isinstance(overlapping.patch_embed.proj, torch.nn.Conv2d)


class Padded(torch.nn.Module):
    """Attention that leaves dark pixels out, which the images of the check have not."""

    def __init__(self, whole: torch.nn.Module) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, *given: torch.Tensor, **words: Any) -> Any:
        """With a mask, of nothing."""
        n, length, _ = given[0].shape
        mask = torch.zeros(n, length, dtype=torch.bool)
        return self.whole(*given, **words, key_padding_mask=mask)


def test_what_else_reaches_into_a_layer_is_left_as_it_is() -> None:
    """Attention with a mask, and weights that are taken without the layer."""
    model: Any = clip()
    model.transformer.resblocks[0].attn = Padded(model.transformer.resblocks[0].attn)
    found: Any = fused(model, SIZE, *SCALING, BF16)
    assert isinstance(found.transformer.resblocks[0].attn.whole, torch.nn.MultiheadAttention)
    assert isinstance(found.transformer.resblocks[1].attn, PackedAttention)
    torch.manual_seed(0)
    beit = timm.create_model(
        "beit_base_patch16_224", num_classes=0, img_size=SIZE[0], depth=2, embed_dim=48, num_heads=4
    )
    found = fused(beit.eval().requires_grad_(False), SIZE, *SCALING, BF16)
    assert isinstance(found.blocks[0].attn.qkv, torch.nn.Linear)
    assert isinstance(found.blocks[0].attn.proj, PackedLinear)


def test_only_what_follows_a_layer_is_fused_with_it() -> None:
    """A familiar name is not enough."""
    model = vit()
    blocks: Any = model.blocks
    blocks[0].mlp = Gated(blocks[0].mlp.fc1.in_features).requires_grad_(False)
    found: Any = fused(model, SIZE, *SCALING, BF16)
    assert isinstance(found.blocks[0].mlp.act, torch.nn.GELU)
    assert isinstance(found.blocks[1].mlp.act, torch.nn.Identity)


def test_other_rows_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator that gives others, or is gone, is not taken."""
    assert fused(vit(act_layer="quick_gelu"), SIZE, *SCALING, BF16) is not None
    monkeypatch.setattr(fusing, "QUICK", 1.0)
    assert fused(vit(act_layer="quick_gelu"), SIZE, *SCALING, BF16) is None
    monkeypatch.setattr(PackedLinear, "forward", lambda *_: torch.ops.mkldnn.gone())
    assert fused(vit(), SIZE, *SCALING, BF16) is None
