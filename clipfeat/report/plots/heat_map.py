"""A heat map with the value written into each cell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clipfeat.report.plots.style import PAPER, label_text, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DARK_TEXT, LIGHT_TEXT = "#101114", "#fefefe"
"""Text colours on pale and on dark cells. Cells have the same colours in every colour scheme."""


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
    """Draw values between `low` and 1; higher values are darker.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Values; NaN leaves a cell empty.
    texts : sequence of sequence of str
        Text of each cell.
    rows, columns : sequence of str
        Names of the rows and of the columns.
    title : str
        Title of the figure.
    labels : tuple of str
        Labels of the horizontal and the vertical axis.
    low : float
        Value of the palest colour.
    cell : tuple of float
        Width and height of a cell in inches.
    """
    margin = 0.075 * max(len(label_text(name, 20)) for name in rows) + 0.5
    long = max(len(label_text(name, 20)) for name in columns) * 0.085 > cell[0]
    figure, ax = new_figure(
        max(cell[0] * len(columns) + margin, 2.6),
        cell[1] * len(rows) + (1.8 if long else 1.0),
        title,
    )
    ax.pcolormesh(values, cmap="Blues", vmin=low, vmax=1, edgecolors=PAPER, linewidth=1)
    for row, row_texts in enumerate(texts):
        for column, text in enumerate(row_texts):
            is_dark = values[row, column] > low + 0.55 * (1 - low)
            ax.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8.5,
                color=LIGHT_TEXT if is_dark else DARK_TEXT,
            )  # fmt: skip
    ax.set_xticks(
        np.arange(len(columns)) + 0.5, [label_text(name, 20) for name in columns],
        rotation=40 if long else 0, ha="right" if long else "center",
        rotation_mode="anchor" if long else None,
    )  # fmt: skip
    ax.set_yticks(np.arange(len(rows)) + 0.5, [label_text(name, 20) for name in rows])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.invert_yaxis()
    ax.set(xlabel=labels[0], ylabel=labels[1])
    return figure
