"""Confusion matrices."""

import numpy as np

from clipfeat.report.plots.confusion import LARGEST, OTHERS, confusion
from tests.report.plots.test_curves import answers


def test_counts_and_shares_are_those_of_the_answers() -> None:
    """Every cell carries both."""
    a = answers(300)
    texts = [one.get_text() for one in confusion("svm", a, ("real", "fake")).figure.axes[0].texts]
    wrong = int(((a.y == 0) & (a.called == 1)).sum())
    assert texts[1] == f"{wrong / (a.y == 0).sum():.1%}\n{wrong:,}"
    assert sum(int(text.split("\n")[1]) for text in texts) == 300


def test_many_classes_are_lumped_but_none_is_lost() -> None:
    """The most mistaken stay apart, and those called right by all go together."""
    a = answers(2000, 40)
    a.called[a.y < 20] = a.y[a.y < 20]
    plot = confusion("svm", a, [f"c{i}" for i in range(40)])
    ticks = [label.get_text() for label in plot.figure.axes[0].get_yticklabels()]
    assert len(ticks) == LARGEST
    assert ticks[-1] == OTHERS
    assert np.mean([int(name[1:]) >= 20 for name in ticks[:-1]]) == 1
