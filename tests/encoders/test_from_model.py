"""Tests of the choice of precision, runtime and devices."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import transforms

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.encoders import from_model, open_encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.from_model import encoder_from_model
from clipfeat.encoders.runtime import TorchForward, openvino_forward
from clipfeat.errors import UsageError
from clipfeat.images.decode import RGB
from tests.conftest import make_spec

CPU = torch.device("cpu")
TRANSFORM = transforms.Compose(
    [transforms.Resize(16), transforms.CenterCrop(16), transforms.ToTensor(),
     transforms.Normalize(0.5, 0.5)]
)  # fmt: skip


class Fragile(torch.nn.Module):
    """Model that loses accuracy in bfloat16 because it takes small differences of large numbers."""

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = torch.nn.Parameter(torch.tensor(offset))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return the means of rows of pixels, after adding and subtracting the offset."""
        return (batch.mean(dim=(1, 3)) + self.offset) - self.offset


def pictures(n: int = 6) -> Sequence[RGB]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (20, 24, 3), dtype=np.uint8) for _ in range(n)]


def placed(
    model: torch.nn.Module,
    precision: str = "fp32",
    samples: Callable[[], Sequence[RGB]] = list,
    n_images: int = 0,
) -> Any:
    spec = make_spec(input_size=(16, 16), mean=(0.5,) * 3, std=(0.5,) * 3)
    options = EncoderOptions(device="cpu", precision=precision)
    return encoder_from_model(model, TRANSFORM, spec, options, n_images=n_images, samples=samples)


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the processor has bfloat16 instructions."""
    monkeypatch.setattr(from_model, "_faster_precisions", lambda device: ("bf16",))


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize(("offset", "precision"), [(0.0, "bf16"), (100.0, "fp32")])
def test_auto_keeps_the_features_of_the_images(offset: float, precision: str) -> None:
    """A lower precision is chosen only if it keeps the features. The reason is given."""
    encoder = placed(Fragile(offset), precision="auto", samples=pictures)
    assert encoder.spec.precision == precision
    assert encoder.chosen.startswith(precision)
    assert "cosine" in encoder.chosen
    exact = placed(Fragile(0.0)).encode_images(pictures())
    rows = encoder.encode_images(pictures())
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(exact, axis=1)
    assert ((rows * exact).sum(axis=1) / lengths).min() > 0.999


class Picky(Fragile):
    """Model that raises an error for black images and returns invalid features for white ones."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        if (batch < -0.99).all():
            raise IndexError("black image")
        return super().forward(batch) / (1 - (batch > 0.99).all().float())


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("place", [0, 1, 3])
@pytest.mark.parametrize("shape_and_value", [((0, 4, 3), 0), ((8, 8, 3), 0), ((8, 8, 3), 255)])
def test_a_refused_sample_does_not_affect_auto(
    shape_and_value: tuple[tuple[int, ...], int], place: int
) -> None:
    """A sample that fails in preprocessing or in the model is ignored, at any position."""
    refused = np.full(*shape_and_value, dtype=np.uint8)
    good = pictures(3)
    some = placed(Picky(0.0), "auto", lambda: [*good[:place], refused, *good[place:]])
    assert some.chosen == placed(Picky(0.0), "auto", lambda: good).chosen
    assert "no image" in placed(Picky(0.0), "auto", lambda: [refused] * 3).chosen


@pytest.mark.usefixtures("with_bfloat16")
def test_auto_without_an_image_is_float32() -> None:
    """Without sample images, the precision is float32."""
    encoder = placed(Fragile(0.0), precision="auto", samples=list)
    assert encoder.spec.precision == "fp32"
    assert "no image" in encoder.chosen


def test_auto_without_faster_instructions_decodes_no_image(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Samples are not decoded if no precision is faster."""
    monkeypatch.setattr(from_model, "_faster_precisions", lambda device: ())
    encoder = placed(Fragile(0.0), precision="auto", samples=lambda: pytest.fail("decoded"))
    assert encoder.spec.precision == "fp32"


@pytest.mark.parametrize(("n_images", "calls"), [(1, 1), (1000, 2)])
def test_few_images_are_not_timed(n_images: int, calls: int) -> None:
    """For few images, the model is run once, in the precision that encodes them."""
    probed = []

    class Probed(Fragile):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            probed.append(batch.dtype)
            return super().forward(batch)

    placed(Probed(0.0), "bf16", n_images=n_images)
    assert probed == calls * [torch.bfloat16 if n_images == 1 else torch.float32]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_openvino_returns_torchs_rows(precision: str) -> None:
    """OpenVINO and torch give equal rows of a convolutional network, for any batch size."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=0).eval().requires_grad_(False)
    scaling = ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    batch = torch.randint(0, 256, (5, 64, 64, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    other = openvino_forward(model, (64, 64), precision, *scaling, threads=1)
    assert other is not None
    with torch.inference_mode():
        exact = TorchForward(model, CPU, "fp32", (16, 16), *scaling, fuse=False)(batch)
        rows = torch.cat([other(batch[:2]), other(batch[2:])])
    least = torch.nn.functional.cosine_similarity(rows, exact).min()
    assert least > (0.99999 if precision == "fp32" else 0.999)


def test_accelerated_classifiers_load_after_openvino() -> None:
    """Both libraries bring a TBB, and the older one would be used by both."""
    pytest.importorskip("openvino")
    pytest.importorskip("sklearnex")
    code = (
        "import torch\n"
        "from clipfeat.encoders.runtime import openvino_forward\n"
        "model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 8), torch.nn.Flatten())\n"
        "assert openvino_forward(model, (8, 8), 'fp32', (0.5,) * 3, (0.5,) * 3, 1) is not None\n"
        "import sklearnex.svm\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_openvino_returns_none_for_unsupported_models() -> None:
    """A model whose control flow depends on values is not converted."""

    class Odd(torch.nn.Module):
        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            return batch.mean((2, 3)) * (1 if float(batch.sum()) > 0 else 2)

    assert openvino_forward(Odd(), (8, 8), "fp32", (0.5,) * 3, (0.5,) * 3, 1) is None


def test_convolutional_networks_are_converted_for_many_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only many images are worth a conversion. The rows stay the same."""
    monkeypatch.setattr(from_model, "WORTH_CONVERTING", 60.0)
    options = EncoderOptions(untrained=True, device="cpu", precision="fp32")
    few = open_encoder("timm:test_efficientnet", options, n_images=1)
    many = open_encoder("timm:test_efficientnet", options, n_images=10**9)
    assert isinstance(few.forward, torch.nn.Module)
    assert not isinstance(many.forward, torch.nn.Module)
    assert few.spec == many.spec
    assert np.allclose(few.encode_images(pictures()), many.encode_images(pictures()), atol=1e-4)


def test_several_devices_return_the_rows_of_one(image_folder: Path, tmp_path: Path) -> None:
    """Several devices (here the CPU twice) return the same rows in the same order."""
    from clipfeat import embed, load

    keywords: dict[str, Any] = {"encoder": "spectrum", "resources": EmbedResources(batch_size=3)}
    embed(image_folder, tmp_path / "one.h5", options=EncoderOptions(device="cpu"), **keywords)
    embed(image_folder, tmp_path / "two.h5", options=EncoderOptions(device="cpu,cpu"), **keywords)
    one, two = load(tmp_path / "one.h5"), load(tmp_path / "two.h5")
    assert one.paths.tolist() == two.paths.tolist()
    assert np.array_equal(one.X, two.X)


def test_a_file_cannot_request_a_huge_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The size is checked before the first forward pass, which would take minutes and gigabytes."""
    monkeypatch.setattr(from_model, "MAX_PIXELS", 255)
    with pytest.raises(UsageError, match="16x16 pixels, more than the limit of 255"):
        placed(Fragile(0.0))
