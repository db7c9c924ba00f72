"""Tests of exporting whole models to ONNX."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clipfeat.encoders import EncoderOptions, onnx_export, open_encoder, options_of
from clipfeat.encoders.onnx_export import as_bytes
from clipfeat.errors import DataError, UsageError
from clipfeat.exporting import checking
from clipfeat.exporting.checking import GENERATED, generated_images
from clipfeat.exporting.notes import input_notes
from clipfeat.exporting.onnx_model import OnnxExport, export_onnx, serialized, to_onnx
from clipfeat.features import FeatureSet
from clipfeat.images.record import image_key
from clipfeat.model import Model
from tests.conftest import make_features, make_spec
from tests.exporting.conftest import model_of, pictures
from tests.images.test_video import write as write_video
from tests.model.test_codecs import fitted

onnx = pytest.importorskip("onnx")
EncodeError = pytest.importorskip("google.protobuf.message").EncodeError
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SIZES = (32, 48)


@pytest.fixture(scope="module")
def two_sizes() -> Model:
    """Return a model of one network at two sizes, with pooled layers."""
    options = [
        EncoderOptions(
            untrained=True, image_size=size, layers="1/mean+std,last", precision="fp32",
            device="cpu",
        )
        for size in SIZES
    ]  # fmt: skip
    return model_of([("timm:test_efficientnet", one) for one in options], "mlp")


@pytest.fixture(scope="module")
def exported(two_sizes: Model) -> Iterator[OnnxExport]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "N_IMAGES", 20)
        yield to_onnx(two_sizes, progress=False)


def test_one_graph_from_pixels_to_probabilities(two_sizes: Model, exported: OnnxExport) -> None:
    """The graph has one input per encoder and accepts any batch size."""
    session = onnxruntime.InferenceSession(exported.data, providers=["CPUExecutionProvider"])
    encoders = [open_encoder(spec.name, options_of(spec)) for spec in two_sizes.specs]
    images = pictures(7, seed=1)
    tensors = [[encoder.preprocess(image) for image in images] for encoder in encoders]
    X = np.hstack([e.encode(t) for e, t in zip(encoders, tensors, strict=True)])
    expected = two_sizes.predict_proba(
        FeatureSet(
            X, np.full(7, -1), two_sizes.classes, np.arange(7).astype(str),
            np.array([b"%032x" % i for i in range(7)]), specs=two_sizes.specs,
        )
    )  # fmt: skip
    assert np.ptp(expected[:, 1]) > 0.01
    inputs = {
        f"pixels_{i}": np.stack([as_bytes(one, spec) for one in of])
        for i, (of, spec) in enumerate(zip(tensors, two_sizes.specs, strict=True))
    }
    (whole,) = session.run(["probabilities"], inputs)
    assert np.abs(whole - expected).max() < 1e-5
    (first,) = session.run(None, {name: pixels[:1] for name, pixels in inputs.items()})
    assert np.abs(first - expected[:1]).max() < 1e-5


def test_the_metadata_describes_the_model(two_sizes: Model, exported: OnnxExport) -> None:
    """The metadata suffices to prepare images and to read the output."""
    proto = onnx.load_from_string(exported.data)
    onnx.checker.check_model(proto)
    notes = {one.key.removeprefix("clipfeat."): json.loads(one.value)
             for one in proto.metadata_props}  # fmt: skip
    assert notes == exported.description
    assert (notes["classes"], notes["positive"], notes["threshold"]) == (
        ["real", "fake"], "fake", None,
    )  # fmt: skip
    assert [one["size"] for one in notes["inputs"]] == [[side, side] for side in SIZES]
    assert [one["fingerprint"] for one in notes["inputs"]] == [
        spec.fingerprint for spec in two_sizes.specs
    ]
    assert {one["interpolation"] for one in notes["inputs"]} == {"bicubic"}
    assert exported.agreement.n_images == 20
    assert exported.agreement.images == GENERATED


def test_no_path_of_this_machine_is_written(exported: OnnxExport) -> None:
    """The file has no source paths, although torch's exporter records them."""
    assert b".py" not in exported.data


def test_activations_return_new_tensors_during_an_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """The activations of the encoder work in place again after the export, even if it fails."""
    options = EncoderOptions(untrained=True, image_size=32, precision="fp32", device="cpu")
    encoder = open_encoder("timm:test_efficientnet", options)

    def in_place(network: torch.nn.Module) -> set[bool]:
        return {module.inplace for module in network.modules() if hasattr(module, "inplace")}

    def export(network: torch.nn.Module, *args: Any, **keywords: Any) -> None:
        raise RuntimeError(f"in place: {in_place(network)}")

    before = in_place(encoder.forward)
    assert True in before
    monkeypatch.setattr(torch.onnx, "export", export)
    with pytest.raises(UsageError, match=r"in place: \{False\}"):
        onnx_export.encoder_to_onnx(encoder, 18)
    assert in_place(encoder.forward) == before


def test_a_difference_is_refused(
    two_sizes: Model, exported: OnnxExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph with other probabilities is refused. The error states the largest difference."""
    encoders = [open_encoder(spec.name, options_of(spec)) for spec in two_sizes.specs]
    monkeypatch.setattr(checking, "N_IMAGES", 4)
    monkeypatch.setattr(
        Model, "predict_proba", lambda self, features: np.full((len(features), 2), 0.9)
    )
    with pytest.raises(DataError, match=r"largest difference from the model is \d\.\de-01 on 4"):
        checking.check_agreement(
            exported.data, two_sizes, exported.description, encoders, None, lambda phase: None
        )


def compared(model: Model, source: Any = None, **changes: Any) -> checking.Agreement:
    """Compare the graph of a model of one encoder with the model."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checking, "N_IMAGES", 8)
        exported = to_onnx(model, progress=False)
        [spec] = model.specs
        return checking.check_agreement(
            exported.data, model, exported.description | changes,
            [open_encoder(spec.name, options_of(spec))], source, lambda phase: None,
        )  # fmt: skip


def test_verdicts_are_compared(abstaining_model: Model) -> None:
    """Equal probabilities are not enough: the marks of unsure images are compared, too."""
    assert compared(abstaining_model).n_verdicts == 0
    with pytest.raises(DataError, match=r"[1-8] verdicts differ.*at most 1%"):
        compared(abstaining_model, smallest=[1.1, 1.1])


def test_training_images_prove_nothing(lite_model: Model, image_folder: Path) -> None:
    """Training images are left out, and random images are always compared."""
    files = sorted(image_folder.rglob("*.png"))
    keys = [image_key(file.read_bytes()).hex().encode() for file in files[:5]]
    trained = replace(lite_model, training_keys=np.array(keys))
    agreement = compared(trained, files[:8])
    assert (agreement.n_images, agreement.n_left_out) == (8 + 3, 5)
    assert "5 images of --check were left out" in str(agreement)
    assert agreement.lowest < agreement.highest - 0.01
    assert compared(trained, files[:5]).images == GENERATED


def test_constant_probabilities_prove_nothing(
    lite_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "LEAST_RANGE", 1.1)
    with pytest.raises(DataError, match=r"proves nothing.*with probabilities from .*--check"):
        compared(lite_model)
    dummy = replace(lite_model, estimator=fitted("dummy", make_features(n_features=1280)))
    assert compared(dummy).difference < 1e-6


def test_frames_of_videos_are_compared(lite_model: Model, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4")
    assert compared(lite_model, tmp_path).n_images > 8


def test_the_advice_fits_the_cause(
    lite_model: Model, abstaining_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "TOLERANCE", 0.0)
    with pytest.raises(DataError, match="The classifier is continuous"):
        compared(lite_model)
    with pytest.raises(DataError, match="isotonic calibration and nearest neighbours, a rounding"):
        compared(abstaining_model)


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"crop_mode": "tiles"}, "--crop tiles"),
        ({"crop_mode": "none"}, "--crop none"),
        ({"faces": "yunet"}, "--faces"),
        ({"precision": "bf16", "interpolation": "bicubic"}, "--precision fp32"),
        ({"decode": "rgb8-1 scaled-jpeg-1", "interpolation": "bicubic"}, "--decode scaled"),
        ({}, "images of any size"),
    ],
)
def test_options_without_a_graph_are_refused(changes: dict[str, str], option: str) -> None:
    with pytest.raises(UsageError, match=option):
        input_notes([make_spec(**changes)])


def test_a_model_of_arrays_is_refused(two_sizes: Model, tmp_path: Path) -> None:
    model = Model(two_sizes.estimator, two_sizes.classes, ())
    with pytest.raises(UsageError, match="no encoder to export"):
        export_onnx(model, tmp_path / "model.onnx", progress=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [EncodeError, ValueError, None])
def test_a_graph_of_two_gib_is_refused(error: type[Exception] | None) -> None:
    """Protocol Buffers raise an error of their own already when they count the bytes."""

    class Large:
        def ByteSize(self) -> int:
            if error is not None:
                raise error("Failed to serialize proto")
            return 2**31

    with pytest.raises(UsageError, match="2 GiB or more"):
        serialized(Large())


def test_generated_images_vary() -> None:
    images = list(generated_images(64, 12))
    assert len({image.shape for image in images}) > 8
    assert np.ptp([image.mean() for image in images]) > 50
    assert all(32 <= side < 96 for image in images for side in image.shape[:2])
