"""Gain of a vote over the best single classifier, with its interval."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clipfeat.evaluate.metrics import METRICS
from clipfeat.evaluate.resampling import Resamples, resampled
from clipfeat.evaluate.simultaneous import all_pairs
from clipfeat.evaluate.validation import merit, on_validation

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark


@dataclass(frozen=True)
class Gain:
    """Difference between a vote and the best single classifier on the same out-of-fold rows.

    Parameters
    ----------
    vote, over : str
        Names of the vote and of the classifier.
    metric : str
        Name of the metric.
    value : float
        Difference between their scores. It is positive if the vote is better. For metrics such as
        log loss, for which lower is better, the sign is reversed.
    standard_error : float
        Standard error of the difference. Each bootstrap draw uses the same images or groups for the
        vote and the classifier.
    low, high : float
        Ends of the 95 % interval of the difference. The interval is simultaneous over all pairs
        of entries, so it remains valid for a classifier that is selected as the best. NaN in model
        files of version 0.1.
    on_validation : bool
        Whether the best classifier was selected on a validation set. If False, it was selected on
        the test rows.
    """

    vote: str
    over: str
    metric: str
    value: float
    standard_error: float
    low: float = float("nan")
    high: float = float("nan")
    on_validation: bool = False

    @property
    def worse(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high < 0

    @property
    def better(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0


def gains(run: "Benchmark", metric: str, draws: Resamples | None = None) -> list[Gain]:
    """Compare every vote of a run with the best single classifier.

    The best classifier is selected on the validation set. Without a validation set, it is selected
    on the test rows, which favours it. The interval of the difference is corrected for this.

    Parameters
    ----------
    run : Benchmark
        Result of a benchmark.
    metric : str
        One of `METRICS`. If the run chose decision thresholds, accuracies use them.
    draws : Resamples, optional
        Output of `clipfeat.evaluate.resampling.resampled` for the run's complete entries. It is
        computed if not given.

    Returns
    -------
    list of Gain
        One per vote. Empty without votes or single classifiers.
    """
    votes = [entry for entry in run.complete if entry in run.about.get("votes", {})]
    if not votes:
        return []
    sign = 1.0 if METRICS[metric].higher_is_better else -1.0
    known = (resampled(run, run.complete, metric) if draws is None else draws).defined()
    scores = {entry: sign * values[0] for entry, values in known.values.items()}
    others = {*votes, *run.about.get("scores", {})}
    singles = [entry for entry in scores if entry not in others]
    if not singles:
        return []
    chosen = on_validation(run)
    best = max(
        singles, key=lambda e: merit(metric, chosen.get(e, {})) if chosen else (scores[e], 0.0)
    )
    critical = all_pairs(known).critical
    compared = []
    for vote in votes:
        if vote in scores:
            difference = sign * (known.values[vote] - known.values[best])
            value, error = float(difference[0]), known.error(difference)
            half = critical * error
            compared.append(
                Gain(vote, best, metric, value, error, value - half, value + half, bool(chosen))
            )
    return compared
