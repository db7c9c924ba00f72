"""Ranking of a run's entries, with intervals and ties with the leader, which is the best entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clipfeat.evaluate.metrics import METRICS, Values
from clipfeat.evaluate.resampling import resampled

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark

LEVEL = 0.95


@dataclass(frozen=True)
class Standing:
    """Score of one entry (a classifier or a vote), and its comparison with the best entry.

    Parameters
    ----------
    entry : str
        Name of the entry.
    value, low, high : float
        Mean over folds, and the ends of its 95 % interval.
    behind : float
        Difference from the leader. It is 0 or positive for every metric.
    p_value : float
        Two-sided p-value of the paired test that the entry does not differ from the leader. It is
        1 for the leader.
    tied : bool
        Whether the entry is tied with the leader, because `p_value` is 0.05 or more.
    """

    entry: str
    value: float
    low: float
    high: float
    behind: float
    p_value: float
    tied: bool


def standings(
    run: "Benchmark", metric: str, draws: Mapping[str, Values] | None = None
) -> list[Standing]:
    """Rank the entries of a run, with intervals and ties.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    metric : str
        One of `METRICS`.
    draws : mapping of str to ndarray, optional
        Output of `clipfeat.evaluate.resampling.resampled` for the run's complete entries. It is
        computed if not given.

    Returns
    -------
    list of Standing
        Standings, best first, with percentile intervals. An entry is left out if it failed in a
        trial, or if the metric is undefined for it. The tests are not corrected for multiple
        comparisons. Of twenty equal entries, about one differs from the leader at the 5 % level.
    """
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    draws = resampled(run, run.complete, metric) if draws is None else draws
    order = sorted(
        (entry for entry in draws if np.isfinite(draws[entry][0])),
        key=lambda entry: -sign * draws[entry][0],
    )
    ranked = []
    for entry in order:
        low, high = interval(draws[entry][1:])
        behind = sign * (draws[order[0]] - draws[entry])
        p = paired_p_value(behind[1:])
        value = float(draws[entry][0])
        ranked.append(Standing(entry, value, low, high, float(behind[0]), p, p >= 1 - LEVEL))
    return ranked


def interval(draws: Values) -> tuple[float, float]:
    """Return the 95 % percentile interval of bootstrap draws. NaN if no draw has a value."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def paired_p_value(differences: Values) -> float:
    """Return the two-sided p-value of a difference of zero, from bootstrap draws.

    The p-value is twice the share of draws whose sign is opposite to the sign of most draws, and at
    most 1. Draws of 0 count for both signs. One is added to the count and to the number of draws,
    so the p-value is never 0 (Davison and Hinkley 1997, section 4.2).

    Examples
    --------
    >>> paired_p_value(np.ones(999)), paired_p_value(np.zeros(999))
    (0.002, 1.0)
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        return float("nan")
    least = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (least + 1) / (len(known) + 1)))
