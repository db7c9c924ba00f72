"""Who leads, how sure that is, and who is tied with the leader."""

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
    """One entry's place.

    Parameters
    ----------
    entry : str
        Its name.
    value, low, high : float
        Its mean over folds, and the ends of its 95 % interval.
    behind : float
        How much the leader is better, 0 or more for the leader's own metric.
    p_value : float
        Of the paired test that there is no difference to the leader; 1 for the leader.
    tied : bool
        Whether it cannot be told from the leader: ``p_value`` of 0.05 or more.
    """

    entry: str
    value: float
    low: float
    high: float
    behind: float
    p_value: float
    tied: bool


def standings(
    run: "Benchmark", metric: str, found: Mapping[str, Values] | None = None
) -> list[Standing]:
    """Put a run's entries in order, with intervals and ties.

    Parameters
    ----------
    run : Benchmark
        With out-of-fold probabilities.
    metric : str
        One of `METRICS`; an entry in which it is not defined has no place, nor has one that failed
        in a trial.
    found : mapping of str to ndarray, optional
        What `clipfeat.evaluate.resampling.resampled` gave for the run's complete entries.

    Returns
    -------
    list of Standing
        Best first. Percentile intervals; the test is of no correction for many entries, so that
        of twenty equal ones one may seem behind.
    """
    up = 1.0 if METRICS[metric].higher_is_better else -1.0
    found = resampled(run, run.complete, metric) if found is None else found
    order = sorted(
        (entry for entry in found if np.isfinite(found[entry][0])),
        key=lambda entry: -up * found[entry][0],
    )
    placed = []
    for entry in order:
        low, high = interval(found[entry][1:])
        behind = up * (found[order[0]] - found[entry])
        p = paired_p_value(behind[1:])
        value = float(found[entry][0])
        placed.append(Standing(entry, value, low, high, float(behind[0]), p, p >= 1 - LEVEL))
    return placed


def interval(draws: Values) -> tuple[float, float]:
    """The percentile interval of 95 %; NaN where nothing is known."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high


def paired_p_value(differences: Values) -> float:
    """Two-sided, from draws of a difference: twice the share on the far side of zero, up to 1.

    Davison and Hinkley 1997, section 4.2: one is added to count and number, so that it is never 0.

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
