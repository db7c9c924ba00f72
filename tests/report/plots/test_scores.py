"""Tests of score histograms."""

import pytest

from clipfeat.report.plots.scores import scores_plot
from tests.report.plots.test_curves import answers


@pytest.mark.parametrize(("n_classes", "parts"), [(2, "a and b"), (3, "correct and wrong")])
def test_each_histogram_sums_to_one(n_classes: int, parts: str) -> None:
    """Histograms of two groups, classes or right and wrong, have different hatches."""
    plot = scores_plot("svm", answers(500, n_classes), ("a", "b", "c")[:n_classes])
    drawn = plot.figure.axes[0].patches
    assert [sum(one.get_data().values) for one in drawn] == pytest.approx([1, 1])  # type: ignore[attr-defined]
    assert len({one.get_hatch() for one in drawn}) == 2
    assert parts in plot.alt
