"""Histograms of probabilities, by true class; of more than two, by whether they were right."""

from collections.abc import Sequence

import numpy as np

from clipfeat.report.plots.out_of_fold import Answers
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import COLOURS, HATCHES, INK, blank, legend, named

BINS = 40


def scores(entry: str, answers: Answers, classes: Sequence[str]) -> Plot:
    """How the probabilities of one entry are spread."""
    two = len(classes) == 2
    if two:
        said, what = answers.p[:, 1], f"probability of {named(classes[1], 20)}"
        parts = {named(classes[code], 20): answers.y == code for code in (0, 1)}
    else:
        said = answers.p[np.arange(len(answers.y)), answers.called]
        what, right = "probability of the class called", answers.called == answers.y
        parts = {"called right": right, "called wrong": ~right}
    figure, ax = blank(3.6, 3.2, named(entry))
    edges = np.linspace(0, 1, BINS + 1)
    handles = []
    for place, mine in enumerate(parts.values()):
        heights, _ = np.histogram(said[mine], edges)
        handles.append(
            ax.stairs(
                heights / max(mine.sum(), 1), edges, fill=True, hatch=HATCHES[place] or None,
                facecolor="none" if HATCHES[place] else COLOURS[place] + "40",
                edgecolor=COLOURS[place], linewidth=1.2,
            )
        )  # fmt: skip
    if two:
        cuts = answers.thresholds if len(answers.thresholds) else np.array([0.5])
        for cut in np.unique(cuts):
            ax.axvline(cut, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    ax.set(xlabel=what, ylabel="share of the class" if two else "share", xlim=(0, 1))
    legend(figure, list(parts), handles)
    return Plot(
        file_name("scores", entry),
        figure,
        "Each class by itself; the less they overlap the better. Dotted: where decisions are made."
        if two
        else "Right and wrong answers, each by itself; wrong ones had better be unsure.",
        f"Histograms of the {what} by {named(entry)}: {' and '.join(parts)}.",
    )
