"""Models on images and on features."""

from pathlib import Path

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

from clipfeat.embedding.pipeline import embed
from clipfeat.errors import FingerprintError, UsageError
from clipfeat.evaluate.fitting import fit
from clipfeat.model import Model
from clipfeat.prediction.predicting import predict
from clipfeat.store import load


@pytest.fixture
def model(image_folder: Path, tmp_path: Path) -> Model:
    embed(image_folder, tmp_path / "out.h5", encoder="spectrum", device="cpu")
    return fit(load(tmp_path / "out.h5"), "logreg", cv=0)


def test_images_and_features_agree(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """The same probabilities from images as from their feature file, in the source's order."""
    of_images = predict(model, image_folder, device="cpu")
    of_features = predict(model, tmp_path / "out.h5")
    assert list(of_images.paths) == list(of_features.paths) == sorted(of_images.paths)
    assert np.allclose(of_images.probabilities, of_features.probabilities, atol=1e-4)
    assert of_images.scores()["accuracy"] == 1.0
    assert of_images.predicted == [path.split("/")[0] for path in of_images.paths]


def test_every_image_has_a_row(model: Model, image_folder: Path) -> None:
    """Unreadable images say why; copies have the row of their twin; neighbours keep theirs."""
    first = min((image_folder / "real").glob("*.png"))
    (image_folder / "real" / "copy.png").write_bytes(first.read_bytes())
    (image_folder / "real" / "real-05b.png").write_text("text")
    found = predict(model, image_folder, device="cpu", batch_size=4)
    table = found.to_pandas().set_index("path")
    assert len(table) == 26
    assert table.loc["real/real-05b.png", "error"].startswith("DecodeError: ")
    assert table.loc["real/real-05b.png", "predicted"] == ""
    assert np.isnan(table.loc["real/real-05b.png", "p_fake"])
    assert table.loc["real/copy.png", "p_fake"] == table.loc[f"real/{first.name}", "p_fake"]
    assert (table.drop("real/real-05b.png").error == "").all()


def test_recorded_failures_have_rows_too(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """A feature file's failures are in its predictions."""
    (image_folder / "bad.png").write_text("text")
    embed(image_folder, tmp_path / "out.h5", encoder="spectrum", device="cpu")
    found = predict(model, tmp_path / "out.h5")
    assert found.errors.keys() == {"bad.png"}
    assert len(found.to_pandas()) == 25


def test_other_features_are_refused(model: Model, image_folder: Path, tmp_path: Path) -> None:
    """Features of another encoder, or size of it, are not predicted on."""
    embed(image_folder, tmp_path / "64.h5", encoder="spectrum", image_size=32, device="cpu")
    with pytest.raises(FingerprintError, match="input_size"):
        predict(model, tmp_path / "64.h5")


def test_weights_are_given_to_those_that_have_them(image_folder: Path, tmp_path: Path) -> None:
    """Of an encoder with weights and one without, a single file of weights is for the former."""
    file = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_efficientnet").state_dict(), file)
    embed(image_folder, tmp_path / "a.h5", encoder="spectrum", device="cpu")
    embed(image_folder, tmp_path / "b.h5", encoder="timm:test_efficientnet", weights=file,
          device="cpu", precision="fp32")  # fmt: skip
    model = fit(load(tmp_path / "a.h5", tmp_path / "b.h5"), "logreg", cv=0)
    of_images = predict(model, image_folder, weights=file, device="cpu")
    of_features = predict(model, [tmp_path / "b.h5", tmp_path / "a.h5"])
    assert np.allclose(of_images.probabilities, of_features.probabilities, atol=1e-4)
    with pytest.raises(UsageError, match="1 encoders with weights"):
        predict(model, image_folder, weights=[file, file])
