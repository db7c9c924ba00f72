"""Few-shot curves: a metric against the number of training images."""

from collections.abc import Mapping, Sequence
from typing import Any

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.spread import mean_of, spread_of
from clipfeat.report.plots.plot import Plot
from clipfeat.report.plots.style import RULE, add_legend, label_text, line_style, new_figure


def few_shot_plot(
    entries: Sequence[str], rows: Sequence[Mapping[str, Any]], metric: str
) -> Plot | None:
    """Plot a metric against training images per class. Return None for other protocols.

    Parameters
    ----------
    entries : sequence of str
        Entries to draw.
    rows : sequence of mapping
        `Benchmark.rows`.
    metric : str
        One of `METRICS`.
    """
    values: dict[str, dict[int, list[float]]] = {entry: {} for entry in entries}
    for row in rows:
        n = row.get("n_train")
        if n and row["classifier"] in values and row["metric"] == metric:
            values[row["classifier"]].setdefault(int(n), []).append(row["value"])
    drawn = {entry: by_size for entry, by_size in values.items() if by_size}
    if not drawn:
        return None
    figure, ax = new_figure(4.6, 4.0, "Few-shot curve")
    ax.grid(axis="y", color=RULE, linewidth=0.6)
    ax.set_xscale("log")
    handles = []
    for index, by_size in enumerate(drawn.values()):
        sizes = sorted(by_size)
        means = [mean_of(by_size[n]) for n in sizes]
        spreads = [spread_of(by_size[n]) for n in sizes]
        handles.append(
            ax.errorbar(sizes, means, spreads, **line_style(index), capsize=3, elinewidth=0.9)
        )
    sizes = sorted({n for by_size in drawn.values() for n in by_size})
    ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
    ax.minorticks_off()
    ax.set(xlabel="training images per class", ylabel=METRICS[metric].title)
    add_legend(figure, [label_text(entry) for entry in drawn], handles)
    largest = [f"{label_text(e)} {mean_of(of[max(of)]):.3f}" for e, of in drawn.items()]
    return Plot(
        "few-shot",
        figure,
        "Means over draws. Error bars are standard deviations over draws. If a curve still rises "
        "at its right end, more training images will help.",
        f"{METRICS[metric].title} against training images per class. With the most images: "
        f"{'; '.join(largest)}.",
    )
