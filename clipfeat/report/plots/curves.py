"""ROC and precision-recall curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import METRICS, Curve
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.style import (
    INK,
    MAX_SERIES,
    RULE,
    add_legend,
    label_text,
    line_style,
    new_figure,
)

MAX_POINTS = 300
"""Maximum number of points of a curve. They are evenly spaced along the curve."""


@dataclass(frozen=True, eq=False)
class BinaryScores:
    """Scores of a binary problem, such as one class against the others.

    Parameters
    ----------
    label : str
        Name in the legend.
    positive : ndarray of shape (n_files,), bool
        Whether each file is of the positive class.
    scores : ndarray of shape (n_files,)
        Probabilities of the positive class.
    leaderboard : mapping of str to float
        Scores of the entry in the leaderboard. Empty if the problem is one of several classes.
    """

    label: str
    positive: NDArray[np.bool_]
    scores: NDArray[np.float64]
    leaderboard: Mapping[str, float] = field(default_factory=dict)

    def metric(self, name: str) -> float:
        """Return the leaderboard's value of a metric, or compute the metric if there is none."""
        if name in self.leaderboard:
            return self.leaderboard[name]
        p = np.column_stack([1 - self.scores, self.scores])
        return METRICS[name].function(self.positive.astype(np.int64), p)


def binary_scores(
    predictions: Mapping[str, OutOfFoldPredictions], classes: Sequence[str]
) -> tuple[list[BinaryScores], str]:
    """Reduce predictions to binary problems, and return a sentence that describes them.

    With two classes, each entry gives one problem whose positive class is the second. With more
    classes, each class against the others gives one problem, for the first entry only. If there are
    more classes than `MAX_SERIES`, those with the lowest ROC AUC are kept.
    """
    if len(classes) == 2:
        curves = [
            BinaryScores(label_text(entry), one.y == 1, one.p[:, 1], one.scores)
            for entry, one in predictions.items()
        ]
        return curves, f"The positive class is {label_text(classes[1])}."
    entry, best = next(iter(predictions.items()))
    curves = [
        BinaryScores(label_text(name), best.y == code, best.p[:, code])
        for code, name in enumerate(classes)
    ]
    curves.sort(key=lambda one: np.nan_to_num(one.metric("roc_auc"), nan=2.0))
    sentence = f"Each class against the others, by {label_text(entry)}"
    return curves[:MAX_SERIES], sentence + (
        f". The {MAX_SERIES} of {len(curves)} classes with the lowest ROC AUC are shown."
        if len(curves) > MAX_SERIES
        else "."
    )


def roc_plot(predictions: Mapping[str, OutOfFoldPredictions], classes: Sequence[str]) -> Plot:
    """Plot the true positive rate against the false positive rate."""
    curves, sentence = binary_scores(predictions, classes)
    figure, ax = new_figure(4.6, 4.7, "ROC")
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    for rate in (0.01, 0.05):
        ax.axvline(rate, color=RULE, linewidth=0.8)
    labels, handles = [], []
    for index, one in enumerate(curves):
        curve = _curve(one)
        fpr, tpr = np.append(0, curve.false_rate[0]), np.append(0, curve.true_rate[0])
        kept = _thin(fpr, tpr)
        handles += ax.plot(
            fpr[kept], tpr[kept], **line_style(index), markevery=(0.02 * index, 0.14)
        )
        labels.append(f"{one.label}: {one.metric('roc_auc'):.3f}")
    ax.set(
        xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.02),
    )  # fmt: skip
    add_legend(figure, labels, handles)
    return Plot(
        "roc",
        figure,
        "Closer to the upper left corner is better. The dotted diagonal is chance; the two pale "
        f"lines mark false positive rates of 1 % and 5 %. {sentence} The legend gives the area "
        "under the curve as in the leaderboard, a mean over folds. The curve pools all folds, so "
        "its own area can differ.",
        f"ROC curves with their areas: {'; '.join(labels)}.",
    )


def precision_recall_plot(
    predictions: Mapping[str, OutOfFoldPredictions], classes: Sequence[str]
) -> Plot:
    """Plot precision against recall."""
    curves, sentence = binary_scores(predictions, classes)
    figure, ax = new_figure(4.6, 4.7, "Precision and recall")
    labels, handles = [], []
    for index, one in enumerate(curves):
        curve = _curve(one)
        precision = curve.true[0] / (curve.true[0] + curve.false[0])
        recall = curve.true_rate[0]
        kept = _thin(recall, precision)
        handles += ax.plot(
            recall[kept], precision[kept], **line_style(index), markevery=(0.02 * index, 0.14)
        )
        labels.append(f"{one.label}: {one.metric('average_precision'):.3f}")
    for prevalence in sorted({round(float(one.positive.mean()), 3) for one in curves}):
        ax.axhline(prevalence, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    ax.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    add_legend(figure, labels, handles)
    return Plot(
        "precision-recall",
        figure,
        "Precision is the fraction of predicted positives that are positive; recall is the "
        f"fraction of positives that are detected. The dotted line is chance. {sentence} The "
        "legend gives the average precision as in the leaderboard, a mean over folds. The curve "
        "pools all folds.",
        f"Precision-recall curves with their average precision: {'; '.join(labels)}.",
    )


def _curve(one: BinaryScores) -> Curve:
    return Curve.of(one.positive, one.scores, np.ones((1, len(one.scores))))


def _thin(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the indices of points evenly spaced along a curve, including both ends."""
    length = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    if len(x) <= MAX_POINTS or not np.isfinite(length[-1]):
        return np.arange(len(x))
    positions = np.linspace(0, length[-1], MAX_POINTS)
    return np.unique(np.searchsorted(length, positions).clip(max=len(x) - 1))
