"""The leaderboard as an HTML table."""

import math
from collections.abc import Mapping

from clipfeat.evaluate.leaderboard import INTERVAL, RECALL, TEXT_COLUMNS, Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.page.templates import render


def leaderboard_table(board: Leaderboard, errors: Mapping[str, str] | None = None) -> str:
    """Render a leaderboard as HTML.

    Parameters
    ----------
    board : Leaderboard
        The leaderboard. Metrics without a value are omitted. The best value of each metric is bold.
    errors : mapping of str to str, optional
        Error messages of failed entries, listed in separate rows at the end.

    Returns
    -------
    str
        A ``<table>`` inside a scrollable box, with its own style sheet.
    """
    metrics = [
        name
        for name in board.columns
        if name in TEXT_COLUMNS
        or any(not math.isnan(_mean(board, entry, name)) for entry in board.entries)
    ]
    best = {metric: board.best(metric) for metric in metrics if metric in METRICS}
    rows = [
        (entry, [(*_split_cell(m, board.cell(entry, m)), _mean(board, entry, m) == best.get(m), m)
                 for m in metrics])
        for entry in board.entries
    ]  # fmt: skip
    return render(
        "leaderboard.html.j2",
        heads=[
            (
                m,
                board.columns[m],
                not (_is_higher_better(m) or RECALL in m or m in TEXT_COLUMNS[1:]),
            )
            for m in metrics
        ],
        rows=rows,
        errors=dict(errors or {}),
        sort=board.metric,
    )


def _mean(board: Leaderboard, entry: str, metric: str) -> float:
    return board.mean[entry].get(metric, float("nan"))


def _is_higher_better(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].higher_is_better


def _split_cell(metric: str, cell: str) -> tuple[str, str]:
    """Split a cell into its number and the text after it."""
    if metric == INTERVAL:
        return cell, ""
    number, _, rest = cell.partition(" ")
    return number, rest
