"""``clipfeat predict``."""

import pickle
from pathlib import Path

import pandas as pd

from tests.cli.command_line import SPECTRUM, assert_fails, clipfeat, embed, succeed


def test_predictions_of_images(image_folder: Path) -> None:
    """Every image has a row. Scores are printed if the labels are known."""
    embed()
    succeed("fit", "--cv", 0)
    result = succeed("predict", "model.clipfeat", "images", "-o", "p.csv", "--device", "cpu")
    assert "accuracy 1.0000" in result.stderr
    assert pd.read_csv("p.csv").predicted.tolist() == ["fake"] * 12 + ["real"] * 12
    again = clipfeat("predict", "model.clipfeat", "images", "-o", "p.csv")
    assert_fails(again, 2, "p.csv exists")


def test_standard_output_holds_only_the_table(image_folder: Path) -> None:
    """Without -o the table can be piped, and everything else is on standard error."""
    embed()
    succeed("fit", "--cv", 0)
    result = succeed("predict", "model.clipfeat", "out.h5")
    assert result.stdout.startswith("path,predicted,p_real,p_fake,label,error\n")
    assert result.stdout.count("\n") == 25


def test_another_encoder_is_refused(image_folder: Path) -> None:
    """A model predicts only for the encoder that it was fitted on."""
    embed()
    succeed("fit", "--cv", 0)
    embed("images", "other.h5", "--image-size", 32)
    assert_fails(clipfeat("predict", "model.clipfeat", "other.h5"), 6, "another encoder")


def test_a_pickle_is_refused(image_folder: Path) -> None:
    """A model file is never unpickled."""
    Path("model.clipfeat").write_bytes(pickle.dumps({"a": 1}))
    assert_fails(clipfeat("predict", "model.clipfeat", "images"), 6, "never")


def test_unknown_names(image_folder: Path) -> None:
    """Unknown names are errors before any image is read."""
    embed()
    succeed("fit", "--cv", 0)
    words = ("predict", "model.clipfeat", "out.h5")
    assert_fails(clipfeat(*words, "--average", "meen"), 2, "did you mean mean")
    Path("t.csv").write_text("id,label\nreal-00,0\n")
    assert_fails(clipfeat(*words, "--template", "t.csv", "--fill", "clas"), 2, "did you mean class")


def test_a_template_is_filled_in(image_folder: Path) -> None:
    """Rows are matched by id, and ids that have no prediction are reported."""
    embed()
    succeed("fit", "--cv", 0)
    Path("t.csv").write_text("id,label\nreal-00,0\nfake-00,0\nother,0\n")
    result = succeed("predict", "model.clipfeat", "out.h5", "--template", "t.csv")
    assert result.stdout == "id,label\nreal-00,0\nfake-00,1\nother,0\n"
    assert "filled 2 of 3 rows of t.csv" in result.stderr
    assert "1 of 3 ids in t.csv have no prediction, for example other." in result.stderr


def test_failures_are_counted(image_folder: Path) -> None:
    """The exit code is 3 beyond ``--max-bad``, and every image has a row."""
    embed()
    succeed("fit", "--cv", 0)
    (image_folder / "real" / "bad.png").write_text("text")
    words = ("predict", "model.clipfeat", "images", "--device", "cpu")
    result = clipfeat(*words, "--max-bad", 0)
    assert result.exit_code == 3
    assert result.stdout.count("\n") == 26
    assert "for example real/bad.png: " in result.stderr


def test_the_commands_of_the_readme(image_folder: Path) -> None:
    """Embed, benchmark, fit and predict work in sequence."""
    succeed("embed", "images", "out.h5", *SPECTRUM)
    succeed("benchmark", "out.h5", "--clf", "logreg,dummy", "--cv", 3, "-o", "run")
    succeed("fit", "out.h5", "--clf", "logreg")
    succeed("predict", "model.clipfeat", "images", "-o", "predictions.csv", "--device", "cpu")
