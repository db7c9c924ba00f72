"""Tests of searching by image and by text."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

import clipfeat
from clipfeat.encoders.encoder_options import EncoderOptions
from clipfeat.errors import DataError, FingerprintError, UsageError
from clipfeat.searching.query import is_text
from tests.conftest import make_features


def test_a_string_is_an_image_or_a_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of an existing file is an image. A misspelt path is an error, not a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a red car").write_bytes(b"")
    assert not is_text("a red car")
    assert not is_text(Path("absent.jpg"))
    assert not is_text("s3://bucket/1.jpg")
    assert is_text("a blue car")
    assert is_text("a photo and/or a drawing")
    for path in ("absent.JPG", "images/absent", "a red car.png"):
        with pytest.raises(UsageError, match=r"no file .* pass --text"):
            is_text(path)


def test_search_by_image(image_folder: Path, tmp_path: Path) -> None:
    """A path or an image finds the image itself first, then images of its class."""
    features = tmp_path / "s.h5"
    clipfeat.embed(image_folder, features, encoder="spectrum", progress=False)
    path = image_folder / "fake" / "fake-03.png"
    results = clipfeat.search(features, path, 6, progress=False)
    table = results.to_pandas()
    assert table.columns.tolist() == ["rank", "similarity", "label", "path"]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert table.path[0] == "fake/fake-03.png"
    assert table.similarity[0] == pytest.approx(1, abs=1e-6)
    assert set(table.label) == {"fake"}
    data = clipfeat.load(features)
    again = clipfeat.search(data, Image.open(path), 6, progress=False)
    assert again.paths.tolist() == results.paths.tolist()
    assert again.query == ""
    with pytest.raises(UsageError, match=r"has 24 images. Pass one image"):
        clipfeat.search(data, image_folder, progress=False)
    with pytest.raises(UsageError, match="only with features of the layer projection of"):
        clipfeat.search(data, "a red car", progress=False)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"fake-03.png cannot be encoded \(DecodeError"):
        clipfeat.search(data, path, progress=False)
    other = replace(data.specs[0], decode="rgb8-0")
    with pytest.raises(FingerprintError, match="decode: 'rgb8-0', not 'rgb8"):
        clipfeat.search(
            replace(data, specs=(other,)), image_folder / "fake" / "fake-04.png", progress=False
        )


def test_arrays_have_no_encoder() -> None:
    """For features from arrays, the error explains that images cannot be encoded."""
    features = replace(make_features(), specs=())
    with pytest.raises(UsageError, match="come from arrays"):
        clipfeat.search(features, np.zeros((9, 9, 3), dtype=np.uint8), progress=False)


def test_search_by_text(image_folder: Path, tmp_path: Path) -> None:
    """Similarities equal open_clip's, even if the file has further layers."""
    torch.manual_seed(7)
    model, _, transform = open_clip.create_model_and_transforms("ViT-S-32")
    model.eval()
    weights = tmp_path / "weights.pt"
    torch.save(model.state_dict(), weights)
    images = sorted(image_folder.rglob("*.png"))
    for path in images[5:]:
        path.unlink()
    clipfeat.embed(
        image_folder, tmp_path / "c.h5", encoder="open_clip:ViT-S-32", progress=False,
        options=EncoderOptions(weights=weights, layers="1/mean,projection", device="cpu",
                               precision="fp32"),
    )  # fmt: skip
    features = clipfeat.load(tmp_path / "c.h5")
    assert features.X.shape[1] > 384
    # The weights are remembered.
    results = clipfeat.search(features, "a red car", 5, progress=False)
    with torch.inference_mode():
        text = model.encode_text(open_clip.get_tokenizer("ViT-S-32")(["a red car"]), normalize=True)
        pixels = torch.stack([transform(Image.open(path)) for path in images[:5]])
        expected = (model.encode_image(pixels, normalize=True) @ text.T).numpy()[:, 0]
    of_path = dict(zip((f"fake/{path.name}" for path in images[:5]), expected, strict=True))
    assert results.paths.tolist() == sorted(of_path, key=lambda path: -of_path[path])
    assert np.allclose(results.similarities, sorted(expected, reverse=True), atol=1e-4)
    with pytest.raises(UsageError, match="text of the query is empty"):
        clipfeat.search(features, " ", text=True, progress=False)
