"""What a vote gains over the best single classifier, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from clipfeat.evaluate.metrics import METRICS, Values
from clipfeat.evaluate.resampling import resampled

if TYPE_CHECKING:
    from clipfeat.evaluate.result import Benchmark


@dataclass(frozen=True)
class Gain:
    """A vote beside the best single classifier, on the same out-of-fold rows.

    Parameters
    ----------
    vote, over : str
        Names of the entries.
    metric : str
        In which they are compared.
    value : float
        Difference of their means over folds; positive is better, whichever way the metric goes.
    standard_error : float
        Of that difference, paired: both are resampled at once, whole groups at a time.
    """

    vote: str
    over: str
    metric: str
    value: float
    standard_error: float

    @property
    def worse(self) -> bool:
        """Whether the vote is worse by more than the standard error."""
        return self.value < -self.standard_error


def gains(run: "Benchmark", metric: str, found: Mapping[str, Values] | None = None) -> list[Gain]:
    """Compare every vote of a run with its best single classifier.

    The best is the best of this very run, which favours it: a vote that equals it here is a
    little better on new images.

    Parameters
    ----------
    run : Benchmark
        With out-of-fold probabilities.
    metric : str
        One of `METRICS`. Accuracies are those of the chosen thresholds where there are any.
    found : mapping of str to ndarray, optional
        What `clipfeat.evaluate.resampling.resampled` gave for the run's complete entries.
    """
    votes = [entry for entry in run.complete if entry in run.about.get("votes", {})]
    if not votes:
        return []
    up = 1.0 if METRICS[metric].higher_is_better else -1.0
    found = resampled(run, run.complete, metric) if found is None else found
    found = {entry: up * values for entry, values in found.items()}
    singles = {
        entry: values[0]
        for entry, values in found.items()
        if entry not in votes and np.isfinite(values[0])
    }
    if not singles:
        return []
    best = max(singles, key=lambda entry: singles[entry])
    apart = {vote: found[vote] - found[best] for vote in votes}
    return [
        Gain(vote, best, metric, float(d[0]), float(np.nanstd(d[1:], ddof=1)))
        for vote, d in apart.items()
    ]
