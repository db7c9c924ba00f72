"""Tests of ``clipfeat fit``."""

from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipfeat.evaluate import METRICS
from clipfeat.model import load_model
from tests.cli.command_line import assert_fails, clipfeat, embed, remove_images, succeed
from tests.conftest import make_features, write_parts


def test_the_only_feature_file_is_the_default(image_folder: Path) -> None:
    """Without arguments, the only feature file in the folder is used, and its name printed."""
    embed()
    result = succeed("fit", "--clf", "logreg")
    assert "using out.h5, the only feature file in the current directory" in result.stdout
    assert "1.000 ± 0.000" in result.stdout
    assert "5-fold cross-validation" in succeed("info", "model.clipfeat").stdout


def test_features_are_read_in_blocks(image_folder: Path) -> None:
    """``--out-of-core`` and ``--in-memory`` fit nearly the same model."""
    embed()
    probabilities = []
    for memory in ("--out-of-core", "--in-memory"):
        words = ("--clf", "logreg,xgb", "--cv", 2, memory, "--overwrite")
        result = succeed("fit", "out.h5", *words, "--group-col", "none")
        assert "soft vote" in result.stdout
        predictions = succeed("predict", "model.clipfeat", "out.h5").stdout
        probabilities.append(pd.read_csv(StringIO(predictions)).p_fake)
    # XGBoost draws 80 % of the rows by position, and positions differ: a file is read in its own
    # order, and rows in memory are in the order of their content hashes.
    assert (probabilities[0] - probabilities[1]).abs().max() < 0.05
    result = clipfeat("fit", "out.h5", "--clf", "knn", "--out-of-core", "-o", "knn.clipfeat")
    assert_fails(result, 2, "knn")


def test_thresholds_are_printed_and_saved(image_folder: Path) -> None:
    """The threshold of a calibrated, bagged classifier is printed and saved."""
    embed()
    words = ("--clf", "logreg,knn", "--cv", 3, "--calibrate", "sigmoid", "--bag", 2)
    result = succeed("fit", *words, "--threshold", "balanced_accuracy")
    assert "predicts fake above 0." in result.stdout
    assert "predicts fake above 0." in succeed("info", "model.clipfeat").stdout


def test_votes_are_printed_and_saved(image_folder: Path) -> None:
    """The model file records the weights of a learned vote."""
    embed()
    result = succeed("fit", "--clf", "logreg,knn", "--cv", 3, "--vote", "greedy")
    assert "soft vote, greedy: " in result.stdout
    assert "soft vote, greedy: " in succeed("info", "model.clipfeat").stdout


def test_tuned_parameters_are_printed_and_saved(image_folder: Path) -> None:
    """The model file records the parameters that the search chose."""
    embed()
    result = succeed("fit", "--clf", "logreg,knn", "--cv", 2, "--tune")
    assert "logreg, tuned: C " in result.stdout
    assert "knn, tuned: " in succeed("info", "model.clipfeat").stdout


@pytest.mark.parametrize("command", ["fit", "benchmark"])
@pytest.mark.parametrize("limit", ["10x", "0", "nan"])
def test_time_limits_are_durations(command: str, limit: str) -> None:
    """A time limit that is no positive duration is a one-line error."""
    message = f"--time-limit must be a duration above 0, got '{limit}'"
    assert_fails(clipfeat(command, "out.h5", "--time-limit", limit), 2, message)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--clf", "logrge"), 2, "did you mean logreg"),
        (("--time-limit", 10), 2, "--tune"),
        (("--address", "auto"), 2, "--engine ray"),
        (("--vote-weights", "2,x"), 2, "--vote-weights must be comma-separated numbers, got '2,x'"),
        (("-o", "out.h5"), 2, "out.h5 exists"),
    ],
)
def test_mistakes(image_folder: Path, words: tuple[object, ...], code: int, message: str) -> None:
    """Each invalid command prints one line and has its exit code."""
    embed()
    assert_fails(clipfeat("fit", "out.h5", *words), code, message)


def test_labels_are_required(image_folder: Path) -> None:
    """Images without labels, and classes with fewer images than folds, are errors."""
    embed("images/real", "real.h5")
    assert_fails(clipfeat("fit", "real.h5"), 1, "none of the 12 images has a label")
    remove_images(image_folder, "fake", 3)
    embed()
    assert_fails(clipfeat("fit", "out.h5"), 1, "class 'fake' has 3 images")


def test_feature_files_must_hold_the_same_images(image_folder: Path) -> None:
    """Feature files of different images cannot be joined."""
    embed("images/real", "a.h5")
    embed("images/fake", "b.h5", "--image-size", 32)
    assert_fails(clipfeat("fit", "a.h5", "b.h5"), 1, "different images")


def test_the_feature_file_must_be_clear(image_folder: Path) -> None:
    """Without arguments, a folder with no or several feature files is an error."""
    assert_fails(clipfeat("fit"), 2, "current directory has none")
    embed(out="a.h5")
    embed(out="b.h5")
    assert_fails(clipfeat("fit"), 2, "a.h5, b.h5")


def test_photographs_are_the_negative_class(tmp_path: Path) -> None:
    """Photographs are the negative class, although their name is last in alphabetical order.

    --max-fpr bounds the share of photographs that are called generated, and a template gets the
    probability of the generated class.
    """
    classes, fill = ("Photographs", "AI-generated"), tmp_path / "t.csv"
    write_parts(tmp_path / "train.h5", make_features(150, classes, apart=2.5))
    test = make_features(150, classes, apart=2.5, seed=1)
    write_parts(tmp_path / "test.h5", test)
    fill.write_text("id,score\n" + "".join(f"{path},0.5\n" for path in test.paths))
    words = ("--cv", 3, "--max-fpr", 0.1, "-o", "m.clipfeat")
    result = succeed("fit", tmp_path / "train.h5", *words)
    assert "classes Photographs, AI-generated, positive class AI-generated" in result.stdout
    result = succeed("predict", "m.clipfeat", tmp_path / "test.h5", "--template", fill)
    score = pd.read_csv(StringIO(result.stdout)).score
    assert METRICS["roc_auc"].function(test.y, np.column_stack([1 - score, score])) > 0.9
    table = succeed("predict", "m.clipfeat", tmp_path / "test.h5").stdout
    predicted = pd.read_csv(StringIO(table)).predicted.to_numpy()
    assert (predicted[test.y == 0] == "AI-generated").mean() <= 0.1
    assert (predicted[test.y == 1] == "AI-generated").mean() > 0.7


def test_the_positive_class_can_be_chosen(tmp_path: Path) -> None:
    """Class names without a known order cause a remark. --positive removes it."""
    write_parts(tmp_path / "f.h5", make_features(10, ("cat", "dog")))
    words = ("fit", tmp_path / "f.h5", "--cv", 0, "--overwrite")
    remark = "The names cat and dog do not determine the positive class, which is dog here."
    assert remark in succeed(*words).stdout
    result = succeed(*words, "--positive", "cat")
    assert "classes dog, cat, positive class cat" in result.stdout
    assert "do not determine" not in result.stdout
    assert load_model("model.clipfeat").about["positive_by"] == "option"
    assert_fails(clipfeat(*words, "--positive", "Dog"), 2, "did you mean dog? Known: cat, dog")


def test_zero_shot(image_folder: Path) -> None:
    """Descriptions of the classes give a model, which is scored on all labelled images."""
    for label in ("real", "fake"):
        remove_images(image_folder, label, 2)
    device = ("--device", "cpu")
    succeed("embed", "images", "x.h5", "--encoder", "open_clip:ViT-S-32", "--untrained", *device)
    Path("p.yaml").write_text("classes: {real: photograph, fake: [rendering, drawing]}")
    words = ("fit", "x.h5", "--clf", "zeroshot")
    result = succeed(*words, "--prompts", "p.yaml")
    assert "model.clipfeat: zeroshot, classes real, fake" in result.stdout
    assert "scored on 4 images, positive class fake" in result.stderr
    assert "zeroshot" in succeed("info", "model.clipfeat").stdout
    assert succeed("predict", "model.clipfeat", "x.h5").stdout.count("\n") == 5
    again = ("-o", "new.clipfeat", "--no-progress")
    assert_fails(clipfeat(*words, *again), 2, "need each other")
    assert_fails(clipfeat(*words, "--prompts", "p.yaml", "--bag", 3, *again), 2, "not fitted")
    Path("p.yaml").write_text("classes: {real: photograph, cat: cat}")
    failed = clipfeat(*words, "--prompts", "p.yaml", *again)
    assert failed.exit_code == 1
    assert "error: the prompts describe other classes" in failed.stderr
