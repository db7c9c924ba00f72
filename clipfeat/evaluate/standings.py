"""Ranking of a run's entries, with intervals and ties with the leader.

The leader is the best entry on the validation set. Without a validation set, it is the best entry
on the test rows.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.evaluate.intervals import LEVEL, interval
from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.resampling import Resamples, resampled
from clipfeat.evaluate.simultaneous import all_pairs, score_alpha
from clipfeat.evaluate.validation import merit, on_validation

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark


@dataclass(frozen=True)
class Standing:
    """Score of one entry (a classifier or a vote), and its comparison with the leader.

    Parameters
    ----------
    entry : str
        Name of the entry.
    value, low, high : float
        Mean over folds, and the ends of its 95 % interval. The confidence of 95 % holds for the
        intervals of all entries together.
    behind : float
        Difference from the leader. It is positive for a worse entry, whatever the metric. It can
        be negative if the leader was chosen on a validation set.
    p_value : float
        Two-sided p-value of the paired test that the entry does not differ from the leader. It is
        corrected for all pairs of entries. It is 1 for the leader.
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


def standings(run: "Benchmark", metric: str, draws: Resamples | None = None) -> list[Standing]:
    """Rank the entries of a run, with simultaneous intervals and ties.

    The intervals hold for all entries together, so they also hold for a leader that is selected by
    the same scores. The tests are corrected for all pairs of entries by the max-T method. See
    `clipfeat.evaluate.simultaneous`.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    metric : str
        One of `METRICS`.
    draws : Resamples, optional
        Output of `clipfeat.evaluate.resampling.resampled` for the run's complete entries. It is
        computed if not given.

    Returns
    -------
    list of Standing
        Best first. An entry that failed in a trial, or for which the metric is undefined, is left
        out.
    """
    row = METRICS[metric]
    sign = 1.0 if row.higher_is_better else -1.0
    known = (resampled(run, run.complete, metric) if draws is None else draws).defined()
    order = sorted(known.values, key=lambda entry: -sign * known.values[entry][0])
    if chosen := on_validation(run):
        order = sorted(known.values, key=lambda e: merit(metric, chosen.get(e, {})), reverse=True)
    pairs, alpha = all_pairs(known), score_alpha(known)
    ranked = []
    for entry in order:
        values = known.values[entry]
        low, high = interval(row, float(values[0]), known.error(values), known.size, alpha)
        behind = sign * (known.values[order[0]] - values)
        p = 1.0 if entry == order[0] else pairs.p_value(float(behind[0]), known.error(behind))
        tied = not p < 1 - LEVEL
        ranked.append(Standing(entry, float(values[0]), low, high, float(behind[0]), p, tied))
    return ranked
