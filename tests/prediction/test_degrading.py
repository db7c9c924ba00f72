"""Tests of robustness: degraded images, which are decoded once, and their metrics."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import embed
from clipfeat.embedding.views import View, read_views
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import EncodingError, LabelError, UnknownNameError, UsageError
from clipfeat.evaluate import METRICS
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.images.faces import open_finder
from clipfeat.images.readers import FileBytes
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.model.model_file import NO_KEYS
from clipfeat.prediction import degrading
from clipfeat.prediction.degrading import DEGRADATIONS, ORIGINAL, robustness
from clipfeat.prediction.predicting import predict
from clipfeat.store import load
from tests.conftest import make_features
from tests.images.test_faces import two_faces


@pytest.fixture
def model(image_folder: Path, tmp_path: Path) -> Model:
    embed(
        image_folder, tmp_path / "out.h5", encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    fitted = fit(load(tmp_path / "out.h5"), "logreg", cv=0)
    return replace(fitted, training_keys=NO_KEYS)  # training images are not scored


def test_large_images_are_not_degraded_many_times(
    model: Model, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image with too many pixels for the number of its copies is recorded and left out."""
    Image.new("RGB", (100, 50)).save(image_folder / "real" / "large.png")
    monkeypatch.setattr(degrading, "MAX_DEGRADED", 5 * 4999)  # the strengths of jpeg are five
    result = robustness(model, image_folder, degradations=["jpeg"], device="cpu")
    (error,) = result.errors.items()
    assert error[0] == "real/large.png" and "100x50 pixels" in error[1]
    assert {row.n for row in result.rows} == {24}
    with pytest.raises(EncodingError, match="more than the limit"):
        View("large", '[["Scale", {"factor": 16}]]').apply(np.zeros((800, 800, 3), np.uint8), b"")


def test_every_metric_of_every_strength(model: Model, image_folder: Path) -> None:
    """The table has a row per degradation, strength and metric. Original images come first."""
    table = robustness(
        model, image_folder, device="cpu", resources=EmbedResources(batch_size=8)
    ).to_pandas()
    states = 1 + sum(len(one.strengths) for one in DEGRADATIONS.values())
    assert len(table) == states * len(METRICS)
    assert set(table.n) == {24}
    as_is = table[table.degradation == ORIGINAL].set_index("metric").value
    scores = predict(model, image_folder, device="cpu").scores()
    assert as_is.to_dict() == pytest.approx(scores, abs=1e-4, nan_ok=True)
    blurred = table[(table.degradation == "blur") & (table.metric == "accuracy")].value
    assert blurred.iloc[-1] < 0.8 < as_is["accuracy"]  # the model uses smoothness only


def test_scores_equal_those_of_degraded_files(
    model: Model, image_folder: Path, tmp_path: Path
) -> None:
    """Metrics at JPEG quality 50 equal those of images saved at this quality."""
    for path in sorted(image_folder.rglob("*.png")):
        target = (tmp_path / "jpeg" / path.relative_to(image_folder)).with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target, quality=50)
    saved = predict(model, tmp_path / "jpeg", device="cpu").scores()
    table = robustness(model, image_folder, degradations=["jpeg"], device="cpu").to_pandas()
    in_memory = table[table.strength == 50].set_index("metric").value.to_dict()
    assert in_memory == pytest.approx(saved, abs=1e-3, nan_ok=True)


def test_each_image_is_decoded_once(
    model: Model, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All degradations of an image use one read and one decoding."""
    read: Counter[str] = Counter()
    original = FileBytes.read

    def counting(reader: FileBytes) -> bytes:
        read[reader.file] += 1
        return original(reader)

    monkeypatch.setattr(FileBytes, "read", counting)
    robustness(model, image_folder, degradations=["shrink", "crop"], device="cpu")
    assert set(read.values()) == {1}
    assert len(read) == 24


def test_unreadable_images_and_copies(model: Model, image_folder: Path) -> None:
    """Unreadable images are reported and not scored. Identical files are all scored."""
    (image_folder / "real" / "bad.png").write_text("text")
    shutil.copy(image_folder / "real" / "real-00.png", image_folder / "real" / "twin.png")
    result = robustness(model, image_folder, degradations=["noise"], device="cpu")
    assert list(result.errors) == ["real/bad.png"]
    assert {row.n for row in result.rows} == {25}


def test_invalid_arguments_are_refused(model: Model, image_folder: Path) -> None:
    """Unknown degradations, unlabelled images, models of arrays and views are errors."""
    with pytest.raises(UnknownNameError, match="did you mean jpeg"):
        robustness(model, image_folder, degradations=["jpg"])
    with pytest.raises(LabelError, match="--labels"):
        robustness(model, image_folder / "real")
    arrays = make_features()
    of_arrays = fit(type(arrays).from_arrays(arrays.X, arrays.labels.tolist()), "logreg", cv=0)
    with pytest.raises(UsageError, match="fitted on arrays"):
        robustness(of_arrays, image_folder)
    with pytest.raises(UsageError, match="Leave out views"):
        robustness(model, image_folder, inputs=SourceOptions(views="hflip"))


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (64, 48)], ids=str)
def test_every_degradation_takes_every_size(size: tuple[int, int]) -> None:
    """Degradations are deterministic and give the documented size, even for one pixel."""
    width, height = size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for one in DEGRADATIONS.values():
        for strength, steps in one.strengths.items():
            view = View(one.name, json.dumps(steps))
            made = view.apply(pixels, b"0123456789abcdef")
            assert np.array_equal(made, view.apply(pixels, b"0123456789abcdef"))
            if one.name in {"shrink", "enlarge"}:
                wanted = (max(1, round(height * strength)), max(1, round(width * strength)))
                assert made.shape[:2] == wanted
            elif one.name in {"jpeg", "webp", "blur", "noise"}:
                assert made.shape == pixels.shape


def test_blur_is_a_gaussian() -> None:
    """A point becomes a Gaussian of variance sigma², and the brightness stays the same."""
    pixels = np.zeros((41, 41, 3), dtype=np.uint8)
    pixels[20, 20] = 255
    bell = View("blur", '[["Blur", {"sigma": 1}]]').apply(pixels, b"0" * 16)[:, :, 0].astype(float)
    offset = np.arange(41) - 20
    assert bell.sum() == pytest.approx(255, rel=0.03)
    assert (bell.sum(axis=0) * offset**2).sum() / bell.sum() == pytest.approx(1, rel=0.1)


def test_steps_of_files_of_views_are_checked(tmp_path: Path) -> None:
    """A file of views may use degradations. Invalid arguments are errors."""
    good = tmp_path / "good.json"
    good.write_text('{"web": [{"WEBP": {"quality": 60}}, {"Blur": {"sigma": 1}}]}')
    assert list(read_views(str(good))) == ["original", "web"]
    for step in ('{"Blur": {"sigma": 0}}', '{"Scale": {"factor": -1}}', '{"WEBP": {"quality": 0}}'):
        (tmp_path / "bad.json").write_text(f'{{"x": [{step}]}}')
        with pytest.raises(UsageError, match="does not accept"):
            read_views(str(tmp_path / "bad.json"))


def test_faces_are_averaged_for_each_degradation(tmp_path: Path) -> None:
    """Each face is degraded, and an image with several faces counts once."""
    people = tmp_path / "people"
    people.mkdir()
    Image.fromarray(skimage.data.astronaut()).save(people / "one.png")
    Image.fromarray(two_faces()).save(people / "two.png")
    (tmp_path / "labels.csv").write_text("path,label\none.png,a\ntwo.png,b\n")
    embed(
        people,
        tmp_path / "f.h5",
        encoder="spectrum",
        inputs=SourceOptions(faces=open_finder("all")),
    )
    specs = load(tmp_path / "f.h5").specs
    X = np.random.default_rng(0).normal(size=(20, specs[0].n_features))
    arrays = FeatureSet.from_arrays(X, list("ab") * 10)
    model = fit(replace(arrays, specs=specs), "logreg", cv=0)
    inputs = SourceOptions(labels=tmp_path / "labels.csv")
    result = robustness(model, people, degradations=["jpeg"], inputs=inputs, device="cpu")
    assert {row.n for row in result.rows} == {2}
    as_is = {row.metric: row.value for row in result.rows if row.degradation == ORIGINAL}
    scores = predict(model, people, inputs=inputs, device="cpu").scores()
    assert as_is == pytest.approx(scores, abs=1e-4, nan_ok=True)
    at_100 = {row.metric: row.value for row in result.rows if row.strength == 100}
    assert at_100["log_loss"] == pytest.approx(scores["log_loss"], rel=0.2)
    assert at_100["log_loss"] != scores["log_loss"]


def test_phases_are_reported(
    model: Model, image_folder: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """Scoring begins after all degraded images are encoded."""
    assert phases_of(partial(robustness, model, image_folder, degradations=["jpeg"])) == [
        "listing", "opening", "encoding", "scoring"
    ]  # fmt: skip
