"""Confusion matrices."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.report.plots.heat_map import heat_map
from clipfeat.report.plots.out_of_fold import OutOfFoldPredictions
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import label_text

MAX_CLASSES = 16
"""Maximum number of rows; with more classes, the last row pools the others."""
OTHERS = "all others"


def confusion_plot(entry: str, predictions: OutOfFoldPredictions, classes: Sequence[str]) -> Plot:
    """Plot the predicted classes of each true class, as percentages and counts."""
    counts, names = confusion_counts(predictions, classes)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    small = len(names) > 6
    texts = [
        [_cell_text(share, n, small) for share, n in zip(*pair, strict=True)]
        for pair in zip(shares.tolist(), counts.tolist(), strict=True)
    ]
    figure = heat_map(
        shares, texts, names, names, title=label_text(entry),
        labels=("predicted", "true"),
        cell=(0.52, 0.4) if small else (0.95, 0.7),
    )  # fmt: skip
    recalls = "; ".join(
        f"{label_text(name, 20)} {share:.1%}"
        for name, share in zip(names, np.diag(shares), strict=True)
    )
    return Plot(
        file_name("confusion", entry),
        figure,
        "Each row is a true class and sums to 100 %. The diagonal is correct."
        + (
            f" “{OTHERS.capitalize()}” pools the classes with the fewest errors."
            if OTHERS in names
            else ""
        ),
        f"Confusion matrix of {label_text(entry)}. Recall: {recalls}.",
    )


def confusion_counts(
    predictions: OutOfFoldPredictions, classes: Sequence[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """Count the predicted classes (columns) of each true class (rows).

    Returns
    -------
    counts : ndarray of shape (n_names, n_names)
        Numbers of images.
    names : list of str
        Names of the classes. With more than `MAX_CLASSES` classes, the last one is `OTHERS`.
    """
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (predictions.y, predictions.y_pred), 1)
    names = list(classes)
    return _pool_others(counts, names) if len(names) > MAX_CLASSES else (counts, names)


def _pool_others(
    counts: NDArray[np.int64], names: list[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """Keep the classes with the most errors, counted over rows and columns. Pool the others."""
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-errors, kind="stable")[: MAX_CLASSES - 1])
    index = np.full(len(names), len(kept))
    index[kept] = np.arange(len(kept))
    pooled = np.zeros((len(kept) + 1, len(kept) + 1), dtype=np.int64)
    np.add.at(pooled, (index[:, None], index[None, :]), counts)
    return pooled, [*(names[i] for i in kept), OTHERS]


def _cell_text(share: float, count: int, small: bool) -> str:
    if np.isnan(share) or (small and not count):
        return ""
    return f"{share:.0%}" if small else f"{share:.1%}\n{count:,}"
