"""Tests of robustness curves."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipfeat.errors import RefusedFileError, UsageError
from clipfeat.report.robustness_curves import (
    draw_robustness,
    load_robustness,
    save_robustness,
)


def table(n_degradations: int) -> pd.DataFrame:
    """Make a table with two strengths per degradation and three metrics."""
    states = [("original", np.nan)]
    states += [(f"d{i}", s) for i in range(n_degradations) for s in (90.0, 50.0)]
    return pd.DataFrame(
        {"degradation": name, "strength": strength, "metric": metric, "value": value, "n": 7}
        for name, strength in states
        for metric, value in (("balanced_accuracy", 0.8), ("roc_auc", 0.81), ("log_loss", 9.0))
    )


@pytest.mark.parametrize("n", [1, 4, 5, 8])
def test_every_degradation_has_a_panel(n: int) -> None:
    """Panels have titles and strengths. The last panel has the legend."""
    figure = draw_robustness(table(n), {"d0": "JPEG quality"})
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == n
    assert shown[0].get_title(loc="left") == "JPEG quality"
    assert [t.get_text() for t in shown[0].get_xticklabels()] == ["none", "90", "50"]
    names = list(shown[-1].texts)
    assert [name.get_text() for name in names] == ["balanced acc.", "ROC AUC"]
    low, high = (name.xy[1] for name in names)
    assert high - low > 0.02  # the lines themselves end closer to each other


def test_saved_files_are_readable(tmp_path: Path) -> None:
    """The CSV file equals the table, and the PNG and SVG files can be opened."""
    csv, png, svg = save_robustness(table(3), tmp_path / "new", {})
    assert csv.name == "robustness.csv"
    pd.testing.assert_frame_equal(load_robustness(tmp_path / "new"), table(3))
    with Image.open(png) as image:
        assert image.width > 1000
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_names_that_are_formulas_survive(tmp_path: Path) -> None:
    """A class name like a formula is escaped in the file and read back unchanged."""
    names = ["=1+1", "NA", "'quoted", "'=x"]
    for name in names:
        written = table(1).assign(positive_class=name, n_images=9)
        save_robustness(written, tmp_path, {})
        assert "\n=" not in (text := (tmp_path / "robustness.csv").read_text()) and ",=" not in text
        pd.testing.assert_frame_equal(load_robustness(tmp_path), written)


@pytest.mark.parametrize(
    "text", ["", "a,b\n1,2\n", "degradation,strength,metric,value\nx,1,y,two\n", "\0\n\xff"]
)
def test_a_damaged_table_is_refused(text: str, tmp_path: Path) -> None:
    """A file with missing columns or invalid numbers is one clear error."""
    (tmp_path / "robustness.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(RefusedFileError, match=r"robustness.csv is damaged"):
        load_robustness(tmp_path)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    """The error names the command that writes the table."""
    with pytest.raises(UsageError, match=r"robustness.csv not found\. Run `clipfeat robustness"):
        load_robustness(tmp_path)
