"""Tests of predictions for images, feature files and feature sets."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from clipfeat.embedding.embed_resources import EmbedResources
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import ClipfeatWarning, FingerprintError, LabelError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.images.class_globs import ClassGlobs
from clipfeat.images.faces import open_finder
from clipfeat.images.source_options import SourceOptions
from clipfeat.model import Model
from clipfeat.model.model_file import NO_KEYS
from clipfeat.prediction.predicting import predict
from clipfeat.store import load


@pytest.fixture
def model(image_folder: Path, tmp_path: Path) -> Model:
    embed(
        image_folder, tmp_path / "out.h5", encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    fitted = fit(load(tmp_path / "out.h5"), "logreg", cv=0)
    return replace(fitted, training_keys=NO_KEYS)  # training images are not scored


def test_images_and_features_agree(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """Images and their feature file give the same probabilities in the same order."""
    of_images = predict(model, image_folder, device="cpu")
    of_features = predict(model, tmp_path / "out.h5")
    assert list(of_images.paths) == list(of_features.paths) == sorted(of_images.paths)
    assert np.allclose(of_images.probabilities, of_features.probabilities, atol=1e-4)
    assert of_images.scores()["accuracy"] == 1.0
    assert of_images.predicted == [path.split("/")[0] for path in of_images.paths]


def test_a_model_predicts_itself(model: Model, image_folder: Path) -> None:
    """`Model.predict` accepts the same sources and options as `predict`."""
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    of_model = model.predict(image_folder, **options)
    expected = predict(model, image_folder, **options)
    assert of_model.to_pandas().equals(expected.to_pandas())
    paths = [str(path) for path in sorted((image_folder / "fake").iterdir())[:2]]
    assert model.predict(paths, **options).predicted == ["fake", "fake"]


def test_every_image_has_a_row(model: Model, image_folder: Path) -> None:
    """Unreadable images have a row with the reason, and copies have equal rows."""
    first = min((image_folder / "real").glob("*.png"))
    (image_folder / "real" / "copy.png").write_bytes(first.read_bytes())
    (image_folder / "real" / "real-05b.png").write_text("text")
    predictions = predict(model, image_folder, device="cpu", resources=EmbedResources(batch_size=4))
    table = predictions.to_pandas().set_index("path")
    assert len(table) == 26
    assert table.loc["real/real-05b.png", "error"].startswith("DecodeError: ")
    assert table.loc["real/real-05b.png", "predicted"] == ""
    assert np.isnan(table.loc["real/real-05b.png", "p_fake"])
    assert table.loc["real/copy.png", "p_fake"] == table.loc[f"real/{first.name}", "p_fake"]
    assert (table.drop("real/real-05b.png").error == "").all()


class ByPosition:
    """Estimator whose probabilities depend on the position in the batch, as BLAS results may."""

    classes_ = np.arange(2)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        p = np.arange(1, len(X) + 1) / 100
        return np.column_stack([1 - p, p])


def test_copies_have_one_answer(model: Model, image_folder: Path) -> None:
    """Images with identical bytes are predicted once, so their rows are equal on any CPU."""
    (image_folder / "real" / "copy.png").write_bytes(
        (image_folder / "real" / "real-07.png").read_bytes()
    )
    by_position = replace(model, estimator=ByPosition())
    table = predict(by_position, image_folder, device="cpu").to_pandas().set_index("path")
    assert table.loc["real/copy.png", "p_fake"] == table.loc["real/real-07.png", "p_fake"]
    assert table.p_fake.nunique() == 24


def test_a_source_of_unreadable_images(model: Model, tmp_path: Path) -> None:
    """If no image is readable, every image still has a row with its label."""
    for name in ("a", "b"):
        (tmp_path / "bad" / "real").mkdir(parents=True, exist_ok=True)
        (tmp_path / "bad" / "real" / f"{name}.png").write_text("text")
    predictions = predict(model, tmp_path / "bad", device="cpu", inputs=SourceOptions())
    assert (list(predictions.paths), list(predictions.labels)) == (
        ["real/a.png", "real/b.png"],
        ["real"] * 2,
    )
    assert predictions.predicted == ["", ""]
    assert predictions.scores() == {}


def test_options_that_do_not_fit_are_refused(model: Model, image_folder: Path) -> None:
    """Options for faces, which the model determines, and the engine ray are refused."""
    with pytest.raises(UsageError, match="Leave out the argument `faces`"):
        predict(model, image_folder, inputs=SourceOptions(faces=open_finder("all")))
    with pytest.raises(UsageError, match="'ray' can only write feature files"):
        predict(model, image_folder, resources=EmbedResources(engine="ray"))


def test_patterns_give_the_true_labels(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """Patterns replace the labels of images. With features, they are refused."""
    swapped = SourceOptions(globs=ClassGlobs(["fake"], ["real/*-0[0-3]*"]))
    predictions = predict(model, image_folder, inputs=swapped, device="cpu")
    assert predictions.n_scored == 16
    assert predictions.scores()["accuracy"] == 0.0
    with pytest.raises(UsageError, match="--real, --fake and --generator-level need images"):
        predict(model, tmp_path / "out.h5", inputs=swapped)
    numbered = replace(model, classes=("0", "1"))
    with pytest.raises(LabelError, match="match no class of the model"):
        predict(numbered, image_folder, inputs=SourceOptions(globs=ClassGlobs(["fake"], ["real"])))


def test_recorded_failures_have_rows_too(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """Failures that a feature file records have rows in the predictions."""
    (image_folder / "bad.png").write_text("text")
    embed(
        image_folder, tmp_path / "out.h5", encoder="spectrum", options=EncoderOptions(device="cpu")
    )
    predictions = predict(model, tmp_path / "out.h5")
    assert predictions.errors.keys() == {"bad.png"}
    assert len(predictions.to_pandas()) == 25


def test_other_features_are_refused(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """Features of another encoder or input size are refused."""
    embed(
        image_folder,
        tmp_path / "64.h5",
        encoder="spectrum",
        options=EncoderOptions(image_size=32, device="cpu"),
    )
    with pytest.raises(FingerprintError, match="input_size"):
        predict(model, tmp_path / "64.h5")


def test_weights_go_to_encoders_with_weights(image_folder: Path, tmp_path: Path) -> None:
    """Weights files are given only for encoders that have weights."""
    file = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), file)
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum", options=EncoderOptions(device="cpu"))
    embed(image_folder, tmp_path / "b.h5", encoder="timm:test_efficientnet",
          options=EncoderOptions(weights=file, device="cpu", precision="fp32"))  # fmt: skip
    model = fit(load(tmp_path / "a.h5", tmp_path / "b.h5"), "logreg", cv=0)
    of_images = predict(model, image_folder, weights=file, device="cpu")
    of_features = predict(model, [tmp_path / "b.h5", tmp_path / "a.h5"])
    assert np.allclose(of_images.probabilities, of_features.probabilities, atol=1e-4)
    with pytest.raises(UsageError, match="got 2 files of weights, but 1 are needed"):
        predict(model, image_folder, weights=[file, file])


def test_a_table_has_one_prediction_for_each_of_its_rows(
    model: Model, image_folder: Path, tmp_path: Path
) -> None:
    """Repeated, missing and empty paths keep their rows and order."""
    first, second = sorted(f"real/{path.name}" for path in (image_folder / "real").iterdir())[:2]
    table = image_folder / "rows.csv"
    table.write_text(f"path,note\n{second},a\n,b\nnone.png,c\n{first},d\n{second},e\n")
    with pytest.warns(ClipfeatWarning):
        made = predict(model, table, device="cpu")
    assert list(made.paths) == [second, "", "none.png", first, second]
    assert np.isnan(made.probabilities[:, 0]).tolist() == [False, True, True, False, False]
    assert np.array_equal(made.probabilities[0], made.probabilities[4])
    assert made.to_pandas()["error"].tolist()[1] == "the row has no path"


def test_labels_of_a_table_score_features(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """A table's labels, which may be partial, give the same scores for features and images."""
    (image_folder / "real" / "bad.png").write_text("text")
    table = tmp_path / "truth.csv"
    lines = [f"{path.stem},{path.stem[:4]}" for path in sorted(image_folder.rglob("*-0*.png"))]
    table.write_text("\n".join(["id,is_fake", *lines, "bad,real", "elsewhere,fake"]))
    options = EncoderOptions(device="cpu")
    inputs = SourceOptions(labels=table)
    views = replace(inputs, views="hflip,jpeg50")
    of_images = predict(model, image_folder, inputs=inputs, device="cpu")
    embed(image_folder, tmp_path / "out.h5", encoder="spectrum", options=options)
    embed(image_folder, tmp_path / "v.h5", encoder="spectrum", options=options, inputs=views)
    for source in (tmp_path / "out.h5", load(tmp_path / "out.h5"), tmp_path / "v.h5"):
        predictions = predict(model, source, inputs=inputs)
        labels = dict(zip(predictions.paths, predictions.labels, strict=True))
        assert labels == dict(zip(of_images.paths, of_images.labels, strict=True))
        assert len(labels) == 25 and list(predictions.errors) == ["real/bad.png"]
        assert predictions.n_scored == of_images.n_scored == 20
        assert predictions.skipped == of_images.skipped == {"row of labels without an image": 1}
        assert predictions.scores()["accuracy"] == 1.0
    per_part = predict(model, tmp_path / "v.h5", inputs=inputs, per_part=True)
    assert per_part.labels.count("fake") == 30  # three views
    table.write_text("id,label\nreal-00,Real\n")
    with pytest.raises(LabelError, match="'Real' \\(nearest class 'real'\\)"):
        predict(model, tmp_path / "out.h5", inputs=inputs)


def test_phases_are_reported(
    model: Model, image_folder: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """The encoder is opened after the images are listed."""
    assert phases_of(partial(predict, model, image_folder, device="cpu")) == [
        "loading", "listing", "opening", "encoding", "predicting"
    ]  # fmt: skip
