"""Tests of the encoder as a scikit-learn transformer."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import clipfeat.embedding.image_encoder as module
from clipfeat.embedding.image_encoder import ImageEncoder
from clipfeat.embedding.pipeline import embed
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DecodeError, UsageError
from clipfeat.store import load

CPU = EncoderOptions(device="cpu")


def test_paths_images_and_arrays_are_the_same(image_folder: Path, tmp_path: Path) -> None:
    """Paths, PIL images and arrays have the features of the feature file."""
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


def test_phases_are_reported(
    image_folder: Path, phases_of: Callable[[Callable[..., Any]], list[str]]
) -> None:
    """`transform` reports the opening of the encoder and each image."""
    paths = sorted(image_folder.rglob("*.png"))

    def run(*, progress: Any) -> None:
        ImageEncoder("spectrum", CPU, progress=progress).transform(paths)

    assert phases_of(run) == ["opening", "encoding"]


def test_in_a_pipeline(image_folder: Path) -> None:
    """A scikit-learn pipeline with the encoder classifies image paths."""
    paths = sorted(image_folder.rglob("*.png"))
    y = [path.parent.name for path in paths]
    model = make_pipeline(ImageEncoder("spectrum", CPU), LogisticRegression())
    assert model.fit(paths[::2], y[::2]).score(paths[1::2], y[1::2]) == 1.0
    assert model[0].get_feature_names_out()[79] == "spectrum.79"


def test_cloning_loads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Construction, cloning, printing and fitting do not open the encoder."""
    monkeypatch.setattr(module, "open_encoder", lambda *_: pytest.fail("opened"))
    encoder = clone(ImageEncoder("clip-vit-l-14", batch_size=3)).fit([])
    assert encoder.get_params()["encoder"] == "clip-vit-l-14"
    assert "clip-vit-l-14" in repr(encoder)


@pytest.mark.parametrize("image", ["missing.jpg", np.zeros((4, 4, 3)), np.zeros(5, np.uint8), 3])
def test_invalid_images_are_named(image: object) -> None:
    """The error gives the position of the invalid image."""
    good = np.zeros((16, 16, 3), dtype=np.uint8)
    with pytest.raises(DecodeError, match="image 1"):
        ImageEncoder("spectrum", CPU).transform([good, image])


def test_one_path_is_refused(image_folder: Path) -> None:
    """A single path is an error, because iterating over it would yield characters."""
    with pytest.raises(UsageError, match="expected several images"):
        ImageEncoder("spectrum").transform(str(min(image_folder.rglob("*.png"))))


def test_parameters_are_scikit_learns() -> None:
    """The options are one parameter for `clone`, `get_params` and `set_params`."""
    options = EncoderOptions(image_size=32, arguments={"mean": 0.5})
    encoder = ImageEncoder("timm:test_vit", options, batch_size=3)
    assert clone(encoder).get_params() == encoder.get_params()
    assert encoder.get_params() == {
        "encoder": "timm:test_vit",
        "options": options,
        "batch_size": 3,
        "progress": True,
    }
    encoder.set_params(options=CPU, batch_size=5)
    assert (encoder.options, encoder.batch_size) == (CPU, 5)


def test_automatic_precision_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Precision ``auto`` opens the encoder in float32. Crop and arguments are passed on."""
    opened: list[EncoderOptions] = []
    monkeypatch.setattr(module, "open_encoder", lambda name, options: opened.append(options))
    options = EncoderOptions(crop="tiles", arguments={"mean": 0.5})
    ImageEncoder("timm:test_vit", options)._open()
    assert opened == [replace(options, precision="fp32")]
    module._cached_encoder.cache_clear()
