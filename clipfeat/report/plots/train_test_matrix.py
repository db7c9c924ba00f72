"""The matrix of scores, by the column values of training and of test images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.plots.heat_map import heat_map
from clipfeat.report.plots.plot import Plot, file_name
from clipfeat.report.plots.style import label_text

OTHER_VALUES = "others"


def train_test_plot(entry: str, rows: Sequence[Mapping[str, Any]], metric: str) -> Plot | None:
    """Plot a metric by training value and test value. Return None if the run lacks the data.

    Parameters
    ----------
    entry : str
        Name of the entry.
    rows : sequence of mapping
        `Benchmark.rows`.
    metric : str
        One of `METRICS`.
    """
    cells: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["classifier"] == entry and row["metric"] == metric:
            pair = str(row.get("trained_on") or ""), str(row.get("tested_on") or "")
            if all(pair) and not np.isnan(row["value"]):
                cells.setdefault(pair, []).append(row["value"])
    if not cells:
        return None
    trained = list(dict.fromkeys(pair[0] for pair in cells))
    tested = list(dict.fromkeys([*trained, *(pair[1] for pair in cells)]))
    values = np.array(
        [[np.mean(cells.get((a, b), [np.nan])) for b in tested] for a in trained]
    )  # fmt: skip
    is_same = np.array([[a == b for b in tested] for a in trained])
    others = np.where(is_same, np.nan, values)
    known = (~np.isnan(others)).sum(axis=1)
    mean_of_others = np.divide(
        np.nansum(others, axis=1), known, out=np.full(len(trained), np.nan), where=known > 0
    )
    table = np.column_stack([values, mean_of_others])
    info = METRICS[metric]
    low = 0.0 if not info.higher_is_better else min(0.5, float(np.nanmin(table)))
    figure = heat_map(
        table,
        [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in table],
        trained,
        [*tested, f"({OTHER_VALUES})"],
        title=f"{label_text(entry)}: {info.title}",
        labels=("tested on", "trained on"),
        low=low,
        cell=(0.58, 0.42),
    )
    means = "; ".join(
        f"{label_text(a)} {value:.2f}" for a, value in zip(trained, mean_of_others, strict=True)
    )
    return Plot(
        file_name("matrix", entry),
        figure,
        "On the diagonal, training and test images have the same value but are different images. "
        "The last column is the mean of the row off the diagonal: the score on the values that "
        "were not trained on.",
        f"Heat map of {info.title} by {label_text(entry)}. Mean on the values that were not "
        f"trained on, by training value: {means}.",
    )
