"""Tests of ``clipfeat predict``."""

import pickle
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from tests.cli.command_line import SPECTRUM, assert_fails, clipfeat, embed, rehash, succeed


def test_a_link_that_leads_to_no_file_is_taken(image_folder: Path, tmp_path: Path) -> None:
    """A folder from a stranger may have a link with the name of an output."""
    for name in ("model.clipfeat", "p.csv"):
        Path(name).symlink_to(tmp_path / f"new-{name}")
    embed()
    assert_fails(clipfeat("fit", "--cv", 0), 2, "model.clipfeat exists")
    succeed("fit", "--cv", 0, "-o", "m.clipfeat")
    predict = ("predict", "m.clipfeat", "out.h5", "-o", "p.csv")
    assert_fails(clipfeat(*predict), 2, "p.csv exists")
    assert not list(tmp_path.glob("new-*"))
    succeed(*predict, "--overwrite")


def test_predictions_of_images(image_folder: Path) -> None:
    """Every image has a row. Scores are printed if the labels are known."""
    embed()
    succeed("fit", "--cv", 0)
    rehash(image_folder)
    result = succeed("predict", "model.clipfeat", "images", "-o", "p.csv", "--device", "cpu")
    assert "accuracy 1.0000" in result.stderr
    assert pd.read_csv("p.csv").predicted.tolist() == ["fake"] * 12 + ["real"] * 12
    again = clipfeat("predict", "model.clipfeat", "images", "-o", "p.csv")
    assert_fails(again, 2, "p.csv exists")


def test_training_images_are_not_scored(image_folder: Path) -> None:
    """Images with the content hash of a training image are predicted, but not scored."""
    embed()
    succeed("fit", "--cv", 0)
    words = ("predict", "model.clipfeat", "images", "--device", "cpu")
    result = succeed(*words)
    assert "not scored: all labelled images (24) are training images of the model" in result.stderr
    assert "accuracy" not in result.stderr
    rehash(image_folder / "real")
    path = image_folder / "fake" / "fake-00.png"
    path.write_bytes(path.read_bytes() + b" ")
    result = succeed(*words)
    assert "scored on 13 of 24 images, positive class fake: " in result.stderr
    assert "not scored: 11 training images of the model" in result.stderr


def test_standard_output_holds_only_the_table(image_folder: Path) -> None:
    """Without -o the table can be piped, and everything else is on standard error."""
    embed()
    succeed("fit", "--cv", 0)
    result = succeed("predict", "model.clipfeat", "out.h5")
    assert result.stdout.startswith("path,predicted,p_real,p_fake,label,error\n")
    assert result.stdout.count("\n") == 25


def test_another_encoder_is_refused(image_folder: Path) -> None:
    """Features of another encoder than the model's are an error."""
    embed()
    succeed("fit", "--cv", 0)
    embed("images", "other.h5", "--image-size", 32)
    assert_fails(
        clipfeat("predict", "model.clipfeat", "other.h5"),
        6,
        "the features come from another encoder",
    )


def test_a_pickle_is_refused(image_folder: Path) -> None:
    """A pickle is refused and never loaded."""
    Path("model.clipfeat").write_bytes(pickle.dumps({"a": 1}))
    assert_fails(clipfeat("predict", "model.clipfeat", "images"), 6, "never")


def test_unknown_names(image_folder: Path) -> None:
    """An unknown name is an error before any image is read."""
    embed()
    succeed("fit", "--cv", 0)
    words = ("predict", "model.clipfeat", "out.h5")
    assert_fails(clipfeat(*words, "--average", "meen"), 2, "did you mean mean")
    Path("t.csv").write_text("id,label\nreal-00,0\n")
    assert_fails(clipfeat(*words, "--template", "t.csv", "--fill", "clas"), 2, "did you mean class")


def test_a_template_is_filled_in(image_folder: Path) -> None:
    """Rows are matched by id, and ids without a prediction are reported."""
    embed()
    succeed("fit", "--cv", 0)
    Path("t.csv").write_text("id,label\nreal-00,0\nfake-00,0\nother,0\n")
    result = succeed("predict", "model.clipfeat", "out.h5", "--template", "t.csv")
    assert result.stdout == "id,label\nreal-00,0\nfake-00,1\nother,0\n"
    assert "filled 2 of 3 rows of t.csv" in result.stderr
    assert "1 of 3 ids in t.csv have no prediction, for example other." in result.stderr


def test_scores_of_partial_labels(image_folder: Path) -> None:
    """The number of scored images is printed. Labels in another spelling are errors."""
    embed()
    succeed("fit", "--cv", 0)
    rehash(image_folder)
    words = ("predict", "model.clipfeat", "images", "--device", "cpu", "--labels", "t.csv")
    for folder in ("real", "fake"):
        for path in sorted((image_folder / folder).iterdir()):
            path.rename(image_folder / path.name)
    Path("t.csv").write_text("path,label\nreal-00.png,real\nfake-00.png,fake\nreal-01.png,\n")
    result = succeed(*words)
    assert "scored on 2 of 24 images, positive class fake: accuracy " in result.stderr
    assert "tpr_at_fpr_1 –, " in result.stderr  # too few negatives
    Path("t.csv").write_text("path,label\nreal-00.png,real\nfake-00.png,Fake\nfake-01.png,cat\n")
    message = (
        "2 images of t.csv have labels that match no class of the model (real, fake): 'Fake' "
        "(nearest class 'fake'), 'cat'"
    )
    assert_fails(clipfeat(*words), 1, message)
    Path("images/t.csv").write_text("path,label\nfake-00.png,FAKE\n")
    result = clipfeat("predict", "model.clipfeat", "images/t.csv", "--device", "cpu")
    assert_fails(result, 1, "'FAKE' (nearest class 'fake')")


def test_labels_of_a_feature_file_in_another_spelling(image_folder: Path) -> None:
    """Labels in another spelling are listed and not scored. Other folder names are ignored."""
    embed()
    succeed("fit", "--cv", 0)
    rehash(image_folder)
    (image_folder / "fake").rename(image_folder / "Fakes")
    embed("images", "other.h5")
    result = succeed("predict", "model.clipfeat", "other.h5")
    assert "scored on 12 of 24 images, positive class fake: " in result.stderr
    assert "not scored: 12 images with labels that match no class" in result.stderr
    assert "'Fakes' (nearest class 'fake')" in result.stderr
    (image_folder / "Fakes").rename(image_folder / "2024")
    (image_folder / "real").rename(image_folder / "2025")
    embed("images", "third.h5")
    assert "scored" not in succeed("predict", "model.clipfeat", "third.h5").stderr


def test_the_positive_class_of_a_template(image_folder: Path) -> None:
    """--positive selects the probability in the template, and keeps the predicted classes."""
    embed()
    succeed("fit", "--cv", 3, "--threshold", "accuracy")
    Path("t.csv").write_text("id,score\nreal-00,0.5\nfake-00,0.5\n")
    words = ("predict", "model.clipfeat", "out.h5")
    default = succeed(*words, "--template", "t.csv")
    assert "column score: probability of 'fake', the positive class" in default.stderr
    chosen = succeed(*words, "--template", "t.csv", "--positive", "real")
    assert "column score: probability of 'real', the positive class" in chosen.stderr
    assert "--positive real changes the metrics, but not the predicted classes" in (chosen.stderr)
    columns = [pd.read_csv(StringIO(of.stdout)).score for of in (default, chosen)]
    assert columns[0][1] > 0.5 > columns[0][0]
    assert np.allclose(columns[0] + columns[1], 1)
    assert succeed(*words).stdout == succeed(*words, "--positive", "real").stdout
    assert_fails(clipfeat(*words, "--positive", "Real"), 2, "did you mean real? Known: fake, real")


def test_failures_are_counted(image_folder: Path) -> None:
    """More failures than ``--max-bad`` give exit code 3, and every image has a row."""
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


def test_columns_named_like_internal_ones(image_folder: Path) -> None:
    """Columns with reserved names change no prediction and can be used by name."""
    paths = sorted(str(path.relative_to(image_folder)) for path in image_folder.rglob("*.png"))
    lines = [f"{p},{p[:4]},{i % 2},v{i % 2},none,noon" for i, p in enumerate(paths)]
    table = image_folder / "t.csv"
    table.write_text("path,is_fake,file,view,face,time\n" + "\n".join(lines) + "\n")
    embed(table, "out.h5")
    embed(table, "views.h5", "--views", "original,hflip")
    succeed("fit", "out.h5", "--clf", "logreg", "--cv", "0", "-o", "m.clipfeat")
    submission = "id,fake\n" + "".join(f"{path},0.5\n" for path in paths)
    Path("template.csv").write_text(submission)
    for source in ("out.h5", "views.h5", table, "merged.h5"):
        if source == "merged.h5":
            succeed("merge", "out.h5", "views.h5", "-o", "merged.h5", "--prefer", "first")
        output = succeed("predict", "m.clipfeat", source, "--device", "cpu").stdout
        assert [line.split(",")[0] for line in output.splitlines()] == ["path", *paths]
        filled = succeed("predict", "m.clipfeat", source, "--template", "template.csv")
        assert "0.5" not in {line.split(",")[1] for line in filled.stdout.splitlines()}
    for column in ("view", "is_fake"):
        output = succeed("benchmark", "out.h5", "--clf", "logreg", "--cv", "2", "--by", column)
        assert "v1" in output.stdout or column != "view"
    succeed("benchmark", "out.h5", "--clf", "logreg", "--leave-one-out", "view")


def test_unsure_images(image_folder: Path) -> None:
    """A model fitted with --abstain marks and counts unsure images, at any level."""
    embed()
    fitted = succeed("fit", "--cv", 2, "--abstain", 0.1)
    assert "Abstains at level 0.1: for each class, at most this share" in fitted.stdout
    assert "Calibrated with 24 images, 12 or more of each class." in fitted.stdout
    rehash(image_folder)
    words = ("predict", "model.clipfeat", "images", "--device", "cpu", "--overwrite")
    result = succeed(*words, "-o", "p.csv")
    unsure = pd.read_csv("p.csv").unsure
    assert f"unsure: {unsure.sum()} of 24 images, level 0.1" in result.stderr
    assert "images whose prediction set lacks their true class: real " in result.stderr
    assert "level 0.5" in (more := succeed(*words, "--abstain", 0.5)).stderr
    assert pd.read_csv(StringIO(more.stdout)).unsure.sum() > unsure.sum()
    few = clipfeat(*words, "--abstain", 0.01)
    assert few.exit_code == 1
    assert "need 99 images of each class, but class 'fake' has 12" in few.stderr
    succeed("fit", "--cv", 0, "--overwrite")
    assert_fails(clipfeat(*words, "--abstain", 0.1), 2, "stores no calibration for abstention")
