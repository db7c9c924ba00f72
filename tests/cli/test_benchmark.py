"""Tests of ``clipfeat benchmark``."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.command_line import assert_fails, clipfeat, embed, remove_images, succeed
from tests.conftest import make_features, write_parts


def test_a_run_resumes(image_folder: Path) -> None:
    """The same command resumes in its folder. Another command in this folder is refused."""
    embed()
    words = ("benchmark", "out.h5", "--clf", "logreg,knn", "--cv", 3)
    assert "run/leaderboard.md" in succeed(*words, "-o", "run").stdout
    cells = {path.name: path.stat().st_mtime_ns for path in Path("run/cells").iterdir()}
    assert len(cells) == 6
    succeed(*words, "-o", "run")
    assert {path.name: path.stat().st_mtime_ns for path in Path("run/cells").iterdir()} == cells
    page = Path("run/report.html").read_text()
    assert "data:image/png" in page or "made none" in page
    assert "clipfeat" in page
    assert_fails(clipfeat(*words, "--seed", 1, "-o", "run"), 2, "run is not empty")


def test_a_separate_test_set(image_folder: Path) -> None:
    """Test images that are also training images are removed from training, with a warning."""
    embed(out="a.h5")
    for number, path in enumerate(sorted(image_folder.rglob("*.png"))):
        if number % 2:
            path.unlink()
    embed(out="b.h5")
    result = succeed("benchmark", "--train", "a.h5", "--test", "b.h5", "--clf", "logreg")
    assert "12 training images are also in the test set" in result.stderr
    assert "separate test set on 24 images" in result.stdout


def test_the_official_split_is_the_default(image_folder: Path) -> None:
    """Folders train and test give the split. --cv and --split none use cross-validation."""
    for number, path in enumerate(sorted(image_folder.rglob("*.png"))):
        part = image_folder / ("test" if number % 3 == 0 else "train") / path.parent.name
        part.mkdir(parents=True, exist_ok=True)
        path.rename(part / path.name)
    for label in ("real", "fake"):
        (image_folder / label).rmdir()
    embed()
    words = ("benchmark", "out.h5", "--clf", "dummy")
    title = "official split in column split (fit on train, report test) on 24 images"
    assert title in succeed(*words).stdout
    for more in (("--cv", 3), ("--split", "none")):
        assert "-fold on 24 images" in succeed(*words, *more).stdout
    assert_fails(clipfeat(*words, "--cv", 3, "--split", "place"), 2, "--split and --cv cannot be")
    fit = ("fit", "out.h5", "--clf", "logreg", "--overwrite", "--cv", 2)
    assert "2-fold cross-validation on 16 images, 8 test images left out" in succeed(*fit).stdout
    assert "cross-validation on 24 images" in succeed(*fit, "--split", "none").stdout


def test_the_default_balance_is_in_the_headings(image_folder: Path) -> None:
    """Headings and the run's record show the balance that the default selects."""
    Path("made.csv").write_text(
        "path,label,generator\n"
        + "".join(f"{p},{p.parent.name},{'' if p.parent.name == 'real' else 'ab'[i % 2]}\n"
                  for i, p in enumerate(sorted(image_folder.rglob("*.png"))))
    )  # fmt: skip
    embed(source="made.csv")
    words = ("benchmark", "out.h5", "--clf", "logreg", "-o", "run")
    for protocol, balance in (
        ("--matrix", "prior"),
        ("--leave-one-out", "prior"),
        ("--cv", "none"),
    ):
        value = 3 if protocol == "--cv" else "generator"
        more = (*words, protocol, value, "--overwrite")
        printed = succeed(*more).stdout
        assert f"24 images, balance {balance}, positive class fake, by" in printed
        assert ("therefore balances the classes" in printed) == (balance == "prior")
        assert json.loads(Path("run/command.json").read_text())["balance"] == balance
        assert f", balance {balance}, positive" in Path("run/leaderboard.md").read_text()
        assert f"(--balance {balance})" in Path("run/report.html").read_text()


def test_scores_of_another_detector(image_folder: Path) -> None:
    """--scores adds an entry and is part of the recorded command. Missing scores are an error."""
    embed()
    paths = sorted(
        path.relative_to(image_folder).as_posix() for path in image_folder.rglob("*.png")
    )
    rows = [f"{path},{number}" for number, path in enumerate(paths)]
    Path("other.csv").write_text("path,score\n" + "\n".join(rows))
    Path("few.csv").write_text("path,score\n" + "\n".join(rows[:20]))
    words = ("benchmark", "out.h5", "--clf", "logreg", "--cv", 2, "--no-audit", "-o", "run")
    shown = succeed(*words, "--scores", "other.csv", "--scores", "again=other.csv").stdout
    assert "│ other " in shown and "│ again " in shown
    assert json.loads(Path("run/command.json").read_text())["scores"] == [
        "other.csv",
        "again=other.csv",
    ]
    assert_fails(
        clipfeat(*words, "--scores", "few.csv", "--overwrite"), 1, "4 of 24 images have no"
    )


def test_rates_by_a_column(image_folder: Path) -> None:
    """--by selects the column of the table. An unknown column is an error before any fit."""
    table = pd.DataFrame(
        {"path": [f"{c}/{c}-{i:02d}.png" for c in ("real", "fake") for i in range(12)]}
    )
    table["label"] = table.path.str[:4]
    table["camera"] = [f"[b]{'xy'[i % 2]}" for i in range(24)]
    table.to_csv("images/list.csv", index=False)
    embed("images/list.csv")
    words = ("benchmark", "out.h5", "--clf", "logreg", "--cv", 2, "--by")
    shown = succeed(*words, "camera").stdout
    assert "false positive rate of real and recall of fake by camera: logreg" in shown
    assert "[b]x" in shown
    assert_fails(clipfeat(*words, "camra"), 2, "did you mean camera")


def test_thresholds_are_printed_and_saved(image_folder: Path) -> None:
    """The leaderboard names the threshold of each classifier."""
    embed()
    words = ("--clf", "logreg,knn", "--cv", 3, "--calibrate", "sigmoid", "--bag", 2)
    result = succeed("benchmark", "out.h5", *words, "--max-fpr", 0.4, "-o", "run")
    assert "soft vote predicts fake above 0." in result.stdout
    assert "logreg predicts fake above 0." in Path("run/leaderboard.md").read_text()


def test_votes_are_compared_with_their_members(image_folder: Path) -> None:
    """Each vote has a row, its weights and its gain over the best member."""
    embed()
    result = succeed(
        "benchmark", "out.h5", "--clf", "logreg,knn,dummy", "--cv", 3, "--vote", "all",
        "--vote-weights", "2,1",
    )  # fmt: skip
    assert "soft vote, given: weights logreg 0.67, knn 0.33" in result.stdout
    assert "stacking: balanced_accuracy +0.0000 against" in result.stdout
    assert "No difference was found." in result.stdout


def test_tuned_parameters_are_printed_and_saved(image_folder: Path) -> None:
    """The run folder records the parameters that each search chose."""
    embed()
    words = ("--clf", "logreg,knn", "--cv", 2, "--tune", "--time-limit", "1m", "-o", "run")
    result = succeed("benchmark", "out.h5", *words)
    assert "candidates in 2 searches)" in result.stdout
    tuned = json.loads(Path("run/leaderboard.json").read_text())["about"]["tuned"]
    assert set(tuned["logreg"]["0"]) == {"params", "tried", "out_of_time"}


def test_near_duplicates_are_printed_and_grouped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near duplicates cause a warning in every output unless they are grouped."""
    monkeypatch.chdir(tmp_path)
    features = make_features(100, n_features=32, apart=0.0)
    X = features.X.copy()
    X[1::2] = X[::2] + np.float32(0.05)
    spec = replace(features.specs[0], weights="0" * 32)
    write_parts(tmp_path / "out.h5", replace(features, X=X, specs=(spec,)))
    words = ("benchmark", "out.h5", "--clf", "knn", "--no-thumbnails")
    lines = succeed(*words, "-o", "run").stdout.splitlines()
    warnings = [line for line in lines if line.startswith("WARNING")]
    assert "200 files are near duplicates" in warnings[0]
    assert "have a near duplicate in the training set of their fold" in warnings[1]
    assert all(f"- {line}\n" in Path("run/leaderboard.md").read_text() for line in warnings)
    grouped = succeed(*words, "--group-duplicates").stdout
    assert "WARNING" not in grouped
    assert "100 groups, each in one fold" in grouped
    fit = ("fit", "out.h5", "--clf", "knn", "--overwrite")
    assert "near duplicate" in succeed(*fit).stdout
    assert "near duplicate" not in succeed(*fit, "--group-duplicates").stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("out.h5", "--group-col", "person"), 2, "'person'"),
        (("out.h5", "--threshold", "accuracy", "--max-fpr", 0.1), 2, "threshold"),
        (("out.h5", "--clf", "logreg,knn,dummy", "--vote-weights", "1,2,3"), 2, "logreg, knn"),
        (("out.h5", "--engine", "ray", "--time-limit", 10), 2, "engine 'ray'"),
        (("--train", "out.h5"), 2, "--test"),
        (("out.h5", "--few-shot", "2.5,10"), 2, "2.5,10"),
        (("out.h5", "--matrix", "label", "--few-shot", 5), 2, "--matrix and --few-shot"),
        (("out.h5", "-o", "images"), 2, "images is not empty"),
        (("out.h5", "--sort", "acuracy"), 2, "did you mean accuracy"),
        (("out.h5", "--robustness", "images"), 2, "clipfeat robustness"),
    ],
)
def test_mistakes(image_folder: Path, words: tuple[object, ...], code: int, message: str) -> None:
    """Each invalid command prints one line and has its exit code."""
    embed()
    assert_fails(clipfeat("benchmark", *words), code, message)


def test_two_classes_are_required(image_folder: Path) -> None:
    """Data of one class is an error with exit code 1."""
    remove_images(image_folder, "fake", 0)
    embed()
    assert_fails(clipfeat("benchmark", "out.h5"), 1, "Add images of a second class")
