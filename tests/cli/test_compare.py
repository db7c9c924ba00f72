"""Tests of ``clipfeat compare``."""

from pathlib import Path

import pandas as pd

from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


def test_two_runs(image_folder: Path) -> None:
    """The table has a row for each classifier and run."""
    embed()
    for seed, folder in enumerate(("run", "other")):
        words = ("--clf", "logreg,knn", "--cv", 3, "--seed", seed, "-o", folder, "--no-audit")
        succeed("benchmark", "out.h5", *words)
    succeed("compare", "run", "other", "-o", "c.csv")
    assert pd.read_csv("c.csv").groupby("run").size().to_dict() == {"run": 3, "other": 3}
    assert_fails(clipfeat("compare", "run", "other", "-o", "c.csv"), 2, "c.csv exists")


def test_runs_with_other_positive_classes(image_folder: Path) -> None:
    """Runs with different positive classes are not compared and do not resume each other."""
    embed()
    words = ("benchmark", "out.h5", "--clf", "dummy", "--cv", 3, "--no-audit", "--no-thumbnails")
    assert ", positive class fake, by " in succeed(*words, "-o", "run").stdout
    more = ("--positive", "real", "-o")
    assert_fails(clipfeat(*words, *more, "run"), 2, "not written by the same command")
    assert ", positive class real, by " in succeed(*words, *more, "other").stdout
    message = "the positive class is fake in run, but real in other. Run the benchmark of other"
    assert_fails(clipfeat("compare", "run", "other"), 1, message)
    again = succeed("compare", "run", "run/../run").stdout
    assert "that all runs tested, positive class fake" in again


def test_formats(image_folder: Path) -> None:
    """Each format has the table and the differing options. The suffix selects the format."""
    embed()
    for seed, folder in enumerate(("run_a", "run_b")):
        words = ("--clf", "logreg", "--cv", 3, "--seed", seed, "-o", folder, "--no-audit")
        succeed("benchmark", "out.h5", *words)
    both = ("compare", "run_a", "run_b")
    shown = succeed(*both, "-o", "c.tex").stdout
    assert "random_state" in shown
    assert r"random\_state & 0 & 1 \\" in Path("c.tex").read_text()
    assert succeed(*both, "--format", "latex").stdout == Path("c.tex").read_text()
    assert "| random_state | 0 | 1 |" in succeed(*both, "--format", "md").stdout
    assert succeed(*both, "--format", "csv").stdout.startswith("run,entry,value,")
    table = Path("run_a/leaderboard.tex").read_text()
    assert r"\begin{tabular}" in table
    assert ".." not in table
    assert_fails(clipfeat(*both, "--format", "tex"), 2, "format 'tex'")


def test_mistakes(image_folder: Path) -> None:
    """A folder without a run, and the same run twice, are errors."""
    assert_fails(clipfeat("compare", "images", "elsewhere"), 6, "no benchmark run")
    assert_fails(clipfeat("compare", "images", "images"), 2, "runs with different names")
