"""Tests of images that the preprocessing or the encoder refuses, in each command that encodes.

The refused image may be at any position of its batch.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from clipfeat.embedding import engines, in_memory
from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.image_encoder import ImageEncoder
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders import open_encoder
from clipfeat.encoders.encoder import Encoder
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError, EncodingError, LabelError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.images.decode import RGB
from clipfeat.images.faces.finder import FaceFinder
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.model.model_file import NO_KEYS
from clipfeat.prediction.degrading import robustness
from clipfeat.prediction.explaining import explain
from clipfeat.prediction.predicting import predict
from clipfeat.store import load

pytestmark = pytest.mark.filterwarnings("ignore:a batch of .* does not fit in memory")

N_IMAGES = 6
PLACES = {"first": [0], "middle": [2], "last": [5], "all": list(range(N_IMAGES))}
STEPS = {
    "decode": "DecodeError",
    "preprocess": "cannot be preprocessed: odd image",
    "encode": "the encoder refuses the image: odd batch",
    "memory": "does not fit in memory, even alone",
    "values": "features are not finite",
}
CPU = EncoderOptions(device="cpu")
SMALL = EmbedResources(batch_size=2, num_workers=1)


def is_odd(pixels: RGB) -> bool:
    """Return whether an image is red, the mark of odd images. Degrading keeps it."""
    return bool(pixels[..., 0].mean() > 2 * pixels[..., 1].mean())


def write_images(folder: Path, odd: list[int], *, cut: bool = False) -> list[str]:
    """Write images, some of which will be refused. Return the paths of the latter."""
    rng = np.random.default_rng(0)
    paths = [f"{'ab'[number % 2]}{number}.png" for number in range(N_IMAGES)]
    for number, path in enumerate(paths):
        pixels = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        if number in odd:
            pixels[..., 1:] //= 4
        label = folder / ("real" if number < N_IMAGES // 2 else "unreal")
        label.mkdir(parents=True, exist_ok=True)
        paths[number] = f"{label.name}/{path}"
        Image.fromarray(pixels).save(label / path)
        if cut and number in odd:
            (label / path).write_bytes((label / path).read_bytes()[:1000])
    return [paths[number] for number in odd]


def refusing(encoder: Encoder, step: str) -> Encoder:
    """Return the encoder with a step that raises an error for odd images."""

    def preprocess(pixels: RGB) -> torch.Tensor:
        if not is_odd(pixels):
            return encoder.preprocess(pixels)
        if step == "preprocess":
            raise LookupError("odd image")
        return torch.full_like(encoder.preprocess(pixels), float("inf"))

    def forward(batch: torch.Tensor) -> torch.Tensor:
        if step == "encode" and batch.isinf().any():
            raise RuntimeError("odd batch")
        if step == "memory" and batch.isinf().any():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encoder.forward(batch)

    return replace(encoder, preprocess=preprocess, forward=forward)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> FeatureSet:
    folder = tmp_path_factory.mktemp("known")
    write_images(folder / "images", [])
    embed(folder / "images", folder / "out.h5", encoder="spectrum", options=CPU)
    return load(folder / "out.h5")


@pytest.fixture(scope="module")
def model(known: FeatureSet) -> Model:
    # Without training keys, the same images can be scored.
    return replace(fit(known, "logreg", cv=0), training_keys=NO_KEYS)


@pytest.fixture(params=STEPS)
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make one step raise an error for odd images in every encoder that is opened."""
    name: str = request.param

    def open_refusing(*arguments: Any, **options: Any) -> Encoder:
        return refusing(open_encoder(*arguments, **options), name)

    for module in (engines, in_memory):
        monkeypatch.setattr(module, "open_encoder", open_refusing)
    return name


@pytest.fixture(params=PLACES)
def odd(request: pytest.FixtureRequest, step: str, tmp_path: Path) -> list[str]:
    """Write the images, and return the paths of the odd ones."""
    return write_images(tmp_path / "images", PLACES[request.param], cut=step == "decode")


def embedded(folder: Path, *_: object) -> dict[str, str]:
    report = embed(folder, folder.parent / "o.h5", encoder="spectrum", options=CPU, resources=SMALL)
    assert report.n_rows + len(report.failures) == report.progress.done == N_IMAGES
    return {failure.path: f"{failure.reason}: {failure.message}" for failure in report.failures}


def embedded_with_timing(folder: Path, *_: object) -> dict[str, str]:
    """Embed with a batch size that the run chooses by timing."""
    report = embed(folder, folder.parent / "o.h5", encoder="spectrum", options=CPU)
    assert report.n_rows + len(report.failures) == N_IMAGES
    return {failure.path: f"{failure.reason}: {failure.message}" for failure in report.failures}


def predicted(folder: Path, model: Model, known: FeatureSet) -> dict[str, str]:
    predictions = predict(model, folder, device="cpu", resources=SMALL)
    assert len(predictions.paths) == N_IMAGES
    return dict(predictions.errors)


def explained(folder: Path, model: Model, known: FeatureSet) -> dict[str, str]:
    try:
        one_each = explain(model, folder, known, device="cpu", resources=SMALL)
    except DataError as error:
        return dict.fromkeys(known.paths.tolist(), str(error))
    return dict.fromkeys({*known.paths.tolist()} - {one.path for one in one_each}, "")


def degraded(folder: Path, model: Model, known: FeatureSet) -> dict[str, str]:
    try:
        result = robustness(
            model, folder, degradations=["blur"], device="cpu", resources=SMALL
        )  # fmt: skip
    except LabelError as error:
        return dict.fromkeys(known.paths.tolist(), str(error))
    assert {score.n for score in result.rows} == {N_IMAGES - len(result.errors)}
    return dict(result.errors)


USES = [embedded, embedded_with_timing, predicted, explained, degraded]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__)
def test_a_refused_image_is_one_failure(
    use: Callable[..., dict[str, str]],
    step: str,
    odd: list[str],
    model: Model,
    known: FeatureSet,
    tmp_path: Path,
) -> None:
    """Only the odd images fail, with the reason. All others have results."""
    failures = use(tmp_path / "images", model, known)
    assert sorted(failures) == sorted(odd)
    assert all(STEPS[step] in reason for reason in failures.values() if reason)


def refuse(weights: bytes) -> Callable[[RGB], list[Any]]:
    """Make a face detector that finds no face, and raises an error for odd images."""

    def detect(pixels: RGB) -> list[Any]:
        if is_odd(pixels):
            raise ZeroDivisionError("odd image")
        return []

    return detect


@pytest.mark.parametrize("place", PLACES)
def test_an_image_that_the_face_detector_refuses_is_one_failure(place: str, tmp_path: Path) -> None:
    """An error of the detector fails the image, not the run."""
    odd = write_images(tmp_path / "images", PLACES[place])
    finder = FaceFinder("largest", 0.0, True, f"{__name__}:refuse", "none")
    report = embed(
        tmp_path / "images", tmp_path / "out.h5", encoder="spectrum", options=CPU,
        inputs=SourceOptions(faces=finder), resources=SMALL,
    )  # fmt: skip
    assert sorted(failure.path for failure in report.failures) == sorted(odd)
    assert all("face detection failed" in failure.message for failure in report.failures)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["preprocess", "encode", "memory", "values"])
def test_a_transformer_names_the_refused_image(
    name: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transformer cannot omit rows, so the error names the first failing image."""
    odd = write_images(tmp_path, PLACES[place])
    paths = sorted(tmp_path.rglob("*.png"))
    encoder = refusing(open_encoder("spectrum", CPU), name)
    monkeypatch.setattr(ImageEncoder, "_open", lambda self: encoder)
    number = [path.relative_to(tmp_path).as_posix() for path in paths].index(odd[0])
    with pytest.raises(EncodingError, match=f"image {number}: .*{STEPS[name]}"):
        ImageEncoder("spectrum", batch_size=2).transform(paths)
