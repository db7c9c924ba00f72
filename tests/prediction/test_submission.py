"""Filling a competition's sample submission."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipfeat.errors import UsageError
from clipfeat.prediction.predictions import Predictions
from clipfeat.prediction.submission import Template, fill_template


def predictions(classes: tuple[str, ...] = ("real", "fake")) -> Predictions:
    p = np.array([[0.9, 0.1], [0.2, 0.8], [np.nan, np.nan]])
    return Predictions(["x/1.jpg", "x/2.jpg", "x/3.jpg"], p, classes, ["", "", ""],
                       {"x/3.jpg": "gone"})  # fmt: skip


@pytest.mark.parametrize(
    ("template", "fill", "expected"),
    [
        ("id,target\n2,0.5\n1,0.5\n", "auto", {"target": [0.8, 0.1]}),
        ("id,label\n2,0\n1,0\n", "auto", {"label": [1, 0]}),
        ("id,label\n2,0\n1,0\n", "probability", {"label": [0.8, 0.1]}),
        ("id,label\n2.jpg,real\n1.jpg,real\n", "auto", {"label": ["fake", "real"]}),
        ("f,fake,real\nx/2.jpg,0,0\nx/1.jpg,0,0\n", "auto",
         {"fake": [0.8, 0.1], "real": [0.2, 0.9]}),
    ],
)  # fmt: skip
def test_templates_are_filled(
    tmp_path: Path, template: str, fill: str, expected: dict[str, list[object]]
) -> None:
    """Predictions are matched by id and written as the template's columns require."""
    path = tmp_path / "sample_submission.csv"
    path.write_text(template)
    filled = fill_template(predictions(), Template(path, fill))
    assert filled.table.iloc[:, 0].tolist() == pd.read_csv(path, dtype=str).iloc[:, 0].tolist()
    assert {name: filled.table[name].tolist() for name in expected} == expected
    assert list(filled.missing) == []


def test_numeric_classes_keep_their_names(tmp_path: Path) -> None:
    """Classes 1 and 2 are written as 1 and 2, whatever placeholder the template has."""
    path = tmp_path / "sample_submission.csv"
    path.write_text("id,label\n2,0\n1,0\n")
    filled = fill_template(predictions(("1", "2")), Template(path))
    assert filled.table.label.tolist() == ["2", "1"]


def test_ids_without_a_prediction_are_unchanged(tmp_path: Path) -> None:
    """Unknown and unreadable ids keep the template's value and are listed as missing."""
    path = tmp_path / "sample_submission.csv"
    path.write_text("id,target\n9,0.5\n3,0.25\n1,0.5\n")
    filled = fill_template(predictions(), Template(path))
    assert filled.missing == ["9", "3"]
    assert filled.table.target.tolist() == ["0.5", "0.25", 0.1]


@pytest.mark.parametrize(
    ("template", "message"),
    [("id,a,b\n1,0,0\n", "must have one column after the ids"), ("id,t\nz,0\n", "no id of")],
)
def test_templates_that_do_not_match(tmp_path: Path, template: str, message: str) -> None:
    """Unknown columns and ids of other images are errors."""
    path = tmp_path / "sample_submission.csv"
    path.write_text(template)
    with pytest.raises(UsageError, match=message):
        fill_template(predictions(), Template(path))
