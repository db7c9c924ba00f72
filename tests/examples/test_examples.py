"""Tests of the example scripts on synthetic images and videos."""

import json
import runpy
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from tests.examples.conftest import ROOT, Run

LITE = ("--encoder", "efficientnet-lite0")


@pytest.mark.parametrize("name", ["in_scikit_learn", "real_or_generated"])
def test_scripts_without_data(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Scripts that need no data run and print scores."""
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out


def test_every_script_is_short_and_documented() -> None:
    """Each script has at most 60 lines, and the page of examples shows it and its output."""
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    for script in (ROOT / "examples").glob("*.py"):
        assert len(script.read_text(encoding="utf-8").splitlines()) <= 60, script.name
        assert f"python examples/{script.name}" in page


def test_vote_across_sizes(run: Run, generators: Path) -> None:
    """Nine models are ranked by validation, and the vote of five separates new generators."""
    out = run("vote_across_sizes.py", generators, "--own", "own", "--external", "external", *LITE,
              "--sizes", 32, 48, 64).splitlines()  # fmt: skip
    assert out[0] == "8 own and 8 external generated images; ROC AUC"
    rows = [line.split() for line in out[2:11]]
    assert len({tuple(row[:3]) for row in rows}) == 9
    validation = [float(row[-2]) for row in rows]
    assert validation == sorted(validation, reverse=True)
    assert validation[0] > 0.9
    assert float(out[11].rpartition(" ")[2]) > 0.9


def test_degraded_training(run: Run, image_sets: tuple[Path, Path]) -> None:
    """The table has a row per degradation, and both models separate clean images."""
    out = run(
        "degraded_training.py", *image_sets, *LITE, "--resize", 96, "--crop", 58, "--folds", 3,
        "--clf", "logreg", "--metric", "roc_auc",
    )  # fmt: skip
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[4:]}
    assert list(rows) == [
        "original", "jpeg", "noise", "blur", "colour", "grey", "shift-scale-rotate", "mean",
    ]  # fmt: skip
    assert min(map(float, rows["original"])) > 0.8


def test_unbalanced_submission(run: Run, image_sets: tuple[Path, Path], tmp_path: Path) -> None:
    """The template keeps its order, and its probabilities separate the classes."""
    names = sorted(path.stem for path in image_sets[1].rglob("*.png"))[::-1]
    template = tmp_path / "sample_submission.csv"
    pd.DataFrame({"id": names, "target": 0.5}).to_csv(template, index=False)
    out = run("unbalanced_submission.py", *image_sets, template, *LITE, "--image-size", 64,
              "--folds", 3)  # fmt: skip
    board = [line.split() for line in out.splitlines()[2:12]]
    assert {row[0] for row in board} == {"logreg", "knn", "rf", "lgbm", "soft"}
    filled = pd.read_csv(tmp_path / "submission.csv")
    assert filled.id.tolist() == names
    is_fake = filled.id.str.startswith("fake")
    assert filled.target[is_fake].min() > filled.target[~is_fake].max()


def test_small_set_of_images(run_alone: Run, image_sets: tuple[Path, Path], tmp_path: Path) -> None:
    """The run folder has the report, the plots and the contact sheet of the test images."""
    out = run_alone("small_set.py", image_sets[0], *LITE, "--image-size", 64, "--clf", "logreg,knn")
    assert "on test" in out
    assert "macro avg" in out
    for name in ("report.html", "leaderboard.md", "confusion.png", "roc.png", "few_shot.png"):
        assert (tmp_path / "run" / name).stat().st_size > 1000
    with Image.open(tmp_path / "run" / "sheet.png") as sheet:
        assert sheet.width > 600


@pytest.mark.filterwarnings("ignore:sizes .* are left out:clipfeat.errors.ClipfeatWarning")
def test_small_set_of_videos(run: Run, videos: tuple[Path, Path], tmp_path: Path) -> None:
    """The same script classifies videos by their frames."""
    out = run(
        "small_set.py", videos[0], *LITE, "--image-size", 64, "--clf", "logreg", "--frames", 2
    )
    assert "macro avg" in out
    assert (tmp_path / "run" / "sheet.png").is_file()


def test_faces_in_videos(run: Run, videos: tuple[Path, Path], tmp_path: Path) -> None:
    """A model is trained on faces, and the table has a row for each new video."""
    out = run("faces_in_videos.py", "crop", videos[1], "crops", "--frames", 2)
    faces = list((tmp_path / "crops").rglob("*.png"))
    assert out.startswith(f"{len(faces)} faces, ")
    assert len(faces) >= 6
    out = run("faces_in_videos.py", "train", videos[0], "model.clipfeat", *LITE, "--image-size", 64,
              "--frames", 2, "--folds", 3)  # fmt: skip
    assert float(out.splitlines()[-1].split()[1]) > 0.8
    run("faces_in_videos.py", "infer", videos[1], "predictions.csv", "--frames", 2)
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert table.path.tolist() == ["fake/0.mp4", "fake/1.mp4", "real/0.mp4", "real/1.mp4"]
    assert np.isfinite(table.p_fake).all()


def members(tar: Path, n: int) -> dict[str, list[tuple[str, bytes]]]:
    """Read the names and bytes of the first `n` images of each class in a WebDataset tar."""
    by_class: dict[str, list[tuple[str, bytes]]] = {"real": [], "fake": []}
    with tarfile.open(tar) as archive:
        for member in archive:
            data = archive.extractfile(member).read()
            if member.name.endswith(".jpg"):
                image = (member.name, data)
            elif member.name.endswith(".json"):  # it follows its image
                of_class = by_class[json.loads(data)["label"]]
                if len(of_class) < n:
                    of_class.append(image)
                if all(len(images) == n for images in by_class.values()):
                    break
    return by_class


@pytest.mark.shared
def test_submission_of_real_images(run: Run, shared: Path, tmp_path: Path) -> None:
    """A model of 150 CIFAKE images, a quarter of them generated, ranks new images well."""
    train = members(shared / "data" / "cifake-train-000000.tar", 120)
    test = members(shared / "data" / "cifake-test-000000.tar", 30)
    for part, of_label in (("train", train), ("test", test)):
        for label, images in of_label.items():
            folder = tmp_path / part / (label if part == "train" else "")
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in images[:30] if label == "fake" else images:
                (folder / name).write_bytes(data)
    is_fake = {name: label == "fake" for label, images in test.items() for name, _ in images}
    pd.DataFrame({"id": list(is_fake), "target": 0.5}).to_csv(tmp_path / "sample.csv", index=False)
    run("unbalanced_submission.py", "train", "test", "sample.csv", *LITE, "--image-size", 96)
    filled = pd.read_csv(tmp_path / "submission.csv")
    assert roc_auc_score([is_fake[name] for name in filled.id], filled.target) > 0.7
