"""How a metric grows with the number of training images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.style import RULE, blank, legend, line_style, named


def few_shot(entries: Sequence[str], rows: Sequence[Mapping[str, Any]], metric: str) -> Plot | None:
    """A metric against images of each class; None where rows do not say how many there were.

    Parameters
    ----------
    entries : sequence of str
        What is drawn.
    rows : sequence of mapping
        As `Benchmark.rows`.
    metric : str
        One of `METRICS`.
    """
    values: dict[str, dict[int, list[float]]] = {entry: {} for entry in entries}
    for row in rows:
        n = row.get("n_train")
        if n and row["classifier"] in values and row["metric"] == metric:
            values[row["classifier"]].setdefault(int(n), []).append(row["value"])
    drawn = {entry: of_entry for entry, of_entry in values.items() if of_entry}
    if not drawn:
        return None
    figure, ax = blank(4.6, 4.0, "Few images")
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.set_xscale("log")
    handles = []
    for place, of_entry in enumerate(drawn.values()):
        sizes = sorted(of_entry)
        means = [float(np.nanmean(of_entry[n])) for n in sizes]
        spreads = [float(np.nanstd(of_entry[n])) for n in sizes]
        handles.append(
            ax.errorbar(sizes, means, spreads, **line_style(place), capsize=3, elinewidth=0.9)
        )
    sizes = sorted({n for of_entry in drawn.values() for n in of_entry})
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
    ax.minorticks_off()
    ax.set(xlabel="training images of each class", ylabel=METRICS[metric].title)
    legend(figure, [named(entry) for entry in drawn], handles)
    ends = [f"{named(e)} {np.nanmean(of[max(of)]):.3f}" for e, of in drawn.items()]
    return Plot(
        "few-shot",
        figure,
        "Means over draws, with their standard deviation as bars. A curve that still rises asks "
        "for more images.",
        f"{METRICS[metric].title} against training images; at the most: {'; '.join(ends)}.",
    )
