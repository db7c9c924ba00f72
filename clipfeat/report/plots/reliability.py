"""Calibration curves: whether probabilities may be taken at their word."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import CALIBRATION_BINS
from clipfeat.report.plots.out_of_fold import Answers
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.style import INK, blank, legend, line_style, named

FEWEST = 10
"""Files that make a point."""


def calibration(found: Mapping[str, Answers], classes: Sequence[str]) -> Plot:
    """The share that is right against the probability that was given."""
    two = len(classes) == 2
    what = f"probability of {named(classes[1], 24)}" if two else "probability of the class called"
    happened = f"share that is {named(classes[1], 24)}" if two else "share that is right"
    figure, ax = blank(4.6, 4.7, "Calibration")
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    handles = []
    for place, a in enumerate(found.values()):
        said = a.p[:, 1] if two else a.p.max(axis=1)
        right = a.y == 1 if two else a.p.argmax(axis=1) == a.y
        handles += ax.plot(*_points(said, right), **line_style(place))
    ax.set(xlabel=what, ylabel=happened, xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    legend(figure, [named(entry) for entry in found], handles)
    return Plot(
        "calibration",
        figure,
        "On the dotted diagonal, 80 % means 80 of 100; below it a classifier is too sure, above it "
        f"too modest. {CALIBRATION_BINS} bins of equal width, of which those of fewer than "
        f"{FEWEST} images are left out.",
        f"Calibration curves of {', '.join(named(entry) for entry in found)}.",
    )


def _points(
    said: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean probability, and share that is right, of each bin with enough in it."""
    bins = np.minimum((said * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    n = np.bincount(bins, minlength=CALIBRATION_BINS)
    kept = n >= FEWEST
    mean, share = (
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS)[kept] / n[kept]
        for values in (said, right)
    )
    return mean, share
