"""The command line: the whole road, bad input, and exit codes."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from clipfeat.cli import app
from clipfeat.store import load
from clipfeat.zoo import CLASSIFIERS, PROJECTIONS

SPECTRUM = ("--encoder", "spectrum", "--device", "cpu")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clipfeat(*words: object, stdin: str | None = None) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], input=stdin)


def test_the_whole_road(image_folder: Path, here: Path) -> None:
    """The README's commands: embed, fit without naming the file, predict, benchmark, info."""
    result = clipfeat("embed", "images", "out.h5", *SPECTRUM)
    assert result.exit_code == 0, result.stderr
    assert "the source's labels: fake 12, real 12" in result.stdout
    result = clipfeat("fit", "--clf", "logreg")
    assert result.exit_code == 0, result.stderr
    assert "using out.h5, the only feature file here" in result.stdout
    assert "1.000 ± 0.000" in result.stdout
    result = clipfeat("predict", "model.clipfeat", "images", "-o", "p.csv", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "accuracy 1.0000" in result.stderr
    assert pd.read_csv("p.csv").predicted.tolist() == ["fake"] * 12 + ["real"] * 12
    result = clipfeat("benchmark", "out.h5", "--clf", "logreg,dummy", "--cv", 3, "-o", "run")
    assert result.exit_code == 0, result.stderr
    assert "run/leaderboard.md" in result.stdout
    assert "spectrum 256px" in clipfeat("info", "out.h5").stdout
    assert "5-fold cross-validation" in clipfeat("info", "model.clipfeat").stdout


def test_a_run_resumes_by_the_same_command_and_is_compared(image_folder: Path) -> None:
    """The same command goes on in its folder, another is refused; two runs are set side by side."""
    clipfeat("embed", "images", "out.h5", *SPECTRUM)
    asked = ("benchmark", "out.h5", "--clf", "logreg,knn", "--cv", 3)
    for _ in range(2):
        result = clipfeat(*asked, "-o", "run")
        assert result.exit_code == 0, result.stderr
    kept = {path.name: path.stat().st_mtime_ns for path in Path("run/cells").iterdir()}
    assert len(kept) == 6
    page = Path("run/report.html").read_text()
    assert "data:image/png" in page or "made none" in page
    assert "clipfeat" in page
    refused = clipfeat(*asked, "--seed", 1, "-o", "run")
    assert (refused.exit_code, "not what this very command began" in refused.stderr) == (2, True)
    clipfeat(*asked, "--seed", 1, "-o", "other")
    compared = clipfeat("compare", "run", "other", "-o", "c.csv")
    assert compared.exit_code == 0, compared.stderr
    assert pd.read_csv("c.csv").groupby("run").size().to_dict() == {"run": 3, "other": 3}


def test_a_test_set_of_its_own(image_folder: Path) -> None:
    """--train and --test name feature files; copies are left out of the training, and said."""
    clipfeat("embed", "images", "a.h5", *SPECTRUM)
    for number, path in enumerate(sorted(image_folder.rglob("*.png"))):
        if number % 2:
            path.unlink()
    clipfeat("embed", "images", "b.h5", *SPECTRUM)
    result = clipfeat("benchmark", "--train", "a.h5", "--test", "b.h5", "--clf", "logreg")
    assert result.exit_code == 0, result.stderr
    assert "12 images of the training are in the test" in result.stderr
    assert "a test set of its own on 24 images" in result.stdout


def test_predictions_go_to_standard_output(image_folder: Path) -> None:
    """Without -o the table can be piped; everything else is on standard error."""
    clipfeat("embed", "images", "out.h5", *SPECTRUM)
    clipfeat("fit", "--cv", 0)
    result = clipfeat("predict", "model.clipfeat", "out.h5")
    assert result.stdout.startswith("path,predicted,p_real,p_fake,label,error\n")
    assert result.stdout.count("\n") == 25


def test_features_are_read_in_blocks(image_folder: Path) -> None:
    """The model of `--out-of-core` says what that of `--in-memory` says; others are refused."""
    embedded(image_folder)
    said = []
    for place in ("--out-of-core", "--in-memory"):
        asked = ("--clf", "logreg,xgb", "--cv", 2, place, "--overwrite")
        result = clipfeat("fit", "out.h5", *asked, "--group-col", "none")
        assert result.exit_code == 0, result.stderr
        assert "soft vote" in result.stdout
        said.append(clipfeat("predict", "model.clipfeat", "out.h5").stdout)
    first, second = (pd.read_csv(StringIO(text)).p_fake for text in said)
    assert (first - second).abs().max() < 1e-3
    result = clipfeat("fit", "out.h5", "--clf", "knn", "--out-of-core", "-o", "knn.clipfeat")
    assert result.exit_code == 2
    assert "knn cannot be fitted out of core: take logreg, linsvm, lgbm, xgb" in result.stderr


def test_a_list_on_standard_input(image_folder: Path) -> None:
    """Paths can be piped in."""
    names = "\n".join(str(path) for path in sorted(image_folder.rglob("*.png"))[:3])
    assert clipfeat("embed", "-", "out.h5", *SPECTRUM, stdin=names).exit_code == 0
    assert len(load("out.h5")) == 3


def test_the_profile_says_what_was_waited_for(image_folder: Path) -> None:
    """Each stage with its share, and a sentence; also where there was nothing to do."""
    shown = clipfeat("embed", "images", "out.h5", *SPECTRUM, "--profile").stdout
    assert all(stage in shown for stage in ("read", "decode", "resize", "encode", "write"))
    assert "waited for" in shown
    again = clipfeat("embed", "images", "out.h5", *SPECTRUM, "--profile")
    assert again.exit_code == 0
    assert "0 images encoded" in again.stdout


def test_failures_are_listed_and_counted(image_folder: Path) -> None:
    """Bad images are named at the end; the exit code is 3 only where --max-bad says so."""
    (image_folder / "real" / "bad.png").write_text("text")
    result = clipfeat("embed", "images", "out.h5", *SPECTRUM)
    assert result.exit_code == 0
    assert "real/bad.png: DecodeError: cannot be decoded" in result.stdout
    assert clipfeat("embed", "images", "out.h5", *SPECTRUM, "--max-bad", 1).exit_code == 0
    assert clipfeat("embed", "images", "out.h5", *SPECTRUM, "--max-bad", 0).exit_code == 3


def test_thresholds_are_said_and_kept(image_folder: Path) -> None:
    """Calibration, bag and threshold reach the model file, and each is said in a line."""
    embedded(image_folder)
    asked = ("--clf", "logreg,knn", "--cv", 3, "--calibrate", "sigmoid", "--bag", 2)
    result = clipfeat("fit", *asked, "--threshold", "balanced_accuracy")
    assert result.exit_code == 0, result.stderr
    assert "predicts fake above 0." in result.stdout
    assert "predicts fake above 0." in clipfeat("info", "model.clipfeat").stdout
    result = clipfeat("benchmark", "out.h5", *asked, "--max-fpr", 0.1, "-o", "run")
    assert result.exit_code == 0, result.stderr
    assert "soft vote calls fake above 0." in result.stdout
    assert "logreg calls fake above 0." in Path("run/leaderboard.md").read_text()


def test_votes_are_said_beside_their_members(image_folder: Path) -> None:
    """Each vote has its row, its weights and its gain; the model says which members it kept."""
    embedded(image_folder)
    result = clipfeat("benchmark", "out.h5", "--clf", "logreg,knn,dummy", "--cv", 3, "--vote",
                      "all", "--vote-weights", "2,1")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "soft vote, given: logreg 0.67, knn 0.33" in result.stdout
    assert "stacking: +0.0000 ± 0.0000 balanced_accuracy over" in result.stdout
    result = clipfeat("fit", "--clf", "logreg,knn", "--cv", 3, "--vote", "greedy")
    assert result.exit_code == 0, result.stderr
    assert "soft vote, greedy: " in result.stdout
    assert "soft vote, greedy: " in clipfeat("info", "model.clipfeat").stdout


def test_tuning_is_said_and_kept(image_folder: Path) -> None:
    """What was chosen is in the model file, the run folder, and a line of each command."""
    embedded(image_folder)
    asked = ("--clf", "logreg,knn", "--cv", 2, "--tune")
    result = clipfeat("fit", *asked)
    assert result.exit_code == 0, result.stderr
    assert "logreg, tuned: C " in result.stdout
    assert "knn, tuned: " in clipfeat("info", "model.clipfeat").stdout
    result = clipfeat("benchmark", "out.h5", *asked, "--time-limit", 60, "-o", "run")
    assert result.exit_code == 0, result.stderr
    assert "candidates in 2 trainings)" in result.stdout
    tuned = json.loads(Path("run/leaderboard.json").read_text())["about"]["tuned"]
    assert set(tuned["logreg"]["0"]) == {"params", "tried", "out_of_time"}


def embedded(folder: Path, out: str = "out.h5", *more: object) -> None:
    assert clipfeat("embed", folder, out, *SPECTRUM, *more).exit_code == 0


def prepare_fitted(images: Path) -> None:
    embedded(images)
    assert clipfeat("fit", "--cv", 0).exit_code == 0


def only(images: Path, label: str, n: int = 12) -> Path:
    for path in sorted(images.rglob("*.png")):
        if path.parent.name != label and int(path.stem[-2:]) >= n:
            path.unlink()
    return images


def case_empty_folder(images: Path) -> tuple[object, ...]:
    Path("none").mkdir()
    return ("embed", "none", "new.h5", *SPECTRUM)


def case_no_labels(images: Path) -> tuple[object, ...]:
    embedded(images / "real")
    return ("fit", "out.h5")


def case_one_class(images: Path) -> tuple[object, ...]:
    embedded(only(images, "real", 0))
    return ("benchmark", "out.h5")


def case_small_class(images: Path) -> tuple[object, ...]:
    embedded(only(images, "real", 3))
    return ("fit", "out.h5")


def case_missing_column(images: Path) -> tuple[object, ...]:
    Path("t.csv").write_text("path,label\nimages/real/real-00.png,real\n")
    return ("embed", "t.csv", "new.h5", "--label-col", "klass", *SPECTRUM)


def case_missing_group_column(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("benchmark", "out.h5", "--group-col", "person")


def case_different_images(images: Path) -> tuple[object, ...]:
    embedded(images / "real", "a.h5")
    embedded(images / "fake", "b.h5", "--image-size", 32)
    return ("fit", "a.h5", "b.h5")


def case_other_encoder(images: Path) -> tuple[object, ...]:
    prepare_fitted(images)
    embedded(images, "other.h5", "--image-size", 32)
    return ("predict", "model.clipfeat", "other.h5")


def case_mixed_encoders(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("embed", "images", "out.h5", *SPECTRUM, "--image-size", 32)


def case_unknown_encoder(images: Path) -> tuple[object, ...]:
    return ("embed", "images", "new.h5", "--encoder", "clip-vit-b-23")


def case_unknown_classifier(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("fit", "out.h5", "--clf", "logrge")


def case_no_weights(images: Path) -> tuple[object, ...]:
    return ("embed", "images", "new.h5")


def case_output_exists(images: Path) -> tuple[object, ...]:
    prepare_fitted(images)
    return ("fit", "out.h5")


def case_predictions_exist(images: Path) -> tuple[object, ...]:
    prepare_fitted(images)
    Path("p.csv").touch()
    return ("predict", "model.clipfeat", "out.h5", "-o", "p.csv")


def case_run_folder_in_use(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("benchmark", "out.h5", "-o", "images")


def case_pickle(images: Path) -> tuple[object, ...]:
    Path("model.clipfeat").write_bytes(pickle.dumps({"a": 1}))
    return ("predict", "model.clipfeat", "images")


def case_text_as_features(images: Path) -> tuple[object, ...]:
    Path("x.h5").write_text("text")
    return ("info", "x.h5")


def case_no_features_here(images: Path) -> tuple[object, ...]:
    return ("fit",)


def case_two_features_here(images: Path) -> tuple[object, ...]:
    embedded(images, "a.h5")
    embedded(images, "b.h5")
    return ("fit",)


def case_output_is_an_image(images: Path) -> tuple[object, ...]:
    return ("embed", "images/real/real-00.png", "images/real/real-01.png", *SPECTRUM)


def case_only_one_path(images: Path) -> tuple[object, ...]:
    return ("embed", "images")


def case_no_such_device(images: Path) -> tuple[object, ...]:
    return ("embed", "images", "new.h5", "--encoder", "spectrum", "--device", "cuda:77")


def case_no_encoder_matches(images: Path) -> tuple[object, ...]:
    return ("encoders", "no-such-encoder")


def case_two_ways_to_a_threshold(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("benchmark", "out.h5", "--threshold", "accuracy", "--max-fpr", 0.1)


def case_weights_that_do_not_fit(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("benchmark", "out.h5", "--clf", "logreg,knn,dummy", "--vote-weights", "1,2,3")


def case_limit_of_nothing(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("fit", "out.h5", "--time-limit", 10)


def case_time_limit_on_ray(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("benchmark", "out.h5", "--engine", "ray", "--time-limit", 10)


def case_address_of_no_engine(images: Path) -> tuple[object, ...]:
    embedded(images)
    return ("fit", "out.h5", "--address", "auto")


def case_train_without_test(images: Path) -> tuple[object, ...]:
    clipfeat("embed", "images", "out.h5", *SPECTRUM)
    return ("benchmark", "--train", "out.h5")


def case_half_an_image(images: Path) -> tuple[object, ...]:
    clipfeat("embed", "images", "out.h5", *SPECTRUM)
    return ("benchmark", "out.h5", "--few-shot", "2.5,10")


def case_two_protocols(images: Path) -> tuple[object, ...]:
    clipfeat("embed", "images", "out.h5", *SPECTRUM)
    return ("benchmark", "out.h5", "--matrix", "label", "--few-shot", 5)


def case_no_run(images: Path) -> tuple[object, ...]:
    return ("compare", "images", "elsewhere")


BAD: list[tuple[Callable[[Path], tuple[object, ...]], int, str]] = [
    (case_empty_folder, 1, "no images in the folder none"),
    (case_no_labels, 1, "none of the 12 images has a label"),
    (case_one_class, 1, "of one class ('real')"),
    (case_small_class, 1, "class 'fake' has 3 images, fewer than the 5 folds"),
    (case_missing_column, 2, "unknown label column of t.csv 'klass'"),
    (case_missing_group_column, 2, "unknown column 'person'"),
    (case_different_images, 1, "hold different images"),
    (case_other_encoder, 6, "features of another encoder than the model was fitted on"),
    (case_mixed_encoders, 6, "out.h5 holds features of another encoder"),
    (case_unknown_encoder, 2, "did you mean clip-vit-b-32"),
    (case_unknown_classifier, 2, "did you mean logreg"),
    (case_two_ways_to_a_threshold, 2, "not by both"),
    (case_weights_that_do_not_fit, 2, "one each of logreg, knn; got 1,2,3"),
    (case_limit_of_nothing, 2, "--tune"),
    (case_time_limit_on_ray, 2, "leave it out with --engine ray"),
    (case_address_of_no_engine, 2, "give --engine ray too"),
    (case_train_without_test, 2, "for use with --test"),
    (case_half_an_image, 2, "whole, got --few-shot 2.5,10"),
    (case_two_protocols, 2, "one protocol at a time, got --matrix and --few-shot"),
    (case_no_run, 6, "holds no benchmark run"),
    (case_no_weights, 1, "--weights FILE"),
    (case_output_exists, 2, "model.clipfeat exists"),
    (case_predictions_exist, 2, "p.csv exists"),
    (case_run_folder_in_use, 2, "images is not empty"),
    (case_pickle, 6, "never read"),
    (case_text_as_features, 6, "not a complete HDF5 file"),
    (case_no_features_here, 2, "none is in this folder"),
    (case_two_features_here, 2, "a.h5, b.h5"),
    (case_output_is_an_image, 2, "must end in .h5"),
    (case_only_one_path, 2, "two paths are needed"),
    (case_no_such_device, 2, "cuda:77"),
    (case_no_encoder_matches, 2, "no encoder matches"),
]


@pytest.mark.parametrize(
    ("prepare", "code", "message"), BAD, ids=lambda v: getattr(v, "__name__", "")
)
def test_bad_input_is_one_line_and_a_code(
    image_folder: Path,
    prepare: Callable[[Path], tuple[object, ...]],
    code: int,
    message: str,
) -> None:
    """Each mistake ends in one clear line on standard error and the exit code of its kind."""
    result = clipfeat(*prepare(image_folder))
    assert result.exit_code == code, result.stderr
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert not Path("new.h5").exists()


@pytest.mark.parametrize("command", ["demo", "embed", "audit", "benchmark", "compare", "fit",
                                     "predict", "robustness", "info", "verify", "merge", "export",
                                     "import", "encoders", "classifiers", "explain", "push",
                                     "pull"])  # fmt: skip
def test_every_help_has_an_example(command: str) -> None:
    """Whoever asks for help is shown a line to type."""
    result = clipfeat(command, "--help")
    assert result.exit_code == 0
    assert f"Example: clipfeat {command}" in " ".join(result.stdout.split())


def test_lists() -> None:
    """Encoders by pattern, classifiers with what they are."""
    assert "clip-vit-l-14 = open_clip:ViT-L-14/openai" in clipfeat("encoders", "clip-vit-l").stdout
    listed = clipfeat("classifiers").stdout
    assert all(name in listed for name in [*CLASSIFIERS, *PROJECTIONS])
    assert clipfeat("--version").stdout.startswith("clipfeat ")


def test_completion_is_shown() -> None:
    """Shell completion works: the shell asks, the command answers with its own words."""
    environment = {
        **os.environ, "_CLIPFEAT_COMPLETE": "complete_bash",
        "COMP_WORDS": "clipfeat be", "COMP_CWORD": "1",
    }  # fmt: skip
    script = [str(Path(sys.executable).parent / "clipfeat")]
    run = subprocess.run(script, capture_output=True, text=True, env=environment, check=False)
    assert "benchmark" in run.stdout


def test_the_demo_leaves_what_it_says(here: Path) -> None:
    """The demo runs the whole road and every path that it prints is there."""
    result = clipfeat("demo", "-o", "demo")
    assert result.exit_code == 0, result.stderr
    assert "SIMULATED" in result.stdout
    for name in ("features.h5", "model.clipfeat", "predictions.csv", "benchmark/leaderboard.md",
                 "benchmark-unseen-generator/leaderboard.md"):  # fmt: skip
        assert f"demo/{name}" in result.stdout
        assert (here / "demo" / name).stat().st_size > 0
    assert "clipfeat embed images/ out.h5 && clipfeat fit" in result.stdout
    again = clipfeat("demo", "-o", "demo")
    assert again.exit_code == 0, again.stderr
