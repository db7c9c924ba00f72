"""Robustness curves: metrics against the strength of each degradation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipfeat.errors import UsageError
from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.plots.style import COLOURS, DASHES, MARKERS
from clipfeat.system.escaping import read_spreadsheet_csv, spreadsheet_csv
from clipfeat.system.files import check_links, publish, replacing
from clipfeat.system.locations import local_path

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

TABLE = "robustness.csv"
NUMBERS = ("strength", "value", "n", "n_images")
DEFAULT_METRICS = ("balanced_accuracy", "roc_auc")
LINE_STYLES = tuple(zip(COLOURS[:4], MARKERS[:4], DASHES[:4], strict=True))
MAX_COLUMNS = 4
LABEL_GAP = 0.055
"""Minimum distance between labels, as a fraction of the height of a panel."""


def save_robustness(
    table: "pd.DataFrame",
    folder: str | Path,
    titles: Mapping[str, str],
    metrics: Sequence[str] = DEFAULT_METRICS,
) -> list[Path]:
    """Write ``robustness.csv``, ``robustness.png`` and ``robustness.svg``.

    Parameters
    ----------
    table : DataFrame
        Columns degradation, strength, metric, value and n; see `draw_robustness`.
    folder : path
        Folder to write to. It is created if it does not exist.
    titles : mapping of str to str
        Title of each degradation.
    metrics : sequence of str
        Metrics to draw. The CSV file has all metrics.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    StorageError
        If a file cannot be written.
    """
    target = local_path(folder)
    target.mkdir(parents=True, exist_ok=True)
    check_links(target)
    paths = [target / TABLE, target / "robustness.png", target / "robustness.svg"]
    figure = draw_robustness(table, titles, metrics)
    publish(spreadsheet_csv(table).encode(), paths[0])
    for path in paths[1:]:
        with replacing(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], dpi=150)
    return paths


def load_robustness(folder: str | Path) -> "pd.DataFrame":
    """Read the table that `save_robustness` wrote.

    Raises
    ------
    UsageError
        If the folder has no such table.
    RefusedFileError
        If the table is damaged.
    """
    table = local_path(folder) / TABLE
    if not table.is_file():
        raise UsageError(f"{table} not found. Run `clipfeat robustness … -o {folder}` to write it.")
    return read_spreadsheet_csv(table, NUMBERS, ("degradation", "strength", "metric", "value"))


def draw_robustness(
    table: "pd.DataFrame", titles: Mapping[str, str], metrics: Sequence[str] = DEFAULT_METRICS
) -> "Figure":
    """Draw metrics against strength, one panel per degradation.

    Each line starts at the undegraded images, with a hollow marker. Lines differ in marker and dash
    pattern as well as in colour, and are labelled at their right ends.

    Parameters
    ----------
    table : DataFrame
        Columns degradation, strength, metric, value and n. Strengths are drawn in the order of the
        rows. The undegraded images have the degradation ``"original"``.
    titles : mapping of str to str
        Title of each degradation.
    metrics : sequence of str
        One to four metrics.
    """
    from clipfeat.report.plots.shown_figure import ShownFigure

    degradations = [name for name in table["degradation"].unique() if name != "original"]
    columns = min(MAX_COLUMNS, len(degradations))
    n_rows = -(-len(degradations) // columns)
    figure = ShownFigure(figsize=(2.9 * columns + 1.2, 2.6 * n_rows + 0.6), layout="constrained")
    axes = figure.subplots(n_rows, columns, sharey=True, squeeze=False)
    values = table.loc[table["metric"].isin(metrics), "value"]
    low = min(0.45, float(values.min()) - 0.03)
    for index, ax in enumerate(axes.flat):
        if index >= len(degradations):
            ax.set_visible(False)
            continue
        name = degradations[index]
        ends = [_line(ax, table, name, metric, LINE_STYLES[i]) for i, metric in enumerate(metrics)]
        ax.set_title(titles.get(name, name), fontsize=9, loc="left")
        ax.set_ylim(low, max(1.01, float(values.max()) + 0.02))
        ax.grid(axis="y", color="#dddddd", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8, length=2)
        is_last = index % columns == columns - 1
        if is_last or index == len(degradations) - 1:
            _label_lines(ax, ends, metrics, low, in_layout=is_last)
    figure.suptitle(f"{_images(table)}, original and degraded", fontsize=10, x=0.01, ha="left")
    return figure


def _images(table: "pd.DataFrame") -> str:
    """Return the number of scored images, and of all images if the table states it."""
    n, total = (int(table[name].max()) if name in table else 0 for name in ("n", "n_images"))
    return f"{n} of {total} images" if n < total else f"{n} images"


def _line(
    ax: Any, table: "pd.DataFrame", name: str, metric: str, style: tuple[str, str, str]
) -> tuple[float, float, str]:
    """Draw one line and return the position of its right end and its colour."""
    colour, marker, dash = style
    of_metric = table[table["metric"] == metric]
    start = of_metric.loc[of_metric["degradation"] == "original", "value"].iloc[0]
    degraded = of_metric[of_metric["degradation"] == name]
    positions = range(len(degraded) + 1)
    heights = [start, *degraded["value"]]
    ax.plot(positions, heights, dash, color=colour, linewidth=1.4)
    ax.plot(positions[1:], heights[1:], marker, color=colour, markersize=4.5)
    ax.plot(0, start, marker, color=colour, markersize=5, markerfacecolor="white")
    labels = ["none", *(f"{strength:g}" for strength in degraded["strength"])]
    ax.set_xticks(list(positions), labels)
    return positions[-1], heights[-1], colour


def _label_lines(
    ax: Any,
    ends: Sequence[tuple[float, float, str]],
    metrics: Sequence[str],
    low: float,
    in_layout: bool,
) -> None:
    """Write the name of each metric at the end of its line, without overlap."""
    gap = LABEL_GAP * (ax.get_ylim()[1] - low)
    height = float("-inf")
    for i in sorted(range(len(ends)), key=lambda i: ends[i][1]):
        x, y, colour = ends[i]
        height = max(y, height + gap)
        label = ax.annotate(
            METRICS[metrics[i]].title, (x, height), xytext=(7, 0), textcoords="offset points",
            color=colour, fontsize=8, va="center", annotation_clip=False,
        )  # fmt: skip
        label.set_in_layout(in_layout)
