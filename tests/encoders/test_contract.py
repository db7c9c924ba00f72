"""Tests of the contract of every encoder, on real architectures with random weights."""

from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import timm
import timm.data
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from clipfeat.encoders import (
    ALIASES,
    DEFAULT_ENCODER,
    ENCODER_LIBRARIES,
    list_encoders,
    open_encoder,
)
from clipfeat.encoders.encoder import Encoder, check_row
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.encoders.registry import options_of
from clipfeat.errors import (
    ClipfeatWarning,
    EncodingError,
    UnknownNameError,
    UsageError,
    WeightsError,
)
from clipfeat.images.decode import RGB
from clipfeat.spec import EncoderSpec
from tests.encoders.tiny_onnx import write_face_net

CPU = EncoderOptions(device="cpu")
UNTRAINED = EncoderOptions(device="cpu", untrained=True)
CASES: dict[str, tuple[str, EncoderOptions]] = {
    "spectrum": ("spectrum", CPU),
    "package lite0": ("package:efficientnet-lite0", CPU),
    "package lite1": ("package:efficientnet-lite1", replace(CPU, crop="resize")),
    "package lite2": ("package:efficientnet-lite2", replace(CPU, layers="all")),
    "timm": ("timm:test_efficientnet", UNTRAINED),
    "timm vit": ("timm:test_vit", UNTRAINED),
    "open_clip": ("open_clip:ViT-S-32", UNTRAINED),
    "open_clip pre-projection": (
        "open_clip:ViT-S-32",
        EncoderOptions(device="cpu", untrained=True, layers="pre-projection"),
    ),
    "open_clip layers": (
        "open_clip:ViT-S-32",
        EncoderOptions(device="cpu", untrained=True, layers="all"),
    ),
    "timm layers": (
        "timm:test_efficientnet",
        EncoderOptions(device="cpu", untrained=True, layers="0,2,last", pool="mean+max"),
    ),
    "onnx": ("onnx:face.onnx", replace(CPU, arguments={"mean": 0.5, "std": (0.5, 0.5, 0.4)})),
}


def photographs(n: int = 5) -> list[RGB]:
    """Crop patches of different sizes from a bundled photograph."""
    import skimage.data

    photo = skimage.data.astronaut()
    return [np.ascontiguousarray(photo[i * 20 :, : 200 + 40 * i]) for i in range(n)]


@pytest.fixture(scope="module", autouse=True)
def in_the_folder_of_the_onnx_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Run in the folder of the ONNX file that a case names."""
    folder = tmp_path_factory.mktemp("onnx")
    write_face_net(folder / "face.onnx")
    with chdir(folder):
        yield


@pytest.fixture(scope="module")
def opened() -> Callable[[str], Encoder]:
    cache: dict[str, Encoder] = {}

    def get(case: str) -> Encoder:
        if case not in cache:
            name, options = CASES[case]
            cache[case] = open_encoder(name, options)
        return cache[case]

    return get


def test_every_library_has_a_case() -> None:
    """Every encoder library has a case in this module."""
    assert {name.partition(":")[0] for name, _ in CASES.values()} == set(ENCODER_LIBRARIES)


@pytest.mark.parametrize("case", CASES)
def test_rows(case: str, opened: Callable[[str], Encoder]) -> None:
    """Rows are finite float32 values, are not normalised, and do not depend on the batch."""
    encoder = opened(case)
    assert EncoderSpec.from_json(encoder.spec.to_json()) == encoder.spec
    rows = encoder.encode_images(photographs())
    assert rows.shape == (5, encoder.spec.n_features)
    assert rows.dtype == np.float32
    for row in rows:
        check_row(row)
    assert not np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert not np.allclose(rows[0], rows[1], rtol=1e-2)
    alone = np.concatenate([encoder.encode_images([image]) for image in photographs()])
    assert np.allclose(rows, alone, rtol=1e-3, atol=1e-5 * np.abs(rows).max())


@pytest.mark.parametrize("case", CASES)
def test_a_spec_opens_the_same_encoder(case: str, opened: Callable[[str], Encoder]) -> None:
    """The options of a spec open an encoder with an equal spec and bit-equal rows."""
    encoder = opened(case)
    options = options_of(encoder.spec, device="cpu")
    again = open_encoder(encoder.spec.name, options)
    assert again.spec == encoder.spec
    image = photographs(1)
    assert np.array_equal(again.encode_images(image), encoder.encode_images(image))


@pytest.mark.parametrize("case", ["package lite0", "timm", "timm vit", "open_clip"])
def test_models_are_in_evaluation_mode(case: str, opened: Callable[[str], Encoder]) -> None:
    """Models are in evaluation mode, without gradients. open_clip returns them in train mode."""
    model: Any = opened(case).forward
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("case", ["package lite0", "timm", "open_clip"])
def test_size_and_precision_change_the_fingerprint(
    case: str, opened: Callable[[str], Encoder]
) -> None:
    """Another input size or precision changes the fingerprint, and bfloat16 rows stay close."""
    name, options = CASES[case]
    encoder = opened(case)
    small = open_encoder(name, replace(options, image_size=96))
    half = open_encoder(name, replace(options, precision="bf16"))
    assert len({e.spec.fingerprint for e in (encoder, small, half)}) == 3
    assert small.preprocess(photographs(1)[0]).shape == (3, 96, 96)
    a, b = (e.encode_images(photographs(1))[0] for e in (encoder, half))
    assert float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) > 0.99


def least_cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the least cosine between the rows of two arrays."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / lengths).min())


def test_timm_features_equal_timms(tmp_path: Path) -> None:
    """With weights from a file, rows equal those of timm's transform and forward."""
    torch.manual_seed(7)
    upstream = timm.create_model("test_efficientnet", pretrained=False)
    file = tmp_path / "weights.safetensors"
    save_file(upstream.state_dict(), file)
    upstream = upstream.eval()
    upstream.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(upstream))
    batch = torch.stack([transform(Image.fromarray(image)) for image in photographs()])
    with torch.inference_mode():
        expected = upstream(batch).numpy()
    ours = open_encoder("timm:test_efficientnet", EncoderOptions(weights=file, device="cpu"))
    assert np.allclose(ours.encode(list(batch)), expected, atol=1e-5 * np.abs(expected).max())
    assert least_cosine(ours.encode_images(photographs()), expected) > 0.9999


def test_open_clip_features_equal_open_clips(tmp_path: Path) -> None:
    """With weights from a file, rows equal those of open_clip's transform and forward."""
    torch.manual_seed(7)
    model, _, transform = open_clip.create_model_and_transforms("ViT-S-32")
    file = tmp_path / "weights.pt"
    torch.save(model.state_dict(), file)
    batch = torch.stack([transform(Image.fromarray(image)) for image in photographs()])
    with torch.inference_mode():
        expected = model.eval().encode_image(batch).numpy()
    ours = open_encoder("open_clip:ViT-S-32", EncoderOptions(weights=file, device="cpu"))
    assert np.allclose(ours.encode(list(batch)), expected, atol=1e-5 * np.abs(expected).max())
    assert least_cosine(ours.encode_images(photographs()), expected) > 0.9999


def test_local_weights_use_the_tags_activation_and_scaling() -> None:
    """With untrained weights, an OpenAI tag still has its QuickGELU and pixel scaling."""
    openai = open_encoder("open_clip:ViT-B-32/openai", UNTRAINED)
    activations = {type(m).__name__ for m in openai.forward.modules()}  # type: ignore[attr-defined]
    assert "QuickGELU" in activations
    assert "quick_gelu" in openai.spec.options
    assert openai.spec.mean[0] == pytest.approx(0.48145466)


def test_arguments_reach_timm() -> None:
    """Padding, mean and crop can be set by encoder arguments."""
    arguments = {"pad_type": "same", "mean": 0.5, "std": 0.5, "crop_pct": 1.0}
    encoder = open_encoder(
        "timm:test_efficientnet", EncoderOptions(untrained=True, arguments=arguments, device="cpu")
    )
    assert encoder.spec.mean == (0.5, 0.5, 0.5)
    assert encoder.spec.crop_pct == 1.0
    assert "same" in encoder.spec.options
    assert (
        encoder.spec.fingerprint
        != open_encoder("timm:test_efficientnet", UNTRAINED).spec.fingerprint
    )


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("clip-vit-b-23", CPU, UnknownNameError, "did you mean clip-vit-b-32"),
        ("timm:efficientnet_b44", CPU, UnknownNameError, "efficientnet_b4"),
        ("timm:resnet50.a9_in1k", CPU, UnknownNameError, "did you mean a1_in1k|a1h_in1k|a2_in1k"),
        ("open_clip:ViT-B-33", UNTRAINED, UnknownNameError, "ViT-B-32"),
        ("open_clip:ViT-B-32/opnai", CPU, UnknownNameError, "did you mean openai"),
        ("open_clip:ViT-B-32", CPU, UsageError, "needs a tag"),
        ("timm:test_vit", CPU, WeightsError, r"file is model.safetensors .* --weights FILE"),
        ("clip-vit-b-32", CPU, WeightsError,
         "file is open_clip_model.safetensors of timm/.*pass --encoder efficientnet-lite0 "),
        ("timm:test_vit", EncoderOptions(weights="none.pt"), WeightsError, "no such file"),
        ("timm:test_vit", EncoderOptions(layers="9", untrained=True), UnknownNameError, "blocks.1"),
        ("open_clip:RN50", EncoderOptions(layers="pre-projection", untrained=True), UsageError,
         "cannot be removed"),
        ("timm:test_vit", EncoderOptions(device="cuda:99", untrained=True), UsageError, "cuda:99"),
        ("efficientnet-lite0", EncoderOptions(arguments={"img_size": 96}), UsageError,
         r"takes no --encoder-arg img_size"),
        ("spectrum", EncoderOptions(untrained=True), UsageError, "has no --untrained"),
        ("spectrum:x", CPU, UnknownNameError, "unknown encoder"),
        ("spectrum", EncoderOptions(device="meta"), UsageError, "'meta' is not available"),
        ("timm:test_vit", EncoderOptions(untrained=True, arguments={"crop_pct": "abc"}),
         UsageError, "invalid preprocessing"),
        ("timm:test_vit", EncoderOptions(untrained=True, arguments={"no_such": 1}),
         UsageError, r"takes no --encoder-arg no_such \(it takes: mean, .*pad_type"),
        ("timm:test_vit", EncoderOptions(untrained=True, arguments={"cache_dir": "x"}),
         UsageError, r"takes no --encoder-arg cache_dir"),
        ("timm:test_vit", EncoderOptions(untrained=True, arguments={"depth": 10**6}),
         UsageError, r"Set it to a whole number from 0 to 128"),
        ("timm:test_vit", EncoderOptions(untrained=True, arguments={"pad_type": "same"}),
         UsageError, "does not take --encoder-arg pad_type=same"),
        ("timm:test_vit", EncoderOptions(untrained=True, arguments={"global_pool": "fast"}),
         UsageError, "does not take --encoder-arg global_pool=fast: Only avg, avgmax"),
        ("efficientnet-lite0", EncoderOptions(arguments={"global_pool": "map"}),
         UsageError, "does not take --encoder-arg global_pool=map: Invalid pool type: map. Leave"),
    ],
)  # fmt: skip
def test_errors_of_open_encoder(
    name: str, options: EncoderOptions, error: type[Exception], message: str
) -> None:
    """Unknown names suggest the nearest name. Missing weights name the missing file."""
    with pytest.raises(error, match=message):
        open_encoder(name, options)


def test_weights_named_for_another_tag_cause_a_warning(tmp_path: Path) -> None:
    """A weights file named for another tag causes a warning about its preprocessing."""
    file = tmp_path / "test_vit.tf2_in1k.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), file)
    with pytest.warns(
        ClipfeatWarning, match="suggests weights of tag tf2_in1k, but the preprocessing"
    ):
        open_encoder("timm:test_vit", EncoderOptions(weights=str(file), device="cpu"))


@pytest.mark.parametrize("library", ["timm:test_vit", "open_clip:ViT-S-32"])
def test_weights_of_another_architecture_are_refused(tmp_path: Path, library: str) -> None:
    """Weights that do not fit are an error, and are not partly loaded."""
    other = tmp_path / "other.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), other)
    text = tmp_path / "text.safetensors"
    text.write_text("no weights at all")
    for file in (other, text):
        with pytest.raises(WeightsError, match="does not contain weights of"):
            open_encoder(library, EncoderOptions(weights=str(file), device="cpu"))


def test_rows_that_must_not_be_stored() -> None:
    """Rows with NaN or infinity, and rows of zeros, are refused."""
    for row in ([np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]):
        with pytest.raises(EncodingError):
            check_row(np.array(row, dtype=np.float32))


def test_names_are_listed() -> None:
    """The list has the aliases and both libraries, and all its weights are on a hub."""
    everything = set(list_encoders())
    assert len(everything) > 1000
    assert all(full in everything for full in ALIASES.values())
    assert DEFAULT_ENCODER in ALIASES
    assert set(list_encoders("timm:resnet50.a?_in1k")) >= {"timm:resnet50.a1_in1k"}


@pytest.mark.parametrize("size", [(8, 40), (3, 3), (1, 1), (500, 300)])
def test_spectrum_accepts_any_size(size: tuple[int, int]) -> None:
    """Narrow, tiny and large images have a finite spectrum of 80 values."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    row = open_encoder("spectrum", CPU).encode_images([image])[0]
    assert row.shape == (80,)
    assert np.isfinite(row).all()


def test_spectrum_shows_a_period() -> None:
    """A grid with a period of four pixels is the maximum, and halving all pixels keeps the row."""
    rng = np.random.default_rng(0)
    image = rng.integers(100, 110, (128, 128, 3)).astype(np.uint8)
    image[:, ::4] += 40
    plain = open_encoder("spectrum", CPU).encode_images([image])[0]
    # This is ring 32 of 90 at a side of 128.
    assert abs(int(plain.argmax()) - round(31 * 79 / 90)) <= 1
    assert float(plain.mean()) == pytest.approx(1)
    gained = open_encoder("spectrum", CPU).encode_images([image // 2])[0]
    assert np.abs(gained - plain).max() < 0.5


def test_an_image_of_one_colour_has_a_row() -> None:
    """The row of a black image is not zero, which would mark a failure."""
    row = open_encoder("spectrum", CPU).encode_images([np.zeros((32, 32, 3), np.uint8)])[0]
    assert np.allclose(row, 1)


@pytest.mark.gpu
@pytest.mark.parametrize("case", CASES)
def test_cuda_agrees_with_the_cpu(case: str, opened: Callable[[str], Encoder]) -> None:
    """Rows of both devices have a cosine above 0.9999 in float32."""
    name, options = CASES[case]
    there = open_encoder(name, replace(options, device="cuda"))
    assert there.spec == opened(case).spec
    a, b = (e.encode_images(photographs()) for e in (there, opened(case)))
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.9999


@pytest.mark.shared
def test_real_weights_separate_photographs_from_noise(shared: Path) -> None:
    """With MobileNetV2's weights, patches of one photograph are closer than noise."""
    file = shared / "weights" / "mobilenetv2_100.tf2_in1k.safetensors"
    arguments = {"pad_type": "same", "mean": 0.5, "std": 0.5}
    encoder = open_encoder(
        "timm:mobilenetv2_100",
        EncoderOptions(weights=str(file), arguments=arguments, device="cpu"),
    )
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    rows = encoder.encode_images([*photographs(2), noise])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2


@pytest.mark.parametrize("wrong", [{"precision": "fp8"}, {"image_size": 0}])
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    """Invalid precisions and sizes are refused before weights are loaded."""
    with pytest.raises(UsageError):
        EncoderOptions(**wrong)


def test_lower_precision_is_rounded_to_the_stored_dtype() -> None:
    """Values that overflow float16 become infinite, so the row is refused."""
    options = EncoderOptions(untrained=True, precision="bf16", device="cpu")
    spec = open_encoder("timm:test_vit", options).spec
    wide = Encoder(
        spec,
        preprocess=lambda image: torch.zeros(1),
        forward=lambda batch: torch.full((1, spec.n_features), 7e4),
        device=torch.device("cpu"),
    )
    assert np.isinf(wide.encode_images([np.zeros((2, 2, 3), np.uint8)])).all()
