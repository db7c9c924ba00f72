"""Histograms of probabilities, by true class."""

from collections.abc import Sequence

import numpy as np

from clipfeat.report.plots.answers import Answers
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import (
    COLOURS,
    HATCHES,
    INK,
    MOST,
    blank,
    legend,
    named,
)

BINS = 40


def scores(entry: str, answers: Answers, classes: Sequence[str]) -> Plot:
    """How the probabilities of one entry are spread over the files of each class."""
    two = len(classes) == 2
    figure, ax = blank(3.6, 3.2, named(entry))
    codes = [int(code) for code in np.argsort(-np.bincount(answers.y, minlength=len(classes)))]
    shown = sorted(codes[:MOST])
    edges = np.linspace(0, 1, BINS + 1)
    handles, labels = [], []
    for place, code in enumerate(shown):
        mine = answers.y == code
        if not mine.any():
            continue
        heights, _ = np.histogram(answers.p[mine, 1 if two else code], edges)
        handles.append(
            ax.stairs(
                heights / mine.sum(), edges, fill=True, hatch=HATCHES[place] or None,
                facecolor="none" if HATCHES[place] else COLOURS[place] + "40",
                edgecolor=COLOURS[place], linewidth=1.2,
            )
        )  # fmt: skip
        labels.append(named(classes[code], 20))
    if two:
        cuts = answers.thresholds if len(answers.thresholds) else np.array([0.5])
        for cut in np.unique(cuts):
            ax.axvline(cut, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    what = f"probability of {named(classes[1], 20)}" if two else "probability of the true class"
    ax.set(xlabel=what, ylabel="share of the class", xlim=(0, 1))
    legend(figure, labels, handles)
    return Plot(
        file_name("scores", entry),
        figure,
        "Each class by itself; the less they overlap the better."
        + (" Dotted: where decisions are made." if two else "")
        + (f" The {MOST} largest classes." if len(classes) > MOST else ""),
        f"Histograms of the {what} by {named(entry)}, one for each of {', '.join(labels)}.",
    )
