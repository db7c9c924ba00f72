"""Simultaneous tests and intervals for all entries of a run."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from clipfeat.evaluate.intervals import LEVEL
from clipfeat.evaluate.metrics import Values
from clipfeat.evaluate.resampling import Resamples


@dataclass(frozen=True, eq=False)
class MaxT:
    """Distribution of the largest standardised error among several estimates.

    This is the single-step max-T method (Westfall and Young 1993). All estimates are resampled
    together, so the method accounts for their correlation.

    Parameters
    ----------
    largest : ndarray of shape (n_draws,)
        The largest absolute standardised error in each draw. Empty for a single estimate.
    n_units : int
        Number of resampled units. Few units make the tails heavier, by Student's t distribution.
    """

    largest: Values
    n_units: int

    def p_value(self, difference: float, error: float) -> float:
        """Return the two-sided p-value of a test for a difference, adjusted for all estimates."""
        if np.isnan(difference) or np.isnan(error) or self.n_units < 2:
            return float("nan")
        if difference == 0:
            return 1.0
        t = abs(difference) / error if error > 0 else np.inf
        alone = 2 * float(stdtr(self.n_units - 1, -t))
        if not len(self.largest):
            return alone
        z = -float(ndtri(alone / 2))
        adjusted = (1 + int((self.largest >= z).sum())) / (1 + len(self.largest))
        return min(1.0, max(adjusted, alone))

    @property
    def alpha(self) -> float:
        """Significance level of each interval, for a joint confidence of 95 %."""
        z = float(np.quantile(self.largest, LEVEL)) if len(self.largest) else 0.0
        return min(1 - LEVEL, 2 * float(ndtr(-z)))

    @property
    def critical(self) -> float:
        """Half-width of a simultaneous interval, in standard errors."""
        if self.n_units < 2:
            return float("nan")
        return float(-stdtrit(self.n_units - 1, self.alpha / 2))


def all_pairs(resamples: Resamples) -> MaxT:
    """Return the distribution for the differences between all pairs of entries.

    If all entries are equally good, a comparison with this distribution finds a significant
    difference between some pair in at most 5 % of runs, as Tukey's test does.
    """
    values = list(resamples.values.values())
    differences = [one - other for i, one in enumerate(values) for other in values[:i]]
    return all_of(resamples, differences)


def all_entries(resamples: Resamples) -> MaxT:
    """Return the distribution for the scores of all entries."""
    return all_of(resamples, resamples.values.values())


def all_of(resamples: Resamples, estimates: Iterable[Values]) -> MaxT:
    """Return the distribution for any estimates that were computed on the same draws."""
    return MaxT(_largest(resamples, estimates), resamples.size.n_units)


def score_alpha(resamples: Resamples) -> float:
    """Return the significance level of each entry's interval, for a joint confidence of 95 %.

    A score of 0 or 1 can be the same in every resample. Its standard error is then not known, and
    the level is that of Šidák (1967), which assumes independent entries.
    """
    n = len(resamples.values)
    independent = 1 - LEVEL ** (1 / max(n, 1))
    perfect = any(
        resamples.error(values) < 1e-12 and values[0] in (0.0, 1.0)
        for values in resamples.values.values()
    )
    return float(independent if perfect else max(all_entries(resamples).alpha, independent))


def _largest(resamples: Resamples, estimates: Iterable[Values]) -> Values:
    largest = np.zeros(resamples.n_draws)
    for values in estimates:
        error = resamples.error(values)
        if error > 1e-12:
            largest = np.fmax(largest, np.abs(values[1:] - values[0]) / error)
    return largest
