"""Tidy rows of a run: one row per entry (a classifier or a vote), fold and metric."""

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "encoder", "classifier", "seed", "trained_on", "n_train", "fold", "tested_on", "metric",
    "value", "seconds",
)  # fmt: skip
"""Names of the columns."""

POOLED = "all folds"
"""Value of the column ``fold`` for metrics that are computed on all folds of a trial together."""

COSTS = ("fit_seconds", "predict_seconds", "model_bytes")
"""Values of the column ``metric`` that measure cost instead of quality."""


def headline_rows(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows that a leaderboard averages.

    For a few-shot protocol, these are the rows with the most training images. For other protocols,
    these are all rows. If a metric has rows of all folds together, its rows of single folds are
    left out.
    """
    most = max((row.get("n_train") or 0 for row in rows), default=0)
    pooled = pooled_metrics(rows)
    return [
        row
        for row in rows
        if (row.get("n_train") or 0) == most
        and (row["metric"] not in pooled or row.get("fold") == POOLED)
    ]


def pooled_metrics(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Return the metrics that are computed on all folds of a trial together."""
    return {row["metric"] for row in rows if row.get("fold") == POOLED}
