"""Confusion matrices."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clipfeat.report.plots.heat import heat_map
from clipfeat.report.plots.out_of_fold import Answers
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import named

LARGEST = 16
"""Classes that are drawn apart."""
OTHERS = "all others"


def confusion(entry: str, answers: Answers, classes: Sequence[str]) -> Plot:
    """What the files of each class are called, as shares of the class and as counts."""
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (answers.y, answers.called), 1)
    names = list(classes)
    if len(names) > LARGEST:
        counts, names = _lumped(counts, names)
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    small = len(names) > 6
    texts = [
        [_text(share, n, small) for share, n in zip(*pair, strict=True)]
        for pair in zip(shares.tolist(), counts.tolist(), strict=True)
    ]
    figure = heat_map(
        shares, texts, names, names, title=named(entry),
        labels=("called", "true"),
        cell=(0.52, 0.4) if small else (0.95, 0.7),
    )  # fmt: skip
    right = "; ".join(
        f"{named(name, 20)} {share:.1%}" for name, share in zip(names, np.diag(shares), strict=True)
    )
    return Plot(
        file_name("confusion", entry),
        figure,
        "A row is a true class and adds up to 100 %; the diagonal is right."
        + (f" {OTHERS.capitalize()}: those mistaken least often." if OTHERS in names else ""),
        f"Confusion matrix of {named(entry)}; called right: {right}.",
    )


def _lumped(counts: NDArray[np.int64], names: list[str]) -> tuple[NDArray[np.int64], list[str]]:
    """Keep the classes with the most mistakes, for and against them; make one of the others."""
    mistakes = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    kept = np.sort(np.argsort(-mistakes, kind="stable")[: LARGEST - 1])
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    lumped = np.zeros((len(kept) + 1, len(kept) + 1), dtype=np.int64)
    np.add.at(lumped, (place[:, None], place[None, :]), counts)
    return lumped, [*(names[i] for i in kept), OTHERS]


def _text(share: float, count: int, small: bool) -> str:
    if np.isnan(share) or (small and not count):
        return ""
    return f"{share:.0%}" if small else f"{share:.1%}\n{count:,}"
