"""What a benchmark found, and what can be asked of it without fitting anything again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.leaderboard import DEFAULT_METRIC, Leaderboard, run_leaderboard
from clipfeat.evaluate.metrics import Labels, Probabilities
from clipfeat.evaluate.protocols import Trial
from clipfeat.evaluate.tidy_rows import COLUMNS
from clipfeat.features.by_file import one_per_file
from clipfeat.spec import EncoderSpec

if TYPE_CHECKING:
    import pandas as pd

    from clipfeat.evaluate.splits import Mask


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the entries said in one trial.

    Parameters
    ----------
    trial : Trial
        Which rows were trained on and tested.
    fold : ndarray of shape (n_samples,)
        The fold in which each row was tested, by its place in the trial; -1 for none.
    probabilities : mapping of str to ndarray of shape (n_samples, n_classes)
        Out-of-fold, by entry; NaN where a row was in no test.
    thresholds : mapping of str to sequence of float
        By entry, the threshold of each fold, where one was asked for.
    """

    trial: Trial
    fold: NDArray[np.int64]
    probabilities: Mapping[str, Probabilities]
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Tested:
    """What one entry said of the files that one fold tested, frames and faces averaged.

    Parameters
    ----------
    y : ndarray of shape (n_files,)
        True class indices.
    p : ndarray of shape (n_files, n_classes)
        Probabilities.
    row : ndarray of shape (n_files,)
        The first row of each file.
    threshold : float, optional
        The fold's.
    """

    y: Labels
    p: Probabilities
    row: NDArray[np.int64]
    threshold: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark:
    """What a benchmark found.

    Parameters
    ----------
    rows : sequence of mapping
        Tidy: `COLUMNS`.
    outcomes : sequence of Outcome
        One a trial; most protocols have one.
    y : ndarray of shape (n_samples,)
        True class indices.
    classes, paths, specs
        As in the `FeatureSet`.
    files : ndarray of shape (n_samples,)
        The file that each row is of; rows of one file are scored as one.
    keys : ndarray of shape (n_samples,), ``S32``
        As in the `FeatureSet`; by these runs are compared.
    groups : ndarray of shape (n_samples,), or None
        What no fold parted.
    columns : mapping of str to ndarray of shape (n_samples,)
        As in the `FeatureSet`.
    errors : mapping of str to str
        Entries that failed, and why.
    about : mapping
        How it was run: protocol, seed, images, groups.
    """

    rows: Sequence[Mapping[str, Any]]
    outcomes: Sequence[Outcome]
    y: Labels
    classes: tuple[str, ...]
    paths: NDArray[np.str_]
    specs: tuple[EncoderSpec, ...]
    files: NDArray[np.str_]
    keys: NDArray[np.bytes_]
    groups: NDArray[np.str_] | None = None
    columns: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Benchmark({self.about.get('protocol')} on {len(self.y)} images: "
            f"{', '.join(self.probabilities)})"
        )

    @property
    def entries(self) -> list[str]:
        """Those that were not stopped by an error in every trial."""
        return list(dict.fromkeys(entry for one in self.outcomes for entry in one.probabilities))

    @property
    def complete(self) -> list[str]:
        """Those that are in every trial which a leaderboard counts, and so can be compared."""
        return [e for e in self.entries if all(e in one.probabilities for one in self.headline)]

    @property
    def probabilities(self) -> Mapping[str, Probabilities]:
        """Those of the first trial."""
        return self.outcomes[0].probabilities

    @property
    def fold(self) -> NDArray[np.int64]:
        """Those of the first trial."""
        return self.outcomes[0].fold

    @property
    def thresholds(self) -> Mapping[str, Sequence[float]]:
        """Those of the first trial."""
        return self.outcomes[0].thresholds

    @property
    def headline(self) -> Sequence[Outcome]:
        """The trials that a leaderboard counts: all, or those with the most training images."""
        most = max(one.trial.n_train or 0 for one in self.outcomes)
        return [one for one in self.outcomes if (one.trial.n_train or 0) == most]

    def leaderboard(self, metric: str = DEFAULT_METRIC) -> Leaderboard:
        """Order the entries by a metric.

        Parameters
        ----------
        metric : str
            One of `METRICS`.

        Returns
        -------
        Leaderboard
            Means over folds with standard deviations, 95 % intervals, ties with the leader, and
            the gain of each vote over the best single classifier.

        Raises
        ------
        UnknownNameError
            If there is no such metric.
        """
        return run_leaderboard(self, metric)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the tidy rows as a table."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(COLUMNS))

    def tested(
        self, outcome: Outcome, entry: str, fold: int, among: "Mask | None" = None
    ) -> Tested:
        """What an entry said in one fold of a trial.

        Parameters
        ----------
        outcome : Outcome
            One of `outcomes`.
        entry : str
            One of its entries.
        fold : int
            Its place in the trial.
        among : ndarray of shape (n_samples,), bool, optional
            Only these rows.
        """
        return tested_rows(self.y, self.files, outcome, entry, fold, among)


def tested_rows(
    y: Labels,
    files: NDArray[np.str_],
    outcome: Outcome,
    entry: str,
    fold: int,
    among: "Mask | None" = None,
) -> Tested:
    """`Benchmark.tested`, of all rows' classes and files."""
    mask = outcome.fold == fold
    here = np.flatnonzero(mask if among is None else mask & among)
    known, p, rows = one_per_file(y[here], outcome.probabilities[entry][here], files[here])
    of_entry = outcome.thresholds.get(entry)
    return Tested(known, p, here[rows], of_entry[fold] if of_entry else None)
