"""Fewer passes over memory give the same rows, or are not taken."""

import copy
from functools import partial

import pytest
import timm
import torch

from clipfeat.encoders import fusing
from clipfeat.encoders.fusing import fused
from clipfeat.encoders.runtime import TorchForward

CPU = torch.device("cpu")
SIZE = (160, 160)
SCALING = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def vit(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = timm.create_model("test_vit", num_classes=0, **options)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize(
    "model",
    [
        partial(vit),
        partial(vit, act_layer="quick_gelu"),
        partial(vit, act_layer="quick_gelu", scale_mlp_norm=True),
    ],
    ids=["GELU", "QuickGELU", "a norm between"],
)
def test_rows_are_the_same(model: partial[torch.nn.Module]) -> None:
    """Of bytes and of normalised images; the model itself is left as it was."""
    plain = model()
    before = copy.deepcopy(plain.state_dict())
    forward = TorchForward(plain, CPU, "bf16", SIZE, *SCALING)
    assert forward.scales == ("scale_mlp_norm" not in model.keywords)
    batch = torch.randint(0, 256, (5, *SIZE, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    middle, spread = (torch.tensor(values).reshape(-1, 1, 1) for values in SCALING)
    with torch.inference_mode():
        exact = plain((batch / 255 - middle) / spread)
        for images in (batch, (batch / 255 - middle) / spread):
            least = torch.nn.functional.cosine_similarity(forward(images).float(), exact).min()
            assert least > 0.9995
    assert all(torch.equal(values, before[name]) for name, values in plain.state_dict().items())


def test_what_cannot_be_fused_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders of zeros, no activation to fuse, an operator that is gone, or that gives others."""
    padded = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 4))
    for model in (padded, flat, vit(act_layer="relu", img_size=8, patch_size=4)):
        assert fused(model, (8, 8), *SCALING) is None
    model = vit()
    assert fused(model, SIZE, *SCALING) is not None
    monkeypatch.setattr(fusing, "QUICK", 1.0)
    assert fused(vit(act_layer="quick_gelu"), SIZE, *SCALING) is None
    monkeypatch.setattr(fusing._LinearThen, "forward", lambda *_: torch.ops.mkldnn.gone())
    assert fused(model, SIZE, *SCALING) is None
