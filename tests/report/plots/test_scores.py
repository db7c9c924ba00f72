"""Histograms of probabilities."""

import pytest

from clipfeat.report.plots.scores import scores
from tests.report.plots.test_curves import answers


@pytest.mark.parametrize(
    ("n_classes", "parts"), [(2, "a and b"), (3, "called right and called wrong")]
)
def test_each_part_adds_up_to_one(n_classes: int, parts: str) -> None:
    """Shares of each class, or of right and wrong; told apart by a hatch."""
    plot = scores("svm", answers(500, n_classes), ("a", "b", "c")[:n_classes])
    drawn = plot.figure.axes[0].patches
    assert [sum(one.get_data().values) for one in drawn] == pytest.approx([1, 1])  # type: ignore[attr-defined]
    assert len({one.get_hatch() for one in drawn}) == 2
    assert parts in plot.alt
