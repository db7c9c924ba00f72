"""A run's scores as a small table: entries against folds, training sizes, or values trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.markdown import markdown_table


@dataclass(frozen=True)
class Pivot:
    """A table of means.

    Parameters
    ----------
    title : str
        What it shows.
    corner : str
        What its rows are, and its columns.
    down, across : sequence of str
        Names of rows and columns.
    cells : mapping of (str, str) to (float, float)
        Mean and standard deviation (ddof 1, NaN of one value); missing where there is none.
    """

    title: str
    corner: str
    down: Sequence[str]
    across: Sequence[str]
    cells: Mapping[tuple[str, str], tuple[float, float]]

    def text(self, down: str, across: str) -> str:
        """One cell: ``0.912 ± 0.008``."""
        mean, spread = self.cells.get((down, across), (np.nan, np.nan))
        if np.isnan(mean):
            return "–"
        return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"

    def to_markdown(self) -> str:
        """A Markdown table below its title."""
        rows = [[down, *(self.text(down, across) for across in self.across)] for down in self.down]
        return f"{self.title}\n\n{markdown_table([self.corner, *self.across], rows)}"


def pivots(
    rows: Sequence[Mapping[str, Any]], metric: str, entries: Sequence[str], column: str = ""
) -> list[Pivot]:
    """What a leaderboard's means would hide.

    Parameters
    ----------
    rows : sequence of mapping
        As `Benchmark.rows`.
    metric : str
        One of `METRICS`.
    entries : sequence of str
        Best first.
    column : str
        What was held out, or trained on and tested on.

    Returns
    -------
    list of Pivot
        The few-shot curve; or the best entry's matrix of what was trained on (down) against what
        was tested on (across); or every entry on every value that was left out; or nothing.
    """
    of_metric = [row for row in rows if row["metric"] == metric]
    title = METRICS[metric].title
    if any(row.get("n_train") is not None for row in of_metric):
        return [
            _pivot(of_metric, f"{title} by training images of each class", "classifier",
                   "classifier", "n_train", entries)
        ]  # fmt: skip
    if any(row.get("trained_on") for row in of_metric):
        best = [row for row in of_metric if row["classifier"] == entries[0]]
        return [
            _pivot(best, f"{title} of {entries[0]} by {column}: trained on (down), tested on "
                   "(across)", "trained on", "trained_on", "tested_on")
        ]  # fmt: skip
    if column:
        return [
            _pivot(of_metric, f"{title} by {column} left out", "classifier", "classifier", "fold",
                   entries)
        ]  # fmt: skip
    return []


def _pivot(
    rows: Sequence[Mapping[str, Any]], title: str, corner: str, down: str, across: str,
    order: Sequence[str] = (),
) -> Pivot:  # fmt: skip
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if not np.isnan(row["value"]):
            found.setdefault((str(row[down]), str(row[across])), []).append(row["value"])
    cells = {
        place: (float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else float("nan"))
        for place, v in found.items()
    }
    names = [list(dict.fromkeys(place[axis] for place in cells)) for axis in (0, 1)]
    downs = [name for name in order if name in names[0]] or names[0]
    return Pivot(title, corner, downs, names[1], cells)
