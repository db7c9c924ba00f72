"""Small tables of a run's scores by held-out value, training size, or training and test value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.spread import mean_of, spread_of, spread_text
from clipfeat.evaluate.tidy_rows import POOLED, pooled_metrics


@dataclass(frozen=True)
class Pivot:
    """Table of mean scores.

    Parameters
    ----------
    title : str
        Title of the table.
    corner : str
        Heading of the first column, which names the rows.
    down, across : sequence of str
        Names of the rows and of the columns.
    cells : mapping of (str, str) to (float, float)
        For each row and column, the mean and the standard deviation (``ddof=1``) of the scores. The
        standard deviation of a single score is NaN. A pair of row and column without scores is
        missing.
    """

    title: str
    corner: str
    down: Sequence[str]
    across: Sequence[str]
    cells: Mapping[tuple[str, str], tuple[float, float]]

    def text(self, down: str, across: str) -> str:
        """Return the text of one cell, such as ``0.912 ± 0.008``."""
        mean, spread = self.cells.get((down, across), (np.nan, np.nan))
        return spread_text(mean, spread)


def pivots(
    rows: Sequence[Mapping[str, Any]], metric: str, entries: Sequence[str], column: str = ""
) -> list[Pivot]:
    """Tabulate the scores that a leaderboard averages.

    Parameters
    ----------
    rows : sequence of mapping
        `Benchmark.rows`.
    metric : str
        One of `METRICS`.
    entries : sequence of str
        Entries, best first.
    column : str
        Column of the protocol: the column whose values are held out in turn, or whose values are
        trained on in turn. Empty if the protocol has no column.

    Returns
    -------
    list of Pivot
        One table for each of three protocols. `FewShot`: the scores of every entry by number of
        training images. `Matrix`: the scores of the best entry, with one row for each value that is
        trained on, and one column for each value that is tested. `LeaveOneOut`: the scores of every
        entry by held-out value. Empty for other protocols.
    """
    of_metric = [row for row in rows if row["metric"] == metric]
    pooled = metric in pooled_metrics(rows)
    title = METRICS[metric].title
    if any(row.get("n_train") is not None for row in of_metric):
        return [
            _pivot(of_metric, f"{title} by training images of each class", "classifier",
                   "classifier", "n_train", entries, over="draws")
        ]  # fmt: skip
    if any(row.get("trained_on") for row in of_metric):
        best = [
            row
            for row in of_metric
            if row["classifier"] == entries[0] and (row["fold"] == POOLED) == pooled
        ]
        return [
            _pivot(best, f"{title} of {entries[0]} by {column}: trained on (down), tested on "
                   "(across)", "trained on", "trained_on", "tested_on", pooled=pooled)
        ]  # fmt: skip
    if column:
        return [
            _pivot([row for row in of_metric if row["fold"] != POOLED],
                   f"{title} by {column} left out", "classifier", "classifier", "fold",
                   entries, over="repeats")
        ]  # fmt: skip
    return []


def _pivot(
    rows: Sequence[Mapping[str, Any]], title: str, corner: str, down: str, across: str,
    order: Sequence[str] = (), *, over: str = "folds", pooled: bool = False,
) -> Pivot:  # fmt: skip
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if not np.isnan(row["value"]):
            values.setdefault((str(row[down]), str(row[across])), []).append(row["value"])
    cells = {
        key: (mean_of(v), float("nan") if pooled else spread_of(v)) for key, v in values.items()
    }
    if not all(np.isnan(spread) for _, spread in cells.values()):
        title = f"{title}, mean ± standard deviation over {over}"
    names = [list(dict.fromkeys(key[axis] for key in cells)) for axis in (0, 1)]
    downs = [name for name in order if name in names[0]] or names[0]
    return Pivot(title, corner, downs, names[1], cells)
