"""ROC and precision-recall curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.metrics import METRICS, Curve
from clipfeat.report.plots.out_of_fold import Answers
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.style import INK, MOST, RULE, blank, legend, line_style, named

POINTS = 300
"""Of a curve, spread evenly along it: more cannot be seen."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """Files in the order of a score, and which of them are positive."""

    label: str
    positive: NDArray[np.bool_]
    scores: NDArray[np.float64]

    def metric(self, name: str) -> float:
        """A metric of two classes."""
        p = np.column_stack([1 - self.scores, self.scores])
        return METRICS[name].function(self.positive.astype(np.int64), p)


def rankings(found: Mapping[str, Answers], classes: Sequence[str]) -> tuple[list[Ranking], str]:
    """What is ranked, and a sentence that says so.

    Of two classes, by the last, for every entry. Of more, each against the rest for the first
    entry, where there are many those that it ranks worst.
    """
    if len(classes) == 2:
        lines = [Ranking(named(entry), a.y == 1, a.p[:, 1]) for entry, a in found.items()]
        return lines, f"The positive class is {named(classes[1])}."
    entry, best = next(iter(found.items()))
    lines = [
        Ranking(named(name), best.y == code, best.p[:, code]) for code, name in enumerate(classes)
    ]
    lines.sort(key=lambda line: np.nan_to_num(line.metric("roc_auc"), nan=2.0))
    said = f"Each class against the rest, by {named(entry)}"
    return lines[:MOST], said + (
        f"; the {MOST} of {len(lines)} that it ranks worst." if len(lines) > MOST else "."
    )


def roc(found: Mapping[str, Answers], classes: Sequence[str]) -> Plot:
    """Share of positives found against share of negatives called positive."""
    lines, said = rankings(found, classes)
    figure, ax = blank(4.6, 4.7, "ROC")
    ax.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    for rate in (0.01, 0.05):
        ax.axvline(rate, color=RULE, linewidth=0.8)
    labels, handles = [], []
    for place, line in enumerate(lines):
        curve = _curve(line)
        false, true = np.append(0, curve.false_rate[0]), np.append(0, curve.true_rate[0])
        kept = _thinned(false, true)
        handles += ax.plot(
            false[kept], true[kept], **line_style(place), markevery=(0.02 * place, 0.14)
        )
        labels.append(f"{line.label}: {line.metric('roc_auc'):.3f}")
    ax.set(
        xlabel="false positive rate", ylabel="true positive rate", xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.02),
    )  # fmt: skip
    legend(figure, labels, handles)
    return Plot(
        "roc",
        figure,
        f"Nearer the upper left corner is better; the dotted diagonal is guessing, the two pale "
        f"lines are 1 % and 5 % false positives. {said} All folds together, and the areas are of "
        "these curves: a leaderboard's mean over folds may differ.",
        f"ROC curves with their areas: {'; '.join(labels)}.",
    )


def precision_recall(found: Mapping[str, Answers], classes: Sequence[str]) -> Plot:
    """Precision against recall."""
    lines, said = rankings(found, classes)
    figure, ax = blank(4.6, 4.7, "Precision and recall")
    labels, handles = [], []
    for place, line in enumerate(lines):
        curve = _curve(line)
        precision = curve.true[0] / (curve.true[0] + curve.false[0])
        reached = curve.true_rate[0]
        kept = _thinned(reached, precision)
        handles += ax.plot(
            reached[kept], precision[kept], **line_style(place), markevery=(0.02 * place, 0.14)
        )
        labels.append(f"{line.label}: {line.metric('average_precision'):.3f}")
    for share in sorted({round(float(line.positive.mean()), 3) for line in lines}):
        ax.axhline(share, color=INK, linewidth=0.8, linestyle=(0, (2, 3)))
    ax.set(xlabel="recall", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    legend(figure, labels, handles)
    return Plot(
        "precision-recall",
        figure,
        "Of those called positive, how many are, against how many of the positives are found; "
        f"guessing gives the dotted line. {said} The numbers are average precisions.",
        f"Precision-recall curves with their average precisions: {'; '.join(labels)}.",
    )


def _curve(line: Ranking) -> Curve:
    return Curve.of(line.positive, line.scores, np.ones((1, len(line.scores))))


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Points that are evenly apart along a curve, both ends among them."""
    along = np.append(0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y))))
    if len(x) <= POINTS or not np.isfinite(along[-1]):
        return np.arange(len(x))
    return np.unique(np.searchsorted(along, np.linspace(0, along[-1], POINTS)).clip(max=len(x) - 1))
