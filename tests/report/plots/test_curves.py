"""Tests of ROC and precision-recall curves."""

import numpy as np
import pytest

from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.plots.curves import MAX_POINTS, precision_recall_plot, roc_plot
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions


def answers(n: int = 4000, n_classes: int = 2, skill: float = 1.0) -> OutOfFoldPredictions:
    """Simulate predictions with a given skill."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_classes, n)
    logits = skill * np.eye(n_classes)[y] + rng.normal(size=(n, n_classes))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return OutOfFoldPredictions(y, p.argmax(axis=1), p, np.arange(n), np.full(n, "0"), np.array([]))


@pytest.mark.parametrize(
    ("draw", "metric"), [(roc_plot, "roc_auc"), (precision_recall_plot, "average_precision")]
)
def test_a_thinned_curve_keeps_its_ends_and_its_area(draw, metric) -> None:  # type: ignore[no-untyped-def]
    """The area under the thinned curve equals the metric in the legend."""
    a = answers()
    plot = draw({"svm": a}, ("real", "fake"))
    line = next(one for one in plot.figure.axes[0].lines if one.get_marker() == "o")
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    value = METRICS[metric].function(a.y, a.p)
    assert len(x) <= MAX_POINTS
    assert x[-1] == 1
    assert (x[0], y[0]) == (0, 0) or draw is precision_recall_plot
    assert np.trapezoid(y, x) == pytest.approx(value, abs=0.005)
    assert f"svm: {value:.3f}" in plot.alt


def test_many_classes_show_the_lowest_areas_of_the_best_entry() -> None:
    """Curves are one-vs-rest, for the classes with the lowest areas."""
    many = {"svm": answers(n_classes=8), "knn": answers(n_classes=8, skill=0.1)}
    plot = roc_plot(many, [f"c{i}" for i in range(8)])
    assert "by svm. The 6 of 8 classes" in plot.caption
    assert len([one for one in plot.figure.axes[0].lines if one.get_marker() != "None"]) == 6


def test_a_class_without_images_is_skipped() -> None:
    """Only the other classes have curves."""
    a = answers(200, 3)
    kept = a.y != 2
    less = OutOfFoldPredictions(
        a.y[kept], a.y_pred[kept], a.p[kept], a.row[kept], a.fold[kept], a.thresholds
    )
    for draw in (roc_plot, precision_recall_plot):
        assert "c0: 0." in draw({"svm": less}, ("c0", "c1", "c2")).alt
