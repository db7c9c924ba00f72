"""A table of shares as a heat map that carries its numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.report.plots.style import PAPER, blank, named

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK_TEXT, LIGHT_TEXT = "#101114", "#fefefe"
"""On pale and on deep cells, which are the same in every colour scheme."""


def heat_map(
    values: NDArray[np.float64],
    texts: Sequence[Sequence[str]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    title: str,
    labels: tuple[str, str],
    low: float = 0.0,
    cell: tuple[float, float] = (0.72, 0.5),
) -> "Figure":
    """Draw values between `low` and 1, pale to deep.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        NaN is left empty.
    texts : sequence of sequence of str
        What is written into each cell.
    rows, columns : sequence of str
        Their names.
    title : str
        Above.
    labels : tuple of str
        Of the columns' and the rows' axis.
    low : float
        What is palest.
    cell : tuple of float
        Width and height in inches.
    """
    margin = 0.075 * max(len(named(name, 20)) for name in rows) + 0.5
    long = max(len(named(name, 20)) for name in columns) * 0.085 > cell[0]
    figure, ax = blank(
        max(cell[0] * len(columns) + margin, 2.6),
        cell[1] * len(rows) + (1.8 if long else 1.0),
        title,
    )
    ax.pcolormesh(values, cmap="Blues", vmin=low, vmax=1, edgecolors=PAPER, linewidth=1)
    for row, of_row in enumerate(texts):
        for column, text in enumerate(of_row):
            deep = values[row, column] > low + 0.55 * (1 - low)
            ax.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8.5,
                color=LIGHT_TEXT if deep else DARK_TEXT,
            )  # fmt: skip
    ax.set_xticks(
        np.arange(len(columns)) + 0.5, [named(name, 20) for name in columns],
        rotation=40 if long else 0, ha="right" if long else "center",
        rotation_mode="anchor" if long else None,
    )  # fmt: skip
    ax.set_yticks(np.arange(len(rows)) + 0.5, [named(name, 20) for name in rows])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.invert_yaxis()
    ax.set(xlabel=labels[0], ylabel=labels[1])
    return figure
