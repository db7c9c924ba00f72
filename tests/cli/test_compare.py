"""``clipfeat compare``."""

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


def test_mistakes(image_folder: Path) -> None:
    """Two different runs are needed."""
    assert_fails(clipfeat("compare", "images", "elsewhere"), 6, "no benchmark run")
    assert_fails(clipfeat("compare", "images", "images"), 2, "two or more different runs")
