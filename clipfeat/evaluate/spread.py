"""Mean and standard deviation of scores: the only meaning of ± in tables, pages and plots."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of the defined values. NaN if there are none."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def spread_of(values: Sequence[float]) -> float:
    """Return the standard deviation (``ddof=1``) of the defined values. NaN for fewer than two."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else float("nan")


def spread_text(mean: float, spread: float) -> str:
    """Format a mean and a standard deviation.

    Examples
    --------
    >>> nan = float("nan")
    >>> spread_text(0.9123, 0.0081), spread_text(0.9123, nan), spread_text(nan, nan)
    ('0.912 ± 0.008', '0.912', '–')
    """
    if np.isnan(mean):
        return "–"
    return f"{mean:.3f}" if np.isnan(spread) else f"{mean:.3f} ± {spread:.3f}"


def spread_over(rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the items over which a leaderboard averages, such as ``"folds"``.

    Examples
    --------
    >>> spread_over([{"n_train": 10}]), spread_over([{"trained_on": "a"}]), spread_over([])
    ('draws', 'folds and pairs of values', 'folds')
    """
    if any(row.get("n_train") is not None for row in rows):
        return "draws"
    return "folds and pairs of values" if any(row.get("trained_on") for row in rows) else "folds"


def spread_note(over: str) -> str:
    """State what ± means in a table of means over ``over``."""
    return f"± is the standard deviation over {over}, not a standard error."
