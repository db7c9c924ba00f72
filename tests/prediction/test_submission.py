"""Tests of filling a competition's sample submission."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clipfeat.errors import DataError, UsageError
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
        ("id,Fake,Real\n2,0,0\n1,0,0\n", "auto", {"Fake": [0.8, 0.1], "Real": [0.2, 0.9]}),
        ("id,is_real\n2,0.5\n1,0.5\n", "auto", {"is_real": [0.2, 0.9]}),
        ("id,real\n2,0\n1,0\n", "auto", {"real": [0.2, 0.9]}),
        ("id,target\n2,5e-1\n1,0\n", "auto", {"target": [0.8, 0.1]}),
        ("id,target\n2,50%\n1,50%\n", "auto", {"target": ["80.0%", "10.0%"]}),
        ("id,target\n2,\n1,\n", "auto", {"target": [0.8, 0.1]}),
        ("id,target\n2,nan\n1,nan\n", "auto", {"target": [0.8, 0.1]}),
        ("id,is_fake\n2,False\n1,False\n", "auto", {"is_fake": ["True", "False"]}),
        ("id,fake\n2,False\n1,False\n", "auto", {"fake": ["True", "False"]}),
        ("id,real,fake\n2,0,0\n1,0,0\n", "class", {"real": ["0", "1"], "fake": ["1", "0"]}),
        ("id,target\n2,false\n1,true\n", "auto", {"target": ["true", "false"]}),
        ("id,is_real\n2,0\n1,0\n", "auto", {"is_real": ["0", "1"]}),
        ("id,t\n2,0.5\n1,0.5\n2.jpg,0.5\n1,0.5\n", "auto", {"t": [0.8, 0.1, 0.8, 0.1]}),
        ("id,class,p\n2,real,0\n2,fake,0\n1,fake,0\n", "auto", {"p": [0.2, 0.8, 0.1]}),
    ],
)  # fmt: skip
def test_templates_are_filled(
    tmp_path: Path, template: str, fill: str, expected: dict[str, list[object]]
) -> None:
    """Predictions are matched by id, in the form that each column requires."""
    path = tmp_path / "sample_submission.csv"
    path.write_text(template)
    filled = fill_template(predictions(), Template(path, fill))
    assert filled.table.iloc[:, 0].tolist() == pd.read_csv(path, dtype=str).iloc[:, 0].tolist()
    assert {name: filled.table[name].tolist() for name in expected} == expected
    assert list(filled.missing) == []


def test_the_column_of_ids_is_recognised(tmp_path: Path) -> None:
    """A usual name marks the id column. A column without a name keeps having none."""
    path = tmp_path / "sample_submission.csv"
    path.write_text(",target,Image ID\n1,0.5,2\n2,0.5,1\n")
    filled = fill_template(predictions(), Template(path))
    assert filled.table.to_csv(index=False) == ",target,Image ID\n1,0.8,2\n2,0.1,1\n"
    assert filled.summary == "column target: probability of 'fake', the positive class"


def test_repeated_paths_are_one_image(tmp_path: Path) -> None:
    """A repeated path is one image. An id that fits two images is an error."""
    path = tmp_path / "sample_submission.csv"
    path.write_text("id,target\n1,0.5\n")
    p = np.array([[0.9, 0.1], [0.9, 0.1]])
    twice = Predictions(["x/1.jpg", "x/1.jpg"], p, ("real", "fake"), ["", ""])
    assert fill_template(twice, Template(path)).table.target.tolist() == [0.1]
    two = Predictions(["x/1.jpg", "y/1.jpg"], p, ("real", "fake"), ["", ""])
    with pytest.raises(DataError, match="is the name of 2 images"):
        fill_template(two, Template(path))


def test_numeric_classes_keep_their_names(tmp_path: Path) -> None:
    """Classes 1 and 2 are written as 1 and 2, whatever the template contains."""
    path = tmp_path / "sample_submission.csv"
    path.write_text("id,label\n2,0\n1,0\n")
    filled = fill_template(predictions(("1", "2")), Template(path))
    assert filled.table.label.tolist() == ["2", "1"]


def test_ids_without_a_prediction_are_unchanged(tmp_path: Path) -> None:
    """Rows without a prediction keep the template's values and are listed."""
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


def test_a_template_without_rows_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    """An empty template is an error before a model is trained."""
    (tmp_path / "sample.csv").write_text("id,fake\n")
    with pytest.raises(UsageError, match="has no rows"):
        Template(tmp_path / "sample.csv")
