"""Charts of the rates of one entry: one bar per value, or a grid for a `Matrix`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clipfeat.evaluate.rates import FALSE_POSITIVES, Rate, RateTable
from clipfeat.report.page.summary.best import Bar, Scale

MAX_BARS = 20
"""Maximum number of bars. The highest false positive rates and the lowest recalls are drawn."""
MAX_GRID = 16
"""Maximum number of rows and of columns of a grid."""


@dataclass(frozen=True)
class BarGroup:
    """Bars of the rates of one kind, such as all false positive rates.

    Parameters
    ----------
    title : str
        Kind of the rates, and the class if all rates have the same class.
    is_error : bool
        Whether a lower rate is better.
    bars : sequence of Bar
        Bars, worst rate first.
    """

    title: str
    is_error: bool
    bars: Sequence[Bar]


@dataclass(frozen=True)
class RateChart:
    """Rates of one entry, one bar per value.

    Parameters
    ----------
    column : str
        Heading of the names.
    title : str
        Entry and threshold.
    groups : sequence of BarGroup
        The bars.
    n_more : int
        Number of rates that are not drawn.
    note : str
        Sentence on the intervals.
    """

    column: str
    title: str
    groups: Sequence[BarGroup]
    n_more: int
    note: str


@dataclass(frozen=True)
class GridCell:
    """Rate in a grid.

    Parameters
    ----------
    text : str
        Rate. Empty if there are no images.
    share : float
        Rate as a number.
    is_error : bool
        Whether a lower rate is better.
    tip : str
        Rate with its interval and number of images.
    """

    text: str
    share: float
    is_error: bool
    tip: str


@dataclass(frozen=True)
class RateGrid:
    """Rates of one entry of a `Matrix`.

    Each row is a value used for training, and each column is a value used for testing.

    Parameters
    ----------
    column : str
        Name of the column of the values.
    title : str
        Entry and threshold.
    heads : sequence of (str, str)
        Value and kind of each column.
    legend : str
        Meaning of the two colours.
    rows : sequence of (str, sequence of GridCell)
        Value trained on, and its cells.
    n_more : int
        Number of rates that are not shown.
    note : str
        Sentence on the intervals.
    """

    column: str
    title: str
    heads: Sequence[tuple[str, str]]
    legend: str
    rows: Sequence[tuple[str, Sequence[GridCell]]]
    n_more: int
    note: str


def rate_chart(table: RateTable, entry: str) -> RateChart | RateGrid | None:
    """Return the chart of the rates of an entry, or None if the entry has no rates."""
    rates = [rate for rate in table.entries.get(entry, ()) if not math.isnan(rate.rate)]
    if not rates:
        return None
    title = f"{entry} at {table.thresholds[entry]}"
    if table.is_matrix:
        return _grid(table, rates, title)
    shown = sorted(rates, key=_merit)[:MAX_BARS]
    by_class = table.column == "class"
    groups: dict[str, list[Rate]] = {}
    for rate in rates:
        if rate in shown:
            title_of = rate.kind if by_class and len(table.classes) > 2 else _title(rate)
            groups.setdefault(title_of, []).append(rate)
    return RateChart(
        table.column,
        title,
        [
            BarGroup(name, of[0].kind == FALSE_POSITIVES, [_bar(rate) for rate in _ordered(of)])
            for name, of in groups.items()
        ],
        len(rates) - len(shown),
        f"All test folds together. {table.note}",
    )


def _title(rate: Rate) -> str:
    return f"{rate.kind} of {rate.label}"


def _merit(rate: Rate) -> float:
    """Return a number that is larger for a better rate."""
    return 1 - rate.rate if rate.kind == FALSE_POSITIVES else rate.rate


def _ordered(rates: Sequence[Rate]) -> list[Rate]:
    return sorted(rates, key=_merit)


def _bar(rate: Rate) -> Bar:
    return Scale(0, 1).bar(
        rate.value or rate.label, rate.rate, (rate.low, rate.high), note=f"{rate.n_images:,}"
    )


def _grid(table: RateTable, rates: Sequence[Rate], title: str) -> RateGrid:
    heads = list(dict.fromkeys((rate.label, rate.value, rate.kind) for rate in rates))
    names = list(dict.fromkeys(rate.trained_on for rate in rates))
    cells = {(rate.trained_on, rate.label, rate.value): rate for rate in rates}
    rows = [
        (name, [_cell(cells.get((name, label, value))) for label, value, _ in heads[:MAX_GRID]])
        for name in names[:MAX_GRID]
    ]
    shown = sum(bool(cell.text) for _, of in rows for cell in of)
    titles = [(value or label, f"{kind} of {label}") for label, value, kind in heads[:MAX_GRID]]
    legend = "Blue is recall, and orange is the false positive rate."
    if all(kind != FALSE_POSITIVES for _, _, kind in heads):
        legend = "Cells are recalls."
    legend += " The table of rates has the intervals."
    return RateGrid(
        table.column,
        title,
        titles,
        legend,
        rows,
        len(rates) - shown,
        f"All test folds together. {table.note}",
    )


def _cell(rate: Rate | None) -> GridCell:
    if rate is None:
        return GridCell("", 0.0, False, "")
    tip = f"{rate.rate:.3f}, 95 % interval {rate.interval}, {rate.n_images:,} images"
    return GridCell(f"{rate.rate:.2f}", round(rate.rate, 4), rate.kind == FALSE_POSITIVES, tip)
