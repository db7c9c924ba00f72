"""Tests of ``clipfeat next``, and of label tables in other commands."""

import json
from pathlib import Path

import pandas as pd
import pytest

from clipfeat.features.decisions import Decision
from clipfeat.labelling.label_log import append_decisions
from tests.cli.command_line import assert_fails, clipfeat, embed, succeed


@pytest.fixture
def unlabelled(image_folder: Path) -> list[str]:
    """Embed 24 images without labels, and return their paths."""
    flat = Path("flat")
    flat.mkdir()
    for path in image_folder.rglob("*.png"):
        path.rename(flat / path.name)
    embed(flat)
    return sorted(path.name for path in flat.iterdir())


def label(file: str, who: str, names: list[str]) -> None:
    """Append decisions that label images by the class in their file names."""
    append_decisions(file, [Decision(name, name.partition("-")[0], who) for name in names])


def test_from_no_label_to_a_model(unlabelled: list[str]) -> None:
    """The queue works without labels, then reads labels.csv, which also suffices for a fit."""
    result = succeed("next", "out.h5", "-n", 4, "--no-progress")
    assert result.stderr == (
        "selected 4 of 24 unlabelled images, far from each other "
        "(fewer than two classes have labels)\n"
    )
    first = result.stdout.splitlines()
    Path("labels.csv").write_text("path,label\nother.png,cat\n")
    result = succeed("next", "out.h5", "-n", 4, "--no-progress")
    assert result.stderr.startswith(
        "labels.csv was not written by `clipfeat app`, so it is ignored"
    )
    assert result.stdout.splitlines() == first
    Path("labels.csv").unlink()
    label("labels.csv", "ann", ["sub/" + unlabelled[0]])  # of another feature file
    assert succeed("next", "out.h5", "-n", 4, "--no-progress").stdout.splitlines() == first
    Path("labels.csv").unlink()
    assert set(first) <= set(unlabelled)
    assert clipfeat("fit", "out.h5").exit_code == 1
    label("labels.csv", "ann", unlabelled[2:8] + unlabelled[14:20])
    result = succeed("next", "out.h5", "-n", 5, "-o", "todo/next.csv", "--no-progress")
    assert "labels: 12 images, by ann\n" in result.stderr
    assert (
        "selected 5 of 12 unlabelled images, by uncertainty and cluster (12 labelled images)"
        in result.stderr
    )
    table = pd.read_csv("todo/next.csv")
    assert table.columns.tolist() == ["path", "predicted", "margin"]
    assert set(table.path) <= set(unlabelled[:2] + unlabelled[8:14] + unlabelled[20:])
    assert table.margin.is_monotonic_increasing
    again = clipfeat("next", "out.h5", "-o", "todo/next.csv")
    assert_fails(again, 2, "todo/next.csv exists")
    result = succeed("fit", "out.h5", "--labels", "labels.csv", "--cv", 3, "--no-progress")
    assert "classes real, fake" in result.stdout
    assert "3-fold cross-validation on 12 images" in result.stdout


def test_people_who_disagree(unlabelled: list[str]) -> None:
    """Agreement, kappa and an example are printed. Fits use the majority labels."""
    label("a.csv", "ann", unlabelled[:10] + unlabelled[12:22])
    label("b.csv", "bob", unlabelled[1:10])
    append_decisions("b.csv", [Decision(unlabelled[0], "real\x1b"[:4], "bob")])
    words = ("--labels", "a.csv", "--labels", "b.csv", "--no-progress")
    result = succeed("fit", "out.h5", *words, "--cv", 3)
    assert "labels: 20 images, by ann, bob" in result.stderr
    assert "ann and bob agree on 90.0% of 10 images (Cohen's kappa 0.00)" in result.stderr
    assert (
        "1 image got different labels. 1 has no majority label and is unlabelled\n" in result.stderr
    )
    assert "\n  fake-00.png: ann fake, bob real\n" in result.stderr
    assert "on 19 images" in result.stdout
    result = succeed("benchmark", "out.h5", *words, "--clf", "logreg", "--cv", 3, "-o", "run")
    assert "on 19 images" in result.stdout
    run = json.loads(Path("run/run.json").read_text())
    assert run["about"]["images"] == 19
    append_decisions("b.csv", [Decision(unlabelled[0], "fake", "bob")])
    result = succeed("benchmark", "out.h5", *words, "--clf", "logreg", "--cv", 3, "-o", "run")
    assert "on 20 images" in result.stdout


def test_a_correction_replaces_one_label(image_folder: Path) -> None:
    """The other images keep their folder labels, and the audit uses the new label."""
    embed()
    append_decisions("labels.csv", [Decision("fake/fake-00.png", "real", "ann")])
    words = ("--labels", "labels.csv", "--no-progress", "--clf", "logreg")
    result = succeed("benchmark", "out.h5", *words, "-o", "run")
    assert "on 24 images" in result.stdout
    assert "fewer than 20 files of real, fake (13 real, 11 fake)" in result.stdout


def test_errors_are_one_line(unlabelled: list[str]) -> None:
    """Tables that do not exist, match no image or are no label tables are errors."""
    assert_fails(clipfeat("next", "out.h5", "--labels", "absent.csv"), 6, "absent.csv")
    Path("t.csv").write_text("path,label\nx.jpg,cat\n")
    assert_fails(clipfeat("fit", "--labels", "t.csv"), 1, "no image of the features is in t.csv")
    words = ("fit", "out.h5", "--labels", "t.csv", "--out-of-core")
    assert_fails(clipfeat(*words), 2, "--labels needs the features in memory")
    label("labels.csv", "ann", unlabelled)
    result = succeed("next", "out.h5", "--no-progress")
    assert result.stderr.endswith("\nall images have a label\n")
    assert result.stdout == ""
