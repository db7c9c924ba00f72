"""Result of a benchmark: scores and out-of-fold probabilities.

Leaderboards, comparisons and plots are computed from this result, without new fits. An entry is a
classifier or a vote. A trial is a list of splits, such as the folds of one cross-validation, in
which every row is tested at most once. Most protocols have one trial.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfeat.evaluate.leaderboard import DEFAULT_METRIC, Leaderboard, run_leaderboard
from clipfeat.evaluate.metrics import Labels, Probabilities
from clipfeat.evaluate.plan import Trial
from clipfeat.evaluate.tidy_rows import COLUMNS
from clipfeat.features.by_file import one_per_file
from clipfeat.spec import EncoderSpec
from clipfeat.system.escaping import terminal_text
from clipfeat.system.progress import Report, reporting

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from clipfeat.evaluate.splits import RowMask
    from clipfeat.report.page.write import PageOptions


@dataclass(frozen=True, eq=False)
class Outcome:
    """Out-of-fold probabilities of all entries in one trial.

    Parameters
    ----------
    trial : Trial
        The rows that were trained on and tested.
    fold : ndarray of shape (n_samples,)
        For each row, the index of the fold that tested it. -1 for a row that was not tested.
    probabilities : mapping of str to ndarray of shape (n_samples, n_classes)
        For each entry, its out-of-fold probabilities. NaN for a row that was not tested.
    thresholds : mapping of str to sequence of float
        For each entry, its decision thresholds in the folds. Empty if no threshold was chosen.
    """

    trial: Trial
    fold: NDArray[np.int64]
    probabilities: Mapping[str, Probabilities]
    thresholds: Mapping[str, Sequence[float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FilePredictions:
    """Probabilities of one entry for the files that one fold tested.

    The rows of a file, such as frames or faces, are averaged.

    Parameters
    ----------
    y : ndarray of shape (n_files,)
        True class indices.
    p : ndarray of shape (n_files, n_classes)
        Probabilities.
    row : ndarray of shape (n_files,)
        Number of the first row of each file.
    threshold : float, optional
        Threshold of the fold.
    """

    y: Labels
    p: Probabilities
    row: NDArray[np.int64]
    threshold: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark:
    """Result of `clipfeat.benchmark`.

    Parameters
    ----------
    rows : sequence of mapping
        Tidy rows. See `to_pandas`.
    outcomes : sequence of Outcome
        Out-of-fold probabilities, one item per trial. Most protocols have one trial.
    y : ndarray of shape (n_samples,)
        True class indices.
    classes, paths, specs
        As in the `FeatureSet`.
    files : ndarray of shape (n_samples,)
        The file of each row. The rows of a file, such as frames or faces, are averaged and scored
        as one image.
    keys : ndarray of shape (n_samples,), ``S32``
        Content hashes of the images. `clipfeat.compare` uses them to find the images that several
        runs tested.
    groups : ndarray of shape (n_samples,), or None
        Groups. All rows of a group are in the same fold.
    columns : mapping of str to ndarray of shape (n_samples,)
        As in the `FeatureSet`.
    errors : mapping of str to str
        For each entry that failed, its error.
    about : mapping
        Settings and facts of the run: the protocol, the seed, the number of images and others.
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
        return terminal_text(
            f"Benchmark({self.about.get('protocol')} on {len(self.y)} images: "
            f"{', '.join(self.entries)})"
        )

    def _repr_html_(self) -> str:
        """Return a card for notebooks with the best entries."""
        from clipfeat.evaluate.benchmark_html import benchmark_html

        return benchmark_html(self)

    @property
    def entries(self) -> list[str]:
        """Names of the classifiers and votes that have results in at least one trial."""
        return list(dict.fromkeys(entry for one in self.outcomes for entry in one.probabilities))

    @property
    def complete(self) -> list[str]:
        """Names of the entries that have results in every trial of `headline`.

        Only these entries can be compared.
        """
        return [e for e in self.entries if all(e in one.probabilities for one in self.headline)]

    @property
    def probabilities(self) -> Mapping[str, Probabilities]:
        """For each entry, its out-of-fold probabilities in the first trial."""
        return self.outcomes[0].probabilities

    @property
    def fold(self) -> NDArray[np.int64]:
        """For each row, the index of the fold that tested it in the first trial."""
        return self.outcomes[0].fold

    @property
    def thresholds(self) -> Mapping[str, Sequence[float]]:
        """For each classifier or vote, its decision thresholds in the folds of the first trial."""
        return self.outcomes[0].thresholds

    @property
    def headline(self) -> Sequence[Outcome]:
        """Outcomes of the trials that a leaderboard averages.

        For a few-shot protocol, these are the trials with the most training images. For other
        protocols, these are all trials.
        """
        most = max(one.trial.n_train or 0 for one in self.outcomes)
        return [one for one in self.outcomes if (one.trial.n_train or 0) == most]

    def leaderboard(self, metric: str = DEFAULT_METRIC, by: str | None = None) -> Leaderboard:
        """Order the entries by a metric.

        Parameters
        ----------
        metric : str
            Name of a metric, such as ``"roc_auc"``.
        by : str, optional
            Column of `Leaderboard.rates`, or several names separated by commas. By default, the
            column of the protocol (``generator`` if it has none), then ``source``.

        Returns
        -------
        Leaderboard
            Means over folds with standard deviations and 95 % intervals, ties with the leader (the
            best entry), and the gain of each vote over the best single classifier.

        Raises
        ------
        UnknownNameError
            If the metric or a column is unknown.
        """
        return run_leaderboard(self, metric, by)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the tidy rows as a table, one row per entry, fold and metric."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(COLUMNS))

    def save(
        self,
        folder: str | Path,
        *,
        board: Leaderboard | None = None,
        page: "PageOptions | None" = None,
        overwrite: bool = False,
        progress: bool | Report = True,
    ) -> list[Path]:
        """Write the run into a folder, with its leaderboard and an HTML report.

        Parameters
        ----------
        folder : path
            A new or empty folder, or a folder that holds only ``cells/``, the cache of the run.
        board : Leaderboard, optional
            Leaderboard to write. By default, ``leaderboard()``.
        page : PageOptions, optional
            Further content of the report that is not part of the run, such as an audit and
            thumbnails.
        overwrite : bool
            Whether to write into a folder that holds other files. Files with the same names are
            replaced.
        progress : bool or callable
            Whether to show the progress of the plots on standard error or in the notebook. A
            callable is called with each `clipfeat.system.progress.Phase` instead.

        Returns
        -------
        list of Path
            Paths of the tables, then of the report.

        Raises
        ------
        OutputExistsError
            If the folder is a file or holds other files, and `overwrite` is False.
        StorageError
            If a file cannot be written.

        See Also
        --------
        Benchmark.load : Read the folder.
        """
        from clipfeat.report.page.write import PageOptions
        from clipfeat.report.run_folder import save_run

        with reporting(progress) as report:
            return save_run(
                self, folder, board=board, page=page or PageOptions(), overwrite=overwrite,
                report=report,
            )  # fmt: skip

    def plot(
        self,
        name: str,
        *,
        entries: Sequence[str] | None = None,
        metric: str = DEFAULT_METRIC,
    ) -> "Figure":
        """Draw one plot of the report.

        Parameters
        ----------
        name : str
            ``"roc"``, ``"precision_recall"``, ``"calibration"``, ``"scores"``, ``"confusion"``,
            ``"by_value"``, ``"matrix"`` or ``"few_shot"``.
        entries : sequence of str, optional
            Entries to draw. By default, the best ones.
        metric : str
            Metric that orders the entries, and that ``"matrix"`` and ``"few_shot"`` draw.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UnknownNameError
            If the plot, the metric or one of the entries is unknown.
        DataError
            If the run has no data for the plot.
        """
        from clipfeat.report.plotting import plot

        return plot(self, name, entries=entries, metric=metric)

    @classmethod
    def load(cls, folder: str | Path) -> "Benchmark":
        """Read a run folder.

        Parameters
        ----------
        folder : path
            Folder written by `save` or ``clipfeat benchmark -o``.

        Returns
        -------
        Benchmark
            The run. Its trials do not list the training rows, which are not stored.

        Raises
        ------
        RefusedFileError
            If the folder does not hold a run, or the run is damaged.
        """
        from clipfeat.report.run_folder import load_run

        return load_run(folder)

    def tested(
        self, outcome: Outcome, entry: str, fold: int, subset: "RowMask | None" = None
    ) -> FilePredictions:
        """Return the probabilities of an entry for the files that one fold tested.

        Parameters
        ----------
        outcome : Outcome
            One of `outcomes`.
        entry : str
            Name of an entry of the outcome.
        fold : int
            Index of the fold.
        subset : ndarray of shape (n_samples,), bool, optional
            Restrict the result to these rows.
        """
        return tested_files(self.y, self.files, outcome, entry, fold, subset)

    def pooled(
        self, outcome: Outcome, entry: str, subset: "RowMask | None" = None
    ) -> FilePredictions:
        """Return the probabilities of an entry for the tested files of all folds.

        Parameters
        ----------
        outcome, entry, subset
            As in `tested`.
        """
        return pooled_files(self.y, self.files, outcome, entry, subset)


def tested_files(
    y: Labels,
    files: NDArray[np.str_],
    outcome: Outcome,
    entry: str,
    fold: int,
    subset: "RowMask | None" = None,
) -> FilePredictions:
    """Return the probabilities of an entry for the files that one fold tested.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        True class indices.
    files : ndarray of shape (n_samples,)
        The file of each row.
    outcome, entry, fold, subset
        As in `Benchmark.tested`.
    """
    mask = outcome.fold == fold
    here = np.flatnonzero(mask if subset is None else mask & subset)
    known, p, rows = one_per_file(y[here], outcome.probabilities[entry][here], files[here])
    of_entry = outcome.thresholds.get(entry)
    return FilePredictions(known, p, here[rows], of_entry[fold] if of_entry else None)


def pooled_files(
    y: Labels,
    files: NDArray[np.str_],
    outcome: Outcome,
    entry: str,
    subset: "RowMask | None" = None,
) -> FilePredictions:
    """Return the probabilities of an entry for the tested files of all folds.

    The result has no threshold. The parameters are those of `tested_files`.
    """
    folds = range(len(outcome.trial.splits))
    tested = [tested_files(y, files, outcome, entry, fold, subset) for fold in folds]
    return FilePredictions(
        np.concatenate([one.y for one in tested]),
        np.concatenate([one.p for one in tested]),
        np.concatenate([one.row for one in tested]),
    )
