"""Trained on each, tested on each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.plots.heat import heat_map
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import named

ELSEWHERE = "elsewhere"


def matrix(entry: str, rows: Sequence[Mapping[str, Any]], metric: str) -> Plot | None:
    """A metric of one entry by what it was trained and tested on; None where that is not in rows.

    Parameters
    ----------
    entry : str
        Its name.
    rows : sequence of mapping
        As `Benchmark.rows`.
    metric : str
        One of `METRICS`.
    """
    cells: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["classifier"] == entry and row["metric"] == metric:
            where = str(row.get("trained_on") or ""), str(row.get("tested_on") or "")
            if all(where) and not np.isnan(row["value"]):
                cells.setdefault(where, []).append(row["value"])
    if not cells:
        return None
    trained = list(dict.fromkeys(pair[0] for pair in cells))
    tested = list(dict.fromkeys([*trained, *(pair[1] for pair in cells)]))
    values = np.array(
        [[np.mean(cells.get((a, b), [np.nan])) for b in tested] for a in trained]
    )  # fmt: skip
    own = np.array([[a == b for b in tested] for a in trained])
    others = np.where(own, np.nan, values)
    known = (~np.isnan(others)).sum(axis=1)
    elsewhere = np.divide(
        np.nansum(others, axis=1), known, out=np.full(len(trained), np.nan), where=known > 0
    )
    table = np.column_stack([values, elsewhere])
    row_of = METRICS[metric]
    low = 0.0 if not row_of.higher_is_better else min(0.5, float(np.nanmin(table)))
    figure = heat_map(
        table,
        [["" if np.isnan(value) else f"{value:.2f}" for value in of_row] for of_row in table],
        trained,
        [*tested, f"({ELSEWHERE})"],
        title=f"{named(entry)}: {row_of.title}",
        labels=("tested on", "trained on"),
        low=low,
        cell=(0.58, 0.42),
    )
    return Plot(
        file_name("matrix", entry),
        figure,
        "The diagonal is what was trained on (images apart); the last column is the mean of a row "
        "off the diagonal: how well what was learned there holds elsewhere.",
        f"Heat map of {row_of.title} by {named(entry)}. Mean elsewhere, by what was trained on: "
        + "; ".join(f"{named(a)} {value:.2f}" for a, value in zip(trained, elsewhere, strict=True))
        + ".",
    )
