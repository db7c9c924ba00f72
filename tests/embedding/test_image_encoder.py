"""The encoder as a scikit-learn transformer."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import clipfeat.embedding.image_encoder as module
from clipfeat.embedding.image_encoder import ImageEncoder
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.options import EncoderOptions
from clipfeat.errors import DecodeError, UsageError
from clipfeat.store import load

CPU = EncoderOptions(device="cpu")


def test_paths_images_and_arrays_are_the_same(image_folder: Path, tmp_path: Path) -> None:
    """Whatever stands for an image, its features are those of the feature file."""
    paths = sorted(image_folder.rglob("*.png"))
    encoder = ImageEncoder("spectrum", CPU, batch_size=5)
    embed(image_folder, tmp_path / "out.h5", encoder="spectrum", options=CPU)
    expected = load(tmp_path / "out.h5").X
    for images in (
        paths,
        [str(path) for path in paths],
        [Image.open(path) for path in paths],
        [np.asarray(Image.open(path)) for path in paths],
    ):
        assert np.allclose(encoder.transform(images), expected, atol=1e-5)


def test_in_a_pipeline(image_folder: Path) -> None:
    """Paths in, classes out."""
    paths = sorted(image_folder.rglob("*.png"))
    y = [path.parent.name for path in paths]
    model = make_pipeline(ImageEncoder("spectrum", CPU), LogisticRegression())
    assert model.fit(paths[::2], y[::2]).score(paths[1::2], y[1::2]) == 1.0
    assert model[0].get_feature_names_out()[79] == "spectrum.79"


def test_cloning_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Making, cloning, printing and fitting one does not open the encoder."""
    monkeypatch.setattr(module, "open_encoder", lambda *_: pytest.fail("opened"))
    encoder = clone(ImageEncoder("clip-vit-l-14", batch_size=3)).fit([])
    assert encoder.get_params()["encoder"] == "clip-vit-l-14"
    assert "clip-vit-l-14" in repr(encoder)


@pytest.mark.parametrize("image", ["missing.jpg", np.zeros((4, 4, 3)), np.zeros(5, np.uint8), 3])
def test_what_is_no_image_is_named(image: object) -> None:
    """A row can be neither dropped nor guessed: the error says which one it is."""
    good = np.zeros((16, 16, 3), dtype=np.uint8)
    with pytest.raises(DecodeError, match="image 1"):
        ImageEncoder("spectrum", CPU).transform([good, image])


def test_one_path_is_not_many_images(image_folder: Path) -> None:
    """A path alone is refused rather than read letter by letter."""
    with pytest.raises(UsageError, match="expected several images"):
        ImageEncoder("spectrum").transform(str(min(image_folder.rglob("*.png"))))
