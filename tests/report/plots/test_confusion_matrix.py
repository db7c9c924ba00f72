"""Tests of confusion matrices."""

import numpy as np

from clipfeat.report.plots.confusion_matrix import MAX_CLASSES, OTHERS, confusion_plot
from tests.report.plots.test_curves import answers


def test_cells_have_percentages_and_counts() -> None:
    """Percentages and counts agree with the predictions."""
    a = answers(300)
    texts = [
        one.get_text() for one in confusion_plot("svm", a, ("real", "fake")).figure.axes[0].texts
    ]
    wrong = int(((a.y == 0) & (a.y_pred == 1)).sum())
    assert texts[1] == f"{wrong / (a.y == 0).sum():.1%}\n{wrong:,}"
    assert sum(int(text.split("\n")[1]) for text in texts) == 300


def test_many_classes_are_pooled() -> None:
    """Classes with errors keep their rows. Classes without errors are pooled in one row."""
    a = answers(2000, 40)
    a.y_pred[a.y < 20] = a.y[a.y < 20]
    plot = confusion_plot("svm", a, [f"c{i}" for i in range(40)])
    ticks = [label.get_text() for label in plot.figure.axes[0].get_yticklabels()]
    assert len(ticks) == MAX_CLASSES
    assert ticks[-1] == OTHERS
    assert np.mean([int(name[1:]) >= 20 for name in ticks[:-1]]) == 1
