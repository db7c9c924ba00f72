"""Histograms of predicted probabilities."""

from collections.abc import Sequence

import numpy as np

from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import (
    COLOURS,
    HATCHES,
    INK,
    add_legend,
    label_text,
    new_figure,
)

BINS = 40


def scores_plot(entry: str, predictions: OutOfFoldPredictions, classes: Sequence[str]) -> Plot:
    """Plot histograms of probabilities: by true class, or by correctness for many classes."""
    binary = len(classes) == 2
    if binary:
        values, xlabel = predictions.p[:, 1], f"probability of {label_text(classes[1], 20)}"
        parts = {label_text(classes[code], 20): predictions.y == code for code in (0, 1)}
    else:
        values = predictions.p[np.arange(len(predictions.y)), predictions.y_pred]
        xlabel, is_correct = (
            "probability of the predicted class",
            predictions.y_pred == predictions.y,
        )
        parts = {"correct": is_correct, "wrong": ~is_correct}
    figure, ax = new_figure(3.6, 3.2, label_text(entry))
    edges = np.linspace(0, 1, BINS + 1)
    handles = []
    for index, mask in enumerate(parts.values()):
        heights, _ = np.histogram(values[mask], edges)
        handles.append(
            ax.stairs(
                heights / max(mask.sum(), 1), edges, fill=True, hatch=HATCHES[index] or None,
                facecolor="none" if HATCHES[index] else COLOURS[index] + "40",
                edgecolor=COLOURS[index], linewidth=1.2,
            )
        )  # fmt: skip
    if binary:
        thresholds = predictions.thresholds if len(predictions.thresholds) else np.array([0.5])
        for threshold in np.unique(thresholds):
            ax.axvline(threshold, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    ax.set(xlabel=xlabel, ylabel="fraction of the class" if binary else "fraction", xlim=(0, 1))
    add_legend(figure, list(parts), handles)
    return Plot(
        file_name("scores", entry),
        figure,
        "Each class is normalised separately. Less overlap means better separation. Dotted lines "
        "are the decision thresholds."
        if binary
        else "Correct and wrong predictions are normalised separately. Wrong predictions should "
        "have low probabilities.",
        f"Histograms of the {xlabel} by {label_text(entry)}: {' and '.join(parts)}.",
    )
