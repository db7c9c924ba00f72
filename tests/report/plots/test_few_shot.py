"""Tests of few-shot curves."""

import pytest

from clipfeat.report.plots.few_shot import few_shot_plot


def test_means_and_spreads_over_draws() -> None:
    """Points are sorted by the number of images. Rows without a number are ignored."""
    table = [
        {"classifier": "svm", "metric": "accuracy", "n_train": n, "value": value}
        for n, value in ((100, 0.9), (1, 0.5), (1, 0.7), (None, 0.1))
    ]
    plot = few_shot_plot(["svm", "knn"], table, "accuracy")
    assert plot is not None
    ax = plot.figure.axes[0]
    assert ax.lines[0].get_xydata().tolist() == [[1, pytest.approx(0.6)], [100, 0.9]]  # type: ignore[union-attr]
    assert ax.get_xscale() == "log"
    (bar,) = [line for line in ax.collections[0].get_segments() if len(line)]  # type: ignore[attr-defined]
    assert bar[:, 1].tolist() == pytest.approx([0.6 - 0.02**0.5, 0.6 + 0.02**0.5])
    assert "standard deviations over draws" in plot.caption
    assert few_shot_plot(["svm"], table[3:], "accuracy") is None
