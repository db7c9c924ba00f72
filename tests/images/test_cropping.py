"""Tests of saving the faces of images and videos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clipfeat import SourceOptions, crop_faces, open_finder
from clipfeat.errors import UsageError
from clipfeat.images.memory import image_source
from clipfeat.images.source import make_source
from tests.images.test_faces import two_faces
from tests.images.test_video import write


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Write two faces, an image without a face, a damaged image and a video without faces."""
    folder = tmp_path / "people"
    (folder / "real").mkdir(parents=True)
    Image.fromarray(two_faces()).save(folder / "real" / "two.png")
    Image.fromarray(skimage.data.coffee()).save(folder / "coffee.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    write(folder / "grey.mp4", 10)
    return folder


def _pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image)


def test_faces_are_files(people: Path, tmp_path: Path) -> None:
    """Each face is saved with the finder's pixels, and other images are failures."""
    report = crop_faces(people, tmp_path / "crops")
    files = sorted((tmp_path / "crops").rglob("*.*"))
    assert sorted(report.files) == files
    assert [file.relative_to(tmp_path / "crops").as_posix() for file in files] == [
        "real/two.png#face0.png", "real/two.png#face1.png",
    ]  # fmt: skip
    for file, crop in zip(files, open_finder("all")(two_faces()), strict=True):
        assert np.array_equal(_pixels(file), crop)
    reasons = {failure.path.partition("@")[0]: failure.reason for failure in report.failures}
    assert reasons == {
        "broken.png": "DecodeError", "coffee.png": "NoFaceError", "grey.mp4": "NoFaceError",
    }  # fmt: skip


def test_the_finder_decides(people: Path, tmp_path: Path) -> None:
    """Other settings save only the largest face, or keep images without a face."""
    inputs = SourceOptions(faces=open_finder("largest", without="keep"))
    report = crop_faces(people, tmp_path / "crops", inputs=inputs)
    sizes = {file.name: _pixels(file).shape for file in report.files}
    assert len(sizes) == 1 + 1 + 8  # the faces, the coffee, and the frames of the video
    assert sizes["coffee.png#face0.png"] == skimage.data.coffee().shape


def test_no_file_is_written_outside(tmp_path: Path) -> None:
    """A path that leads out of the folder is an error before anything is written."""
    source = image_source([two_faces()])
    outside = make_source("x", "", [replace(one, path="../../out.png") for one in source])
    with pytest.raises(UsageError, match=r"'\.\./\.\./out\.png' leads out of the source's folder"):
        crop_faces(outside, tmp_path / "a" / "crops")
    assert not list(tmp_path.iterdir())
