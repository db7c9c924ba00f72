"""Curves of robustness."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clipfeat.report.robustness_curves import draw_robustness, save_robustness


def table(n_degradations: int) -> pd.DataFrame:
    states = [("original", np.nan)]
    states += [(f"d{i}", s) for i in range(n_degradations) for s in (90.0, 50.0)]
    return pd.DataFrame(
        {"degradation": name, "strength": strength, "metric": metric, "value": value, "n": 7}
        for name, strength in states
        for metric, value in (("balanced_accuracy", 0.8), ("roc_auc", 0.81), ("log_loss", 9.0))
    )


@pytest.mark.parametrize("n", [1, 4, 5, 8])
def test_every_degradation_has_its_picture(n: int) -> None:
    """A titled picture each, with a hollow start, the strengths below, and named lines."""
    figure = draw_robustness(table(n), {"d0": "JPEG quality"})
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert len(shown) == n
    assert shown[0].get_title(loc="left") == "JPEG quality"
    assert [t.get_text() for t in shown[0].get_xticklabels()] == ["as is", "90", "50"]
    names = list(shown[-1].texts)
    assert [name.get_text() for name in names] == ["balanced acc.", "ROC AUC"]
    low, high = (name.xy[1] for name in names)
    assert high - low > 0.02  # though the lines end nearer to each other


def test_files_are_whole(tmp_path: Path) -> None:
    """The table as it was, a PNG and an SVG that can be read."""
    csv, png, svg = save_robustness(table(3), tmp_path / "new", {})
    pd.testing.assert_frame_equal(pd.read_csv(csv), table(3))
    with Image.open(png) as image:
        assert image.width > 1000
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")
