"""Robustness as curves: a small picture for each degradation, metrics against strength."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.plots.style import COLOURS, DASHES, MARKERS
from clipfeat.system.files import replacing
from clipfeat.system.locations import local_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = ("balanced_accuracy", "roc_auc")
LINES = tuple(zip(COLOURS[:4], MARKERS[:4], DASHES[:4], strict=True))
COLUMNS = 4
GAP = 0.055
"""Between labels, of the height of a picture."""


def save_robustness(
    table: "pd.DataFrame",
    folder: str | Path,
    titles: dict[str, str],
    metrics: Sequence[str] = SHOWN,
) -> list[Path]:
    """Write ``robustness.csv``, ``.png`` and ``.svg``.

    Parameters
    ----------
    table : DataFrame
        Columns degradation, strength, metric, value, n; see `draw_robustness`.
    folder : path
        Made if it is not there.
    titles : dict of str to str
        What is written above the picture of each degradation.
    metrics : sequence of str
        What is drawn; the table is written whole.

    Raises
    ------
    StorageError
        If a file could not be written.
    """
    target = local_path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = [target / f"robustness{suffix}" for suffix in (".csv", ".png", ".svg")]
    figure = draw_robustness(table, titles, metrics)
    with replacing(paths[0]) as temporary:
        table.to_csv(temporary, index=False)
    for path in paths[1:]:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150)
    return paths


def draw_robustness(
    table: "pd.DataFrame", titles: dict[str, str], metrics: Sequence[str] = SHOWN
) -> "Figure":
    """Draw metrics against strength, a picture for each degradation.

    Each begins, by a hollow marker, with the images as they are. Lines differ in marker and dash
    as well as in colour, and are named at their ends.

    Parameters
    ----------
    table : DataFrame
        Columns degradation, strength, metric, value, n; strengths in the order to be drawn in, and
        the images as they are under ``"original"``.
    titles : dict of str to str
        By degradation.
    metrics : sequence of str
        One to four.
    """
    from matplotlib.figure import Figure

    degradations = [name for name in table["degradation"].unique() if name != "original"]
    columns = min(COLUMNS, len(degradations))
    n_rows = -(-len(degradations) // columns)
    figure = Figure(figsize=(2.9 * columns + 1.2, 2.6 * n_rows + 0.6), layout="constrained")
    axes = figure.subplots(n_rows, columns, sharey=True, squeeze=False)
    values = table.loc[table["metric"].isin(metrics), "value"]
    low = min(0.45, float(values.min()) - 0.03)
    for place, ax in enumerate(axes.flat):
        if place >= len(degradations):
            ax.set_visible(False)
            continue
        name = degradations[place]
        ends = [_line(ax, table, name, metric, LINES[i]) for i, metric in enumerate(metrics)]
        ax.set_title(titles.get(name, name), fontsize=9, loc="left")
        ax.set_ylim(low, max(1.01, float(values.max()) + 0.02))
        ax.grid(axis="y", color="#dddddd", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8, length=2)
        last = place % columns == columns - 1
        if last or place == len(degradations) - 1:
            _name_lines(ax, ends, metrics, low, in_layout=last)
    n = int(table["n"].max())
    figure.suptitle(f"{n} images, as they are and degraded", fontsize=10, x=0.01, ha="left")
    return figure


def _line(
    ax: Any, table: "pd.DataFrame", name: str, metric: str, style: tuple[str, str, str]
) -> tuple[float, float, str]:
    """Draw one line; where it ends, and its colour."""
    colour, marker, dash = style
    of_metric = table[table["metric"] == metric]
    start = of_metric.loc[of_metric["degradation"] == "original", "value"].iloc[0]
    mine = of_metric[of_metric["degradation"] == name]
    places = range(len(mine) + 1)
    heights = [start, *mine["value"]]
    ax.plot(places, heights, dash, color=colour, linewidth=1.4)
    ax.plot(places[1:], heights[1:], marker, color=colour, markersize=4.5)
    ax.plot(0, start, marker, color=colour, markersize=5, markerfacecolor="white")
    ax.set_xticks(list(places), ["as is", *(f"{strength:g}" for strength in mine["strength"])])
    return places[-1], heights[-1], colour


def _name_lines(
    ax: Any,
    ends: Sequence[tuple[float, float, str]],
    metrics: Sequence[str],
    low: float,
    in_layout: bool,
) -> None:
    """Write each line's name at its end, moved apart where they would meet."""
    gap = GAP * (ax.get_ylim()[1] - low)
    height = float("-inf")
    for i in sorted(range(len(ends)), key=lambda i: ends[i][1]):
        x, y, colour = ends[i]
        height = max(y, height + gap)
        name = ax.annotate(
            METRICS[metrics[i]].title, (x, height), xytext=(7, 0), textcoords="offset points",
            color=colour, fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip
        name.set_in_layout(in_layout)
