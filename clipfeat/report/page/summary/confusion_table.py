"""The confusion matrix of one entry as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

from clipfeat.report.plots.confusion_matrix import OTHERS, confusion_counts
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions

SMALL = 6
"""Maximum number of classes for which the cells also state counts."""


@dataclass(frozen=True)
class ConfusionCell:
    """Cell of a confusion matrix: the images of one true class with one predicted class.

    Parameters
    ----------
    share : float
        Share of the images of the true class.
    percent, count : str
        Share and number as text. Empty if there are no images.
    tip : str
        Sentence for the tooltip.
    is_correct : bool
        Whether the cell is on the diagonal.
    """

    share: float
    percent: str
    count: str
    tip: str
    is_correct: bool


@dataclass(frozen=True)
class ConfusionTable:
    """Confusion matrix of one entry.

    Parameters
    ----------
    entry : str
        Name of the entry.
    names : sequence of str
        Names of the classes.
    rows : sequence of sequence of ConfusionCell
        One row for each true class.
    is_small : bool
        Whether the cells state counts.
    note : str
        How to read the table.
    """

    entry: str
    names: Sequence[str]
    rows: Sequence[Sequence[ConfusionCell]]
    is_small: bool
    note: str


def confusion_table(
    entry: str, predictions: OutOfFoldPredictions, classes: Sequence[str]
) -> ConfusionTable:
    """Count the predicted classes of each true class."""
    counts, names = confusion_counts(predictions, classes)
    is_small = len(names) <= SMALL
    rows = []
    for i, of_class in enumerate(counts.tolist()):
        total = sum(of_class)
        rows.append(
            [
                _cell(n, total, names[i], names[j], is_small=is_small, is_correct=i == j)
                for j, n in enumerate(of_class)
            ]
        )
    note = "Each row is a true class and sums to 100 %. All test folds together."
    if OTHERS in names:
        note += f" “{OTHERS.capitalize()}” pools the classes with the fewest errors."
    return ConfusionTable(entry, names, rows, is_small, note)


def _cell(
    n: int, total: int, true: str, predicted: str, *, is_small: bool, is_correct: bool
) -> ConfusionCell:
    share = n / total if total else 0.0
    tip = f"{n:,} of {total:,} images of {true} are predicted {predicted} ({share:.1%})"
    shown = total and (n or is_small)
    percent = (f"{share:.1%}" if is_small else f"{100 * share:.0f}") if shown else ""
    return ConfusionCell(round(share, 4), percent, f"{n:,}" if shown else "", tip, is_correct)
