"""Calibration curves, also known as reliability diagrams."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import CALIBRATION_BINS
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.style import INK, add_legend, label_text, line_style, new_figure

MIN_IMAGES = 10
"""Minimum number of images in a bin that is drawn."""


def calibration_plot(
    predictions: Mapping[str, OutOfFoldPredictions], classes: Sequence[str]
) -> Plot:
    """Plot the observed frequency against the predicted probability."""
    binary = len(classes) == 2
    xlabel = (
        f"probability of {label_text(classes[1], 24)}"
        if binary
        else "probability of the predicted class"
    )
    ylabel = f"fraction of {label_text(classes[1], 24)}" if binary else "fraction correct"
    figure, ax = new_figure(4.6, 4.7, "Calibration")
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    handles = []
    for index, one in enumerate(predictions.values()):
        confidence = one.p[:, 1] if binary else one.p.max(axis=1)
        is_correct = one.y == 1 if binary else one.p.argmax(axis=1) == one.y
        handles += ax.plot(*_bin_means(confidence, is_correct), **line_style(index))
    ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.01, 1.01), ylim=(-0.02, 1.02))
    add_legend(figure, [label_text(entry) for entry in predictions], handles)
    return Plot(
        "calibration",
        figure,
        "A calibrated classifier follows the dotted diagonal. Below the diagonal it is "
        f"overconfident, above it underconfident. {CALIBRATION_BINS} bins of equal width; bins "
        f"with fewer than {MIN_IMAGES} images are omitted.",
        f"Calibration curves of {', '.join(label_text(entry) for entry in predictions)}.",
    )


def _bin_means(
    confidence: NDArray[np.float64], is_correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean probability and the observed frequency of each bin with enough images."""
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    n = np.bincount(bins, minlength=CALIBRATION_BINS)
    kept = n >= MIN_IMAGES
    mean, frequency = (
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS)[kept] / n[kept]
        for values in (confidence, is_correct)
    )
    return mean, frequency
