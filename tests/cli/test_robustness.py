"""Tests of ``clipfeat robustness``."""

from pathlib import Path

import pandas as pd
import pytest

from clipfeat.prediction import degrading
from tests.cli.command_line import assert_fails, clipfeat, embed, rehash, succeed


def test_a_table_and_plots(image_folder: Path) -> None:
    """Each strength has a row, -o writes the table and plots, and failures are printed."""
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    rehash(image_folder)
    (image_folder / "real" / "bad.png").write_text("text")
    words = ("robustness", "model.clipfeat", "images", "--degrade", "jpeg,noise", "-o", "r")
    result = succeed(*words, "--device", "cpu")
    title = result.stdout.splitlines()[0].strip()
    assert title == "scored on 24 of 25 images, positive class fake"
    assert all(f"│ {name}" in result.stdout for name in ("original", "jpeg", "noise"))
    assert "1 file could not be read or degraded, for example real/bad.png" in result.stderr
    table = pd.read_csv("r/robustness.csv")
    assert table[["n", "n_images", "positive_class"]].drop_duplicates().values.tolist() == [
        [24, 25, "fake"]
    ]
    written = sorted(path.name for path in Path("r").iterdir())
    assert written == ["robustness.csv", "robustness.png", "robustness.svg"]
    assert_fails(clipfeat(*words), 2, "r is not empty")
    assert clipfeat(*words, "--overwrite", "--max-bad", 0, "--device", "cpu").exit_code == 3


def test_rates_of_each_value(image_folder: Path) -> None:
    """The rates on original and most degraded images are printed. -o writes all rates."""
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    rehash(image_folder)
    paths = [f"{name}/{name}-{i:02d}.png" for name in ("real", "fake") for i in range(12)]
    table = pd.DataFrame({"path": paths, "label": [path[:4] for path in paths]})
    table["generator"] = ["", *"ab"] * 8
    table["source"] = [*"xyz", ""] * 6
    table.to_csv("images/list.csv", index=False)
    words = ("robustness", "model.clipfeat", "images/list.csv", "--degrade", "jpeg")
    shown = succeed(*words, "-o", "r", "--device", "cpu").stdout
    assert "false positive rate of real and recall of fake by generator, source: origi" in shown
    assert "jpeg 30" in shown
    rates = pd.read_csv("r/rates.csv", keep_default_na=False)
    assert rates.images.unique().tolist() == [
        "original",
        *(f"jpeg {q}" for q in (100, 90, 70, 50, 30)),
    ]
    assert rates[rates.images == "original"].n_images.sum() == 24
    assert "by source: original" in succeed(*words, "--by", "source", "--device", "cpu").stdout
    words_of_run = ("--clf", "logreg", "--cv", 2, "--no-audit", "-o", "run", "--robustness", "r")
    succeed("benchmark", "out.h5", *words_of_run)
    page = Path("run/report.html").read_text()
    assert "Robustness: rates by generator, source" in page
    assert "jpeg 30</th>" in page
    one = rates[(rates.images == "jpeg 30") & (rates.value == "a") & (rates.label == "fake")]
    assert f"{float(one.rate.item()):.3f} ({float(one.low.item()):.3f} to" in page


def test_an_unknown_column_ends_the_run_before_images_are_encoded(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error lists the columns, and an old table of rates is deleted."""
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    rehash(image_folder)
    table = pd.DataFrame({"path": [f"{c}/{c}-00.png" for c in ("real", "fake")]})
    table.assign(label=["real", "fake"], camera=["x", "y"]).to_csv("images/list.csv", index=False)
    words = ("robustness", "model.clipfeat", "images/list.csv", "--degrade", "jpeg")
    Path("r").mkdir()
    Path("r/rates.csv").write_text("old")
    succeed(*words, "-o", "r", "--overwrite", "--device", "cpu")
    assert not Path("r/rates.csv").exists()
    monkeypatch.setattr(degrading, "encode_in_memory", None)
    failed = clipfeat(*words, "--by", "camra")
    assert_fails(failed, 2, "unknown column 'camra'; did you mean camera? Known: camera")
    assert_fails(clipfeat(*words, "--by", "camera,x"), 2, "unknown column 'x'. Known: camera")


def test_mistakes(image_folder: Path) -> None:
    """A missing model and an unknown degradation are errors."""
    assert_fails(clipfeat("robustness", "none.clipfeat", "images"), 6, "none.clipfeat")
    words = ("robustness", "none.clipfeat", "images", "--degrade", "jpg")
    assert_fails(clipfeat(*words), 2, "did you mean jpeg")
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    (image_folder / "real").rename(image_folder / "Reals")
    words = ("robustness", "model.clipfeat", "images", "--degrade", "jpeg")
    message = "12 images of the folder images have labels that match no class of the model (real, "
    assert_fails(clipfeat(*words), 1, f"{message}fake): 'Reals' (nearest class 'real'). Write")


def test_training_images_are_left_out(image_folder: Path) -> None:
    """Training images are not scored. If all images are training images, there are no scores."""
    embed()
    succeed("fit", "out.h5", "--cv", 0)
    words = ("robustness", "model.clipfeat", "images", "--degrade", "jpeg", "--device", "cpu")
    message = "all labelled images of the folder images (24) are training images of the model"
    assert_fails(clipfeat(*words), 1, message)
    rehash(image_folder / "real")
    for number in range(4):
        path = image_folder / "fake" / f"fake-{number:02d}.png"
        path.write_bytes(path.read_bytes() + b" ")
    result = succeed(*words)
    assert "scored on 16 of 24 images" in result.stdout
    assert "not scored: 8 training images of the model" in result.stderr
