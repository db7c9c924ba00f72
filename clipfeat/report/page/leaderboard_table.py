"""The leaderboard as a table of HTML, for the page and for a notebook."""

import math
from collections.abc import Mapping

from clipfeat.evaluate.leaderboard import INTERVAL, RANK, RECALL, Leaderboard
from clipfeat.evaluate.metrics import METRICS
from clipfeat.report.page.templates import render


def leaderboard_table(board: Leaderboard, errors: Mapping[str, str] | None = None) -> str:
    """Lay a leaderboard out.

    Parameters
    ----------
    board : Leaderboard
        The metrics that no entry has are left out; the best of each metric is bold.
    errors : mapping of str to str, optional
        Entries that failed, and why: rows of their own, below.

    Returns
    -------
    str
        A ``<table>`` in a box that it can be scrolled in, with its own style.
    """
    metrics = [
        name
        for name in board.columns
        if name in (RANK, INTERVAL)
        or any(not math.isnan(_mean(board, entry, name)) for entry in board.entries)
    ]
    best = {metric: board.best(metric) for metric in metrics if metric in METRICS}
    rows = [
        (entry, [(*_parted(m, board.cell(entry, m)), _mean(board, entry, m) == best.get(m), m)
                 for m in metrics])
        for entry in board.entries
    ]  # fmt: skip
    return render(
        "leaderboard.html.j2",
        heads=[
            (m, board.columns[m], not (_higher(m) or RECALL in m or m == INTERVAL)) for m in metrics
        ],
        rows=rows,
        errors=dict(errors or {}),
        sort=board.metric,
    )


def _mean(board: Leaderboard, entry: str, metric: str) -> float:
    return board.mean[entry].get(metric, float("nan"))


def _higher(metric: str) -> bool:
    return metric in METRICS and METRICS[metric].higher_is_better


def _parted(metric: str, cell: str) -> tuple[str, str]:
    """The number, and what is said of it."""
    if metric == INTERVAL:
        return cell, ""
    number, _, rest = cell.partition(" ")
    return number, rest
